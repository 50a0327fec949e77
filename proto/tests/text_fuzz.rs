//! Whatever the bytes, the text parser answers with a message or with errors that have places.

mod common;

use std::path::Path;

use cortado_proto::caffe::{NetParameter, SolverParameter};
use cortado_proto::{NetDef, Source, text, upgrade};
use proptest::prelude::*;

fn answers(bytes: &[u8]) {
    let source = Source::from_bytes("fuzz", bytes.to_vec());
    match text::parse::<NetParameter>(&source) {
        Ok(parsed) => {
            let printed = text::print(&parsed.message);
            let again = text::parse::<NetParameter>(&Source::new("printed", printed.clone()));
            assert_eq!(text::print(&again.unwrap().message), printed);
        }
        Err(errors) => {
            for error in errors {
                let place = error.place.as_ref().expect("every text error has a place");
                assert!(place.span.start <= place.span.end);
                assert!(place.span.end as usize <= source.text().len());
                drop(error.diagnostic().to_string());
            }
        }
    }
    let _ = text::parse_strict::<SolverParameter>(&source);
    if let Ok(mut net) = NetDef::from_text(&source) {
        let _ = upgrade::net(&mut net);
    }
}

/// Pieces that make up prototxt, in any order.
fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "layer",
        "layers",
        "{",
        "}",
        "<",
        ">",
        "[",
        "]",
        ":",
        ",",
        ";",
        "\n",
        "\"a\"",
        "'b'",
        "'c",
        "-",
        "+",
        "1",
        "0x1f",
        "089",
        "1e",
        ".5",
        "1.5f",
        "nan",
        "true",
        "#x\n",
        "name",
        "type",
        "input_dim",
        "input",
        "layer {",
        "}\n",
        "convolution_param {",
        "kernel_size:",
        "type: RELU",
        "top: 'x'",
        "include { phase: TEST }",
        "blobs { data: [1, 2] }",
        "my_param {",
        "\\",
        "é",
        "\u{feff}",
        "\0",
    ];
    prop_oneof![4 => proptest::sample::select(fixed.to_vec()).prop_map(String::from), 1 => ".{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        answers(&bytes);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..60)) {
        answers(pieces.join(" ").as_bytes());
        answers(pieces.concat().as_bytes());
    }

    #[test]
    fn changed_files(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
                     to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/text");
        let files = common::files(&here, ".prototxt");
        let mut bytes = std::fs::read(&files[which.index(files.len())]).unwrap();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = to;
            answers(&bytes);
            bytes.remove(at);
            answers(&bytes);
            bytes.truncate(cut.index(bytes.len() + 1));
            answers(&bytes);
        }
    }

    #[test]
    fn floats_print_as_they_read(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        let net = text::parse::<NetParameter>(&Source::new("f", format!("layer {{ loss_weight: {value:e} }}")));
        prop_assume!(value.is_finite());
        let printed = text::print(&net.unwrap().message);
        let again = text::parse::<NetParameter>(&Source::new("f", printed)).unwrap();
        prop_assert_eq!(again.message.layer[0].loss_weight[0].to_bits(), bits);
    }
}

#[test]
fn deep_nesting_is_an_error_not_a_crash() {
    for text in ["layer{".repeat(200_000), "a<".repeat(200_000), "layer [{".repeat(100_000)] {
        let errors =
            text::parse::<NetParameter>(&Source::new("deep", text)).map(|_| ()).unwrap_err();
        assert!(errors.iter().any(|e| e.to_string().contains("nest deeper than 100")), "{errors}");
    }
}

#[test]
fn files_full_of_mistakes_stop_at_a_hundred() {
    for text in ["; a: 1\n".repeat(50_000), "a: 1\n".repeat(50_000)] {
        let errors =
            text::parse::<NetParameter>(&Source::new("bad", text)).map(|_| ()).unwrap_err();
        assert_eq!(errors.count(), 100);
        assert!(errors.iter().last().unwrap().notes.last().unwrap().ends_with("more errors"));
    }
}

#[test]
fn a_net_of_too_many_layers_is_refused() {
    let source = Source::new("many", "layer{}\n".repeat(10_003));
    let errors = text::parse::<NetParameter>(&source).map(|_| ()).unwrap_err();
    let want = "many:10001:6: number of `layer` blocks is 10001, over the limit of 10000";
    assert_eq!(errors.first().to_string(), want);
    assert!(text::parse::<NetParameter>(&Source::new("less", "layer{}".repeat(10_000))).is_ok());
}

#[test]
fn long_lists_are_read() {
    let values: Vec<String> = (0..300_000).map(|i| format!("{}.25", i % 1000)).collect();
    let text = format!("layer {{ blobs {{ data: [{}] }} }}", values.join(","));
    let parsed = text::parse::<NetParameter>(&Source::new("long", text)).unwrap();
    assert_eq!(parsed.message.layer[0].blobs[0].data.len(), 300_000);
    let place = parsed.spans.nearest("layer[0].blobs[0].data[299999]").unwrap();
    assert_eq!(place.source.slice(place.span), "999.25");
}
