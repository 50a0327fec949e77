//! Several trained nets as one: the mean of their probabilities is what is scored.

use std::collections::BTreeMap;

use cortado_layers::Shape;
use cortado_proto::caffe::{BlobShape, InputParameter, LayerParameter};
use cortado_proto::{LayerDef, NetDef};

use super::ToolError;
use crate::Error;
use crate::net::{Net, NetErrors, NetOptions, filter};

/// Nets of one definition with different weights, and the layers that score.
pub struct Ensemble {
    members: Vec<Net>,
    /// The layers that score alone, on inputs.
    head: Net,
    scores: Vec<Scores>,
    /// What else the head reads: labels.
    others: Vec<String>,
}

/// A blob whose probabilities are averaged.
struct Scores {
    blob: String,
    axis: i32,
    /// Whether a Softmax made it; otherwise one is applied, and the head gets the logarithms.
    probabilities: bool,
}

/// Layers that score, and the axis along which their first bottom has the classes.
fn classes(layer: &LayerDef) -> Option<i32> {
    match layer.r#type() {
        "Accuracy" => Some(layer.accuracy_param.as_ref().map_or(1, |p| p.axis())),
        "SoftmaxWithLoss" => Some(layer.softmax_param.as_ref().map_or(1, |p| p.axis())),
        "MultinomialLogisticLoss" => Some(1),
        _ => None,
    }
}

impl Ensemble {
    /// Of nets that read the same data in the same order; `def` is what they were built from.
    ///
    /// # Errors
    /// No layer scores, or the layers that do make no net.
    pub fn new(
        mut def: NetDef,
        mut members: Vec<Net>,
        options: &NetOptions,
    ) -> Result<Ensemble, Error> {
        cortado_proto::upgrade::net(&mut def)?;
        let state = options.state.clone().and(def.param.state.as_ref());
        NetErrors::check(filter(&mut def, &state))?;
        let mut makers: BTreeMap<String, bool> = BTreeMap::new();
        let (mut scores, mut others): (Vec<Scores>, Vec<String>) = (Vec::new(), Vec::new());
        let mut scoring = Vec::new();
        for layer in std::mem::take(&mut def.layers) {
            if let Some(axis) = classes(&layer) {
                let mut bottoms = layer.bottom.iter();
                if let Some(blob) = bottoms.next()
                    && !scores.iter().any(|s| s.blob == *blob)
                {
                    let made = makers.get(blob).copied().unwrap_or(false);
                    let loss = layer.r#type() == "MultinomialLogisticLoss";
                    let probabilities = made || loss;
                    scores.push(Scores { blob: blob.clone(), axis, probabilities });
                }
                let new = bottoms.filter(|b| !others.contains(b)).cloned().collect::<Vec<_>>();
                others.extend(new);
                scoring.push(layer);
            } else {
                let softmax = layer.r#type() == "Softmax";
                makers.extend(layer.top.iter().map(|top| (top.clone(), softmax)));
            }
        }
        let Some(first) = members.first().filter(|_| !scores.is_empty()) else {
            let why = "no layer of the net scores: Accuracy and SoftmaxWithLoss do";
            return Err(ToolError(why.to_owned()).into());
        };
        let names: Vec<&str> = scores
            .iter()
            .map(|s| s.blob.as_str())
            .chain(others.iter().map(String::as_str))
            .collect();
        let input = |name: &&str| {
            let dim = first.shape(name).map(|shape| shape.to_i64()).unwrap_or_default();
            LayerParameter {
                name: Some(format!("{name} of the ensemble")),
                r#type: Some("Input".to_owned()),
                top: vec![(*name).to_owned()],
                input_param: Some(InputParameter { shape: vec![BlobShape { dim }] }),
                ..LayerParameter::default()
            }
        };
        def.layers = names.iter().map(input).map(LayerDef::from).collect();
        def.layers.extend(scoring);
        let head = Net::build(def, options)?;
        members.iter_mut().try_for_each(|net| net.keep(&names))?;
        Ok(Ensemble { members, head, scores, others })
    }

    /// The nets.
    pub fn members(&self) -> &[Net] {
        &self.members
    }

    /// What scores: its outputs are those of the ensemble.
    pub fn head(&self) -> &Net {
        &self.head
    }

    /// One batch: each net, then the head on the mean of their probabilities. The loss of the head.
    ///
    /// # Errors
    /// A pass fails, or the nets do not see the same labels.
    pub fn forward(&mut self) -> Result<f64, Error> {
        for net in &mut self.members {
            net.forward()?;
        }
        for name in &self.others {
            let labels = self.members[0].read(name)?.data.to_vec();
            for net in &mut self.members[1..] {
                if net.read(name)?.data != labels {
                    let why = format!("the nets do not see the same data: `{name}` differs");
                    return Err(ToolError(why).into());
                }
            }
            let shape = self.members[0].read(name)?.shape.clone();
            set(&mut self.head, name, &shape, &labels)?;
        }
        for score in &self.scores {
            let mut mean: Vec<f64> = Vec::new();
            let mut shape = Shape::scalar();
            for net in &mut self.members {
                let blob = net.read(&score.blob)?;
                shape = blob.shape.clone();
                let axis = shape.axis(score.axis, "axis").map_err(ToolError::from)?;
                let values = match score.probabilities {
                    true => blob.data.iter().map(|&v| f64::from(v)).collect(),
                    false => softmax(blob.data, shape.around(axis)),
                };
                mean.resize(values.len(), 0.0);
                mean.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            let count = self.members.len() as f64;
            let values: Vec<f32> = match score.probabilities {
                true => mean.iter().map(|sum| (sum / count) as f32).collect(),
                // The head's Softmax makes probabilities of logarithms again.
                false => mean
                    .iter()
                    .map(|sum| (sum / count).max(f64::from(f32::MIN_POSITIVE)).ln() as f32)
                    .collect(),
            };
            set(&mut self.head, &score.blob, &shape, &values)?;
        }
        Ok(self.head.forward()?)
    }

    /// Ends what the nets have begun.
    ///
    /// # Errors
    /// A file cannot be finished.
    pub fn close(&mut self) -> Result<(), Error> {
        self.members.iter_mut().try_for_each(Net::close)?;
        Ok(())
    }
}

fn set(head: &mut Net, name: &str, shape: &Shape, values: &[f32]) -> Result<(), Error> {
    if head.shape(name) != Some(shape) {
        head.reshape_input(name, shape.clone())?;
    }
    if let Some(input) = head.input_mut(name) {
        input.data.copy_from_slice(values);
    }
    Ok(())
}

/// Probabilities along the middle of (outer, classes, inner).
fn softmax(scores: &[f32], (outer, classes, inner): (usize, usize, usize)) -> Vec<f64> {
    let mut all = vec![0.0; scores.len()];
    for item in 0..outer * inner {
        let at = |class: usize| (item / inner * classes + class) * inner + item % inner;
        let largest = (0..classes).map(|c| scores[at(c)]).fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for c in 0..classes {
            all[at(c)] = f64::from(scores[at(c)] - largest).exp();
            sum += all[at(c)];
        }
        (0..classes).for_each(|c| all[at(c)] /= sum);
    }
    all
}
