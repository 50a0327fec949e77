//! `cortado deploy --reverse`: the training net that a deploy net may have come from.

use std::collections::HashMap;

use cortado::net::Outline;
use cortado_layers::{LayerDef, Shape};
use cortado_proto::NetDef;
use cortado_proto::caffe::data_parameter::Db;
use cortado_proto::caffe::{
    AccuracyParameter, DataParameter, FillerParameter, LayerParameter, NetStateRule, ParamSpec,
    Phase, SoftmaxParameter, TransformationParameter,
};

/// What was made, in words.
pub struct Skeleton {
    /// What was done.
    pub done: Vec<String>,
    /// What is left to the user.
    pub left: Vec<String>,
    /// Shapes of what the data layers are to read, in TRAIN and in TEST.
    pub shapes: [Vec<(String, Shape)>; 2],
}

/// Pictures per batch in TRAIN and in TEST.
const BATCHES: [usize; 2] = [64, 50];

/// Labels that losses want: their name, and the shape of one item's.
type Labels = Vec<(String, Vec<usize>)>;

/// Turns a deploy net into a training net: data layers for its first input, losses for what it says at
/// its end, rates and fillers where weights are learned. `None` where it is no deploy net.
pub fn reverse(def: &mut NetDef, deployed: &Outline) -> Option<Skeleton> {
    let shapes: HashMap<&str, &Shape> = deployed
        .layers
        .iter()
        .flat_map(|layer| layer.tops.iter().map(|(name, shape)| (name.as_str(), shape)))
        .collect();
    let read: Vec<String> = def.layers.iter().flat_map(|layer| layer.bottom.clone()).collect();
    let is_output = |layer: &LayerParameter| !layer.top.iter().any(|top| read.contains(top));
    let is_head = |layer: &&LayerDef| matches!(layer.r#type(), "Softmax" | "Sigmoid");
    let heads: Vec<LayerDef> =
        def.layers.iter().filter(|l| is_head(l) && is_output(l)).cloned().collect();
    // Of several each loss keeps the name of its head.
    let names = |head: &str| match heads.len() {
        1 => ("loss".to_owned(), "accuracy".to_owned()),
        _ => (head.to_owned(), format!("{head}_accuracy")),
    };
    let mut labels: Labels = Vec::new();
    for head in &heads {
        let scores = head.bottom.first().and_then(|bottom| shapes.get(bottom.as_str()));
        let wanted = labels_of(head, scores.map_or(&[][..], |shape| shape));
        if !labels.iter().any(|(_, shape)| *shape == wanted) {
            let name = if labels.is_empty() { "label" } else { &format!("label_{}", head.name()) };
            labels.push((name.to_owned(), wanted));
        }
    }
    let label_of = |head: &LayerDef| {
        let scores = head.bottom.first().and_then(|bottom| shapes.get(bottom.as_str()));
        let wanted = labels_of(head, scores.map_or(&[][..], |shape| shape));
        let found = labels.iter().find(|(_, shape)| *shape == wanted);
        found.map_or("label".to_owned(), |(name, _)| name.clone())
    };
    let (mut done, mut left) = (Vec::new(), Vec::new());
    let mut read_shapes = [Vec::new(), Vec::new()];
    let mut layers = Vec::with_capacity(def.layers.len() + 4);
    for mut layer in std::mem::take(&mut def.layers) {
        let is_output = is_output(&layer);
        let (loss, accuracy) = names(layer.name());
        match layer.r#type() {
            "Input" if done.is_empty() && !layer.top.is_empty() => {
                done.push(format!("Data layers for `{}`", layer.name()));
                let shape = shapes.get(layer.top[0].as_str()).map_or(&[][..], |shape| shape);
                let (made, more) = data(&layer, shape, &labels, &mut read_shapes);
                layers.extend(made);
                left.extend(more);
                let rest = layer.top.split_off(1);
                let p = layer.param.input_param.get_or_insert_default();
                if p.shape.len() > 1 {
                    p.shape.remove(0);
                }
                let Some(first) = rest.first().cloned() else { continue };
                left.push(stays(&rest));
                (layer.param.name, layer.param.top) = (Some(first), rest);
            }
            "Input" => left.push(stays(&layer.top)),
            "Softmax" if is_output => {
                let label = label_of(&layer);
                done.push(format!("SoftmaxWithLoss and Accuracy for `{}`", layer.name()));
                layers.push(measure(&layer, "Accuracy", &accuracy, &label, Some(Phase::Test)));
                layer = measure(&layer, "SoftmaxWithLoss", &loss, &label, None);
            }
            "Sigmoid" if is_output => {
                let label = label_of(&layer);
                done.push(format!("SigmoidCrossEntropyLoss for `{}`", layer.name()));
                layer = measure(&layer, "SigmoidCrossEntropyLoss", &loss, &label, None);
            }
            _ => learn(&mut layer.param),
        }
        layers.push(layer);
    }
    def.layers = layers;
    (!done.is_empty()).then_some(Skeleton { done, left, shapes: read_shapes })
}

