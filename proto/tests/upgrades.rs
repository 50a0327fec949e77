//! Older nets and solvers against the original's own upgrade tools.

mod common;

use cortado_proto::caffe::{
    LayerParameter, NetParameter, ParamSpec, SolverParameter, V1LayerParameter,
};
use cortado_proto::{NetDef, Origin, SolverDef, Source, text, upgrade, wire};
use prost::Message;

fn upgraded(mut net: NetDef) -> NetParameter {
    upgrade::net(&mut net).unwrap();
    let again = upgrade::net(&mut net).unwrap();
    assert!(again.is_empty(), "done twice: {again:?}");
    net.to_message()
}

#[test]
fn nets_become_what_the_original_makes_of_them() {
    let cases: Vec<_> = common::golden("upgrade")
        .iter()
        .flat_map(|folder| common::files(folder, ".upgraded.binaryproto"))
        .collect();
    assert!(cases.len() >= 6);
    for path in cases {
        let want = wire::decode_net(&std::fs::read(&path).unwrap()).unwrap();
        let stem = path.to_str().unwrap().replace(".upgraded.binaryproto", ".input");
        let from_text = NetDef::read(format!("{stem}.prototxt")).unwrap();
        let bytes = std::fs::read(format!("{stem}.binaryproto")).unwrap();
        let from_binary = NetDef::from_message(wire::decode_net(&bytes).unwrap());
        assert_eq!(text::print(&upgraded(from_text)), text::print(&want), "{stem}");
        assert_eq!(upgraded(from_binary), want, "{stem}");
        // The printer writes what the original's tool writes, to the byte.
        let printed = std::fs::read_to_string(
            format!("{}", path.display()).replace("binaryproto", "prototxt"),
        );
        assert_eq!(text::print(&want), printed.unwrap(), "{stem}");
    }
}

#[test]
fn solvers_become_what_the_original_makes_of_them() {
    let cases: Vec<_> = common::golden("upgrade")
        .iter()
        .flat_map(|folder| common::files(folder, ".upgraded.prototxt"))
        .filter(|p| p.to_string_lossy().contains("solver_"))
        .collect();
    assert!(cases.len() >= 3);
    for path in cases {
        let mut solver =
            SolverDef::read(path.to_str().unwrap().replace("upgraded", "input")).unwrap();
        assert_eq!(upgrade::solver(&mut solver).unwrap().len(), 1);
        let want = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text::print::<SolverParameter>(&solver.param), want, "{}", path.display());
    }
}

fn net(text: &str) -> NetDef {
    NetDef::from_text(&Source::new("net.prototxt", text)).unwrap()
}

fn refusal(text: &str) -> String {
    let mut net = net(text);
    let errors = upgrade::net(&mut net).unwrap_err();
    errors.first().diagnostic().to_string()
}

