//! Nets and solvers as the other rooms get them: places, unknown blocks, defaults.

use cortado_proto::caffe::loss_parameter::NormalizationMode;
use cortado_proto::caffe::{
    ConcatParameter, ConvolutionParameter, FillerParameter, LayerParameter, LossParameter,
    NetParameter, PoolingParameter, SliceParameter, SolverParameter,
};
use cortado_proto::{LayerDef, NetDef, Origin, Place, SolverDef, Source, defaults, text};

const NET: &str = "name: 'n'
layer {
  name: 'conv' type: 'Convolution' bottom: 'a' bottom: 'b'
  convolution_param { num_output: 4 kernel_size: 3 kernel_size: [5, 7] }
}
layer < name: 'odd' type: 'Odd'
  odd_param { rate: .5 count: 3 name: \"x\" mode: FAST on: true size: [1, 2] size: 3
    item { id: 1 } item { id: 2 } bad: 'text' twice: 1 twice: 2 } >
";

fn net() -> NetDef {
    NetDef::from_text(&Source::new("net.prototxt", NET)).unwrap()
}

#[test]
fn places_of_fields_fall_back_to_what_is_around_them() {
    let net = net();
    let at = |path: Option<&str>| {
        let place = net.layers[0].place.span_of(path).unwrap();
        (place.position().line, place.source.slice(place.span).to_string())
    };
    assert_eq!(at(Some("bottom[1]")), (3, "bottom: 'b'".into()));
    assert_eq!(at(Some("convolution_param.kernel_size[2]")), (4, "7".into()));
    assert_eq!(at(Some("convolution_param.kernel_size")), (4, "kernel_size: 3".into()));
    assert_eq!(at(Some("convolution_param.stride_h")).0, 4);
    assert!(at(Some("convolution_param.stride_h")).1.starts_with("convolution_param {"));
    assert_eq!(at(Some("relu_param.engine")).0, 2);
    assert_eq!(at(None).0, 2);
    assert_eq!(net.place.span_of(Some("name")).unwrap().to_string(), "net.prototxt:1:1");
    assert!(net.place.span_of(Some("state")).is_none());
}

#[test]
fn places_of_made_layers_keep_the_text_they_come_from() {
    let net = net();
    let split = net.layers[0].place.derived(Origin::Split("a".into()));
    assert_eq!(split.span_of(None), net.layers[0].place.span_of(None));
    assert_eq!(split.origin(), &Origin::Split("a".into()));
    assert_eq!(Place::code().span_of(Some("x")), None);
    assert_eq!(net.layers[0].place.origin(), &Origin::File);
}

#[test]
fn exact_spans_tell_name_and_value_apart() {
    let parsed = text::parse::<NetParameter>(&Source::new("net.prototxt", NET)).unwrap();
    let source = &parsed.tree.source;
    let found = parsed.spans.get("layer[1].type").unwrap();
    assert_eq!(source.slice(found.name), "type");
    assert_eq!(source.slice(found.value), "'Odd'");
    assert_eq!(source.slice(found.field), "type: 'Odd'");
    assert!(parsed.spans.get("layer[2]").is_none());
    assert!(source.slice(parsed.spans.get("layer[1]").unwrap().value).ends_with("} >"));
}