fn stays(tops: &[String]) -> String {
    format!("`{}` stays an Input, which nothing fills while training", tops.join("`, `"))
}

/// The shape of the labels of one item, for scores with a batch axis; nothing for one number.
fn labels_of(head: &LayerDef, scores: &[usize]) -> Vec<usize> {
    let mut each = scores.get(1..).unwrap_or_default().to_vec();
    if head.r#type() == "Softmax" {
        let axis = head.softmax_param.as_ref().map_or(1, |p| p.axis());
        let axis = if axis < 0 { axis + scores.len() as i32 } else { axis };
        if let Some(classes) = usize::try_from(axis - 1).ok().and_then(|at| each.get_mut(at)) {
            *classes = 1;
        }
    }
    if each.iter().product::<usize>() == 1 { Vec::new() } else { each }
}

/// Layers that read what the input was given, and labels; and what is to be known of them.
fn data(
    input: &LayerDef,
    shape: &[usize],
    labels: &Labels,
    read: &mut [Vec<(String, Shape)>; 2],
) -> (Vec<LayerDef>, Vec<String>) {
    let top = input.top[0].clone();
    let each = shape.get(1..).unwrap_or_default();
    // Records hold one label beside their picture; any other comes from records of its own.
    let (own, others): (Vec<_>, Vec<_>) = labels.iter().partition(|(_, shape)| shape.is_empty());
    let own = own.first().map(|(name, _)| name.clone());
    // Cut or turned at random, pictures no longer fit labels that are pictures themselves.
    let side = match each {
        [_, h, w] if h == w && others.is_empty() => u32::try_from(*h).ok(),
        _ => None,
    };
    let is_photo = side.is_some() && each.first() == Some(&3);
    let mut layers = Vec::new();
    for (i, phase) in [Phase::Train, Phase::Test].into_iter().enumerate() {
        let mut blobs = vec![(top.clone(), each.to_vec())];
        let tops = [top.clone()].into_iter().chain(own.clone()).collect();
        let name = input.name();
        layers.push(reader(input, name, tops, "", (phase, BATCHES[i]), (side, is_photo)));
        for (label, shape) in &others {
            blobs.push((label.clone(), shape.clone()));
            let tops = vec![label.clone()];
            let of = format!("_{label}");
            layers.push(reader(input, label, tops, &of, (phase, BATCHES[i]), (None, false)));
        }
        read[i].extend(blobs.into_iter().map(|(name, each)| {
            let dims: Vec<usize> = [BATCHES[i]].into_iter().chain(each).collect();
            (name, Shape::new(&dims))
        }));
    }
    let mut left = Vec::new();
    if !(is_photo && others.is_empty()) {
        let (what, flags): (Vec<String>, Vec<String>) = read[0]
            .iter()
            .map(|(name, shape)| {
                let each = Shape::new(&shape[1..]);
                (format!("`{name}` {each}"), format!("--assume-shape {name}={shape}"))
            })
            .unzip();
        left.push(format!(
            "the records have to hold {}; until they are there, `cortado check --phase TRAIN {}`",
            what.join(" and "),
            flags.join(" ")
        ));
    }
    (layers, left)
}

