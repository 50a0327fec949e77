//! The trait every layer implements, and what the net lends it in each pass.

use std::time::Duration;

use cortado_kernels::{Dest, Kernels, SrcDst, Write};
use cortado_proto::caffe::FillerParameter;

use crate::{LayerError, Layout, Packs, Rng, Shape, Tensor, View, ViewMut, filler, tensor};

/// Whether a net trains or is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Training: backward follows, statistics move.
    Train,
    /// Use: nothing is learned.
    Test,
}

/// A layer: shapes, forward, backward. It owns no blob and no weight; the net lends them.
pub trait Layer: Send {
    /// Once, after the shapes of the bottoms are known: asks for parameters, in Caffe's blob order.
    fn setup(&mut self, _cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    /// Shapes of the bottoms in; shapes of tops, saved tensors and scratch out. Called again
    /// whenever a bottom's shape changes; checks everything that shapes can tell.
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError>;

    /// Bottoms in, tops out. Shapes are right; values may still be bad.
    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError>;

    /// Top diffs in; bottom diffs (written or added, as each says) and weight diffs (always added).
    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError>;

    /// Only for kinds declared dynamic: the shapes that the tops of the coming forward have.
    fn measure(&mut self, _cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        Err(LayerError::layer("this type does not measure its tops"))
    }

    /// What it carries from pass to pass beside its parameters (hidden states, counts of passes): for
    /// snapshots, and for passes that run again. Nothing stands for the beginning.
    fn carried(&self) -> Vec<f32> {
        Vec::new()
    }

    /// Goes on as if the last pass had left this.
    fn carry(&mut self, _carried: &[f32]) {}

    /// Only for layers that write files: writes what is not written yet. More passes may follow.
    fn close(&mut self) -> Result<(), LayerError> {
        Ok(())
    }

    /// Only for sources of data: how many items have been handed out, for a snapshot.
    fn position(&self) -> Option<u64> {
        None
    }

    /// Only for sources of data: how long passes have waited for items, in all.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Only for sources of data: goes on after `position` items of a run with this seed.
    fn seek(&mut self, _seed: u64, _position: u64) -> Result<(), LayerError> {
        Ok(())
    }
}

/// What a parameter is to the solver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// Learned by the solver.
    Weight,
    /// Kept by the layer itself in training passes (BatchNorm's statistics); never learned.
    State,
}

/// A parameter a layer asks for.
#[derive(Clone, Debug)]
pub struct ParamRequest {
    /// Its shape.
    pub shape: Shape,
    /// How it starts.
    pub filler: FillerParameter,
    /// Where the filler stands in the layer's message.
    pub field: &'static str,
    /// Whose it is.
    pub kind: ParamKind,
}

impl ParamRequest {
    /// Fills the parameter as its filler says.
    pub fn fill(&self, data: &mut [f32], rng: &mut Rng) -> Result<(), LayerError> {
        let inside = |e: LayerError| e.inside(self.field);
        filler::fill(&self.filler, &self.shape, data, rng).map_err(inside)
    }
}

/// What a layer sees while it is set up.
pub struct SetUp<'a> {
    /// Phase of the net.
    pub phase: Phase,
    /// Name of the layer.
    pub name: &'a str,
    /// Seed of the net.
    pub seed: u64,
    /// Shapes of the bottoms.
    pub bottoms: &'a [Shape],
    /// Number of tops.
    pub tops: usize,
    /// The parameters asked for so far, in blob order.
    pub params: Vec<ParamRequest>,
}

impl SetUp<'_> {
    /// Asks for a learned parameter.
    pub fn weight(&mut self, shape: impl Into<Shape>, filler: FillerParameter) {
        self.weight_of("filler", shape, filler);
    }

    /// Asks for a learned parameter whose filler stands in this field.
    pub fn weight_of(
        &mut self,
        field: &'static str,
        shape: impl Into<Shape>,
        filler: FillerParameter,
    ) {
        let kind = ParamKind::Weight;
        self.params.push(ParamRequest { shape: shape.into(), filler, field, kind });
    }

    /// Asks for a parameter that the layer itself keeps, starting at zero.
    pub fn state(&mut self, shape: impl Into<Shape>) {
        let filler = FillerParameter::default();
        let kind = ParamKind::State;
        self.params.push(ParamRequest { shape: shape.into(), filler, field: "filler", kind });
    }
}

/// What a layer sees while shapes are worked out.
pub struct Reshape<'a> {
    /// Phase of the net.
    pub phase: Phase,
    /// Whether this layer's backward will run.
    pub backward: bool,
    /// Shapes of the bottoms.
    pub bottoms: &'a [Shape],
    /// Shapes of the tops: to be set (they hold the shapes of the last time).
    pub tops: &'a mut [Shape],
    /// For each top, whether it is the memory of the bottom of the same index.
    pub in_place: &'a [bool],
    /// Shapes of the parameters (weights and state) in blob order.
    pub params: &'a [Shape],
    /// Shapes of the tensors kept from forward to backward, in the order of `saved`: to be pushed.
    pub saved: Vec<Shape>,
    /// Elements of scratch memory wished: to be set.
    pub scratch: usize,
}

impl Reshape<'_> {
    /// Wishes for one more saved tensor.
    pub fn save(&mut self, shape: impl Into<Shape>) {
        self.saved.push(shape.into());
    }

    /// Top `i` gets this shape.
    pub fn top(&mut self, i: usize, shape: impl Into<Shape>) {
        self.tops[i] = shape.into();
    }
}

