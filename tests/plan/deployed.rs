//! Nets that are only used give the memory of packed weights back.

use super::{agree, bits, feed, net, options};

const NET: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 12 dim: 12 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 32 kernel_size: 3 pad: 1 } }
layer { name: "bn" type: "BatchNorm" bottom: "c1" top: "c1" }
layer { name: "s" type: "Scale" bottom: "c1" top: "c1" scale_param { bias_term: true } }
layer { name: "e" type: "ELU" bottom: "c1" top: "c1" }
layer { name: "a" type: "PReLU" bottom: "c1" top: "a" }
layer { name: "emb" type: "Scale" bottom: "a" top: "emb" scale_param { axis: 3 bias_term: true } }
layer { name: "ip" type: "InnerProduct" bottom: "emb" top: "ip" param { name: "w" } inner_product_param { num_output: 20 bias_term: false } }
layer { name: "ip2" type: "InnerProduct" bottom: "emb" top: "ip2" param { name: "w" } inner_product_param { num_output: 20 bias_term: false } }
"#;

#[test]
fn a_deployed_net_gives_the_same_bits_without_its_weights() {
    agree(NET);
    let mut wanted = net(NET, &options(true));
    let mut deployed = net(NET, &options(true)).deploy();
    for _ in 0..2 {
        wanted.forward().unwrap();
        deployed.forward().unwrap();
        assert_eq!(bits(&deployed), bits(&wanted));
    }
    let left: usize =
        (0..deployed.store.params().len()).map(|id| deployed.store.data(id).len()).sum();
    let all: usize = (0..wanted.store.params().len()).map(|id| wanted.store.data(id).len()).sum();
    let products = 32 * 27 + 20 * 32 * 144;
    assert_eq!(all - left, products);
}

#[test]
fn a_deployed_net_is_not_saved_without_its_weights() {
    let deployed = net(NET, &options(true)).deploy();
    let path = std::env::temp_dir().join("cortado-deployed.caffemodel");
    let error = deployed.save(&path).unwrap_err().to_string();
    assert!(error.contains("the net is deployed"), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_net_that_runs_layer_by_layer_keeps_its_weights() {
    let mut plain = net(NET, &options(false)).deploy();
    assert!(!plain.store.is_released());
    plain.forward().unwrap();
    let mut wanted = net(NET, &options(false));
    feed(&mut wanted);
    wanted.forward().unwrap();
    assert_eq!(bits(&plain), bits(&wanted));
}
