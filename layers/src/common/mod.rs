//! Layers that move, choose and combine.

pub mod argmax;
pub mod axpy;
pub mod batch_reindex;
pub mod concat;
pub mod crop;
pub mod eltwise;
pub mod filter;
pub mod flatten;
pub mod input;
pub mod mask_pooling;
pub mod parameter;
pub mod permute;
pub mod python;
pub mod python_shapes;
pub mod reduction;
pub mod reorg;
pub mod reshape;
pub mod reverse;
pub mod shuffle_channel;
pub mod silence;
pub(crate) mod slabs;
pub mod slice;
pub mod softmax;
pub mod split;
pub mod tile;
mod transpose;

use crate::{Backward, Layer, LayerError, Reshape, Shape};

/// A number of a blob as an index below `below`; `None` when it is none. A fraction is cut off.
pub(crate) fn index(value: f32, below: usize) -> Option<usize> {
    (value >= 0.0 && (value as usize) < below).then_some(value as usize)
}

/// A layer whose tops are its bottom's memory: all it does is to shape them.
pub struct AliasLayer<F>(pub F);

impl<F> Layer for AliasLayer<F>
where
    F: Fn(&Shape) -> Result<Shape, LayerError> + Send,
{
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let shape = (self.0)(&cx.bottoms[0])?;
        cx.tops.iter_mut().for_each(|top| top.clone_from(&shape));
        Ok(())
    }

    fn forward(&mut self, _: &mut crate::Forward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn backward(&mut self, _: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }
}