/// What a dynamic layer sees before its forward.
pub struct Measure<'a> {
    /// Phase of the net.
    pub phase: Phase,
    /// The bottoms' data.
    pub bottoms: &'a [View<'a>],
}

/// What a layer is lent for its forward pass. The fields are disjoint, so that a layer can borrow
/// several at once.
pub struct Forward<'a> {
    /// Phase of the net.
    pub phase: Phase,
    /// Whether backward will follow, so that `saved` must be written.
    pub backward: bool,
    /// The arithmetic.
    pub k: &'static Kernels,
    /// Random numbers of this layer in this pass.
    pub rng: &'a mut Rng,
    /// The bottoms' data; `None` where the top of the same index already holds it (in place).
    pub bottoms: &'a [Option<View<'a>>],
    /// The tops to write.
    pub tops: &'a mut [ViewMut<'a>],
    /// Learned parameters, in blob order without the state.
    pub weights: &'a [View<'a>],
    /// The layer's own parameters.
    pub state: &'a mut [ViewMut<'a>],
    /// Kept until backward.
    pub saved: &'a mut [Tensor],
    /// Memory for this call only, of unknown content.
    pub scratch: &'a mut [f32],
    /// Weights packed for the kernels.
    pub packs: Packs<'a>,
}

impl<'a> Forward<'a> {
    /// Bottom `i` of a layer that is not run in place.
    pub fn bottom(&self, i: usize) -> View<'a> {
        self.bottoms[i].expect("the net runs only declared types in place")
    }

    /// Data of bottom `i`, wherever it is.
    pub fn x(&self, i: usize) -> &[f32] {
        match &self.bottoms[i] {
            Some(bottom) => bottom.data,
            None => self.tops[i].data,
        }
    }

    /// Shape of bottom `i`, wherever its data is.
    pub fn shape(&self, i: usize) -> &'a Shape {
        match &self.bottoms[i] {
            Some(bottom) => bottom.shape,
            None => self.tops[i].shape,
        }
    }

    /// From bottom `i` to top `i`.
    pub fn src_dst(&mut self, i: usize) -> SrcDst<'_> {
        match &self.bottoms[i] {
            Some(bottom) => SrcDst::Apart(bottom.data, self.tops[i].data),
            None => SrcDst::InPlace(self.tops[i].data),
        }
    }
}

/// The diff of a bottom, to write or to add to.
#[derive(Debug)]
pub struct DiffMut<'a> {
    /// Logical shape.
    pub shape: &'a Shape,
    /// How `data` lies.
    pub layout: Layout,
    /// The elements.
    pub data: &'a mut [f32],
    /// Whether to overwrite, or to add because another reader of the blob came first.
    pub write: Write,
}

impl DiffMut<'_> {
    /// The diff as a convolution writes it.
    pub fn dest(&mut self) -> Dest<'_> {
        tensor::dest(self.layout, self.shape, self.data)
    }
}

/// What a layer is lent for its backward pass.
pub struct Backward<'a> {
    /// Phase of the net.
    pub phase: Phase,
    /// The arithmetic.
    pub k: &'static Kernels,
    /// The bottoms' data; `None` in place. May be empty unless `needs` asks for it.
    pub bottoms: &'a [Option<View<'a>>],
    /// The tops' data. May be empty unless `needs` asks for it.
    pub tops: &'a [View<'a>],
    /// The tops' diffs; `None` where the bottom diff of the same index already holds it (in place).
    pub top_diffs: &'a [Option<View<'a>>],
    /// The bottoms' diffs; `None` where nobody asks.
    pub bottom_diffs: &'a mut [Option<DiffMut<'a>>],
    /// Learned parameters.
    pub weights: &'a [View<'a>],
    /// Their diffs, to add to; `None` where nobody asks (lr_mult 0).
    pub weight_diffs: &'a mut [Option<ViewMut<'a>>],
    /// The layer's own parameters.
    pub state: &'a [View<'a>],
    /// Kept from forward.
    pub saved: &'a mut [Tensor],
    /// Memory for this call only, of unknown content.
    pub scratch: &'a mut [f32],
    /// Weights packed for the kernels.
    pub packs: Packs<'a>,
}

impl<'a> Backward<'a> {
    /// Bottom `i` of a layer that is not run in place.
    pub fn bottom(&self, i: usize) -> View<'a> {
        self.bottoms[i].expect("the net runs only declared types in place")
    }

    /// Shape of bottom `i`, wherever its data is.
    pub fn shape(&self, i: usize) -> &'a Shape {
        self.bottoms[i].map_or(self.tops[i].shape, |bottom| bottom.shape)
    }

    /// Diff of top `i`, wherever it is.
    pub fn dy(&self, i: usize) -> &[f32] {
        match (&self.top_diffs[i], &self.bottom_diffs[i]) {
            (Some(diff), _) => diff.data,
            (None, Some(diff)) => diff.data,
            (None, None) => unreachable!("a top diff lies in its own memory or in the bottom's"),
        }
    }

    /// The loss weight: the diff of top 0, one element.
    pub fn loss_weight(&self) -> f32 {
        self.top_diffs[0].and_then(|diff| diff.data.first().copied()).unwrap_or(0.0)
    }

    /// From the diff of top `i` to the diff of bottom `i`, if anybody asks for it.
    pub fn diff(&mut self, i: usize) -> Option<(SrcDst<'_>, Write)> {
        let bottom = self.bottom_diffs[i].as_mut()?;
        Some(match &self.top_diffs[i] {
            Some(top) => (SrcDst::Apart(top.data, bottom.data), bottom.write),
            None => (SrcDst::InPlace(bottom.data), Write::Set),
        })
    }
}
