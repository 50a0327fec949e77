//! Layers that move, choose and combine.

pub mod concat;
pub mod eltwise;
pub mod flatten;
pub mod input;
pub mod parameter;
pub mod reshape;
pub mod silence;
mod slabs;
pub mod slice;
pub mod softmax;
pub mod split;

use crate::{Backward, Layer, LayerError, Reshape, Shape};

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
