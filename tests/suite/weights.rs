//! Weights from files that fit in part, and what is told of them.

use cortado::net::{CopyOptions, Net, NetOptions};
use cortado_layers::Phase;

use crate::support::{cortado_in, net, stderr, try_net};

fn text(layer: &str) -> String {
    format!(
        r#"layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 2 dim: 3 dim: 3 }} }} }}
           {layer}
           layer {{ name: "last" type: "InnerProduct" bottom: "y" top: "z"
             inner_product_param {{ num_output: 2 weight_filler {{ type: "xavier" }} }} }}"#
    )
}

const FLAT: &str = r#"layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }"#;
const FILTERS: &str = r#"layer { name: "fc" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }"#;
const OTHER: &str = r#"layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }"#;

fn data<'a>(net: &'a Net, layer: &str) -> &'a [f32] {
    net.store.data(net.store.of_layer(layer, 0).unwrap_or_default())
}

/// Endings of the two formats.
fn formats() -> Vec<&'static str> {
    if cfg!(feature = "hdf5") { vec!["caffemodel", "caffemodel.h5"] } else { vec!["caffemodel"] }
}

fn saved(net: &Net, folder: &std::path::Path, format: &str) -> std::path::PathBuf {
    let path = folder.join(format!("net.{format}"));
    match format {
        "caffemodel" => drop(net.save(&path).unwrap_or_else(|e| panic!("{e}"))),
        _ => net.save_hdf5(&path).unwrap_or_else(|e| panic!("{e}")),
    }
    path
}

#[test]
fn the_same_values_serve_an_inner_product_and_a_convolution() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    for format in formats() {
        for (from, to) in [(FLAT, FILTERS), (FILTERS, FLAT)] {
            let from = net(&text(from), Phase::Test);
            let path = saved(&from, folder.path(), format);
            let mut to = net(&text(to).replace("xavier", "constant"), Phase::Test);
            let report = to.copy_from(&path).unwrap_or_else(|e| panic!("{format}: {e}"));
            assert_eq!(report.reshaped, ["fc"], "{format}");
            assert!(report.to_string().contains("1 of another form in the file: fc"), "{report}");
            assert_eq!(data(&to, "fc"), data(&from, "fc"), "{format}");
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_passed_over_when_asked() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    for format in formats() {
        // Of another size: `fc`, and with it `last`.
        let from = net(
            &text(OTHER).replace("num_output: 2", "num_output: 2 bias_term: false"),
            Phase::Test,
        );
        let path = saved(&from, folder.path(), format);
        let mut to = net(&text(FLAT), Phase::Test);
        let before = data(&to, "fc").to_vec();
        let told = to.copy_from(&path).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(told.contains("layer `fc`") && told.contains("layer `last`"), "{format}: {told}");
        let report = to.copy_with(&path, CopyOptions { skip_mismatch: true });
        let report = report.unwrap_or_else(|e| panic!("{format}: {e}"));
        assert_eq!(report.mismatched, ["fc", "last"], "{format}");
        assert!(report.copied.is_empty() && data(&to, "fc") == before, "{format}");
        let told = report.to_string();
        assert!(told.contains("2 passed over since they do not fit: fc, last"), "{told}");
    }
}

#[test]
fn a_training_starts_from_several_files_and_tells_what_came_from_which() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let fc = |name: &str, bottom: &str, outputs: usize| {
        format!(
            r#"layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
               inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}"#
        )
    };
    let input = r#"layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 dim: 2 } } }"#;
    let save = |name: &str, layers: &str| {
        let net = net(&format!("{input}{layers}"), Phase::Train);
        net.save(folder.path().join(name)).unwrap_or_else(|e| panic!("{e}"));
    };
    save("one.caffemodel", &[fc("a", "x", 3), fc("old", "a", 2)].concat());
    save("two.caffemodel", &[fc("b", "x", 3), fc("c", "b", 5)].concat());
    let layers = [fc("a", "x", 3), fc("b", "a", 3), fc("c", "b", 4), fc("d2", "c", 1)].concat();
    // `b` stands on `a` here, which has 3 values and not 2: it does not fit either.
    let text = format!(
        "net_param {{ {input} {layers} layer {{ name: \"loss\" type: \"Reduction\" bottom: \"d2\" top: \"l\" \
         loss_weight: 1 }} }} base_lr: 0.1 lr_policy: \"fixed\" max_iter: 1 snapshot_prefix: \"run\""
    );
    std::fs::write(folder.path().join("solver.prototxt"), text).unwrap_or_else(|e| panic!("{e}"));
    let run = |more: &[&str]| {
        let both =
            ["train", "--solver", "solver.prototxt", "--weights", "one.caffemodel,two.caffemodel"];
        let output = cortado_in(folder.path(), &[&both[..], more].concat());
        (output.status.code(), stderr(&output))
    };
    let (code, told) = run(&[]);
    assert!(code == Some(1) && told.contains("`two.caffemodel` does not fit"), "{told}");
    assert!(told.contains("layer `b`") && told.contains("layer `c`"), "{told}");
    let (code, told) = run(&["--skip-mismatch"]);
    assert_eq!(code, Some(0), "{told}");
    for wanted in [
        "Ignoring source layer old",
        "one.caffemodel: copied 1 layer; 1 not in this net: old; 3 not in the file: b, c, d2",
        "two.caffemodel: copied 0 layers; 2 passed over since they do not fit: b, c",
        "From no file, with start values of their own: b, c, d2",
    ] {
        assert!(told.contains(wanted), "{wanted} is missing in {told}");
    }
}

#[test]
fn absurd_sizes_are_errors_before_memory_is_asked_for() {
    let limited = NetOptions { max_memory: 1 << 20, ..NetOptions::new(Phase::Train) };
    let input = |dims: &str| {
        format!(
            "layer {{ name: \"in\" type: \"Input\" top: \"x\" input_param {{ shape {{ {dims} }} }} }}"
        )
    };
    let told = |text: &str| try_net(text, &limited).err().unwrap_or_default();
    let blobs = told(&input("dim: 1024 dim: 1024"));
    assert!(blobs.contains("over the limit of 1 MiB"), "{blobs}");
    // The blobs fit; what the layers keep beside them does not.
    let lrn = r#"layer { name: "r" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 dim: 60000 dim: 1 dim: 1 } } }
      layer { name: "w" type: "Parameter" top: "w" parameter_param { shape { dim: 1 dim: 60000 dim: 1 dim: 1 } } }
      layer { name: "s" type: "Eltwise" bottom: "x" bottom: "w" top: "y" }
      layer { name: "n" type: "LRN" bottom: "y" top: "n" loss_weight: 1 }"#;
    let kept = told(lrn);
    assert!(kept.contains("over the limit of 1 MiB"), "{kept}");
    let mut small = try_net(&input("dim: 2 dim: 2"), &limited).unwrap_or_else(|e| panic!("{e}"));
    let grown = small.reshape_input("x", [4096, 4096]).err().map(|e| e.to_string());
    assert!(grown.is_some_and(|why| why.contains("over the limit of 1 MiB")));
    assert_eq!(small.shape("x").map(|shape| shape.to_vec()), Some(vec![2, 2]));
}
