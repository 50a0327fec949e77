//! Layer-sequential unit variance: in the first training pass the weights of each layer with the
//! filler `lsuv` are scaled until the layer's output has variance 1, before the next layer runs.
//! Mishkin, Matas 2016, *All you need is a good init*.

use cortado_kernels::kernels;

use super::{Net, NetError, ParamId};

/// A variance this close to 1 is good enough.
const TOLERANCE: f64 = 0.1;
/// Most often that a layer's weights are scaled.
const TRIES: usize = 10;

impl Net {
    /// Whether a layer has weights that wait for their scale.
    pub(super) fn is_unscaled(&self, i: usize) -> bool {
        self.unscaled(i).next().is_some()
    }

    fn unscaled(&self, i: usize) -> impl Iterator<Item = ParamId> {
        let node = &self.nodes[i];
        let ids = node.weights.iter().map(|&p| node.params[p]);
        ids.filter(|&id| self.store.params()[id].unscaled)
    }

    /// After the forward pass of a layer: scales its weights and runs it again. An output that is
    /// constant or not finite leaves them as they are.
    pub(super) fn scale_to_unit_variance(&mut self, i: usize) -> Result<(), NetError> {
        let weights: Vec<ParamId> = self.unscaled(i).collect();
        weights.iter().for_each(|&id| self.store.param_mut(id).unscaled = false);
        for _ in 0..TRIES {
            let variance = self.output_variance(i);
            let is_usable = variance.is_finite() && variance > 0.0;
            if !is_usable || (variance - 1.0).abs() <= TOLERANCE {
                break;
            }
            let factor = variance.sqrt().recip() as f32;
            for &id in &weights {
                kernels().scale(factor, self.store.data_mut(id));
            }
            self.forward_node(i)?;
        }
        Ok(())
    }

    /// Variance of all elements of a layer's tops.
    fn output_variance(&self, i: usize) -> f64 {
        let tops = self.nodes[i].tops.iter().map(|&b| &self.storages[self.blobs[b].storage].data);
        let values = || tops.clone().flatten().map(|&v| f64::from(v));
        let count = values().count() as f64;
        let mean = values().sum::<f64>() / count;
        values().map(|v| (v - mean).powi(2)).sum::<f64>() / count
    }
}
