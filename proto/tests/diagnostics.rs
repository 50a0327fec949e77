//! What a person sees: the exact text for common mistakes.

use cortado_proto::caffe::{NetParameter, SolverParameter};
use cortado_proto::{Diagnostic, NetDef, Source, text};
use prost::{Message, Name};

fn shown<M: Message + Name + Default>(file: &str, text: &str) -> String {
    let errors = text::parse_strict::<M>(&Source::new(file, text)).map(|_| ()).unwrap_err();
    errors.iter().map(|e| e.diagnostic().to_string()).collect::<Vec<_>>().join("\n")
}

fn net(text: &str) -> String {
    shown::<NetParameter>("net.prototxt", text)
}

const LAYER: &str = "layer {\n  name: \"conv1\"\n  type: \"Convolution\"\n";

#[test]
fn misspelt_field() {
    let text = format!("{LAYER}  botom: \"data\"\n}}");
    assert_eq!(
        net(&text),
        r#"error: `LayerParameter` has no field `botom`
  --> net.prototxt:4:3
    |  botom: "data"
    = similar: `bottom`"#
    );
}

#[test]
fn misspelt_block_and_a_field_inside_one() {
    let text =
        format!("{LAYER}  convolution_parm {{ num_output: 3 }}\n  relu_param {{ slope: 1 }}\n}}");
    assert_eq!(
        net(&text),
        r#"error: `LayerParameter` has no field `convolution_parm`
  --> net.prototxt:4:3
    |  convolution_parm { num_output: 3 }
    = similar: `convolution_param`
error: `ReLUParameter` has no field `slope`
  --> net.prototxt:5:16
    |  relu_param { slope: 1 }
    = similar: `negative_slope`"#
    );
}

#[test]
fn a_number_that_starts_with_0_is_told_once() {
    let octal = "a number that starts with 0 is octal: digits 0 to 7 only";
    let whole = "a number that is no integer must not start with 0 and another digit";
    let table = [
        ("09", octal),
        ("01.5", whole),
        ("08.5", whole),
        ("01e3", whole),
        ("01.5E-3", whole),
        ("01f", whole),
    ];
    for (number, told) in table {
        let text = format!("base_lr: {number}");
        let expected = format!("error: {told}\n  --> s.prototxt:1:10\n    |  {text}");
        assert_eq!(shown::<SolverParameter>("s.prototxt", &text), expected);
    }
    let fine =
        text::parse_strict::<SolverParameter>(&Source::new("s", "display: 017 base_lr: 0.5"));
    assert_eq!(fine.map(|found| found.message.display), Ok(Some(15)));
}

#[test]
fn misspelt_enum_value() {
    assert_eq!(
        net("layer { pooling_param {\n\tpool: AVG } }"),
        r#"error: `AVG` is not a value of `pool`
  --> net.prototxt:2:8
    |  pool: AVG } }
    = similar: `AVE`"#
    );
    assert_eq!(
        net("layer { include { phase: EVAL } }"),
        r#"error: `EVAL` is not a value of `phase`
  --> net.prototxt:1:26
    |  layer { include { phase: EVAL } }
    = values: TRAIN, TEST"#
    );
}

#[test]
fn field_one_level_too_high() {
    let text = format!("{LAYER}  dropout_ratio: 0.5\n}}");
    assert_eq!(
        net(&text),
        r#"error: `LayerParameter` has no field `dropout_ratio`
  --> net.prototxt:4:3
    |  dropout_ratio: 0.5
    = `dropout_ratio` is a field of `dropout_param`, `spatial_dropout_param`"#
    );
}