/// One Data layer.
fn reader(
    input: &LayerDef,
    name: &str,
    top: Vec<String>,
    of: &str,
    (phase, batch): (Phase, usize),
    (side, mirrors): (Option<u32>, bool),
) -> LayerDef {
    let train = phase == Phase::Train;
    let mut layer = input.clone();
    let transform = TransformationParameter {
        mirror: (train && mirrors).then_some(true),
        crop_size: side,
        ..TransformationParameter::default()
    };
    layer.param = LayerParameter {
        name: Some(name.to_owned()),
        r#type: Some("Data".to_owned()),
        top,
        include: vec![NetStateRule { phase: Some(phase.into()), ..NetStateRule::default() }],
        transform_param: side.is_some().then_some(transform),
        data_param: Some(DataParameter {
            source: Some(format!("{}{of}_lmdb", if train { "train" } else { "test" })),
            batch_size: u32::try_from(batch).ok(),
            backend: Some(Db::Lmdb.into()),
            ..DataParameter::default()
        }),
        ..LayerParameter::default()
    };
    layer
}

/// A layer that holds what `head` read against the labels.
fn measure(
    head: &LayerDef,
    type_name: &str,
    top: &str,
    label: &str,
    phase: Option<Phase>,
) -> LayerDef {
    let axis = head.softmax_param.as_ref().and_then(|p| p.axis);
    let mut layer = head.clone();
    layer.param = LayerParameter {
        name: Some(top.to_owned()),
        r#type: Some(type_name.to_owned()),
        bottom: head.bottom.iter().cloned().chain([label.to_owned()]).collect(),
        top: vec![top.to_owned()],
        include: phase
            .map(|phase| NetStateRule { phase: Some(phase.into()), ..NetStateRule::default() })
            .into_iter()
            .collect(),
        softmax_param: axis
            .filter(|_| phase.is_none() && type_name.starts_with("Softmax"))
            .map(|axis| SoftmaxParameter { axis: Some(axis), ..SoftmaxParameter::default() }),
        accuracy_param: axis
            .filter(|_| type_name == "Accuracy")
            .map(|axis| AccuracyParameter { axis: Some(axis), ..AccuracyParameter::default() }),
        ..LayerParameter::default()
    };
    layer
}

fn filler(type_name: &str) -> FillerParameter {
    FillerParameter { r#type: Some(type_name.to_owned()), ..FillerParameter::default() }
}

/// Rates and fillers where the file has none; statistics of the batch where it has fixed ones.
fn learn(layer: &mut LayerParameter) {
    let mut biased = None;
    if let Some(p) = &mut layer.convolution_param {
        biased = Some(p.bias_term());
        p.weight_filler.get_or_insert_with(|| filler("msra"));
        if p.bias_term() {
            p.bias_filler.get_or_insert_with(|| filler("constant"));
        }
    }
    if let Some(p) = &mut layer.inner_product_param {
        biased = Some(p.bias_term());
        p.weight_filler.get_or_insert_with(|| filler("xavier"));
        if p.bias_term() {
            p.bias_filler.get_or_insert_with(|| filler("constant"));
        }
    }
    if let Some(p) = &mut layer.batch_norm_param {
        p.use_global_stats = None;
    }
    if !layer.param.is_empty() {
        return;
    }
    let rate = |lr: f32, decay: f32| ParamSpec {
        lr_mult: Some(lr),
        decay_mult: Some(decay),
        ..ParamSpec::default()
    };
    if let Some(biased) = biased {
        layer.param.push(rate(1.0, 1.0));
        layer.param.extend(biased.then(|| rate(2.0, 0.0)));
    } else if layer.r#type() == "Scale" && layer.bottom.len() == 1 {
        // Of γ and β decay makes no smaller function: the layers behind undo it.
        let bias = layer.scale_param.as_ref().is_some_and(|p| p.bias_term());
        layer.param.extend((0..=usize::from(bias)).map(|_| rate(1.0, 0.0)));
    }
}
