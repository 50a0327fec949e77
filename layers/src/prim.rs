//! What a layer means: the vocabulary in which a net is planned for use.
//!
//! A layer type that has a meaning says so by `LayerKind::lower`, for one place of one net: phase,
//! shapes and values of its parameters are known there. The planner rewrites meanings, not layers,
//! so that layers know nothing of each other; a type without a meaning runs as it is.

use std::cell::Cell;

use cortado_kernels::{ConvGeometry, PoolGeometry, Trans};

use crate::{LayerDef, Phase, Shape, View};

/// A meaning. Channels lie along axis 1; the parameters of products are the layer's own: the
/// weights first, then the bias, if there is one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Prim {
    /// y = W ∗ x + b
    Conv(ConvGeometry),
    /// y = Wᵀ ∗ x + b, where the geometry is that of the convolution from y to x.
    Deconv(ConvGeometry),
    /// y (m x n) = x (m x k) · W + b; W is k x n, or n x k where it is transposed.
    Gemm {
        /// Rows of x.
        m: usize,
        /// Columns of y.
        n: usize,
        /// Columns of x.
        k: usize,
        /// How W is used.
        trans: Trans,
    },
    /// y = scale · x + shift
    Affine(Affine),
    /// y = (x − μ) / √(σ² + eps) by the statistics of the batch, which the layer's state follows with
    /// the weight `fraction`.
    Normalize {
        /// Weight of what was before.
        fraction: f32,
        /// Added to the variance.
        eps: f32,
    },
    /// y = act x
    Act(Act),
    /// y = Σ coeff_i · x_i
    Add {
        /// One per bottom.
        coeffs: Vec<f32>,
    },
    /// y = Π x_i
    Mul,
    /// y = max x_i
    Max,
    /// The maximum or the mean of windows.
    Pool(PoolGeometry, PoolKind),
    /// y = x · (k + alpha/size · Σ x²)^−beta over `size` channels.
    Lrn {
        /// Channels.
        size: usize,
        /// Factor.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// What is added.
        k: f32,
    },
    /// The bottoms one after the other along an axis.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Every top is bottom 0.
    Alias,
}

/// What a pooling makes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest element.
    Max,
    /// The mean.
    Average,
}

/// A factor and a summand for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// The factors.
    pub scale: Vec<f32>,
    /// The summands.
    pub shift: Vec<f32>,
}

impl Affine {
    /// This one first, then `next`.
    pub fn then(&self, next: &Affine) -> Affine {
        let pairs = || self.shift.iter().zip(next.scale.iter().zip(&next.shift));
        Affine {
            scale: self.scale.iter().zip(&next.scale).map(|(a, b)| a * b).collect(),
            shift: pairs().map(|(shift, (scale, then))| shift * scale + then).collect(),
        }
    }
}

/// A function of single elements.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Act {
    /// x above 0, slope · x below.
    Relu(f32),
    /// The same with a slope per channel, or a single one.
    PRelu(Vec<f32>),
    /// x held between two bounds.
    Clip(f32, f32),
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// tanh x
    TanH,
}

/// What a type knows when it says what it means.
pub struct LowerCx<'a> {
    /// Phase of the net.
    pub phase: Phase,
    /// The layer's definition.
    pub def: &'a LayerDef,
    /// Shapes of the bottoms.
    pub bottoms: &'a [Shape],
    /// Shapes of the tops.
    pub tops: &'a [Shape],
    params: &'a [View<'a>],
    read: Cell<bool>,
}

impl<'a> LowerCx<'a> {
    /// For a layer with these parameters, in blob order.
    pub fn new(
        phase: Phase,
        def: &'a LayerDef,
        bottoms: &'a [Shape],
        tops: &'a [Shape],
        params: &'a [View<'a>],
    ) -> LowerCx<'a> {
        LowerCx { phase, def, bottoms, tops, params, read: Cell::new(false) }
    }

    /// A parameter. What is said holds until it changes.
    pub fn param(&self, i: usize) -> Option<View<'a>> {
        self.read.set(true);
        self.params.get(i).copied()
    }

    /// Whether a parameter was looked at.
    pub fn has_read(&self) -> bool {
        self.read.get()
    }

    /// Channels of bottom 0: the length of axis 1, if it has one.
    pub fn channels(&self) -> Option<usize> {
        self.bottoms.first()?.get(1).copied()
    }
}
