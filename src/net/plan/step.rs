//! What a plan is made of: steps that read and write places in buffers.

use std::sync::Arc;

use cortado_kernels::{
    Blocked, BlockedMut, BlockedRef, ConvAlgo, PackedBlocked, PackedConv, PackedFc,
};
use cortado_layers::{Act, Prim, Shape};

use super::images::Images;
use crate::net::Short;

/// How the elements of a buffer lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Row-major in the order of the axes.
    Plain,
    /// In blocks of 16 channels.
    Blocked(Blocked),
    /// Both, which is the same where planes are single pixels and blocks are full.
    Both(Blocked),
}

impl Form {
    /// Blocked, or both if that is the same.
    pub fn blocked(of: Blocked) -> Form {
        let same = of.h == 1 && of.w == 1 && of.halo == 0 && of.c.is_multiple_of(16);
        if same { Form::Both(of) } else { Form::Blocked(of) }
    }

    /// The layout in blocks, if that is how it can be seen.
    pub fn as_blocked(self) -> Option<Blocked> {
        match self {
            Form::Plain => None,
            Form::Blocked(of) | Form::Both(of) => Some(of),
        }
    }
}

/// Where an operand lies.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub buffer: usize,
    pub form: Form,
    /// Its first channel, in a buffer that holds more.
    pub c_offset: usize,
    /// The logical shape.
    pub shape: Shape,
}

impl Place {
    /// The operand in blocks; the planner has seen to it that it can be seen so.
    pub fn read<'a>(&self, data: &'a [f32]) -> BlockedRef<'a> {
        let of = self.form.as_blocked().expect("planned in blocks");
        BlockedRef { data, of, c_offset: self.c_offset }
    }

    /// The same, to write.
    pub fn write<'a>(&self, data: &'a mut [f32]) -> BlockedMut<'a> {
        let of = self.form.as_blocked().expect("planned in blocks");
        BlockedMut { data, of, c_offset: self.c_offset }
    }
}

/// The weights of a product, packed.
#[derive(Clone, Debug)]
pub(super) enum Weights {
    /// Not yet: while the plan is made.
    Unpacked,
    /// A convolution in blocks.
    Blocked(Arc<PackedBlocked>, ConvAlgo),
    /// A convolution in row-major order.
    Plain(Arc<(Vec<f32>, PackedConv)>),
    /// A deconvolution.
    Reversed(Arc<Vec<f32>>),
    /// An inner product.
    Fc(Arc<PackedFc>),
}

/// What a step does.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Runs a layer as it is.
    Layer(usize),
    /// Copies.
    Copy,
    /// Row-major order to blocks.
    ToBlocked,
    /// Blocks to row-major order.
    ToPlain,
    /// A product with weights.
    Product { prim: Prim, weights: Weights, bias: Option<Vec<f32>> },
    /// Anything else that has a meaning.
    Prim(Prim),
    /// Several steps, a few images at a time, in the memory of that number.
    Images(Arc<Images>, usize),
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The layers whose work it is.
    pub nodes: Vec<usize>,
    pub work: Work,
    pub srcs: Short<Place>,
    /// What is added to the result.
    pub add: Option<Place>,
    /// What is done to it last.
    pub act: Option<Act>,
    pub dsts: Short<Place>,
    /// Names of the rules that made it.
    pub rules: Vec<&'static str>,
}

impl Step {
    /// Everything it reads.
    pub fn reads(&self) -> impl Iterator<Item = &Place> {
        self.srcs.iter().chain(&self.add)
    }

    /// Whether it may write where it reads.
    pub fn is_pointwise(&self) -> bool {
        matches!(self.work, Work::Prim(Prim::Affine(_) | Prim::Act(_)))
    }
}

/// The memory of one or more values.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub len: usize,
    /// The layout whose halo must be zero before anything is written.
    pub halo: Option<Blocked>,
    /// The net's own memory, if it lies there.
    pub storage: Option<usize>,
}
