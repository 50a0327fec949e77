//! Plans to look at: `cortado time --plan`.

use cortado_kernels::ConvAlgo;
use cortado_layers::{Act, PoolKind, Prim};

use super::slots::Home;
use super::step::{Form, Place, Step, Weights, Work};
use crate::net::{LayerInfo, Net};

/// What there is to know of a step.
#[derive(Clone, Debug)]
pub struct StepInfo {
    /// The layers whose work it is; none for a reorder.
    pub layers: Vec<String>,
    /// What is computed, `conv + add + relu`.
    pub work: String,
    /// How, `direct`.
    pub algorithm: &'static str,
    /// Layouts in and out, `nchw -> nchw16c`.
    pub layout: String,
    /// Where the result lies: a slot's number, or the blob's own memory.
    pub memory: String,
    /// The rules that made it.
    pub rules: Vec<&'static str>,
    /// Multiply-adds, of the layers that declare them.
    pub macs: u64,
    /// Bytes of its operands, of its result and of its weights.
    pub bytes: u64,
    /// The steps that it consists of, where it takes the images of a batch a few at a time.
    pub parts: Vec<StepInfo>,
}

impl Net {
    /// The steps of the plan, made now unless there is one; `None` where the net runs layer by layer.
    pub fn plan_steps(&mut self) -> Option<Vec<StepInfo>> {
        self.ready_plan();
        let plan = self.plan.as_ref()?;
        let mut steps: Vec<StepInfo> =
            plan.steps.iter().map(|step| self.step_info(step, &plan.homes)).collect();
        steps.extend(self.nodes[plan.end..].iter().map(|node| StepInfo {
            layers: vec![node.def.name().to_owned()],
            work: node.kind.type_name.to_owned(),
            algorithm: "layer",
            layout: "nchw".to_owned(),
            memory: "blob".to_owned(),
            rules: Vec::new(),
            macs: 0,
            bytes: 0,
            parts: Vec::new(),
        }));
        Some(steps)
    }

    fn step_info(&self, step: &Step, homes: &[Home]) -> StepInfo {
        let memory = |place: &Place| match homes[place.buffer] {
            Home::Slot(slot) => format!("slot {slot}"),
            Home::Storage(_) => "blob".to_owned(),
        };
        let parts = match &step.work {
            Work::Images(images, _) => {
                images.steps.iter().map(|step| self.step_info(step, &images.homes)).collect()
            }
            _ => Vec::new(),
        };
        let floats: usize = step.reads().chain(&step.dsts).map(|p| p.shape.count()).sum();
        let macs = step.nodes.iter().map(|&i| LayerInfo::new(self, i).macs());
        StepInfo {
            layers: step.nodes.iter().map(|&i| self.nodes[i].def.name().to_owned()).collect(),
            work: work(step, |node| self.nodes[node].kind.type_name),
            algorithm: algorithm(&step.work),
            layout: layout(step),
            memory: step.dsts.first().map(memory).unwrap_or_default(),
            rules: step.rules.clone(),
            macs: macs.sum(),
            bytes: (floats * size_of::<f32>() + weight_bytes(&step.work)) as u64,
            parts,
        }
    }

    /// Bytes of the memory that the plan's values share.
    pub fn plan_bytes(&self) -> usize {
        let slots = self.plan.iter().flat_map(|plan| &plan.slots).map(|slot| slot.len);
        let arenas = self.plan.iter().flat_map(|plan| &plan.arenas).flatten().flatten();
        slots.chain(arenas.map(|memory| memory.len())).sum::<usize>() * size_of::<f32>()
    }
}

fn weight_bytes(work: &Work) -> usize {
    let floats = |count: usize| count * size_of::<f32>();
    match work {
        Work::Product { weights, .. } => match weights {
            Weights::Unpacked => 0,
            Weights::Blocked(packed, _) => packed.bytes(),
            Weights::Plain(packed) => floats(packed.0.len()),
            Weights::Reversed(weights) => floats(weights.len()),
            Weights::Fc(packed) => packed.bytes(),
        },
        Work::Images(images, _) => images.steps.iter().map(|step| weight_bytes(&step.work)).sum(),
        _ => 0,
    }
}

fn work(step: &Step, type_name: impl Fn(usize) -> &'static str) -> String {
    let name = match &step.work {
        Work::Layer(node) => type_name(*node),
        Work::Images(images, _) => {
            return format!(
                "{} steps, {} of the images at once",
                images.steps.len(),
                images.at_once
            );
        }
        Work::Copy if step.srcs.is_empty() => "nothing",
        Work::Copy => "copy",
        Work::ToBlocked | Work::ToPlain => "reorder",
        Work::Product { prim, .. } | Work::Prim(prim) => match prim {
            Prim::Conv(_) => "conv",
            Prim::Deconv(_) => "deconv",
            Prim::Gemm { .. } => "gemm",
            Prim::Affine(_) => "affine",
            Prim::Act(act) => act_name(act),
            Prim::Add { .. } => "sum",
            Prim::Mul => "product",
            Prim::Max => "maximum",
            Prim::Pool(_, PoolKind::Max) => "max pool",
            Prim::Pool(_, PoolKind::Average) => "ave pool",
            Prim::Lrn { .. } => "lrn",
            _ => "other",
        },
    };
    let add = if step.add.is_some() { " + add" } else { "" };
    let act = step.act.as_ref().map_or(String::new(), |act| format!(" + {}", act_name(act)));
    format!("{name}{add}{act}")
}

fn act_name(act: &Act) -> &'static str {
    match act {
        Act::Relu(_) => "relu",
        Act::PRelu(_) => "prelu",
        Act::Clip(..) => "clip",
        Act::Sigmoid => "sigmoid",
        Act::TanH => "tanh",
        _ => "act",
    }
}

fn algorithm(work: &Work) -> &'static str {
    match work {
        Work::Layer(_) => "layer",
        Work::Product { prim: Prim::Conv(g), weights: Weights::Blocked(_, algo), .. } => match algo
        {
            ConvAlgo::Winograd => "winograd",
            _ if g.groups > 1 && g.groups == g.ic && g.groups == g.oc => "depthwise",
            _ => "direct",
        },
        Work::Product { weights: Weights::Fc(_), .. } => "streamed",
        Work::Product { .. } => "columns",
        _ => "-",
    }
}

fn layout(step: &Step) -> String {
    let of = |places: &[Place]| match places.first().map(|place| place.form) {
        None => "-".to_owned(),
        Some(Form::Plain) => "nchw".to_owned(),
        Some(Form::Both(_)) => "any".to_owned(),
        Some(Form::Blocked(of)) if of.halo > 0 => format!("nchw16c+{}", of.halo),
        Some(Form::Blocked(_)) => "nchw16c".to_owned(),
    };
    format!("{} -> {}", of(&step.srcs), of(&step.dsts))
}