#[test]
fn forgotten_brace_is_found_where_it_belongs() {
    let text = "layer {\n  name: \"a\"\n  relu_param { negative_slope: 0.1\n}\nlayer {\n  name: \"b\"\n}\n";
    // The first brace closes relu_param, so it is the layer that is still open before the next one.
    assert_eq!(
        net(text),
        r#"error: the block `layer` opened here is not closed before `layer`
  --> net.prototxt:1:7
    |  layer {
    = `layer` in line 5 belongs to `NetParameter`"#
    );
    let text = "layer {\n  convolution_param {\n    weight_filler { type: \"xavier\"\n    bias_filler { type: \"constant\" }\n  }\n  name: \"a\"\n}\nlayer { }\n";
    assert_eq!(
        net(text),
        r#"error: the block `weight_filler` opened here is not closed before `bias_filler`
  --> net.prototxt:3:19
    |  weight_filler { type: "xavier"
    = `bias_filler` in line 4 belongs to `ConvolutionParameter`"#
    );
}

#[test]
fn file_cut_in_the_middle() {
    assert_eq!(
        net("name: \"n\"\nlayer {\n  include {\n    phase: TEST\n"),
        r#"error: the block `include` opened here is not closed
  --> net.prototxt:3:11
    |  include {
    = `layer`, opened in line 2, is not closed either"#
    );
}

#[test]
fn wrong_types_and_ranges() {
    assert_eq!(
        net(
            "layer { convolution_param { num_output: 1.5 group: -1 bias_term: maybe } name: 5 top: { } }"
        ),
        r#"error: `num_output` takes an integer from 0 (uint32), found `1.5`
  --> net.prototxt:1:41
    |  layer { convolution_param { num_output: 1.5 group: -1 bias_term: maybe } name: 5 top: { } }
error: `group`: `-1` does not fit uint32
  --> net.prototxt:1:52
    |  layer { convolution_param { num_output: 1.5 group: -1 bias_term: maybe } name: 5 top: { } }
error: `bias_term` takes true or false, found `maybe`
  --> net.prototxt:1:66
    |  layer { convolution_param { num_output: 1.5 group: -1 bias_term: maybe } name: 5 top: { } }
error: `name` takes a string in quotes, found `5`
  --> net.prototxt:1:80
    |  layer { convolution_param { num_output: 1.5 group: -1 bias_term: maybe } name: 5 top: { } }
error: `top` takes a string in quotes, found a block
  --> net.prototxt:1:87
    |  layer { convolution_param { num_output: 1.5 group: -1 bias_term: maybe } name: 5 top: { } }"#
    );
}

#[test]
fn forgotten_value_colon_and_quote() {
    assert_eq!(
        net("layer {\n  name:\n  type: \"ReLU\"\n  bottom \"x\"\n  top: \"y\n}\n"),
        r#"error: expected a value for `name`, found `type`
  --> net.prototxt:3:3
    |  type: "ReLU"
error: expected `:` or `{` behind `bottom`, found "x"
  --> net.prototxt:4:10
    |  bottom "x"
    = write `bottom: "x"`
error: the string is not closed on its line
  --> net.prototxt:5:8
    |  top: "y"#
    );
}

#[test]
fn solver_mistakes() {
    assert_eq!(
        shown::<SolverParameter>(
            "solver.prototxt",
            "base_lr: 0.01\nlr_polcy: \"step\"\nsolver_mode: cpu\nmax_iter: 10\nmax_iter: 20\n"
        ),
        r#"error: `SolverParameter` has no field `lr_polcy`
  --> solver.prototxt:2:1
    |  lr_polcy: "step"
    = similar: `lr_policy`
error: `cpu` is not a value of `solver_mode`
  --> solver.prototxt:3:14
    |  solver_mode: cpu
    = similar: `CPU`, `GPU`
error: `max_iter` is given more than once
  --> solver.prototxt:5:1
    |  max_iter: 20"#
    );
}

#[test]
fn label_stands_behind_the_line() {
    let net =
        NetDef::from_text(&Source::new("net.prototxt", "layer {\n  bottom: \"res2a\"\n}")).unwrap();
    let place = net.layers[0].place.span_of(Some("bottom[0]"));
    let shown = Diagnostic::error("bottom `res2a` is made by no layer above", place)
        .with_label("layer `res2b_branch2a` (Convolution)")
        .with_note("similar: `res2a_branch1`");
    assert_eq!(
        shown.to_string(),
        r#"error: bottom `res2a` is made by no layer above
  --> net.prototxt:2:3
    |  bottom: "res2a"          layer `res2b_branch2a` (Convolution)
    = similar: `res2a_branch1`"#
    );
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let text = format!("layer {{ blobs {{ data: [{} 1] what: 3 }} }}", "0.25, ".repeat(200));
    let shown = net(&text);
    let line = shown.lines().nth(2).unwrap();
    assert!(line.starts_with("    |  …") && line.contains("what: 3"), "{line}");
    assert!(line.chars().count() < 110);
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("diagnostics");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("train_val.prototxt"), "name: 'n'").unwrap();
    std::fs::write(folder.join("weights.caffemodel"), b"\x0a\x01n\x00").unwrap();
    std::fs::write(folder.join("latin.prototxt"), b"# caf\xe9\nname: 'n'").unwrap();
    std::fs::write(folder.join("latin_value.prototxt"), b"name: 'caf\xe9'").unwrap();
    let error =
        |name: &str| NetDef::read(folder.join(name)).unwrap_err().first().diagnostic().to_string();
    let missing = error("train_vall.prototxt");
    assert!(
        missing.contains("there is no such file\n    = similar: `train_val.prototxt`"),
        "{missing}"
    );
    assert!(error("").contains("it is a directory, not a text file"));
    assert!(error("weights.caffemodel").contains("it holds binary data (weights?)"));
    assert!(NetDef::read(folder.join("latin.prototxt")).is_ok(), "comments may hold anything");
    let value = error("latin_value.prototxt");
    assert!(value.starts_with("error: `name` is not valid UTF-8 text\n"), "{value}");
}
