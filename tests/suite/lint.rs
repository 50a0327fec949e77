//! Advice on nets and solvers, rule by rule.

use std::path::Path;

use cortado::lint::{Finding, RULES, Subject, Weights, fixed, lint};
use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::NetDef;
use cortado_proto::span::Source;

use crate::support::{ROOT, cortado, cortado_in, none, stderr, stdout};

fn found(text: &str) -> Vec<Finding> {
    let source = Source::new("net.prototxt", text);
    lint(&Subject::of_text(&source).unwrap_or_else(|| panic!("does not load:\n{text}")))
}

/// `rule@line`, in the order of the file.
fn names(text: &str) -> Vec<String> {
    let name = |f: &Finding| match &f.place {
        Some(place) => format!("{}@{}", f.rule.name, place.position().line),
        None => f.rule.name.to_owned(),
    };
    found(text).iter().map(name).collect()
}

/// A net of one layer per line, that trains: data in line 1, `layers` from line 2 on, a loss.
fn training(layers: &str, last: &str) -> String {
    format!(
        r#"layer {{ name: "d" type: "Data" top: "data" top: "label" data_param {{ source: "s" batch_size: 32 }} transform_param {{ crop_size: 8 }} }}
{layers}
layer {{ name: "ip" type: "InnerProduct" bottom: "{last}" top: "ip" inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"#
    )
}

const CONV: &str = r#"layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 bias_term: false weight_filler { type: "msra" } } }"#;
const SCALE: &str = r#"layer { name: "s" type: "Scale" bottom: "n" top: "n" param { decay_mult: 0 } param { decay_mult: 0 } scale_param { bias_term: true } }"#;
const NORM: &str = r#"layer { name: "n" type: "BatchNorm" bottom: "c" top: "n" }"#;

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_else() {
    let with = |norm: &str| training(&format!("{CONV}\n{norm}\n{SCALE}"), "n");
    let norm = |more: &str| {
        with(&format!(r#"layer {{ name: "n" type: "BatchNorm" bottom: "c" top: "n" {more} }}"#))
    };
    let many: String = (0..2).map(|_| "param { lr_mult: 1 } ").collect();
    let table: Vec<(String, &[&str])> = vec![
        (with(NORM), &[]),
        (norm("batch_norm_param { use_global_stats: false }"), &["bn-batch-stats-in-test@3"]),
        (norm("batch_norm_param { use_global_stats: false } include { phase: TRAIN }").replace(
            SCALE,
            &format!(r#"layer {{ name: "n" type: "BatchNorm" bottom: "c" top: "n" include {{ phase: TEST }} }}{SCALE}"#),
        ), &[]),
        (norm("batch_norm_param { use_global_stats: true }"), &["bn-frozen-in-train@3"]),
        (
            norm("batch_norm_param { use_global_stats: true }")
                .replace("param { decay_mult: 0 }", "param { lr_mult: 0 decay_mult: 0 }"),
            &[],
        ),
        (norm(&many), &["bn-learning-rate@3"]),
        (norm("param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 }"), &[]),
        (
            training(
                &format!("{CONV}\n{NORM}\nlayer {{ name: \"r\" type: \"ReLU\" bottom: \"n\" top: \"n\" }}"),
                "n",
            ),
            &["bn-without-scale@3"],
        ),
        // The weights behind scale.
        (training(&format!("{CONV}\n{NORM}"), "n"), &[]),
        (with(NORM).replace("bias_term: false", "bias_term: true"), &["bn-redundant-bias@2"]),
        (with(NORM).replace("batch_size: 32", "batch_size: 2"), &["bn-tiny-batch@1"]),
        (with(NORM).replace("param { decay_mult: 0 }", ""), &["bn-weight-decay@4"]),
        (
            training(
                &format!("{CONV}\n{NORM}\n{SCALE}\nlayer {{ name: \"l\" type: \"LRN\" bottom: \"n\" top: \"l\" }}"),
                "l",
            ),
            &["bn-beside-lrn@5"],
        ),
        (
            training(
                &format!("{CONV}\n{NORM}\n{SCALE}\nlayer {{ name: \"o\" type: \"Dropout\" bottom: \"n\" top: \"n\" }}"),
                "n",
            ),
            &["bn-beside-dropout@5"],
        ),
        (
            training(
                &format!("{CONV}\n{NORM}\n{SCALE}\nlayer {{ name: \"o\" type: \"Dropout\" bottom: \"n\" top: \"n\" dropout_param {{ dropout_ratio: 0.1 }} }}"),
                "n",
            ),
            &[],
        ),
        // Statistics by another name in TEST.
        (
            with(
                r#"layer { name: "n" type: "BatchNorm" bottom: "c" top: "n" include { phase: TRAIN } } layer { name: "m" type: "BatchNorm" bottom: "c" top: "n" include { phase: TEST } }"#,
            ),
            &["bn-shared@3"],
        ),
        (
            format!(
                r#"layer {{ name: "t" type: "Data" top: "data" top: "label" include {{ phase: TEST }} transform_param {{ mirror: true crop_size: 8 }} data_param {{ source: "s" batch_size: 9 }} }}
{}"#,
                with(NORM).replace("batch_size: 32 }", "batch_size: 32 } include { phase: TRAIN }")
            ),
            &["test-mirror@1"],
        ),
        // One layer for both phases.
        (with(NORM).replace("crop_size: 8", "crop_size: 8 mirror: true"), &["test-mirror@1"]),
        (
            with(NORM)
                .replace("crop_size: 8 }", "crop_size: 8 mirror: true } include { phase: TRAIN }"),
            &[],
        ),
        // A layer behind a ReLU starts at 0.
        (
            training(
                &format!(
                    "{}\nlayer {{ name: \"r\" type: \"ReLU\" bottom: \"c\" top: \"c\" }}",
                    CONV.replace(r#"weight_filler { type: "msra" }"#, "")
                ),
                "c",
            ),
            &["zero-weights@2"],
        ),
        // Several that say nothing of their weights get them from a file.
        (
            training(
                &format!(
                    "{}\nlayer {{ name: \"r\" type: \"ReLU\" bottom: \"c\" top: \"c\" }}\n{}\nlayer {{ name: \"r2\" type: \"ReLU\" bottom: \"c2\" top: \"c2\" }}",
                    CONV.replace(r#"weight_filler { type: "msra" }"#, ""),
                    r#"layer { name: "c2" type: "Convolution" bottom: "c" top: "c2" convolution_param { num_output: 4 kernel_size: 3 } }"#,
                ),
                "c2",
            ),
            &[],
        ),
        // An LRN on the data is not beside BatchNorm.
        (
            with(NORM).replace(
                CONV,
                &format!(
                    "layer {{ name: \"l\" type: \"LRN\" bottom: \"data\" top: \"l\" }}\n{}",
                    CONV.replace(r#"bottom: "data""#, r#"bottom: "l""#)
                ),
            ),
            &[],
        ),
        // A last layer may.
        (with(NORM).replace(r#"weight_filler { type: "xavier" }"#, ""), &[]),
        // Predictions with space, one label per picture.
        (with(NORM).replace(r#"bottom: "ip" bottom"#, r#"bottom: "c" bottom"#), &["label-shape@6"]),
        // Without a scale, and with one of the layer's own.
        (
            training(&format!("{CONV}\n{}", NORM.replace(" }", " batch_norm_param { use_global_stats: true } }")), "n"),
            &["bn-frozen-in-train@3"],
        ),
        (
            training(&format!("{CONV}\n{}", NORM.replace(" }", " batch_norm_param { use_global_stats: true scale_bias: true } }")), "n"),
            &["bn-frozen-in-train@3"],
        ),
        (
            training(
                &format!("{CONV}\n{}", NORM.replace(" }", &format!("{} batch_norm_param {{ use_global_stats: true }} }}", "param { lr_mult: 0 } ".repeat(3)))),
                "n",
            ),
            &[],
        ),
        // β alone decays.
        (with(NORM).replacen("param { decay_mult: 0 } ", "", 1), &["bn-weight-decay@4"]),
        (with(NORM).replace("param { decay_mult: 0 } param { decay_mult: 0 }", "param { decay_mult: 0 } param { lr_mult: 0 }"), &[]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"step\" gamma: 1\nmax_iter: 9".to_owned(), &["step-without-size@2"]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"multistep\" gamma: 1 max_iter: 9".to_owned(), &["step-without-size@2"]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"step\" gamma: 1 stepsize: 5 max_iter: 9".to_owned(), &[]),
        ("net: \"n\"\nlr_policy: \"fixed\" max_iter: 9".to_owned(), &["solver-fields@2"]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"fixed\"".to_owned(), &["solver-fields@2"]),
        ("net: \"n\" base_lr: 1\nlr_policy: \"exp\"\nmax_iter: 9".to_owned(), &["solver-fields@2"]),
        ("net: \"n\" max_iter: 9 gamma: 1\nbase_lr: -1\nlr_policy: \"fixed\"".to_owned(), &["solver-fields@2"]),
        ("net: \"n\" max_iter: 9 base_lr: 1\nmomentum: 1\nlr_policy: \"fixed\"".to_owned(), &["solver-fields@2"]),
        ("net: \"n\" max_iter: 9 base_lr: 1 gamma: 1\nlr_policy: \"multistep\"\nstepvalue: 5 stepvalue: 3".to_owned(), &["solver-fields@3"]),
        (training(&CONV.replace("name: \"c\"", "name: \"c\" pooling_param { pool: MAX }"), "c"), &["unused-block@2"]),
    ];
    let mut failures = Vec::new();
    for (text, wanted) in table {
        let got = names(&text);
        if got != wanted {
            failures.push(format!("wanted {wanted:?}, found {got:?} in\n{text}"));
        }
    }
    none(failures);
}

#[test]
fn a_tiny_batch_is_seen_in_every_data_layer_that_tells_one() {
    let picture = "dim: 3 dim: 8 dim: 8";
    let table = [
        (
            "MemoryData",
            "memory_data_param { batch_size: 2 channels: 3 height: 8 width: 8 }".to_owned(),
        ),
        ("WindowData", "window_data_param { source: \"s\" batch_size: 2 crop_size: 8 }".to_owned()),
        (
            "DenseImageData",
            "dense_image_data_param { source: \"s\" batch_size: 2 new_height: 8 new_width: 8 }"
                .to_owned(),
        ),
        (
            "DummyData",
            format!("dummy_data_param {{ shape {{ dim: 2 {picture} }} shape {{ dim: 2 }} }}"),
        ),
        ("Input", format!("input_param {{ shape {{ dim: 2 {picture} }} shape {{ dim: 2 }} }}")),
    ];
    for (kind, param) in table {
        let net = training(&format!("{CONV}\n{NORM}\n{SCALE}"), "n");
        let (_, rest) = net.split_once('\n').unwrap_or_default();
        let data =
            format!(r#"layer {{ name: "d" type: "{kind}" top: "data" top: "label" {param} }}"#);
        assert_eq!(names(&format!("{data}\n{rest}")), ["bn-tiny-batch@1"], "{kind}");
        let large =
            data.replace("batch_size: 2", "batch_size: 32").replace("{ dim: 2", "{ dim: 32");
        assert_eq!(names(&format!("{large}\n{rest}")), Vec::<String>::new(), "{kind}");
    }
}

#[test]
fn weights_at_zero_are_dead_behind_whatever_leaves_zero_as_it_is() {
    let plain = CONV.replace(r#"weight_filler { type: "msra" }"#, "");
    let relu = r#"layer { name: "r" type: "ReLU" bottom: "m" top: "m" }"#;
    let between = |kind: &str, more: &str| {
        format!(
            "{plain}\nlayer {{ name: \"m\" type: \"{kind}\" bottom: \"c\" top: \"m\" {more} }}\n{relu}"
        )
    };
    // Fillers missing in two layers, among as many as follow that have one.
    let forgotten = |others: usize| {
        let layer = |i: usize, filler: &str| {
            let bottom = if i == 0 { "data".to_owned() } else { format!("c{}", i - 1) };
            format!(
                "layer {{ name: \"c{i}\" type: \"Convolution\" bottom: \"{bottom}\" top: \"c{i}\" convolution_param {{ num_output: 4 kernel_size: 1 {filler} }} }} layer {{ name: \"r{i}\" type: \"ReLU\" bottom: \"c{i}\" top: \"c{i}\" }}\n"
            )
        };
        let filler = |i: usize| if i < 2 { "" } else { r#"weight_filler { type: "msra" }"# };
        let layers: String = (0..2 + others).map(|i| layer(i, filler(i))).collect();
        training(&layers, &format!("c{}", others + 1))
    };
    let found: &[&str] = &["zero-weights@2"];
    let table = [
        (training(&between("Pooling", "pooling_param { kernel_size: 2 stride: 2 }"), "m"), found),
        (training(&between("LRN", ""), "m"), found),
        (training(&between("Scale", "scale_param { bias_term: true }"), "m"), found),
        (
            training(
                &between("Scale", "scale_param { bias_term: true bias_filler { value: 1 } }"),
                "m",
            ),
            &[],
        ),
        // One that lets gradients through, and one that 0 does not reach.
        (
            training(
                &between("LRN", "")
                    .replace("top: \"m\" }", "top: \"m\" relu_param { negative_slope: 0.1 } }"),
                "m",
            ),
            &[],
        ),
        (
            training(
                &between("LRN", "").replace("bias_term: false", "bias_filler { value: 1 }"),
                "m",
            ),
            &[],
        ),
        (forgotten(7), found),
        (forgotten(3), &[]),
    ];
    for (text, wanted) in table {
        assert_eq!(names(&text), wanted, "{text}");
    }
}

#[test]
fn statistics_that_are_none_are_found_in_the_weights() {
    let text = r#"
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
        layer { name: "n" type: "BatchNorm" bottom: "x" top: "n" }
        layer { name: "s" type: "Scale" bottom: "n" top: "n" }"#;
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let source = Source::new("net.prototxt", text);
    let def = NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
    let mut net = Net::build(def, &NetOptions::new(Phase::Test)).unwrap_or_else(|e| panic!("{e}"));
    let table = [
        (0.0, 1.0, Some("`n` has gathered no statistics: its factor is 0")),
        (f32::NAN, 1.0, Some("the factor of `n` is NaN")),
        (2.0, -1.0, Some("1 of 2 variances of `n` are negative")),
        (2.0, f32::NAN, Some("`n` has statistics that are not finite")),
        (2.0, 0.0, None),
    ];
    let by_batch =
        text.replace("top: \"n\" }", "top: \"n\" batch_norm_param { use_global_stats: false } }");
    let of_another = text.replace("name: \"n\"", "name: \"other\"");
    for (factor, variance, wanted) in table {
        let mut set = |index: usize, value: f32| {
            let id = net.store.of_layer("n", index).unwrap_or_default();
            net.store.data_mut(id)[0] = value;
        };
        set(1, variance);
        set(2, factor);
        let forms = if cfg!(feature = "hdf5") { 2 } else { 1 };
        for ending in ["caffemodel", "caffemodel.h5"].into_iter().take(forms) {
            let file = folder.path().join("net").with_extension(ending);
            let saved = match ending {
                "caffemodel" => net.save(&file).map(|_| ()),
                _ => net.save_hdf5(&file),
            };
            saved.unwrap_or_else(|e| panic!("{e}"));
            let found = |text: &str| {
                let subject = Subject::of_text(&Source::new("net.prototxt", text));
                let weights = Weights::open(&file).unwrap_or_else(|e| panic!("{e}"));
                let found = lint(&subject.unwrap_or_default().with_weights(weights));
                let of_rule = found.into_iter().filter(|f| f.rule.name == "bn-factor-zero");
                of_rule.map(|f| f.message).collect::<Vec<_>>()
            };
            let solver = "net: \"net.prototxt\" base_lr: 1 lr_policy: \"fixed\"";
            assert_eq!(found(text), wanted.into_iter().collect::<Vec<_>>(), "{factor} {variance}");
            for other in [&by_batch, &of_another, solver] {
                assert_eq!(found(other), Vec::<String>::new(), "{factor} {variance} {other}");
            }
        }
    }
}

#[test]
fn fixes_leave_the_rest_as_it_is_written() {
    let text = r#"# my net
layer { name: "d" type: "Input" top: "x"   # in
  input_param { shape { dim: 1 dim: 2 } } }

layer {
  name: "n"
  type: "BatchNorm"   # normalises
  bottom: "x"  top: "n"
  param { lr_mult: 1 }  # oh
  param { decay_mult: 0 }
  batch_norm_param {
    use_global_stats: false
    eps: 0.001  # small
  }
}
layer { name: "s" type: "Scale" bottom: "n" top: "n" }
"#;
    let source = Source::new("net.prototxt", text);
    let subject = Subject::of_text(&source).unwrap_or_default();
    let new = fixed(&source, &lint(&subject)).unwrap_or_default();
    let wanted = text
        .replace("    use_global_stats: false\n", "")
        .replace("lr_mult: 1", "lr_mult: 0")
        .replace("{ decay_mult: 0 }", "{ decay_mult: 0 lr_mult: 0 }");
    assert_eq!(new, wanted);
    assert_eq!(names(&new), Vec::<String>::new());
}

#[test]
fn a_field_goes_with_the_separator_behind_it() {
    let head =
        r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }"#;
    let last = r#"layer { name: "s" type: "Scale" bottom: "n" top: "n" }"#;
    let net = |block: &str| {
        format!(
            "{head}\nlayer {{ name: \"n\", type: \"BatchNorm\"; bottom: \"x\", top: \"n\",\n  batch_norm_param {{{block}}}\n}};\n{last}\n"
        )
    };
    let table = [
        (" use_global_stats: false, eps: 0.1 ", "  eps: 0.1 "),
        ("\n    use_global_stats: false;\n    eps: 0.1\n  ", "\n    eps: 0.1\n  "),
        (
            "\n    use_global_stats: false # why\n    , eps: 0.1\n  ",
            "\n     # why\n     eps: 0.1\n  ",
        ),
        (" eps: 0.1; use_global_stats: false ; ", " eps: 0.1;  "),
    ];
    for (block, wanted) in table {
        let source = Source::new("net.prototxt", net(block));
        let subject = Subject::of_text(&source).unwrap_or_else(|| panic!("{}", source.text()));
        let new = fixed(&source, &lint(&subject)).unwrap_or_default();
        assert_eq!(new, net(wanted));
        assert_eq!(names(&new), Vec::<String>::new());
    }
}

#[test]
fn nets_of_the_first_generations_are_to_be_upgraded_before_they_are_fixed() {
    let text = r#"layers { name: "data" type: IMAGE_DATA top: "data" top: "label" image_data_param { source: "l.txt" batch_size: 16 new_height: 8 new_width: 8 mirror: true } include: { phase: TEST } }
"#;
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("net.prototxt");
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("{e}"));
    let output = cortado_in(folder.path(), &["lint", "net.prototxt", "--fix"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(
        told.contains("run `cortado upgrade-net` first") && !told.contains("(fixed)"),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text);
}

#[test]
fn what_a_fix_brings_to_light_is_told() {
    let text = r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "n" type: "BatchNorm" bottom: "x" top: "x" batch_norm_param { use_global_stats: false } }
layer { name: "s" type: "Scale" bottom: "x" top: "x" }
"#;
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let source = Source::new("net.prototxt", text);
    let def = NetDef::from_text(&source).unwrap_or_else(|e| panic!("{e}"));
    let net = Net::build(def, &NetOptions::new(Phase::Test)).unwrap_or_else(|e| panic!("{e}"));
    net.save(folder.path().join("net.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
    std::fs::write(folder.path().join("net.prototxt"), text).unwrap_or_else(|e| panic!("{e}"));
    let lint = ["lint", "net.prototxt", "--weights", "net.caffemodel"];
    let before = cortado_in(folder.path(), &lint);
    assert!(stderr(&before).contains("0 errors, 1 warnings"), "{}", stderr(&before));
    let fixed: Vec<&str> = lint.into_iter().chain(["--fix"]).collect();
    let output = cortado_in(folder.path(), &fixed);
    assert!(
        stderr(&output).contains("1 errors, 0 warnings, 0 hints, 1 fixed"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("its factor is 0"), "{}", stdout(&output));
}

#[cfg(unix)]
#[test]
fn fixing_keeps_comments_links_and_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let text = "layer { name: \"x\" type: \"Input\" top: \"x\" input_param { shape { dim: 1 dim: 2 } } }
layer { name: \"n\" type: \"BatchNorm\" bottom: \"x\" top: \"x\" batch_norm_param { use_global_stats: false } }
layer { name: \"s\" type: \"Scale\" bottom: \"x\" top: \"x\" }\n";
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(file(name), bytes).unwrap_or_else(|e| panic!("{e}"));
    };
    let gbk = [text.as_bytes(), b"# \xb9\xfa\n"].concat();
    write("gbk.prototxt", &gbk);
    let output = cortado_in(folder.path(), &["lint", ".", "--fix"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("bytes that are not UTF-8"), "{}", stderr(&output));
    assert!(stdout(&output).contains("(--fix does it)"), "{}", stdout(&output));
    assert_eq!(std::fs::read(file("gbk.prototxt")).unwrap_or_default(), gbk);

    write("net.prototxt", text.as_bytes());
    std::fs::set_permissions(file("net.prototxt"), std::fs::Permissions::from_mode(0o640))
        .and_then(|()| std::os::unix::fs::symlink("net.prototxt", file("link.prototxt")))
        .unwrap_or_else(|e| panic!("{e}"));
    let output = cortado_in(folder.path(), &["lint", "link.prototxt", "--fix"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(file("link.prototxt").is_symlink());
    let mode = std::fs::metadata(file("net.prototxt")).map(|there| there.permissions().mode());
    assert_eq!(mode.unwrap_or_default() & 0o777, 0o640);
    let now = std::fs::read_to_string(file("net.prototxt")).unwrap_or_default();
    assert_eq!(now, text.replace(" use_global_stats: false ", "  "));
}

#[test]
fn a_missing_filler_is_put_where_it_belongs() {
    let text = training(
        "layer {\n  name: \"c\"\n  type: \"Convolution\"\n  bottom: \"data\"\n  top: \"c\"\n  convolution_param {\n    num_output: 4\n    kernel_size: 3\n  }\n}\nlayer { name: \"r\" type: \"ReLU\" bottom: \"c\" top: \"c\" }",
        "c",
    );
    let source = Source::new("net.prototxt", text.clone());
    let subject = Subject::of_text(&source).unwrap_or_default();
    let new = fixed(&source, &lint(&subject)).unwrap_or_default();
    let wanted = text
        .replace("kernel_size: 3\n", "kernel_size: 3\n    weight_filler { type: \"xavier\" }\n");
    assert_eq!(new, wanted);
    assert_eq!(names(&new), Vec::<String>::new());
}

#[test]
fn our_own_deploy_nets_are_clean() {
    for net in ["lenet", "mnist_mlp_bn", "resnet20_cifar", "resnet50", "resnet101", "resnet152"] {
        let file = Path::new(ROOT).join("models").join(net).join("deploy.prototxt");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{net}: {e}"));
        assert_eq!(names(&text), Vec::<String>::new(), "{net}");
    }
}

#[test]
fn our_own_models_load_and_have_no_warnings() {
    let output = cortado(&["lint", "models"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(!stdout(&output).contains("[test-mirror]"), "{}", stdout(&output));
}

#[test]
fn rules_are_told_with_reason_and_cure() {
    let output = stdout(&cortado(&["lint", "--rules"]));
    for rule in RULES {
        assert!(output.contains(rule.name) && output.contains(rule.why), "{output}");
        assert!(!rule.cure.is_empty() && !rule.why.ends_with('.'), "{}", rule.name);
    }
}

#[test]
fn the_exit_code_counts_warnings_and_files_are_fixed() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let file = folder.path().join("net.prototxt");
    let text = r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "n" type: "BatchNorm" bottom: "x" top: "x" batch_norm_param { use_global_stats: false } }
layer { name: "s" type: "Scale" bottom: "x" top: "x" }
"#;
    std::fs::write(&file, text).unwrap_or_else(|e| panic!("{e}"));
    let path = file.to_string_lossy();
    let output = cortado(&["lint", &path]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(
        told.contains("net.prototxt:2:77: warning: `n` normalises by the batch in TEST"),
        "{told}"
    );
    let output = cortado(&["lint", &path, "--fix", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(told[0]["fixed"], true, "{told}");
    let now = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(now, text.replace(" use_global_stats: false ", "  "));
    assert_eq!(cortado(&["lint", &path]).status.code(), Some(0));
    assert_eq!(cortado(&["lint", "models/nothing.prototxt"]).status.code(), Some(1));
}

#[test]
fn a_file_that_does_not_load_keeps_no_finding_of_the_others_back() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let files =
        [("a.prototxt", "layer {"), ("b.prototxt", "base_lr: 1 lr_policy: \"step\" net: \"n\"")];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
    }
    let output = cortado_in(folder.path(), &["lint", "a.prototxt", "none.prototxt", "b.prototxt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("[step-without-size]"), "{}", stdout(&output));
    let told = stdout(&output);
    assert!(told.contains("a.prototxt") && told.contains("none.prototxt"), "{told}");
}

#[test]
fn a_file_that_does_not_load_counts_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let files = [
        (
            "fine.prototxt",
            r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }"#,
        ),
        ("map.prototxt", "item { name: \"cat\" id: 1 }"),
        (
            "data.prototxt",
            r#"layer { name: "d" type: "Data" top: "x" top: "t" data_param { source: "nowhere" batch_size: 9 } }"#,
        ),
        ("syntax.prototxt", "layer {{"),
        ("wiring.prototxt", r#"layer { name: "a" type: "ReLU" bottom: "zz" top: "b" }"#),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
    }
    let output = cortado_in(folder.path(), &["lint", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("error: 2 errors, 0 warnings"), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("./syntax.prototxt:1:7: error: does not load: "), "{told}");
    let wiring =
        "wiring.prototxt:1:32: error: does not load: bottom `zz` is made by no layer above";
    assert!(told.contains(wiring), "{told}");
    assert!(told.contains("`cortado check ./wiring.prototxt` tells all"), "{told}");
    assert!(
        !told.contains("fine") && !told.contains("map") && !told.contains("data.proto"),
        "{told}"
    );

    let output = cortado_in(folder.path(), &["lint", "--json", "wiring.prototxt"]);
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(
        (&told[0]["rule"], &told[0]["line"]),
        (&"does-not-load".into(), &1.into()),
        "{told}"
    );
    // A file that was named is to be a net or a solver.
    let output = cortado_in(folder.path(), &["lint", "map.prototxt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is neither a net nor a solver"), "{}", stderr(&output));
}

#[test]
fn weights_of_another_net_are_told_as_such() {
    let input = r#"layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }"#;
    let rest = r#"
        layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 4 kernel_size: 4 } }
        layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" inner_product_param { num_output: 2 } }"#;
    let data =
        r#"layer { name: "x" type: "Data" top: "x" data_param { source: "s" batch_size: 9 } }"#;
    let own = format!("{input}{rest}");
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let def = NetDef::from_text(&Source::new("net.prototxt", own.as_str()));
    let def = def.unwrap_or_else(|e| panic!("{e}"));
    let net = Net::build(def, &NetOptions::new(Phase::Test)).unwrap_or_else(|e| panic!("{e}"));
    let table = [
        (own.clone(), None),
        // What the other layers are is not said where some are the same.
        (own.replace("name: \"f\"", "name: \"g\""), None),
        (
            own.replace("name: \"f\"", "name: \"g\"").replace("name: \"c\"", "name: \"d\""),
            Some(
                "of 2 layers with weights 0 are in the file of weights, which has 2 others (c, f)",
            ),
        ),
        (
            own.replace("kernel_size: 4", "kernel_size: 3"),
            Some(
                "2 of 2 layers have other shapes in the file of weights; `c` first: blob 0 is 4x3x3x3 here, 4x3x4x4 there",
            ),
        ),
        (
            own.replace("num_output: 2", "num_output: 2 bias_term: false"),
            Some(
                "1 of 2 layers have other shapes in the file of weights; `f` first: 1 blobs here, 2 there",
            ),
        ),
        // One form for the other, of as many values.
        (
            own.replace("Convolution", "InnerProduct").replace(
                "convolution_param { num_output: 4 kernel_size: 4 }",
                "inner_product_param { num_output: 4 }",
            ),
            None,
        ),
        // How large the pictures are is not known here, how many outputs there are is.
        (format!("{data}{rest}"), None),
        (
            format!("{data}{rest}").replace("num_output: 2", "num_output: 5"),
            Some(
                "1 of 2 layers have other shapes in the file of weights; `f` first: blob 0 is 5x195364 here, 2x4 there",
            ),
        ),
    ];
    let forms = if cfg!(feature = "hdf5") { 2 } else { 1 };
    let mut failures = Vec::new();
    for ending in ["caffemodel", "caffemodel.h5"].into_iter().take(forms) {
        let file = folder.path().join("net").with_extension(ending);
        let saved = match ending {
            "caffemodel" => net.save(&file).map(|_| ()),
            _ => net.save_hdf5(&file),
        };
        saved.unwrap_or_else(|e| panic!("{e}"));
        for (text, wanted) in &table {
            let subject = Subject::of_text(&Source::new("net.prototxt", text.as_str()));
            let weights = Weights::open(&file).unwrap_or_else(|e| panic!("{e}"));
            let found = lint(&subject.unwrap_or_default().with_weights(weights));
            let found = found.into_iter().filter(|f| f.rule.name == "weights-of-another-net");
            let found: Vec<String> = found.map(|f| f.message).collect();
            if found != wanted.iter().copied().collect::<Vec<&str>>() {
                failures.push(format!("{ending}: wanted {wanted:?}, found {found:?} in\n{text}"));
            }
        }
    }
    none(failures);
}
