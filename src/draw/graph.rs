//! What is drawn: boxes of layers that run as one, and the blobs between them.

use std::collections::HashMap;

use cortado_layers::{LayerDef, Shape};
use cortado_proto::NetDef;

use super::text::{count, shape};
use crate::net::{Assumed, Net, NetOptions, Outline, Wiring, default_shapes};

/// What a box is for, which gives its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Data and inputs.
    Data,
    /// Convolutions, inner products and whatever else has weights.
    Weights,
    /// Pooling and other changes of resolution.
    Pool,
    /// Normalisation on its own.
    Norm,
    /// Activations on their own.
    Act,
    /// Several blobs into one, one into several.
    Join,
    /// Other axes, same values.
    Shape,
    /// Losses, scores, probabilities.
    Loss,
    /// The rest.
    Other,
}

/// One layer in a box.
#[derive(Clone, Debug)]
pub struct Line {
    /// Name.
    pub name: String,
    /// Type.
    pub type_name: String,
    /// What its fields say, shortly: `7×7 → 64, /2`.
    pub detail: String,
    /// Shapes of its parameters.
    pub params: Vec<Shape>,
}

/// A blob that a box makes.
#[derive(Clone, Debug)]
pub struct Top {
    /// Name.
    pub name: String,
    /// Shape, where it can be told.
    pub shape: Option<Shape>,
    /// Whether some box reads it.
    pub read: bool,
}

/// Layers that run as one.
#[derive(Clone, Debug)]
pub struct Node {
    /// In the order in which they run.
    pub lines: Vec<Line>,
    /// What it is for.
    pub look: Look,
    /// What it makes.
    pub tops: Vec<Top>,
    /// Bottoms that no line leads to: made by nobody, or far away (`data` of a prior box).
    pub named: Vec<String>,
}

/// A blob that goes from one box to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Number of the box that makes it.
    pub from: usize,
    /// Which of its tops.
    pub top: usize,
    /// Number of the box that reads it.
    pub to: usize,
}

/// A net as boxes and lines. Boxes stand in the order in which they run.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The net's name.
    pub name: String,
    /// The boxes.
    pub nodes: Vec<Node>,
    /// The lines.
    pub edges: Vec<Edge>,
    /// Mistakes of the net: what could not be told is left out of the picture.
    pub mistakes: usize,
}

impl Node {
    /// Number of its parameters.
    pub fn params(&self) -> usize {
        self.lines.iter().flat_map(|line| &line.params).map(|shape| shape.count()).sum()
    }

    /// The parameters, to stand in a corner; empty for none.
    pub fn weight(&self) -> String {
        match self.params() {
            0 => String::new(),
            n => count(n),
        }
    }

    /// All there is to know of it.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for line in &self.lines {
            told += &format!("{} ({})", line.name, line.type_name);
            if !line.detail.is_empty() {
                told += &format!(": {}", line.detail);
            }
            for params in &line.params {
                told += &format!("\n  parameter {}", shape(params));
            }
            told.push('\n');
        }
        for top in &self.tops {
            let dims = top.shape.as_ref().map(|s| shape(s)).unwrap_or_default();
            told += &format!("→ {} {dims}\n", top.name);
        }
        told.trim_end().to_owned()
    }
}

impl Graph {
    /// The graph of a net in a phase. A net with mistakes is drawn as far as it can be told.
    ///
    /// # Errors
    /// An old field of the file makes no sense.
    pub fn of(
        mut def: NetDef,
        options: &NetOptions,
        assumed: Option<&Shape>,
    ) -> Result<Graph, cortado_proto::Errors> {
        cortado_proto::upgrade::net(&mut def)?;
        let assumed = Assumed { first: assumed.cloned(), ..Assumed::default() };
        let data = |layer: &LayerDef| default_shapes(layer, &assumed);
        let outline = Net::outline(def.clone(), options, &data);
        // What rules cannot decide is told by the outline already.
        let state = options.state.clone().and(def.param.state.as_ref());
        let _ = crate::net::filter(&mut def, &state);
        Ok(drawn(&def, &outline))
    }
}

