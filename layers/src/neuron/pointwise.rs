//! Layers that compute each element from one element: a formula and its derivative are all they are.

use cortado_kernels::{Kernels, SrcDst, Write};

use crate::{Backward, Forward, Layer, LayerError, Reshape};

/// The arithmetic of such a layer.
pub trait Pointwise: Send {
    /// Whether a layer in place keeps a copy of x for its derivative. The types that read x and keep
    /// none give the original's gradient in place, which sees the overwritten value.
    const KEEPS_X: bool;

    /// y = f(x)
    fn forward(&self, k: &Kernels, io: SrcDst<'_>);

    /// dx = f'(x) · dy; in place and without `KEEPS_X`, `x` is y as well.
    fn backward(&self, k: &Kernels, diff: SrcDst<'_>, x: &[f32], y: &[f32], write: Write);
}

/// A layer made of one.
pub struct Neuron<P>(pub P);

impl<P: Pointwise> Layer for Neuron<P> {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        if P::KEEPS_X && cx.in_place[0] && cx.backward {
            cx.save(cx.bottoms[0].clone());
        }
        cx.top(0, cx.bottoms[0].clone());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        if let (None, [copy]) = (&cx.bottoms[0], &mut cx.saved[..]) {
            copy.data_mut().copy_from_slice(cx.tops[0].data);
        }
        let k = cx.k;
        self.0.forward(k, cx.src_dst(0));
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let saved = std::mem::take(&mut cx.saved);
        let (k, y) = (cx.k, cx.tops[0].data);
        let x = match (&cx.bottoms[0], &*saved) {
            (Some(bottom), _) => bottom.data,
            (None, [copy]) => copy.data(),
            (None, _) => y,
        };
        if let Some((diff, write)) = cx.diff(0) {
            self.0.backward(k, diff, x, y, write);
        }
        Ok(())
    }
}
