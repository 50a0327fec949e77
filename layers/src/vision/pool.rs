//! One pooling: what Pooling does once and SPP on every level.

use cortado_kernels::{Kernels, PoolGeometry, Write};
use cortado_proto::caffe::pooling_parameter::PoolMethod;
use rand::RngExt;

use crate::{LayerError, Phase, Rng, Tensor};

/// Windows, and what is done to each.
pub(super) struct Pool {
    /// What is done to each window.
    pub method: PoolMethod,
    /// Where the windows lie.
    pub geometry: PoolGeometry,
}

impl Pool {
    /// Whether a mask is kept from forward to backward.
    pub fn has_mask(method: PoolMethod) -> bool {
        method != PoolMethod::Ave
    }

    /// From `x` to `y`. MAX fills the mask where one is given, STOCHASTIC needs it in TRAIN.
    pub fn forward(
        &self,
        k: &Kernels,
        (phase, rng): (Phase, &mut Rng),
        x: &[f32],
        y: &mut [f32],
        mask: Option<&mut [u32]>,
    ) {
        match (self.method, mask) {
            (PoolMethod::Ave, _) => k.ave_pool_forward(&self.geometry, x, y),
            (PoolMethod::Max, mask) => k.max_pool_forward(&self.geometry, x, y, mask),
            (PoolMethod::Stochastic, Some(mask)) if phase == Phase::Train => {
                let uniform: Vec<f32> = y.iter().map(|_| rng.random()).collect();
                k.stochastic_pool_train(&self.geometry, x, &uniform, y, mask);
            }
            (PoolMethod::Stochastic, _) => k.stochastic_pool_test(&self.geometry, x, y),
        }
    }

    /// From `x` to `y`, both in blocks; the maximum or the mean.
    pub fn forward_blocked(&self, k: &Kernels, x: &[f32], y: &mut [f32], saved: &mut [Tensor]) {
        let g = &self.geometry;
        match (self.method, saved.first_mut()) {
            (PoolMethod::Max, Some(mask)) => k.max_pool_blocked_mask(g, x, y, mask.bits_mut()),
            _ => k.ave_pool_in_blocks(g, x, y),
        }
    }

    /// From `dy` to `dx`, both in blocks.
    pub fn backward_blocked(
        &self,
        k: &Kernels,
        dy: &[f32],
        mask: &[u32],
        write: Write,
        dx: &mut [f32],
    ) {
        match self.method {
            PoolMethod::Ave => k.ave_pool_blocked_backward(&self.geometry, dy, write, dx),
            _ => k.max_pool_blocked_backward(&self.geometry, dy, mask, write, dx),
        }
    }

    /// From `dy` to `dx`, with the mask of the last forward.
    pub fn backward(
        &self,
        k: &Kernels,
        phase: Phase,
        dy: &[f32],
        mask: &[u32],
        write: Write,
        dx: &mut [f32],
    ) -> Result<(), LayerError> {
        match self.method {
            PoolMethod::Ave => k.ave_pool_backward(&self.geometry, dy, write, dx),
            PoolMethod::Stochastic if phase == Phase::Test => {
                return Err(LayerError::layer("STOCHASTIC pooling has no gradient in TEST"));
            }
            _ => k.max_pool_backward(&self.geometry, dy, mask, write, dx),
        }
        Ok(())
    }
}
