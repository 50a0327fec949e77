//! Training nets whose layers run several as one, held against the same layers one by one.

use cortado::net::{Net, NetOptions, threads::pool};
use cortado_layers::Phase;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::random::Grown;
use super::{feed, net};

fn training(text: &str, plan: bool, threads: usize) -> Net {
    let options = NetOptions { plan, pool: pool(threads), ..NetOptions::new(Phase::Train) };
    net(text, &options)
}

/// Two passes; then all that somebody can see.
fn run(net: &mut Net) -> Vec<(String, Vec<f32>)> {
    let mut seen = Vec::new();
    for pass in 0..2 {
        feed(net);
        let loss = net.forward().unwrap();
        net.backward().unwrap();
        seen.push((format!("loss {pass}"), vec![loss as f32]));
        for name in net.blob_names() {
            seen.push((format!("{name} {pass}"), net.blob(name).unwrap().data.to_vec()));
            // Tops of inserted splits share a diff that the layers before them have written over.
            if let Some(diff) = net.diff(name).filter(|_| !name.contains("_split_")) {
                seen.push((format!("diff of {name} {pass}"), diff.data.to_vec()));
            }
        }
    }
    for (id, param) in net.store.params().iter().enumerate() {
        let name = format!("{} {}", param.owner.0, param.owner.1);
        seen.push((format!("values of {name}"), net.store.data(id).to_vec()));
        seen.push((format!("diff of {name}"), net.store.diff(id).to_vec()));
    }
    seen
}

fn agree(text: &str) -> Result<(), TestCaseError> {
    let wanted = run(&mut training(text, false, 1));
    alike(&run(&mut training(text, true, 2)), &wanted, text)
}

type Seen = [(String, Vec<f32>)];

fn alike(found: &Seen, wanted: &Seen, text: &str) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), wanted.len(), "{}", text);
    for ((name, found), (of, wanted)) in found.iter().zip(wanted) {
        prop_assert_eq!(name, of, "{}", text);
        prop_assert_eq!(found.len(), wanted.len(), "{}\n{}", name, text);
        let largest = wanted.iter().fold(1e-2f32, |m, v| m.max(v.abs()));
        for (i, (a, b)) in found.iter().zip(wanted).enumerate() {
            let near = (a - b).abs() <= 1e-3 * largest;
            prop_assert!(near, "{name}[{i}] is {a} instead of {b}\n{text}");
        }
    }
    Ok(())
}

const CHAIN: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 3 dim: 3 dim: 9 dim: 8 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 8 kernel_size: 3 } }
layer { name: "bn1" type: "BatchNorm" bottom: "c1" top: "c1" }
layer { name: "s1" type: "Scale" bottom: "c1" top: "c1" scale_param { bias_term: true } }
layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }
layer { name: "c2" type: "Convolution" bottom: "c1" top: "c2" convolution_param { num_output: 8 kernel_size: 1 } }
layer { name: "bn2" type: "BatchNorm" bottom: "c2" top: "c2" }
layer { name: "s2" type: "Scale" bottom: "c2" top: "c2" scale_param { bias_term: true } }
layer { name: "sum" type: "Eltwise" bottom: "c1" bottom: "c2" top: "sum" }
layer { name: "r2" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "ip" type: "InnerProduct" bottom: "sum" top: "ip" inner_product_param { num_output: 4 } }
layer { name: "wanted" type: "InnerProduct" bottom: "data" top: "wanted" inner_product_param { num_output: 4 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "wanted" top: "loss" }
"#;

#[test]
fn a_residual_block_trains_as_its_layers_do() {
    let net = training(CHAIN, true, 2);
    assert_eq!(net.runs(), [vec!["bn1", "s1", "r1"], vec!["bn2", "s2"]]);
    assert!(training(CHAIN, false, 2).runs().is_empty());
    agree(CHAIN).unwrap();
}

#[test]
fn runs_of_layers_keep_less_memory_and_their_bits_at_any_number_of_threads() {
    let bits = |threads: usize| -> Vec<(String, Vec<u32>)> {
        let seen = run(&mut training(CHAIN, true, threads));
        seen.into_iter().map(|(n, v)| (n, v.into_iter().map(f32::to_bits).collect())).collect()
    };
    let one = bits(1);
    assert_eq!(one, bits(2));
    assert_eq!(one, bits(3));
}

#[test]
fn the_shape_of_a_batch_may_change_between_two_passes() {
    let mut wanted = training(CHAIN, false, 1);
    let mut found = training(CHAIN, true, 2);
    for batch in [3, 5, 2] {
        for net in [&mut wanted, &mut found] {
            net.reshape_input("data", [batch, 3, 9, 8]).unwrap();
        }
        alike(&run(&mut found), &run(&mut wanted), &format!("batch {batch}")).unwrap();
    }
}

#[test]
fn random_nets_train_as_their_layers_do() {
    // The same nets every time: now and then the last bit decides whether an element passes.
    let mut runner = TestRunner::deterministic();
    let shapes = (2usize..4, 1usize..5, 3usize..8, 3usize..8);
    let steps = proptest::collection::vec(proptest::array::uniform4(0usize..840), 1..9);
    runner
        .run(&(shapes, steps), |((n, c, h, w), steps)| {
            let mut grown = Grown::new(n, c, h, w);
            for step in steps {
                match step {
                    [what, which, a, b] if what % 2 == 0 => grown.normalised([which, a, b]),
                    step => grown.grow(step),
                }
            }
            let last = grown.last().to_owned();
            let tail = format!(
                "layer {{ name: \"ip\" type: \"InnerProduct\" bottom: \"{last}\" top: \"ip\" \
                 inner_product_param {{ num_output: 3 }} }}\n\
                 layer {{ name: \"wanted\" type: \"Input\" top: \"wanted\" \
                 input_param {{ shape {{ dim: {n} dim: 3 }} }} }}\n\
                 layer {{ name: \"loss\" type: \"EuclideanLoss\" bottom: \"ip\" bottom: \"wanted\" \
                 top: \"loss\" }}\n"
            );
            agree(&(grown.text + &tail))
        })
        .unwrap();
}
