//! What recurrent layers carry from step to step and from pass to pass.

use cortado_layers::check::SingleLayer;
use cortado_layers::{Phase, Registry, Shape, Tensor};

const N: usize = 2;
const D: usize = 3;
const H: usize = 4;

fn tensor(dims: &[usize], data: &[f32]) -> Tensor {
    Tensor::from_vec(Shape::new(dims), data.to_vec()).unwrap_or_else(|| panic!("{dims:?}"))
}

/// Inputs of so many steps from step `from` on, the same for every call.
fn x(from: usize, steps: usize) -> Tensor {
    let value = |i: usize| ((i * 7919 + 13) % 101) as f32 / 50.0 - 1.0;
    let all: Vec<f32> = (from * N * D..(from + steps) * N * D).map(value).collect();
    tensor(&[steps, N, D], &all)
}

fn cont(marks: &[f32]) -> Tensor {
    tensor(&[marks.len(), N], &marks.iter().flat_map(|&mark| [mark; N]).collect::<Vec<_>>())
}

fn layer(kind: &str, exposed: &str, param: &str, bottoms: Vec<Tensor>) -> SingleLayer {
    let text = format!(
        "layer {{ name: \"l\" type: \"{kind}\" bottom: \"x\" bottom: \"cont\" top: \"h\" {exposed} \
         recurrent_param {{ num_output: {H} weight_filler {{ type: \"uniform\" min: -1 }} {param} }} }}"
    );
    SingleLayer::build(&Registry::builtin(), &text, Phase::Test, bottoms)
        .unwrap_or_else(|e| panic!("{e}"))
}

fn run(layer: &mut SingleLayer, x: Tensor, cont: Tensor) -> Vec<f32> {
    (layer.bottoms[0], layer.bottoms[1]) = (x, cont);
    layer.forward().unwrap_or_else(|e| panic!("{e}"));
    layer.tops[0].data().to_vec()
}

#[test]
fn passes_go_on_where_the_last_one_ended_whatever_their_length() {
    for kind in ["LSTM", "RNN"] {
        let make = || layer(kind, "", "", vec![x(0, 1), cont(&[0.0])]);
        let whole = run(&mut make(), x(0, 6), cont(&[0.0, 1.0, 1.0, 1.0, 1.0, 1.0]));
        let mut parts = make();
        let mut found = run(&mut parts, x(0, 1), cont(&[0.0]));
        found.extend(run(&mut parts, x(1, 3), cont(&[1.0; 3])));
        found.extend(run(&mut parts, x(4, 2), cont(&[1.0; 2])));
        assert_eq!(found, whole, "{kind}");
        // A mark forgets all of it, and another number of sequences begins at zero.
        let fresh = run(&mut make(), x(2, 2), cont(&[0.0, 1.0]));
        assert_eq!(run(&mut parts, x(2, 2), cont(&[0.0, 1.0])), fresh, "{kind}");
        run(&mut parts, tensor(&[1, 1, D], &[0.5; D]), tensor(&[1, 1], &[1.0]));
        let anew = run(&mut parts, x(2, 2), cont(&[1.0, 1.0]));
        assert_eq!(anew, fresh, "{kind}");
    }
}

#[test]
fn exposed_states_are_what_is_carried() {
    for (kind, states, names) in [
        ("LSTM", 2, "bottom: \"h0\" bottom: \"c0\" top: \"hT\" top: \"cT\""),
        ("RNN", 1, "bottom: \"h0\" top: \"hT\""),
    ] {
        let mut carried = layer(kind, "", "", vec![x(0, 2), cont(&[0.0, 1.0])]);
        let mut bottoms = vec![x(0, 2), cont(&[0.0, 1.0])];
        bottoms.extend((0..states).map(|_| tensor(&[1, N, H], &[9.0; N * H])));
        let mut exposed = layer(kind, names, "expose_hidden: true", bottoms);
        let first = [0.0, 1.0];
        let whole = run(&mut carried, x(0, 2), cont(&first));
        assert_eq!(run(&mut exposed, x(0, 2), cont(&first)), whole, "{kind}: cont 0 forgets h0");
        for state in 0..states {
            exposed.bottoms[2 + state] = exposed.tops[1 + state].clone();
        }
        let whole = run(&mut carried, x(2, 3), cont(&[1.0; 3]));
        assert_eq!(run(&mut exposed, x(2, 3), cont(&[1.0; 3])), whole, "{kind}");
        // Given again, not carried.
        assert_eq!(run(&mut exposed, x(2, 3), cont(&[1.0; 3])), whole, "{kind}");
    }
}

/// LSTM is a chain of LSTMUnits.
#[test]
fn one_step_of_lstm_is_a_unit() {
    let mut lstm = layer("LSTM", "", "", vec![x(0, 1), cont(&[0.0])]);
    let h = run(&mut lstm, x(0, 1), cont(&[0.0]));
    let (w, input) = (lstm.weights[0].data(), x(0, 1));
    let gate = |n: usize, row: usize| -> f32 {
        (0..D).map(|d| w[row * D + d] * input.data()[n * D + d]).sum()
    };
    let gates: Vec<f32> = (0..N * 4 * H).map(|i| gate(i / (4 * H), i % (4 * H))).collect();
    let text = "layer { name: \"u\" type: \"LSTMUnit\" bottom: \"c\" bottom: \"g\" bottom: \"k\" \
                top: \"d\" top: \"h\" }";
    let bottoms = vec![
        tensor(&[1, N, H], &[5.0; N * H]),
        tensor(&[1, N, 4 * H], &gates),
        tensor(&[1, N], &[0.0; N]),
    ];
    let unit = SingleLayer::build(&Registry::builtin(), text, Phase::Test, bottoms);
    let mut unit = unit.unwrap_or_else(|e| panic!("{e}"));
    unit.forward().unwrap_or_else(|e| panic!("{e}"));
    for (found, wanted) in unit.tops[1].data().iter().zip(&h) {
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    }
}