#[test]
fn blocks_of_outside_layers_are_read_by_name() {
    let net = net();
    let layer = &net.layers[1];
    assert_eq!(layer.extensions.len(), 1);
    let block = layer.extension("odd_param").unwrap().block();
    assert_eq!(block.get_f32("rate").unwrap(), Some(0.5));
    assert_eq!(block.get_i64("count").unwrap(), Some(3));
    assert_eq!(block.get_str("name").unwrap(), Some("x"));
    assert_eq!(block.get_str("mode").unwrap(), Some("FAST"));
    assert_eq!(block.get_bool("on").unwrap(), Some(true));
    assert_eq!(block.get_f32("none").unwrap(), None);
    assert_eq!(block.repeated_i64("size").unwrap(), [1, 2, 3]);
    assert_eq!(block.repeated_f32("size").unwrap(), [1.0, 2.0, 3.0]);
    let ids = block
        .messages("item")
        .unwrap()
        .iter()
        .map(|b| b.get_i64("id").unwrap().unwrap())
        .sum::<i64>();
    assert_eq!(ids, 3);
    let wrong = block.get_f32("bad").unwrap_err();
    assert_eq!(wrong.to_string(), "net.prototxt:8:40: `bad` takes a number, found \"text\"");
    let twice = block.get_i64("twice").unwrap_err();
    assert_eq!(twice.to_string(), "net.prototxt:8:56: `twice` is given more than once");
    let unknown = block.allow("OddParameter", &["rat", "count"]).unwrap_err();
    assert_eq!(unknown.first().notes, ["similar: `rat`"]);
    assert!(layer.unclaimed(&["odd_param"]).is_empty());
    assert!(layer.unclaimed(&[])[0].to_string().contains("7:3: `LayerParameter` has no field"));
}

#[test]
fn nets_inside_a_solver_keep_their_places_and_blocks() {
    let text = "base_lr: 1\nnet_param {\n  layer { name: 'a' my_param { x: 2 } }\n}\ntest_net_param { name: 't' layer { name: 'b' } }";
    let solver = SolverDef::from_text(&Source::new("s.prototxt", text)).unwrap();
    let net = solver.net_param().unwrap();
    assert_eq!(net.layers[0].place.span_of(Some("name")).unwrap().to_string(), "s.prototxt:3:11");
    assert!(net.layers[0].extension("my_param").is_some());
    assert_eq!(solver.test_net_params()[0].place.span_of(Some("name")).unwrap().position().line, 5);
    assert_eq!(solver.span_of("base_lr").unwrap().to_string(), "s.prototxt:1:1");
    assert!(solver.train_net_param().is_none());
}

#[test]
fn messages_go_in_and_out_of_definitions() {
    let layer = LayerParameter { name: Some("a".into()), ..LayerParameter::default() };
    let message = NetParameter { layer: vec![layer.clone()], ..NetParameter::default() };
    let net = NetDef::from_message(message.clone());
    assert!(net.param.layer.is_empty());
    assert_eq!(net.layers[0].name(), "a");
    assert_eq!(net.to_message(), message);
    assert_eq!(LayerDef::from(layer).place.origin(), &Origin::Code);
    let solver = SolverParameter { net_param: Some(message), ..SolverParameter::default() };
    assert_eq!(SolverDef::from_message(solver).net_param().unwrap().layers.len(), 1);
}

fn conv(text: &str, spatial: usize) -> Result<defaults::ConvAxes, String> {
    let p = text::parse::<ConvolutionParameter>(&Source::new("p", text)).unwrap().message;
    defaults::conv_axes(&p, spatial).map_err(|e| e.to_string())
}

#[test]
fn convolution_windows() {
    let a = conv("kernel_size: 3", 2).unwrap();
    assert_eq!(
        (a.kernel, a.stride, a.pad, a.dilation),
        (vec![3, 3], vec![1, 1], vec![0, 0], vec![1, 1])
    );
    let a = conv("kernel_h: 3 kernel_w: 1 stride: [2, 3] pad_w: 4 dilation: 2", 2).unwrap();
    assert_eq!(
        (a.kernel, a.stride, a.pad, a.dilation),
        (vec![3, 1], vec![2, 3], vec![0, 4], vec![2, 2])
    );
    assert_eq!(conv("kernel_size: [1, 2, 3]", 3).unwrap().kernel, [1, 2, 3]);
    for (text, spatial, field) in [
        ("", 2, "convolution_param.kernel_size"),
        ("kernel_h: 3", 2, "convolution_param.kernel_w"),
        ("kernel_h: 3 kernel_w: 3 kernel_size: 3", 2, "convolution_param.kernel_size"),
        ("kernel_h: 3 kernel_w: 3", 3, "convolution_param.kernel_h"),
        ("kernel_size: [1, 2, 3]", 2, "convolution_param.kernel_size"),
        ("kernel_size: 3 stride_h: 2", 2, "convolution_param.stride_w"),
        ("kernel_size: 3 stride: 0", 2, "convolution_param.stride"),
        ("kernel_size: 0", 2, "convolution_param.kernel_size"),
    ] {
        let error = conv(text, spatial).unwrap_err();
        assert!(error.starts_with(&format!("`{field}` ")), "{text}: {error}");
    }
}

