//! Batches whose images go through several steps a few at a time.

use cortado::net::{NetOptions, threads::pool};

use super::{agree, bits, feed, net, options};

fn text(batch: usize) -> String {
    format!(
        r#"
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: {batch} dim: 3 dim: 20 dim: 18 }} }} }}
layer {{ name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param {{ num_output: 32 kernel_size: 3 pad: 1 }} }}
layer {{ name: "r1" type: "ReLU" bottom: "c1" top: "c1" }}
layer {{ name: "dw" type: "Convolution" bottom: "c1" top: "dw" convolution_param {{ num_output: 32 group: 32 kernel_size: 3 pad: 1 }} }}
layer {{ name: "c2" type: "Convolution" bottom: "dw" top: "c2" convolution_param {{ num_output: 48 kernel_size: 1 }} }}
layer {{ name: "c3" type: "Convolution" bottom: "c1" top: "c3" convolution_param {{ num_output: 48 kernel_size: 3 pad: 1 }} }}
layer {{ name: "sum" type: "Eltwise" bottom: "c2" bottom: "c3" top: "sum" }}
layer {{ name: "both" type: "Concat" bottom: "sum" bottom: "c1" top: "both" }}
layer {{ name: "p" type: "Pooling" bottom: "both" top: "p" pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "p" top: "ip" inner_product_param {{ num_output: 10 }} }}
"#
    )
}

#[test]
fn a_batch_gives_what_it_gives_layer_by_layer() {
    for batch in 1..=9 {
        agree(&text(batch));
    }
}

#[test]
fn the_cut_changes_no_bit_and_follows_the_threads() {
    for batch in [2, 4, 8, 12] {
        let run = |threads| {
            let mut net = net(&text(batch), &NetOptions { pool: pool(threads), ..options(true) });
            let steps = net.plan_steps().unwrap();
            // The second pass finds used memory.
            net.forward().unwrap();
            feed(&mut net);
            net.forward().unwrap();
            (bits(&net), steps.iter().any(|step| step.parts.len() > 5))
        };
        let (wanted, joined) = run(1);
        assert!(joined, "batch {batch} on one thread goes image by image");
        for (threads, by_image) in [(2, true), (4, batch >= 4), (5, false)] {
            let (found, joined) = run(threads);
            assert_eq!(found, wanted, "batch {batch}, {threads} threads");
            assert_eq!(joined, by_image, "batch {batch}, {threads} threads");
        }
    }
}
