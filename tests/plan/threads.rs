//! The number of threads changes no bit.

use cortado::net::{NetOptions, threads::pool};

use super::{bits, net, options};

#[test]
fn the_same_bits_on_one_two_and_three_threads() {
    let text = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 40 dim: 36 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 48 kernel_size: 5 stride: 2 } }
layer { name: "r1" type: "PReLU" bottom: "c1" top: "c1" }
layer { name: "n1" type: "LRN" bottom: "c1" top: "n1" }
layer { name: "c2" type: "Convolution" bottom: "n1" top: "c2" convolution_param { num_output: 64 kernel_size: 3 pad: 1 } }
layer { name: "c3" type: "Convolution" bottom: "n1" top: "c3" convolution_param { num_output: 64 kernel_size: 1 } }
layer { name: "sum" type: "Eltwise" bottom: "c2" bottom: "c3" top: "sum" }
layer { name: "r2" type: "ReLU" bottom: "sum" top: "sum" }
layer { name: "dw" type: "Convolution" bottom: "sum" top: "dw" convolution_param { num_output: 64 group: 64 kernel_size: 3 } }
layer { name: "p" type: "Pooling" bottom: "dw" top: "p" pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip" inner_product_param { num_output: 100 } }
"#;
    let run = |threads| {
        let mut net = net(text, &NetOptions { pool: pool(threads), ..options(true) });
        net.forward().unwrap();
        bits(&net)
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(3));
}
