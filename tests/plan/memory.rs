//! Memory in training: blobs that lend each other theirs, and activations computed again, give the
//! bits of nets in which everything lasts.

use cortado::net::{Net, NetOptions, threads::pool};
use cortado_layers::Phase;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::random::Grown;
use super::train::{BLOCKS, CHAIN};
use super::{feed, net};

/// How a net keeps its values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Memory {
    /// All of them.
    Held,
    Lent,
    /// Most are computed again.
    Again,
}

fn training(text: &str, memory: Memory, plan: bool, threads: usize) -> Net {
    let options = NetOptions {
        plan,
        checkpoint_activations: memory == Memory::Again,
        pool: pool(threads),
        ..NetOptions::new(Phase::Train)
    };
    let mut net = net(text, &options);
    if memory == Memory::Held {
        let names: Vec<String> = net.blob_names().into_iter().map(str::to_owned).collect();
        net.hold(&names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
    net
}

type Seen = Vec<(String, Vec<u32>)>;

fn bits(name: String, values: &[f32]) -> (String, Vec<u32>) {
    (name, values.iter().map(|v| v.to_bits()).collect())
}

/// Three iterations, the last of two passes; then all that somebody can see.
fn trained(net: &mut Net) -> Seen {
    let mut seen = Vec::new();
    for (iter, passes) in [1, 1, 2].into_iter().enumerate() {
        net.store.clear_diffs();
        for _ in 0..passes {
            feed(net);
            let loss = net.forward().unwrap();
            net.backward().unwrap();
            seen.push(bits(format!("loss {iter}"), &[loss as f32]));
        }
        let names: Vec<String> = net.blob_names().into_iter().map(str::to_owned).collect();
        for name in &names {
            if let Ok(blob) = net.read(name) {
                seen.push(bits(format!("data of {name} {iter}"), blob.data));
            }
            // Tops of inserted splits share a diff that the layers before them have written over.
            if let Some(diff) = net.read_diff(name).filter(|_| !name.contains("_split_")) {
                seen.push(bits(format!("diff of {name} {iter}"), diff.data));
            }
        }
        for id in 0..net.store.params().len() {
            seen.push(bits(format!("diff of parameter {id} {iter}"), net.store.diff(id)));
            seen.push(bits(format!("parameter {id} {iter}"), net.store.data(id)));
        }
        let (_, weights, diffs) = net.store.for_update();
        weights.iter_mut().zip(diffs).for_each(|(w, d)| *w -= 0.01 * d.clamp(-1.0, 1.0));
    }
    seen
}

/// What is seen of a net must be what is seen of one in which all lasts.
fn alike(found: &Seen, wanted: &Seen, what: &str) -> Result<(), TestCaseError> {
    for (name, values) in found {
        let same = wanted.iter().filter(|(of, _)| of == name).any(|(_, of)| of == values);
        prop_assert!(same, "{name} differs: {what}");
    }
    Ok(())
}

/// Holds a net against itself in every way to keep its values. The number of layers that ran again.
fn agree(text: &str, threads: &[usize]) -> Result<usize, TestCaseError> {
    let mut again = 0;
    for plan in [true, false] {
        let wanted = trained(&mut training(text, Memory::Held, plan, 1));
        for memory in [Memory::Lent, Memory::Again] {
            for &threads in threads {
                let mut net = training(text, memory, plan, threads);
                again += net.run_again().len();
                let found = trained(&mut net);
                let what = format!("{memory:?}, plan {plan}, {threads} threads\n{text}");
                alike(&found, &wanted, &what)?;
            }
        }
    }
    Ok(again)
}

/// All at once that could go wrong: a source in whose memory somebody would write, random numbers,
/// statistics, a layer that counts its passes, a branch without a gradient, two losses.
const MIXED: &str = r#"
layer { name: "data" type: "DummyData" top: "x" top: "t" dummy_data_param {
  data_filler { type: "gaussian" std: 1 } data_filler { type: "gaussian" std: 1 }
  shape { dim: 3 dim: 4 dim: 8 dim: 8 } shape { dim: 3 dim: 5 } } }
layer { name: "scaled" type: "Power" bottom: "x" top: "x" power_param { scale: 0.5 shift: 0.1 } }
layer { name: "c1" type: "Convolution" bottom: "x" top: "c1" convolution_param { num_output: 16 kernel_size: 3 pad: 1 } }
layer { name: "bn1" type: "BatchNorm" bottom: "c1" top: "c1" }
layer { name: "s1" type: "Scale" bottom: "c1" top: "c1" scale_param { bias_term: true } }
layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }
layer { name: "d1" type: "Dropout" bottom: "c1" top: "d1" }
layer { name: "steep" type: "ScaleTanH" bottom: "d1" top: "d1" scale_tanh_param { init_scale: 1 step_size: 1 gamma: 0.5 power: 1 } }
layer { name: "c2" type: "Convolution" bottom: "d1" top: "c2" convolution_param { num_output: 16 kernel_size: 3 pad: 1 } }
layer { name: "bn2" type: "BatchNorm" bottom: "c2" top: "c2" }
layer { name: "s2" type: "Scale" bottom: "c2" top: "c2" scale_param { bias_term: true } }
layer { name: "sum" type: "Eltwise" bottom: "d1" bottom: "c2" top: "sum" }
layer { name: "r2" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "d2" type: "Dropout" bottom: "sum" top: "sum" }
layer { name: "aux" type: "InnerProduct" bottom: "sum" top: "aux" inner_product_param { num_output: 5 } }
layer { name: "loss1" type: "EuclideanLoss" bottom: "aux" bottom: "t" top: "loss1" loss_weight: 0.3 }
layer { name: "frozen" type: "Convolution" bottom: "x" top: "frozen" param { lr_mult: 0 } param { lr_mult: 0 } convolution_param { num_output: 16 kernel_size: 1 } }
layer { name: "gate" type: "Eltwise" bottom: "sum" bottom: "frozen" top: "gate" eltwise_param { operation: PROD } }
layer { name: "c3" type: "Convolution" bottom: "gate" top: "c3" convolution_param { num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "bn3" type: "BatchNorm" bottom: "c3" top: "c3" }
layer { name: "r3" type: "ReLU" bottom: "c3" top: "c3" }
layer { name: "pool" type: "Pooling" bottom: "c3" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "norm" type: "LRN" bottom: "pool" top: "norm" }
layer { name: "fc" type: "InnerProduct" bottom: "norm" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "t" top: "loss" }
"#;

#[test]
fn lent_memory_and_recomputed_activations_give_the_same_bits() {
    for text in [CHAIN, BLOCKS, MIXED] {
        let again = agree(text, &[1, 2, 3]).unwrap();
        assert!(again > 0, "nothing was computed again:\n{text}");
    }
    let net = training(MIXED, Memory::Again, true, 1);
    for once in ["data", "steep"] {
        assert!(!net.run_again().contains(&once), "`{once}` runs twice");
    }
}

#[test]
fn random_nets_give_the_same_bits_however_they_keep_their_values() {
    let mut runner = TestRunner::new_with_rng(
        ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() },
        prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
    );
    let shapes = (2usize..4, 1usize..5, 3usize..8, 3usize..8);
    let steps = proptest::collection::vec(proptest::array::uniform4(0usize..840), 1..14);
    let again = std::cell::Cell::new(0);
    runner
        .run(&(shapes, steps), |(shape, steps)| {
            let ran = agree(&Grown::training(shape, &steps), &[2])?;
            again.set(again.get() + usize::from(ran > 0));
            Ok(())
        })
        .unwrap();
    assert!(again.get() > 30, "of 60 nets {} computed anything again", again.get());
}

#[test]
fn what_has_lent_its_memory_is_gone_and_says_so() {
    let mut lent = training(CHAIN, Memory::Lent, true, 1);
    trained(&mut lent);
    // The sum is all that reads c2: `c1` is read by a convolution's backward pass.
    assert!(lent.blob("c2").is_none());
    let told = lent.read("c2").unwrap_err().to_string();
    assert!(told.contains("`c2` is gone"), "{told}");
    assert!(lent.blob("ip").is_some() && lent.read("c1").is_ok());
    lent.hold(&["c2"]).unwrap();
    trained(&mut lent);
    assert!(lent.read("c2").is_ok() && lent.read_diff("c2").is_some());
    assert!(lent.hold(&["c9"]).unwrap_err().to_string().contains("no blob `c9`"));
}

#[test]
fn a_backward_pass_out_of_turn_is_an_error_or_right_and_counts_no_pass() {
    let mut net = training(MIXED, Memory::Again, true, 1);
    let told = net.backward().unwrap_err().to_string();
    assert!(told.contains("is not there"), "{told}");
    assert_eq!(net.passes(), 0);
    // Twice after one forward pass: the same diffs twice, where all that is read lasts.
    let mut lent = training(CHAIN, Memory::Lent, true, 1);
    lent.backward().unwrap();
    lent.store.clear_diffs();
    lent.forward().unwrap();
    lent.backward().unwrap();
    let once = lent.store.diff(0).to_vec();
    lent.store.clear_diffs();
    lent.backward().unwrap();
    assert_eq!(lent.store.diff(0), once);
}

#[test]
fn a_net_can_go_back_to_where_it_stood_and_change_its_shape() {
    for memory in [Memory::Lent, Memory::Again] {
        let mut net = training(MIXED, memory, true, 2);
        let mark = net.mark();
        let pass = |net: &mut Net| {
            net.store.clear_diffs();
            let loss = net.forward_layers().unwrap();
            net.backward().unwrap();
            let params = 0..net.store.params().len();
            let of = |id| (net.store.diff(id).to_vec(), net.store.data(id).to_vec());
            (loss, params.map(of).collect::<Vec<_>>())
        };
        let wanted = pass(&mut training(MIXED, Memory::Held, true, 2));
        assert!(pass(&mut net) == wanted, "{memory:?}");
        net.go_to(&mark).unwrap();
        assert!(net.find_non_finite(&mark).unwrap().is_none(), "{memory:?}");

        let mut net = training(CHAIN, memory, true, 2);
        let mut held = training(CHAIN, Memory::Held, true, 2);
        for batch in [4, 2] {
            for net in [&mut net, &mut held] {
                net.reshape_input("data", [batch, 3, 9, 8]).unwrap();
            }
            alike(&trained(&mut net), &trained(&mut held), &format!("{memory:?}")).unwrap();
        }
    }
}
