//! Updates that are made to be timed.

use cortado_kernels::kernels;
use cortado_proto::caffe::SolverParameter;

use super::update::{Regularization, Update, UpdateRule};
use crate::net::{Net, ParamId};

/// SGD with momentum and decay at a rate of 0: a step costs what it costs in training and leaves the
/// weights as they are.
pub struct Rehearsal {
    param: SolverParameter,
    history: [Vec<f32>; 2],
    /// Of each layer those that no layer before it has.
    params: Vec<Vec<ParamId>>,
}

impl Rehearsal {
    /// For the parameters of a net.
    pub fn new(net: &Net) -> Rehearsal {
        let param = SolverParameter {
            momentum: Some(0.9),
            weight_decay: Some(0.0005),
            ..SolverParameter::default()
        };
        let mut seen = std::collections::HashSet::new();
        let mut own =
            |ids: &mut dyn Iterator<Item = ParamId>| ids.filter(|&id| seen.insert(id)).collect();
        let params = net.layers().map(|layer| own(&mut layer.params().map(|(id, _)| id))).collect();
        Rehearsal { param, history: [vec![0.0; net.store.weight_count()], Vec::new()], params }
    }

    /// Updates the weights of a layer and clears their gradients. On the threads of the caller.
    pub fn step(&mut self, net: &mut Net, layer: usize) {
        let update = Update {
            k: kernels(),
            param: &self.param,
            rule: UpdateRule::Sgd,
            regularization: Regularization::L2,
            rate: 0.0,
            iter: 0,
        };
        let ids = &self.params[layer];
        update.apply_to(&mut net.store, &mut self.history, 1.0, ids.iter().copied());
        ids.iter().for_each(|&id| net.store.clear_diff(id));
    }

    /// Bytes that a step of a layer reads and writes: weights, gradients and history both ways, and the
    /// gradients that are cleared.
    pub fn bytes(&self, net: &Net, layer: usize) -> u64 {
        let ids = self.params[layer].iter();
        let params = ids.map(|&id| &net.store.params()[id]);
        let weights = params.filter(|param| param.kind == cortado_layers::ParamKind::Weight);
        weights.map(|param| 7 * 4 * param.range.len() as u64).sum()
    }
}