#[test]
fn input_dims_of_two_inputs_become_two_shapes() {
    let mut net = net("input: 'a' input: 'b' input_dim: [1,2,3,4, 5,6,7,8] layer { name: 'x' }");
    assert_eq!(upgrade::net(&mut net).unwrap(), ["`input` fields became an Input layer: a, b"]);
    let input = &net.layers[0];
    assert_eq!((input.name(), input.r#type()), ("input", "Input"));
    assert_eq!(input.top, ["a", "b"]);
    let shapes = &input.input_param.as_ref().unwrap().shape;
    assert_eq!(shapes[1].dim, [5, 6, 7, 8]);
    assert_eq!(*input.place.origin(), Origin::Upgrade("input fields".into()));
    assert_eq!(input.place.span_of(None).unwrap().to_string(), "net.prototxt:1:1");
    assert_eq!(net.layers[1].place.span_of(None).unwrap().position().column, 53);
}

#[test]
fn inputs_without_shape_are_dropped() {
    let mut net = net("input: 'a' layer { name: 'x' }");
    assert_eq!(upgrade::net(&mut net).unwrap(), ["dropped `input` without shape: a"]);
    assert_eq!((net.layers.len(), net.param.input.len()), (1, 0));
}

#[test]
fn old_fields_that_make_no_sense_are_refused_with_their_place() {
    assert_eq!(
        refusal("input: 'a'\ninput_dim: 1\ninput_dim: 3"),
        "error: `input_dim` stands 2 times for 1 inputs of 4 axes each\n  --> net.prototxt:2:1\n    |  \
         input_dim: 1"
    );
    let odd = refusal("layers { layer { name: 'a' type: 'wonder' } }");
    assert!(
        odd.starts_with("error: `type` knows no \"wonder\" in the oldest form\n  --> net.proto")
    );
    let padded = "layers { layer { name: 'p' type: 'padding' pad: 1 } bottom: 'x' top: 'p' }\n\
                  layers { layer { name: 'r' type: 'relu' } bottom: 'p' top: 'r' }";
    assert!(refusal(padded).contains("net.prototxt:2:1"));
}

#[test]
fn layers_from_v1_keep_their_place_and_unknown_blocks() {
    let text = "layers { layer { type: 'padding' pad: 2 } bottom: 'x' top: 'p' }\n\
                layers { layer { name: 'c' type: 'conv' kernelsize: 3 } bottom: 'p' top: 'c' }\n\
                layers { name: 'r' type: RELU bottom: 'c' top: 'r' my_param { rate: 0.5 } }";
    let mut net = net(text);
    upgrade::net(&mut net).unwrap();
    assert_eq!(net.layers.len(), 2);
    let place = |i: usize, field| net.layers[i].place.span_of(field).unwrap().to_string();
    assert_eq!(place(0, None), "net.prototxt:2:1");
    assert_eq!(place(0, Some("bottom")), "net.prototxt:2:57");
    assert_eq!(place(1, Some("relu_param.negative_slope")), "net.prototxt:3:1");
    let block = net.layers[1].extension("my_param").unwrap();
    assert_eq!(block.block().get_f32("rate").unwrap(), Some(0.5));
    assert_eq!(net.layers[0].convolution_param.as_ref().unwrap().pad, [2]);
}

#[test]
fn both_solver_types_are_refused() {
    let source = Source::new("s.prototxt", "net: 'n'\nsolver_type: ADAM type: 'SGD'");
    let mut solver = SolverDef::from_text(&source).unwrap();
    let error = upgrade::solver(&mut solver).unwrap_err();
    assert!(error.to_string().starts_with("s.prototxt:2:1: both `solver_type` and `type`"));
}

#[test]
fn a_mix_of_generations_loads_in_the_order_of_the_file() {
    let mut net = net(
        "layer { name: 'a' type: 'ReLU' }\nlayers { name: 'b' type: RELU }\nlayer { name: 'c' }",
    );
    let done = upgrade::net(&mut net).unwrap();
    let names: Vec<&str> = net.layers.iter().map(|l| l.name()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(done[0].ends_with("which the original refuses"), "{done:?}");
}

#[test]
fn fields_of_forks_are_kept_and_told() {
    let text = "layers { name: 'b' type: WONDER pooling_param { pool: MAX round_trip: 7 } odd_param { n: 1 } }";
    let source = Source::new("net.prototxt", text);
    let upgraded = text::upgraded_net(&source).unwrap();
    assert_eq!(
        upgraded.text,
        "layer {\n  name: \"b\"\n  type: \"WONDER\"\n  pooling_param {\n    pool: MAX\n    \
         round_trip: 7\n  }\n  odd_param { n: 1 }\n}\n"
    );
    assert_eq!(
        upgraded.notes[0].to_string().lines().next(),
        Some("warning: `PoolingParameter` has no field `round_trip`: it has no effect")
    );
    assert!(text::parse_strict::<NetParameter>(&source).is_err());
}

#[test]
fn an_upgrade_keeps_comments_and_what_needs_no_change() {
    let text = "# head\nname: 'n' # of the net\nlayer { name: 'a'  type: 'ReLU' } # as it is\n\
                # about b\nlayers {\n  name: 'b' # inner\n  type: RELU }\n# end\n";
    let upgraded = text::upgraded_net(&Source::new("net.prototxt", text)).unwrap();
    assert_eq!(
        upgraded.text,
        "# head\nname: 'n'  # of the net\nlayer { name: 'a'  type: 'ReLU' }  # as it is\n# about b\n\
         layer {\n  name: \"b\"  # inner\n  type: \"ReLU\"\n}\n# end\n"
    );
    let solver = "solver_type: ADAM # fast\nbase_lr: 1\n";
    let upgraded = text::upgraded_solver(&Source::new("s.prototxt", solver)).unwrap();
    assert_eq!(upgraded.text, "type: \"Adam\" # fast\nbase_lr: 1\n");
}

#[test]
fn comments_stay_with_their_fields() {
    let text = "\
# why it is padded
layers { name: 'pad' type: PADDING_OF_A_FORK } # odd
layers { # opens
  # its name
  name: 'c' # c for short
  type: CONVOLUTION
  blobs_lr: 1
  blobs_lr: 2 # the bias
  # no decay of the bias
  weight_decay: 1
  weight_decay: 0
  bottom: 'x'
  convolution_param {
    # few
    num_output: 4
    kernel_size: 3 # odd
    # of the block
  }
  # of the layer
} # behind
";
    let upgraded = text::upgraded_net(&Source::new("net.prototxt", text)).unwrap();
    assert_eq!(
        upgraded.text,
        "\
# why it is padded
layer {
  name: \"pad\"
  type: \"PADDING_OF_A_FORK\"
}  # odd
layer {
  # opens
  # its name
  name: \"c\"  # c for short
  type: \"Convolution\"
  bottom: \"x\"
  param {
    lr_mult: 1
    # no decay of the bias
    decay_mult: 1
  }
  param {
    lr_mult: 2  # the bias
    decay_mult: 0
  }
  convolution_param {
    # few
    num_output: 4
    kernel_size: 3  # odd
    # of the block
  }
  # of the layer
}  # behind
"
    );
}

#[test]
fn comments_of_layers_that_go_stand_before_the_next() {
    let text = "\
layers { layer { name: 'p' type: 'padding' pad: 1 # one
  } bottom: 'x' top: 'p' }
layers {
  layer { name: 'c' type: 'conv' num_output: 2 # two
    kernelsize: 3 }
  bottom: 'p' top: 'c' }
";
    let upgraded = text::upgraded_net(&Source::new("net.prototxt", text)).unwrap();
    assert_eq!(
        upgraded.text,
        "\
# one
layer {
  name: \"c\"
  type: \"Convolution\"
  bottom: \"x\"
  top: \"c\"
  convolution_param {
    num_output: 2  # two
    pad: 1
    kernel_size: 3
  }
}
"
    );
}

#[test]
fn binary_upgrades_keep_unknown_fields() {
    let old = NetParameter {
        layers: vec![V1LayerParameter {
            name: Some("a".into()),
            r#type: Some(18),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut bytes = old.encode_to_vec();
    // Field 9999 of the net, a varint.
    bytes.extend([0xf8, 0xf0, 0x04, 0x07]);
    let (new, done) = cortado_proto::wire::upgraded_net(&bytes).unwrap();
    assert_eq!(done.len(), 1);
    assert!(new.windows(4).any(|w| w == [0xf8, 0xf0, 0x04, 0x07]));
    let net = cortado_proto::wire::decode_net(&new).unwrap();
    assert_eq!((net.layers.len(), net.layer[0].r#type()), (0, "ReLU"));
}

/// Forks give one number different meanings: what they wrote goes through an upgrade untouched, also in
/// a layer that it changes.
#[test]
fn colliding_numbers_of_forks_go_through_a_binary_upgrade() {
    let rate = || ParamSpec { lr_mult: Some(1.0), ..Default::default() };
    let layer = LayerParameter {
        name: Some("bn".into()),
        r#type: Some("BatchNorm".into()),
        param: vec![rate(), rate(), rate()],
        ..Default::default()
    };
    let mut inner = layer.encode_to_vec();
    // 145 as NVIDIA's number of a type, where the original has a block.
    let forward_type = [0x88, 0x09, 0x02];
    // 147 as YOLO's reorg_param { stride: 2 reverse: true } beside swish_param { beta }.
    let reorg = [0x9a, 0x09, 0x04, 0x08, 0x02, 0x10, 0x01];
    inner.extend(forward_type);
    inner.extend(reorg);
    let mut bytes = vec![0xa2, 0x06, inner.len() as u8];
    bytes.extend(&inner);
    let (new, done) = cortado_proto::wire::upgraded_net(&bytes).unwrap();
    assert_eq!(done.len(), 1, "{done:?}");
    for kept in [&forward_type[..], &reorg] {
        assert!(new.windows(kept.len()).any(|window| window == kept), "{kept:?}");
    }
    let net = cortado_proto::wire::decode_net(&new).unwrap();
    assert!(net.layer[0].param.iter().all(|p| p.lr_mult() == 0.0));
    let model = cortado_proto::wire::Model::from_bytes(new).unwrap();
    assert_eq!(
        (model.layers[0].name.as_str(), model.layers[0].type_name.as_str()),
        ("bn", "BatchNorm")
    );
}
