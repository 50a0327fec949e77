//! One layer alone, and the checker of its passes: for the tests of this crate and of programs that
//! add their own layer types.

use cortado_kernels::{Write, kernels};
use cortado_proto::def::NetDef;
use cortado_proto::span::Source;
use smallvec::SmallVec;

mod gradient;

use crate::{
    Backward, DiffMut, Forward, Layer, LayerDef, LayerError, LayerKind, Layout, Measure, Needs,
    PackCache, Packs, ParamKind, Phase, Registry, Reshape, RngKey, SetUp, Shape, Tensor, View,
    ViewMut,
};

pub use gradient::{GradientCase, Values};

/// A layer on its own bottoms and weights.
pub struct SingleLayer {
    /// Its kind.
    pub kind: &'static LayerKind,
    /// Values of the bottoms; may be changed between passes, in shape as well.
    pub bottoms: Vec<Tensor>,
    /// Values of the tops after `forward`.
    pub tops: Vec<Tensor>,
    /// Learned parameters.
    pub weights: Vec<Tensor>,
    /// The layer's own parameters.
    pub state: Vec<Tensor>,
    /// Key of the random numbers; the same in every pass unless changed.
    pub key: RngKey,
    /// Whether backward will follow.
    pub backward: bool,
    /// Whether top 0 is the memory of bottom 0: when the file gives both one name.
    pub in_place: bool,
    /// What backward may read; the rest is NaN while it runs.
    pub needs: Needs,
    layer: Box<dyn Layer>,
    name: String,
    phase: Phase,
    params: Vec<Shape>,
    saved: Vec<Tensor>,
    scratch: Vec<f32>,
}

/// What a backward pass gives; `None` where nobody asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// For each bottom.
    pub bottoms: Vec<Option<Tensor>>,
    /// For each weight.
    pub weights: Vec<Option<Tensor>>,
}

impl SingleLayer {
    /// Builds the layer of a prototxt that holds exactly one `layer { … }`.
    pub fn build(
        registry: &Registry,
        prototxt: &str,
        phase: Phase,
        bottoms: Vec<Tensor>,
    ) -> Result<SingleLayer, LayerError> {
        SingleLayer::of(registry, &definition(prototxt)?, phase, bottoms)
    }