fn pool(text: &str) -> Result<defaults::PoolAxes, String> {
    let p = text::parse::<PoolingParameter>(&Source::new("p", text)).unwrap().message;
    defaults::pool_axes(&p).map_err(|e| e.to_string())
}

#[test]
fn pooling_windows() {
    let a = pool("kernel_size: 3 stride: 2 pad_h: 1 pad_w: 2").unwrap();
    assert_eq!((a.kernel, a.stride, a.pad), (Some([3, 3]), [2, 2], [1, 2]));
    assert_eq!(pool("global_pooling: true").unwrap().kernel, None);
    for (text, field) in [
        ("", "pooling_param.kernel_size"),
        ("kernel_h: 2", "pooling_param.kernel_w"),
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "pooling_param.kernel_size"),
        ("kernel_size: 2 pad: 2", "pooling_param.pad"),
        ("kernel_size: 2 stride: 0", "pooling_param.stride"),
        ("kernel_size: 2 stride_w: 1", "pooling_param.stride_h"),
        ("kernel_size: 2 pad_h: 1", "pooling_param.pad_w"),
        ("global_pooling: true kernel_size: 2", "pooling_param.kernel_size"),
        ("global_pooling: true stride: 2", "pooling_param.stride"),
        ("global_pooling: true pad: 1", "pooling_param.pad"),
    ] {
        let error = pool(text).unwrap_err();
        assert!(error.starts_with(&format!("`{field}` ")), "{text}: {error}");
    }
}

#[test]
fn loss_normalisation_precedence() {
    use NormalizationMode::{BatchSize, Full, Valid};
    let mode = |normalization: Option<NormalizationMode>, normalize| {
        let p = LossParameter {
            normalization: normalization.map(i32::from),
            normalize,
            ..LossParameter::default()
        };
        defaults::loss_normalization(&p, Full)
    };
    assert_eq!(mode(Some(BatchSize), Some(true)), BatchSize);
    assert_eq!(mode(None, Some(true)), Valid);
    assert_eq!(mode(None, Some(false)), BatchSize);
    assert_eq!(mode(None, None), Full);
}

#[test]
fn a_filler_without_type_is_zero_an_absent_one_is_not() {
    assert_eq!(defaults::filler_or(None, 1.0).value(), 1.0);
    assert_eq!(defaults::filler_or(Some(&FillerParameter::default()), 1.0).value(), 0.0);
}

#[test]
fn old_and_new_axes_of_concat_and_slice_exclude_each_other() {
    let concat = |text: &str| {
        let p = text::parse::<ConcatParameter>(&Source::new("p", text)).unwrap().message;
        defaults::concat_axis(&p).map_err(|e| e.to_string())
    };
    assert_eq!(concat(""), Ok(1));
    assert_eq!(concat("concat_dim: 0"), Ok(0));
    assert_eq!(concat("axis: -1"), Ok(-1));
    let both = "`concat_param.concat_dim` and `axis` exclude each other";
    assert_eq!(concat("axis: 1 concat_dim: 1"), Err(both.into()));
    assert!(concat("concat_dim: 4294967295").is_err());
    let slice = SliceParameter { slice_dim: Some(2), ..SliceParameter::default() };
    assert_eq!(defaults::slice_axis(&slice), Ok(2));
}
