//! One layer alone, and the gradient checker: for the tests of this crate and of programs that add
//! their own layer types.

use cortado_kernels::{Write, kernels};
use cortado_proto::def::NetDef;
use cortado_proto::span::Source;
use rand::RngExt;
use rand_distr::StandardNormal;
use smallvec::SmallVec;

use crate::{
    Backward, DiffMut, Forward, Layer, LayerDef, LayerError, LayerKind, Layout, Measure, PackCache,
    Packs, ParamKind, Phase, Registry, Reshape, Rng, RngKey, SetUp, Shape, Tensor, View, ViewMut,
    filler,
};

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
    layer: Box<dyn Layer>,
    name: String,
    phase: Phase,
    params: Vec<Shape>,
    saved: Vec<Tensor>,
    scratch: Vec<f32>,
}

/// What a backward pass gives.
pub struct Gradients {
    /// For each bottom that can receive one.
    pub bottoms: Vec<Option<Tensor>>,
    /// For each weight.
    pub weights: Vec<Tensor>,
}

impl SingleLayer {
    /// Builds the layer of a prototxt that holds exactly one `layer { … }`.
    pub fn build(
        registry: &Registry,
        prototxt: &str,
        phase: Phase,
        bottoms: Vec<Tensor>,
    ) -> Result<SingleLayer, LayerError> {
        let source = Source::new("layer.prototxt", prototxt);
        let net = NetDef::from_text(&source).map_err(|e| LayerError::layer(format!("\n{e}")))?;
        let [def] = net.layers.as_slice() else {
            return Err(LayerError::layer("one layer was wanted"));
        };
        SingleLayer::of(registry, def, phase, bottoms)
    }