fn drawn(def: &NetDef, outline: &Outline) -> Graph {
    let known: HashMap<&str, _> = outline.layers.iter().map(|l| (l.name.as_str(), l)).collect();
    let Wiring { values, bottoms, tops: made } = Wiring::of(def.layers.iter().map(|l| &l.param));
    let mut graph = Graph {
        name: def.param.name().to_owned(),
        mistakes: outline.errors.len(),
        ..Graph::default()
    };
    // For each layer its box, and for each value the box and the top that stand for it.
    let mut box_of = vec![0; def.layers.len()];
    let mut made_by: Vec<Option<(usize, usize)>> = vec![None; values.len()];
    for (i, layer) in def.layers.iter().enumerate() {
        let own = known.get(layer.name());
        let line = Line {
            name: layer.name().to_owned(),
            type_name: layer.r#type().to_owned(),
            detail: detail(layer),
            params: own.map(|own| own.params.clone()).unwrap_or_default(),
        };
        let shape_of = |top: &String| {
            let found = own.and_then(|own| own.tops.iter().find(|(name, _)| name == top));
            found.map(|(_, shape)| shape.clone())
        };
        let tops: Vec<Top> = layer
            .top
            .iter()
            .map(|name| Top { name: name.clone(), shape: shape_of(name), read: false })
            .collect();
        let joined = match bottoms[i][..] {
            [Some(v)] if layer.top.len() == 1 && runs_with_its_producer(layer) => {
                let (host, top) = made_by[v].unwrap_or_default();
                let alone = values[v].readers.len() == 1 && graph.nodes[host].tops.len() == 1;
                let fits = graph.nodes[host].look != Look::Data;
                (alone && fits).then_some((host, top))
            }
            _ => None,
        };
        if let Some((host, top)) = joined {
            graph.nodes[host].lines.push(line);
            graph.nodes[host].tops = tops;
            box_of[i] = host;
            made[i].iter().for_each(|&v| made_by[v] = Some((host, top)));
            continue;
        }
        box_of[i] = graph.nodes.len();
        made[i].iter().for_each(|&v| made_by[v] = Some((box_of[i], values[v].top)));
        let mut named = Vec::new();
        for (bottom, &version) in layer.bottom.iter().zip(&bottoms[i]) {
            match version.and_then(|v| made_by[v]) {
                Some((from, top)) => {
                    let edge = Edge { from, top, to: box_of[i] };
                    if !graph.edges.contains(&edge) {
                        graph.edges.push(edge);
                    }
                    graph.nodes[from].tops[top].read = true;
                }
                None => named.push(bottom.clone()),
            }
        }
        graph.nodes.push(Node { lines: vec![line], look: look(layer.r#type()), tops, named });
    }
    graph
}

/// Types that change every element on its own (or per channel) and nothing else.
fn runs_with_its_producer(layer: &LayerDef) -> bool {
    let own = matches!(look(layer.r#type()), Look::Act | Look::Norm);
    own && layer.bottom.len() == 1 && !matches!(layer.r#type(), "LRN" | "MVN" | "Normalize")
}

fn look(type_name: &str) -> Look {
    match type_name {
        "Input" | "Parameter" => Look::Data,
        t if t.ends_with("Data") => Look::Data,
        "Convolution"
        | "Deconvolution"
        | "InnerProduct"
        | "Embed"
        | "Local"
        | "LSTM"
        | "RNN"
        | "Lstm"
        | "ConvolutionDepthwise"
        | "DepthwiseConvolution" => Look::Weights,
        "Pooling" | "SPP" | "ROIPooling" | "ROIAlign" | "PSROIPooling" | "Upsample" | "Interp"
        | "Resize" | "Unpooling" => Look::Pool,
        "BatchNorm" | "BN" | "LRN" | "MVN" | "Normalize" | "Scale" | "Bias" | "EltwiseAffine" => {
            Look::Norm
        }
        "ReLU" | "PReLU" | "ELU" | "Sigmoid" | "TanH" | "AbsVal" | "BNLL" | "Exp" | "Log"
        | "Power" | "Swish" | "Mish" | "ReLU6" | "RReLU" | "Clip" | "Threshold" | "APL"
        | "Dropout" | "SpatialDropout" => Look::Act,
        "Concat" | "Eltwise" | "Slice" | "Split" | "Crop" | "Axpy" | "Filter" | "Reduction"
        | "DetectionOutput" | "Proposal" => Look::Join,
        "Reshape" | "Flatten" | "Permute" | "Reorg" | "ShuffleChannel" | "Tile" | "Transpose"
        | "BatchReindex" | "Im2col" | "PriorBox" => Look::Shape,
        "Softmax" | "ArgMax" | "Accuracy" => Look::Loss,
        t if t.contains("Loss") => Look::Loss,
        _ => Look::Other,
    }
}

/// What the fields of a layer say, shortly.
fn detail(layer: &LayerDef) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(p) = &layer.convolution_param {
        let kernel = pair(p.kernel_h, p.kernel_w, &p.kernel_size, 0);
        parts.push(format!("{} → {}", kernel.unwrap_or_default(), p.num_output()));
        let stride = pair(p.stride_h, p.stride_w, &p.stride, 1);
        parts.extend(stride.map(|s| format!("/{}", same(&s))));
        let pad = pair(p.pad_h, p.pad_w, &p.pad, 0);
        parts.extend(pad.map(|s| format!("pad {}", same(&s))));
        let dilation = p.dilation.first().filter(|&&d| d > 1);
        parts.extend(dilation.map(|d| format!("dilation {d}")));
        parts.extend((p.group() > 1).then(|| format!("group {}", p.group())));
    }
    if let Some(p) = &layer.pooling_param {
        parts.push(p.pool().as_str_name().to_owned());
        if p.global_pooling() {
            parts.push("global".to_owned());
        }
        let sizes = |one: Option<u32>| one.into_iter().collect::<Vec<_>>();
        parts.extend(pair(p.kernel_h, p.kernel_w, &sizes(p.kernel_size), 0));
        let stride = pair(p.stride_h, p.stride_w, &sizes(p.stride), 1);
        parts.extend(stride.map(|s| format!("/{}", same(&s))));
    }
    if let Some(p) = &layer.inner_product_param {
        parts.push(format!("→ {}", p.num_output()));
    }
    if let Some(p) = &layer.eltwise_param {
        parts.push(p.operation().as_str_name().to_owned());
    }
    if let Some(p) = &layer.dropout_param {
        parts.push(p.dropout_ratio().to_string());
    }
    if let Some(p) = &layer.lrn_param {
        parts.push(format!("over {}", p.local_size()));
    }
    if let Some(p) = layer.concat_param.as_ref().filter(|p| p.axis.is_some()) {
        parts.push(format!("axis {}", p.axis()));
    }
    if let Some(p) = &layer.permute_param {
        let order: Vec<String> = p.order.iter().map(u32::to_string).collect();
        parts.push(order.join(" "));
    }
    let mut told = String::new();
    for part in parts {
        // The pieces that begin with a sign follow without comma.
        if !told.is_empty() {
            told.push_str(if part.starts_with('/') { " " } else { ", " });
        }
        told += &part;
    }
    told
}

/// `3×3`, from whichever fields give it; `None` for the usual value.
fn pair(h: Option<u32>, w: Option<u32>, sizes: &[u32], usual: u32) -> Option<String> {
    let of = |own: Option<u32>, i: usize| own.or(sizes.get(i).copied()).or(sizes.first().copied());
    let (h, w) = (of(h, 0).unwrap_or(usual), of(w, 1).unwrap_or(usual));
    (h != usual || w != usual).then(|| format!("{h}×{w}"))
}

/// `2` for `2×2`.
fn same(pair: &str) -> &str {
    match pair.split_once('×') {
        Some((h, w)) if h == w => h,
        _ => pair,
    }
}
