//! DummyData: tops filled by fillers, for tests and timing.

use cortado_layers::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, Shape, filler,
};
use cortado_proto::caffe::{DummyDataParameter, FillerParameter};

/// The type `DummyData`.
pub static KIND: LayerKind = LayerKind::new("DummyData", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::at_least(1))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None);

static DOC: LayerDoc = LayerDoc {
    summary: "Tops of given shapes, filled with constants or random numbers.",
    params: &["dummy_data_param"],
    bottoms: &[],
    tops: &["each: its `shape`, or the only one given"],
    blobs: &[],
    forward: "top[i] = filler[i]",
    backward: "",
    notes: "\
`shape` stands once for all tops or once per top; so do the older `num`, `channels`, `height`, \
`width`, which go together and exclude `shape`. `data_filler` stands once, once per top, or not at \
all (zeros). Random fillers give new numbers in every forward pass, drawn from the seed. Constants \
are written in every pass; the original writes them once, so that there a layer working in place on \
such a top changes it for good.",
    example: r#"layer {
  name: "dummy"
  type: "DummyData"
  top: "data"
  top: "label"
  dummy_data_param {
    shape { dim: 10 dim: 3 dim: 32 dim: 32 }
    shape { dim: 10 }
    data_filler { type: "gaussian" std: 1 }
    data_filler { type: "constant" value: 0 }
  }
}"#,
    source: "Caffe: dummy_data_layer.cpp",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.dummy_data_param.clone().unwrap_or_default();
    let tops = def.top.len();
    let fillers = match param.data_filler.len() {
        0 => vec![FillerParameter::default()],
        n if n == 1 || n == tops => param.data_filler.clone(),
        n => {
            let why =
                format!("data_filler stands {n} times, once or once per top ({tops}) is wanted");
            return Err(LayerError::field("dummy_data_param.data_filler", why));
        }
    };
    let shapes = if param.shape.is_empty() { legacy(&param, tops)? } else { modern(&param, tops)? };
    Ok(Box::new(DummyDataLayer { fillers, shapes }))
}

fn modern(param: &DummyDataParameter, tops: usize) -> Result<Vec<Shape>, LayerError> {
    let n = param.shape.len();
    if n != 1 && n != tops {
        let why = format!("shape stands {n} times, once or once per top ({tops}) is wanted");
        return Err(LayerError::field("dummy_data_param.shape", why));
    }
    let old = [&param.num, &param.channels, &param.height, &param.width];
    if old.iter().any(|list| !list.is_empty()) {
        let why = "shape and the older num, channels, height, width exclude each other";
        return Err(LayerError::field("dummy_data_param.shape", why));
    }
    let shape = |(i, shape): (usize, &cortado_proto::caffe::BlobShape)| {
        Shape::from_file(&shape.dim)
            .map_err(|why| LayerError::field(format!("dummy_data_param.shape[{i}]"), why))
    };
    param.shape.iter().enumerate().map(shape).collect()
}

fn legacy(param: &DummyDataParameter, tops: usize) -> Result<Vec<Shape>, LayerError> {
    let axes = [
        ("num", &param.num),
        ("channels", &param.channels),
        ("height", &param.height),
        ("width", &param.width),
    ];
    for (name, list) in axes {
        let n = list.len();
        if n != 1 && n != tops {
            let why = format!("{name} stands {n} times, once or once per top ({tops}) is wanted");
            let error = LayerError::field(format!("dummy_data_param.{name}"), why);
            let bare = axes.iter().all(|(_, list)| list.is_empty());
            return Err(if bare { error.help("or give `shape { dim: … }`") } else { error });
        }
    }
    let shape = |i: usize| {
        let dims = axes.map(|(_, list)| i64::from(if list.len() == 1 { list[0] } else { list[i] }));
        Shape::from_file(&dims).map_err(|why| LayerError::field("dummy_data_param.num", why))
    };
    (0..tops).map(shape).collect()
}

struct DummyDataLayer {
    /// One for all tops, or one per top.
    fillers: Vec<FillerParameter>,
    shapes: Vec<Shape>,
}

/// The item for top `i` of a list that holds one for all or one per top.
fn of<T>(list: &[T], i: usize) -> &T {
    if list.len() == 1 { &list[0] } else { &list[i] }
}

impl Layer for DummyDataLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        for (i, top) in cx.tops.iter_mut().enumerate() {
            top.clone_from(of(&self.shapes, i));
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        for (i, top) in cx.tops.iter_mut().enumerate() {
            let in_field = |mut e: LayerError| {
                if let cortado_layers::At::Field(name) = &e.at {
                    let at = if self.fillers.len() == 1 { 0 } else { i };
                    let path = format!("dummy_data_param.data_filler[{at}].{name}");
                    e.at = cortado_layers::At::Field(path);
                }
                e
            };
            filler::fill(of(&self.fillers, i), top.shape, top.data, cx.rng).map_err(in_field)?;
        }
        Ok(())
    }

    fn backward(&mut self, _cx: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
