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

/// Two passes; then all that somebody can see. (What others have the memory of is not there.)
fn run(net: &mut Net) -> Vec<(String, Vec<f32>)> {
    let mut seen = Vec::new();
    for pass in 0..2 {
        feed(net);
        let loss = net.forward().unwrap();
        net.backward().unwrap();
        seen.push((format!("loss {pass}"), vec![loss as f32]));
        let names: Vec<String> = net.blob_names().into_iter().map(str::to_owned).collect();
        for name in &names {
            if let Ok(blob) = net.read(name) {
                seen.push((format!("blob {name} {pass}"), blob.data.to_vec()));
            }
            // Tops of inserted splits share a diff that the layers before them have written over.
            if let Some(diff) = net.read_diff(name).filter(|_| !name.contains("_split_")) {
                seen.push((format!("diff of blob {name} {pass}"), diff.data.to_vec()));
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
    for (name, found) in found {
        let of_name = wanted.iter().find(|(of, _)| of == name);
        let (_, wanted) = of_name.ok_or_else(|| TestCaseError::fail(format!("no {name}")))?;
        prop_assert_eq!(found.len(), wanted.len(), "{}\n{}", name, text);
        let largest = wanted.iter().fold(1e-2f32, |m, v| m.max(v.abs()));
        for (i, (a, b)) in found.iter().zip(wanted).enumerate() {
            let near = (a - b).abs() <= 1e-3 * largest;
            prop_assert!(near, "{name}[{i}] is {a} instead of {b}\n{text}");
        }
    }
    Ok(())
}

pub const CHAIN: &str = r#"
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
    let bits = |text: &str, threads: usize| -> Vec<(String, Vec<u32>)> {
        let seen = run(&mut training(text, true, threads));
        seen.into_iter().map(|(n, v)| (n, v.into_iter().map(f32::to_bits).collect())).collect()
    };
    for text in [CHAIN, BLOCKS] {
        let one = bits(text, 1);
        assert_eq!(one, bits(text, 2));
        assert_eq!(one, bits(text, 3));
    }
}

/// Every kind of layer that goes between blobs in blocks: strided, pointwise, grouped convolutions,
/// both poolings, sums, a concatenation; and convolutions at the border.
pub const BLOCKS: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 3 dim: 3 dim: 13 dim: 11 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 16 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "bn1" type: "BatchNorm" bottom: "c1" top: "c1" }
layer { name: "s1" type: "Scale" bottom: "c1" top: "c1" scale_param { bias_term: true } }
layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }
layer { name: "p1" type: "Pooling" bottom: "c1" top: "p1" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "c2" type: "Convolution" bottom: "p1" top: "c2" convolution_param { num_output: 32 kernel_size: 3 pad: 1 stride: 2 weight_filler { type: "msra" } } }
layer { name: "r2" type: "ReLU" bottom: "c2" top: "c2" }
layer { name: "c3" type: "Convolution" bottom: "p1" top: "c3" convolution_param { num_output: 32 kernel_size: 1 stride: 2 bias_term: false weight_filler { type: "msra" } } }
layer { name: "bn3" type: "BatchNorm" bottom: "c3" top: "c3" }
layer { name: "s3" type: "Scale" bottom: "c3" top: "c3" scale_param { bias_term: true } }
layer { name: "sum" type: "Eltwise" bottom: "c2" bottom: "c3" top: "sum" }
layer { name: "c4" type: "Convolution" bottom: "sum" top: "c4" convolution_param { num_output: 64 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "c5" type: "Convolution" bottom: "sum" top: "c5" convolution_param { num_output: 32 kernel_size: 3 pad: 1 group: 2 weight_filler { type: "msra" } } }
layer { name: "cat" type: "Concat" bottom: "c4" bottom: "c5" top: "cat" }
layer { name: "p2" type: "Pooling" bottom: "cat" top: "p2" pooling_param { pool: AVE kernel_size: 2 stride: 1 } }
layer { name: "c6" type: "Convolution" bottom: "p2" top: "c6" convolution_param { num_output: 16 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "p3" type: "Pooling" bottom: "c6" top: "p3" pooling_param { pool: AVE global_pooling: true } }
layer { name: "ip" type: "InnerProduct" bottom: "p3" top: "ip" inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "wanted" type: "InnerProduct" bottom: "data" top: "wanted" inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "wanted" top: "loss" }
"#;

#[test]
fn a_net_trains_in_blocks_of_channels_as_it_does_in_planes() {
    let net = training(BLOCKS, true, 2);
    let blocks = net.in_blocks();
    for name in ["c1", "p1", "c2", "c3", "sum", "c4", "c5", "cat", "p2", "c6"] {
        assert!(blocks.contains(&name), "{name} lies in planes; in blocks: {blocks:?}");
    }
    for name in ["data", "p3", "ip", "loss"] {
        assert!(!blocks.contains(&name), "{name} lies in blocks");
    }
    assert!(training(BLOCKS, false, 2).in_blocks().is_empty());
    agree(BLOCKS).unwrap();
    let mut kept = training(BLOCKS, true, 2);
    kept.keep(&["c4"]).unwrap();
    assert!(!kept.in_blocks().contains(&"c4"));
    let wanted = run(&mut training(BLOCKS, false, 1));
    alike(&run(&mut kept), &wanted, BLOCKS).unwrap();
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
    runner.run(&(shapes, steps), |(shape, steps)| agree(&Grown::training(shape, &steps))).unwrap();
}