    fn of(
        registry: &Registry,
        def: &LayerDef,
        phase: Phase,
        bottoms: Vec<Tensor>,
    ) -> Result<SingleLayer, LayerError> {
        let kind = registry
            .get(def.r#type())
            .ok_or_else(|| LayerError::field("type", format!("unknown type {}", def.r#type())))?;
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
            let mut tensor = Tensor::zeros(request.shape.clone());
            filler::fill(&request.filler, &request.shape, tensor.data_mut(), &mut rng)?;
            params.push(request.shape);
            match request.kind {
                ParamKind::Weight => weights.push(tensor),
                ParamKind::State => state.push(tensor),
            }
        }
        let mut single = SingleLayer {
            kind,
            bottoms,
            tops: vec![Tensor::default(); tops],
            weights,
            state,
            key: RngKey { seed, pass: 0, replica: 0 },
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
        let mut cx = Reshape {
            phase: self.phase,
            backward: true,
            bottoms: &bottoms,
            tops: &mut tops,
            in_place: &vec![false; self.tops.len()],
            params: &self.params,
            saved: Vec::new(),
            scratch: 0,
        };
        self.layer.reshape(&mut cx)?;
        let (saved, scratch) = (cx.saved, cx.scratch);
        self.saved.resize(saved.len(), Tensor::default());
        self.saved.iter_mut().zip(&saved).for_each(|(tensor, shape)| tensor.resize(shape));
        self.scratch.resize(scratch, f32::NAN);
        self.tops.iter_mut().zip(&tops).for_each(|(tensor, shape)| tensor.resize(shape));
        Ok(())
    }

    /// Bottoms to tops.
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
        let bottoms: Vec<Option<View>> = self.bottoms.iter().map(|b| Some(b.view())).collect();
        let mut tops: Vec<ViewMut> = self.tops.iter_mut().map(view_mut).collect();
        let weights: Vec<View> = self.weights.iter().map(Tensor::view).collect();
        let mut state: Vec<ViewMut> = self.state.iter_mut().map(view_mut).collect();
        let (mut cache, versions) = (PackCache::default(), versions(weights.len()));
        self.layer.forward(&mut Forward {
            phase: self.phase,
            backward: true,
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

    /// Top diffs to bottom diffs and weight diffs.
    pub fn backward(&mut self, top_diffs: &[Tensor]) -> Result<Gradients, LayerError> {
        let mut bottom_diffs: Vec<Option<Tensor>> = (0..self.bottoms.len())
            .map(|i| {
                self.kind.grads.allows(i).then(|| Tensor::zeros(self.bottoms[i].shape().clone()))
            })
            .collect();
        let mut weight_diffs: Vec<Tensor> =
            self.weights.iter().map(|w| Tensor::zeros(w.shape().clone())).collect();
        if self.is_alias() {
            if let Some(Some(diff)) = bottom_diffs.first_mut() {
                for top in top_diffs {
                    diff.data_mut().iter_mut().zip(top.data()).for_each(|(d, t)| *d += t);
                }
            }
            return Ok(Gradients { bottoms: bottom_diffs, weights: weight_diffs });
        }
        let bottoms: Vec<Option<View>> = self.bottoms.iter().map(|b| Some(b.view())).collect();
        let tops: Vec<View> = self.tops.iter().map(Tensor::view).collect();
        let dy: Vec<Option<View>> = top_diffs.iter().map(|t| Some(t.view())).collect();
        let weights: Vec<View> = self.weights.iter().map(Tensor::view).collect();
        let state: Vec<View> = self.state.iter().map(Tensor::view).collect();
        let mut dx: Vec<Option<DiffMut>> = bottom_diffs
            .iter_mut()
            .map(|diff| {
                diff.as_mut().map(|tensor| {
                    let ViewMut { shape, layout, data } = view_mut(tensor);
                    DiffMut { shape, layout, data, write: Write::Set }
                })
            })
            .collect();
        let mut dw: Vec<Option<ViewMut>> =
            weight_diffs.iter_mut().map(|t| Some(view_mut(t))).collect();
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
        })?;
        Ok(Gradients { bottoms: bottom_diffs, weights: weight_diffs })
    }

    fn is_alias(&self) -> bool {
        self.kind.is_alias(self.bottoms.len(), self.tops.len())
    }
}

fn view_mut(tensor: &mut Tensor) -> ViewMut<'_> {
    let (shape, data) = tensor.parts_mut();
    ViewMut { shape, layout: Layout::Nchw, data }
}

fn versions(weights: usize) -> SmallVec<[(usize, u64); 4]> {
    (0..weights).map(|i| (i, 0)).collect()
}

/// How the values of a bottom are drawn.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// Standard normal.
    Normal,
    /// Uniform between two bounds.
    Uniform(f32, f32),
    /// Whole numbers below this: labels, indices.
    Whole(usize),
    /// All different, this far apart: for maxima.
    Distinct(f32),
    /// These, repeated.
    Given(&'static [f32]),
}

impl Values {
    fn draw(self, shape: &Shape, kinks: &[f32], distance: f32, rng: &mut Rng) -> Tensor {
        let count = shape.count();
        let mut tensor = Tensor::zeros(shape.clone());
        let mut order: Vec<usize> = (0..count).collect();
        for i in (1..count).rev() {
            order.swap(i, rng.random_range(0..=i));
        }
        for (i, value) in tensor.data_mut().iter_mut().enumerate() {
            *value = loop {
                let drawn = match self {
                    Values::Normal => rng.sample::<f32, _>(StandardNormal),
                    Values::Uniform(low, high) => rng.random_range(low..high),
                    Values::Whole(n) => break rng.random_range(0..n) as f32,
                    Values::Distinct(gap) => break (order[i] as f32 - count as f32 / 2.0) * gap,
                    Values::Given(list) => break list[i % list.len()],
                };
                if kinks.iter().all(|kink| (drawn - kink).abs() > distance) {
                    break drawn;
                }
            };
        }
        tensor
    }
}

/// A gradient to check: finite differences of the forward pass, with the objective (a fixed random
/// combination of all top elements) summed in f64, against the backward pass.
#[derive(Clone, Debug)]
pub struct GradientCase {
    /// What the case is about.
    pub name: &'static str,
    /// A prototxt with one layer.
    pub layer: &'static str,
    /// Shape and values of each bottom.
    pub bottoms: &'static [(&'static [usize], Values)],
    /// Phase.
    pub phase: Phase,
    /// Inputs keep away from these values, where the function has a kink.
    pub kinks: &'static [f32],
    /// Step of the difference.
    pub step: f32,
    /// Allowed difference, relative to max(1, |either|).
    pub tolerance: f64,
}

impl GradientCase {
    /// A case in TRAIN with step 1e-2 and tolerance 1e-2, no kinks.
    pub const fn new(
        name: &'static str,
        layer: &'static str,
        bottoms: &'static [(&'static [usize], Values)],
    ) -> GradientCase {
        let (step, tolerance) = (1e-2, 1e-2);
        GradientCase { name, layer, bottoms, phase: Phase::Train, kinks: &[], step, tolerance }
    }

    /// Checks every element of every bottom and weight that takes a gradient; says all that differ.
    pub fn run(&self, registry: &Registry) -> Result<(), String> {
        let mut rng = RngKey::at_start(7).stream(self.name);
        let bottoms = self
            .bottoms
            .iter()
            .map(|(dims, values)| {
                values.draw(&Shape::new(dims), self.kinks, 2.0 * self.step, &mut rng)
            })
            .collect();
        let fail = |e: LayerError| format!("{}: {e}", self.name);
        let mut single =
            SingleLayer::build(registry, self.layer, self.phase, bottoms).map_err(fail)?;
        let state = single.state.clone();
        single.forward().map_err(fail)?;
        let top_diffs: Vec<Tensor> = single
            .tops
            .iter()
            .map(|top| Values::Normal.draw(top.shape(), &[], 0.0, &mut rng))
            .collect();
        let gradients = single.backward(&top_diffs).map_err(fail)?;
        let mut wrong = Vec::new();
        let objective = |single: &mut SingleLayer| -> Result<f64, String> {
            single.state.clone_from(&state);
            single.forward().map_err(fail)?;
            let tops = single.tops.iter().zip(&top_diffs);
            Ok(tops
                .flat_map(|(top, diff)| top.data().iter().zip(diff.data()))
                .map(|(&y, &w)| f64::from(y) * f64::from(w))
                .sum())
        };
        let blobs = (0..gradients.bottoms.len()).map(|i| (true, i));
        let blobs = blobs.chain((0..gradients.weights.len()).map(|i| (false, i)));
        for (is_bottom, i) in blobs {
            let analytic = match is_bottom {
                true => gradients.bottoms[i].as_ref(),
                false => Some(&gradients.weights[i]),
            };
            let Some(analytic) = analytic else { continue };
            for e in 0..analytic.data().len() {
                let cell = |single: &mut SingleLayer, delta: f32| {
                    let list = if is_bottom { &mut single.bottoms } else { &mut single.weights };
                    list[i].data_mut()[e] += delta;
                };
                let before = if is_bottom { &single.bottoms } else { &single.weights }[i].data()[e];
                cell(&mut single, self.step);
                let high = objective(&mut single)?;
                cell(&mut single, -2.0 * self.step);
                let low = objective(&mut single)?;
                let list = if is_bottom { &mut single.bottoms } else { &mut single.weights };
                list[i].data_mut()[e] = before;
                let numeric = (high - low) / (2.0 * f64::from(self.step));
                let exact = f64::from(analytic.data()[e]);
                let scale = exact.abs().max(numeric.abs()).max(1.0);
                // Written so that NaN counts as wrong.
                if !((exact - numeric).abs() <= self.tolerance * scale) {
                    let what = if is_bottom { "bottom" } else { "weight" };
                    wrong.push(format!("{what} {i}[{e}]: backward {exact}, numeric {numeric}"));
                }
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n    ");
        Err(format!("{}: {} elements differ\n    {shown}", self.name, wrong.len()))
    }
}
