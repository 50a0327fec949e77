//! How gradients become weights: clipping, averaging, decay, the six rules of the original, and two of ours.

use cortado_kernels::{Decay, Gradient, Kernels};
use cortado_layers::ParamKind;
use cortado_proto::caffe::SolverParameter;

use crate::net::{Param, ParamId, ParamStore};

/// The rule by which weights are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateRule {
    /// v = momentum · v + rate · g; w −= v.
    Sgd,
    /// Δ = (1 + momentum) · v_t − momentum · v_{t−1}. Nesterov 1983, as in Sutskever et al. 2013.
    Nesterov,
    /// h += g²; w −= rate · g / (√h + delta). Duchi et al. 2011.
    AdaGrad,
    /// h = rms_decay · h + (1 − rms_decay) · g²; w −= rate · g / (√h + delta). Tieleman, Hinton 2012.
    RmsProp,
    /// Zeiler 2012; momentum is its decay.
    AdaDelta,
    /// Kingma, Ba 2015; momentum is β1, momentum2 is β2.
    Adam,
    /// Adam with the decay apart from the gradient: w −= rate · decay · w. Loshchilov, Hutter 2019.
    AdamW,
    /// SGD whose rate is scaled, for each parameter of two axes or more, by
    /// larc_eta · |w| / (|g| + decay · |w|). You et al. 2017.
    Lars,
}

/// The rules by the `type` that files give them.
pub const RULES: [(&str, UpdateRule); 8] = [
    ("SGD", UpdateRule::Sgd),
    ("Nesterov", UpdateRule::Nesterov),
    ("AdaGrad", UpdateRule::AdaGrad),
    ("RMSProp", UpdateRule::RmsProp),
    ("AdaDelta", UpdateRule::AdaDelta),
    ("Adam", UpdateRule::Adam),
    ("AdamW", UpdateRule::AdamW),
    ("LARS", UpdateRule::Lars),
];

impl UpdateRule {
    /// The rule of a `type`.
    pub fn named(name: &str) -> Option<UpdateRule> {
        RULES.iter().find(|(known, _)| *known == name).map(|&(_, rule)| rule)
    }

    /// How many values it keeps per weight.
    pub fn histories(self) -> usize {
        match self {
            UpdateRule::AdaDelta | UpdateRule::Adam | UpdateRule::AdamW => 2,
            _ => 1,
        }
    }
}

/// What weight decay pulls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regularization {
    L1,
    L2,
}

/// What one update needs to know.
pub(crate) struct Update<'a> {
    pub k: &'static Kernels,
    pub param: &'a SolverParameter,
    pub rule: UpdateRule,
    pub regularization: Regularization,
    pub rate: f32,
    pub iter: u64,
}

impl Update<'_> {
    /// Norm of all diffs and the factor that scales them down, when their L2 norm (summed over
    /// `iter_size`, decay not included: the original's order) exceeds `clip_gradients`.
    pub fn clip(&self, store: &ParamStore) -> Option<(f64, f64)> {
        let limit = f64::from(self.param.clip_gradients());
        if limit < 0.0 {
            return None;
        }
        let norm = self.k.sum_sq(store.diffs()).sqrt();
        (norm > limit).then(|| (norm, limit / norm))
    }

    /// Scales the diffs by `clip`, averages them over `iter_size`, adds the decay, updates the weights.
    pub fn apply(&self, store: &mut ParamStore, history: &mut [Vec<f32>; 2], clip: f32) {
        self.apply_to(store, history, clip, 0..store.trained().len());
    }

    /// The same for some parameters.
    pub fn apply_to(
        &self,
        store: &mut ParamStore,
        history: &mut [Vec<f32>; 2],
        clip: f32,
        ids: impl Iterator<Item = ParamId>,
    ) {
        let scale = clip / self.param.iter_size().max(1) as f32;
        let (params, weights, diffs) = store.for_update();
        let [first, second] = history;
        for param in ids.map(|id| &params[id]).filter(|param| param.kind == ParamKind::Weight) {
            let range = param.range.clone();
            let second = second.get_mut(range.clone()).unwrap_or(&mut []);
            let decay = self.param.weight_decay() * param.decay_mult;
            let (w, g) = (&mut weights[range.clone()], &mut diffs[range.clone()]);
            let rate = self.rate * param.lr_mult * self.trust(param, w, g, scale, decay);
            let decay = match (self.rule, self.regularization) {
                _ if decay == 0.0 => Decay::None,
                (UpdateRule::AdamW, _) => Decay::Weights(1.0 - rate * decay),
                (_, Regularization::L2) => Decay::L2(decay),
                (_, Regularization::L1) => Decay::L1(decay),
            };
            let g = Gradient { values: g, scale, decay };
            self.rule(w, g, &mut first[range], second, rate);
        }
    }

    /// LARS's factor of the rate.
    fn trust(&self, param: &Param, w: &[f32], g: &[f32], scale: f32, decay: f32) -> f32 {
        if self.rule != UpdateRule::Lars || param.shape.len() < 2 {
            return 1.0;
        }
        let (w, g) = (self.k.sum_sq(w).sqrt(), self.k.sum_sq(g).sqrt() * f64::from(scale));
        match w > 0.0 && g > 0.0 {
            true => (f64::from(self.param.larc_eta()) * w / (g + f64::from(decay) * w)) as f32,
            false => 1.0,
        }
    }

    fn rule(&self, w: &mut [f32], g: Gradient<'_>, h: &mut [f32], h2: &mut [f32], rate: f32) {
        let (k, p) = (self.k, self.param);
        match self.rule {
            UpdateRule::Sgd | UpdateRule::Lars => k.sgd(w, g, h, rate, p.momentum()),
            UpdateRule::Nesterov => k.nesterov(w, g, h, rate, p.momentum()),
            UpdateRule::AdaGrad => k.adagrad(w, g, h, rate, p.delta()),
            UpdateRule::RmsProp => k.rmsprop(w, g, h, rate, p.rms_decay(), p.delta()),
            UpdateRule::AdaDelta => k.adadelta(w, g, h, h2, rate, p.momentum(), p.delta()),
            UpdateRule::Adam | UpdateRule::AdamW => {
                let (beta1, beta2) = (p.momentum(), p.momentum2());
                let t = (self.iter + 1) as f64;
                let correction =
                    (1.0 - f64::from(beta2).powf(t)).sqrt() / (1.0 - f64::from(beta1).powf(t));
                k.adam(w, g, h, h2, (f64::from(rate) * correction) as f32, beta1, beta2, p.delta());
            }
        }
    }
}