    /// Builds the layer of a definition.
    pub fn of(
        registry: &Registry,
        def: &LayerDef,
        phase: Phase,
        bottoms: Vec<Tensor>,
    ) -> Result<SingleLayer, LayerError> {
        let kind = registry
            .get(def.r#type())
            .ok_or_else(|| LayerError::field("type", format!("unknown type {}", def.r#type())))?;
        if !kind.bottoms.allows(bottoms.len()) {
            let why = format!("{} bottoms are wanted, found {}", kind.bottoms, bottoms.len());
            return Err(LayerError::layer(why));
        }
        let mut layer = (kind.build)(def)?;
        let shapes: Vec<Shape> = bottoms.iter().map(|b| b.shape().clone()).collect();
        let tops = def.top.len().max(kind.tops.min);
        let seed = 1;
        let mut setup =
            SetUp { phase, name: def.name(), seed, bottoms: &shapes, tops, params: Vec::new() };
        layer.setup(&mut setup)?;
        let (mut weights, mut state, mut params) = (Vec::new(), Vec::new(), Vec::new());
        let mut rng = RngKey::at_start(seed).stream(def.name());
        for request in setup.params {
            fits(&request.shape)?;
            let mut tensor = Tensor::zeros(request.shape.clone());
            request.fill(tensor.data_mut(), &mut rng)?;
            params.push(request.shape);
            match request.kind {
                ParamKind::Weight => weights.push(tensor),
                ParamKind::State => state.push(tensor),
            }
        }
        let mut single = SingleLayer {
            in_place: def.top.first().is_some_and(|top| def.bottom.first() == Some(top)),
            kind,
            bottoms,
            tops: vec![Tensor::default(); tops],
            weights,
            state,
            key: RngKey { seed, pass: 0, replica: 0 },
            backward: true,
            needs: (kind.needs)(def),
            layer,
            name: def.name().to_owned(),
            phase,
            params,
            saved: Vec::new(),
            scratch: Vec::new(),
        };
        single.reshape()?;
        Ok(single)
    }

    /// Shapes from the bottoms' present shapes.
    pub fn reshape(&mut self) -> Result<(), LayerError> {
        let bottoms: Vec<Shape> = self.bottoms.iter().map(|b| b.shape().clone()).collect();
        let mut tops: Vec<Shape> = self.tops.iter().map(|t| t.shape().clone()).collect();
        let mut in_place = vec![false; tops.len()];
        in_place.iter_mut().take(1).for_each(|first| *first = self.in_place);
        let mut cx = Reshape {
            phase: self.phase,
            backward: self.backward,
            bottoms: &bottoms,
            tops: &mut tops,
            in_place: &in_place,
            params: &self.params,
            saved: Vec::new(),
            scratch: 0,
        };
        self.layer.reshape(&mut cx)?;
        let (saved, scratch) = (cx.saved, cx.scratch);
        saved.iter().chain(&tops).try_for_each(fits)?;
        self.saved.resize(saved.len(), Tensor::default());
        self.saved.iter_mut().zip(&saved).for_each(|(tensor, shape)| tensor.resize(shape));
        self.scratch.resize(scratch, f32::NAN);
        self.tops.iter_mut().zip(&tops).for_each(|(tensor, shape)| tensor.resize(shape));
        Ok(())
    }

    /// Bottoms to tops. What the layer must write is NaN before.
    pub fn forward(&mut self) -> Result<(), LayerError> {
        self.reshape()?;
        if self.kind.dynamic {
            let bottoms: Vec<View> = self.bottoms.iter().map(Tensor::view).collect();
            let shapes =
                self.layer.measure(&mut Measure { phase: self.phase, bottoms: &bottoms })?;
            self.tops.iter_mut().zip(&shapes).for_each(|(top, shape)| top.resize(shape));
        }
        if self.is_alias() {
            for top in &mut self.tops {
                top.data_mut().copy_from_slice(self.bottoms[0].data());
            }
            return Ok(());
        }
        if !self.kind.fed {
            self.tops.iter_mut().for_each(|top| top.data_mut().fill(f32::NAN));
        }
        self.saved.iter_mut().for_each(|saved| saved.data_mut().fill(f32::NAN));
        self.scratch.fill(f32::NAN);
        if self.in_place {
            self.tops[0].data_mut().copy_from_slice(self.bottoms[0].data());
        }
        let bottoms = lent(&self.bottoms, self.in_place);
        let mut tops: Vec<ViewMut> = self.tops.iter_mut().map(view_mut).collect();
        let weights: Vec<View> = self.weights.iter().map(Tensor::view).collect();
        let mut state: Vec<ViewMut> = self.state.iter_mut().map(view_mut).collect();
        let (mut cache, versions) = (PackCache::default(), versions(weights.len()));
        self.layer.forward(&mut Forward {
            phase: self.phase,
            backward: self.backward,
            k: kernels(),
            rng: &mut self.key.stream(&self.name),
            bottoms: &bottoms,
            tops: &mut tops,
            weights: &weights,
            state: &mut state,
            saved: &mut self.saved,
            scratch: &mut self.scratch,
            packs: Packs::new(&mut cache, &versions),
        })
    }

    /// Zeros for everything that can receive a gradient.
    pub fn zeros(&self) -> Gradients {
        let zeros = |tensor: &Tensor| Tensor::zeros(tensor.shape().clone());
        let bottoms = self.bottoms.iter().enumerate();
        Gradients {
            bottoms: bottoms
                .map(|(i, b)| self.kind.grads.allows(i, self.bottoms.len()).then(|| zeros(b)))
                .collect(),
            weights: self.weights.iter().map(|w| Some(zeros(w))).collect(),
        }
    }

    /// Top diffs to the diffs of everything that can receive one.
    pub fn backward(&mut self, top_diffs: &[Tensor]) -> Result<Gradients, LayerError> {
        let mut into = self.zeros();
        self.backward_into(top_diffs, &mut into, Write::Set)?;
        Ok(into)
    }

    /// Top diffs to the diffs asked for: those of bottoms written or added, those of weights added.
    /// In place, the diff of bottom 0 is made from that of top 0 in the same memory.
    pub fn backward_into(
        &mut self,
        top_diffs: &[Tensor],
        into: &mut Gradients,
        write: Write,
    ) -> Result<(), LayerError> {
        if self.is_alias() {
            if let Some(Some(diff)) = into.bottoms.first_mut() {
                if write == Write::Set {
                    diff.data_mut().fill(0.0);
                }
                for top in top_diffs {
                    diff.data_mut().iter_mut().zip(top.data()).for_each(|(d, t)| *d += t);
                }
            }
            return Ok(());
        }
        self.scratch.fill(f32::NAN);
        let mut bottoms = lent(&self.bottoms, self.in_place);
        let mut tops: Vec<View> = self.tops.iter().map(Tensor::view).collect();
        if !self.needs.bottom {
            bottoms.iter_mut().flatten().for_each(|bottom| bottom.data = &[]);
        }
        if !self.needs.top {
            tops.iter_mut().for_each(|top| top.data = &[]);
        }
        let mut dy: Vec<Option<View>> = top_diffs.iter().map(|t| Some(t.view())).collect();
        if let (true, Some(Some(diff))) = (self.in_place, into.bottoms.first_mut()) {
            diff.data_mut().copy_from_slice(top_diffs[0].data());
            dy[0] = None;
        }
        let weights: Vec<View> = self.weights.iter().map(Tensor::view).collect();
        let state: Vec<View> = self.state.iter().map(Tensor::view).collect();
        let mut dx: Vec<Option<DiffMut>> = into
            .bottoms
            .iter_mut()
            .enumerate()
            .map(|(i, diff)| {
                let write = if i == 0 && self.in_place { Write::Set } else { write };
                diff.as_mut().map(|tensor| {
                    let ViewMut { shape, layout, data } = view_mut(tensor);
                    DiffMut { shape, layout, data, write }
                })
            })
            .collect();
        let mut dw: Vec<Option<ViewMut>> =
            into.weights.iter_mut().map(|diff| diff.as_mut().map(view_mut)).collect();
        let (mut cache, versions) = (PackCache::default(), versions(weights.len()));
        self.layer.backward(&mut Backward {
            phase: self.phase,
            k: kernels(),
            bottoms: &bottoms,
            tops: &tops,
            top_diffs: &dy,
            bottom_diffs: &mut dx,
            weights: &weights,
            weight_diffs: &mut dw,
            state: &state,
            saved: &mut self.saved,
            scratch: &mut self.scratch,
            packs: Packs::new(&mut cache, &versions),
        })
    }

    /// Whether the tops are the bottom's memory, so that no pass runs.
    fn is_alias(&self) -> bool {
        self.kind.is_alias(self.bottoms.len(), self.tops.len())
    }
}

/// The only layer of a prototxt.
fn definition(prototxt: &str) -> Result<LayerDef, LayerError> {
    let source = Source::new("layer.prototxt", prototxt);
    let net = NetDef::from_text(&source).map_err(|e| LayerError::layer(format!("\n{e}")))?;
    let found = net.layers.len();
    let [def] = <[LayerDef; 1]>::try_from(net.layers)
        .map_err(|_| LayerError::layer(format!("one layer was wanted, found {found}")))?;
    Ok(def)
}

fn fits(shape: &Shape) -> Result<(), LayerError> {
    let why = || LayerError::layer(format!("a blob of {shape} is too large for this machine"));
    shape.checked_count().map(|_| ()).ok_or_else(why)
}

/// The bottoms as a pass gets them: in place the first is lent as top 0.
fn lent(bottoms: &[Tensor], in_place: bool) -> Vec<Option<View<'_>>> {
    let bottoms = bottoms.iter().enumerate();
    bottoms.map(|(i, bottom)| (i > 0 || !in_place).then_some(bottom.view())).collect()
}

fn view_mut(tensor: &mut Tensor) -> ViewMut<'_> {
    let (shape, data) = tensor.parts_mut();
    ViewMut { shape, layout: Layout::Nchw, data }
}

fn versions(weights: usize) -> SmallVec<[(usize, u64); 4]> {
    (0..weights).map(|i| (i, 0)).collect()
}
