//! `cortado deploy --reverse`: the training net that a deploy net may have come from.

use cortado_layers::LayerDef;
use cortado_proto::NetDef;
use cortado_proto::caffe::data_parameter::Db;
use cortado_proto::caffe::{
    AccuracyParameter, DataParameter, FillerParameter, LayerParameter, NetStateRule, ParamSpec,
    Phase, SoftmaxParameter, TransformationParameter,
};

/// Turns a deploy net into a training net: data layers for its first input, losses for what it says at
/// its end, rates and fillers where weights are learned. What was done, in words.
pub fn reverse(def: &mut NetDef) -> Vec<String> {
    let mut told = Vec::new();
    let read: Vec<String> = def.layers.iter().flat_map(|layer| layer.bottom.clone()).collect();
    let is_output = |layer: &LayerParameter| !layer.top.iter().any(|top| read.contains(top));
    let is_head = |layer: &&LayerDef| matches!(layer.r#type(), "Softmax" | "Sigmoid");
    let heads = def.layers.iter().filter(|l| is_head(l) && is_output(l)).count();
    // Of several each loss keeps the name of its head.
    let names = |head: &str| match heads {
        1 => ("loss".to_owned(), "accuracy".to_owned()),
        _ => (head.to_owned(), format!("{head}_accuracy")),
    };
    let mut layers = Vec::with_capacity(def.layers.len() + 4);
    let mut fed = false;
    for mut layer in std::mem::take(&mut def.layers) {
        let is_output = is_output(&layer);
        let (loss, accuracy) = names(layer.name());
        match layer.r#type() {
            "Input" if !fed => {
                fed = true;
                told.push(format!("Data layers for `{}`", layer.name()));
                let [train, test] = [Phase::Train, Phase::Test].map(|phase| data(&layer, phase));
                layers.extend([train, test]);
                continue;
            }
            "Softmax" if is_output => {
                told.push(format!("SoftmaxWithLoss and Accuracy for `{}`", layer.name()));
                layers.push(measure(&layer, "Accuracy", &accuracy, Some(Phase::Test)));
                layer = measure(&layer, "SoftmaxWithLoss", &loss, None);
            }
            "Sigmoid" if is_output => {
                told.push(format!("SigmoidCrossEntropyLoss for `{}`", layer.name()));
                layer = measure(&layer, "SigmoidCrossEntropyLoss", &loss, None);
            }
            _ => learn(&mut layer.param),
        }
        layers.push(layer);
    }
    def.layers = layers;
    told
}

/// A layer that reads what the input was given.
fn data(input: &LayerDef, phase: Phase) -> LayerDef {
    let shape = input.input_param.as_ref().and_then(|p| p.shape.first());
    let side = match shape.map_or(&[][..], |shape| &shape.dim) {
        [_, _, h, w] if h == w => u32::try_from(*h).ok(),
        _ => None,
    };
    let train = phase == Phase::Train;
    let top = input.top.first().cloned().unwrap_or_else(|| "data".to_owned());
    let mut layer = input.clone();
    layer.param = LayerParameter {
        name: Some(input.name().to_owned()),
        r#type: Some("Data".to_owned()),
        top: vec![top, "label".to_owned()],
        include: vec![NetStateRule { phase: Some(phase.into()), ..NetStateRule::default() }],
        transform_param: Some(TransformationParameter {
            mirror: train.then_some(true),
            crop_size: side,
            ..TransformationParameter::default()
        }),
        data_param: Some(DataParameter {
            source: Some(if train { "train_lmdb" } else { "test_lmdb" }.to_owned()),
            batch_size: Some(if train { 64 } else { 50 }),
            backend: Some(Db::Lmdb.into()),
            ..DataParameter::default()
        }),
        ..LayerParameter::default()
    };
    layer
}

/// A layer that holds what `head` read against the labels.
fn measure(head: &LayerDef, type_name: &str, top: &str, phase: Option<Phase>) -> LayerDef {
    let axis = head.softmax_param.as_ref().and_then(|p| p.axis);
    let mut layer = head.clone();
    layer.param = LayerParameter {
        name: Some(top.to_owned()),
        r#type: Some(type_name.to_owned()),
        bottom: head.bottom.iter().cloned().chain(["label".to_owned()]).collect(),
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
