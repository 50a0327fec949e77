//! Tensors, and the views of them that layers and kernels get.

use cortado_kernels::{Blocked, BlockedMut, BlockedRef, Dest, Source};
use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};

use crate::Shape;

/// How the elements of a blob lie in memory. Only kernels read it; the logical shape is always the
/// one the prototxt means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// Row-major in the order of the axes.
    #[default]
    Nchw,
    /// `[n][c/16][h + 2 halo][w + 2 halo][16]`; lanes past the last channel and the halo are zero.
    Nchw16c {
        /// Rows and columns of zeros around each plane.
        halo: u8,
    },
}

/// An owned tensor of f32, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    shape: Shape,
    data: Vec<f32>,
}

impl Tensor {
    /// Zeros of a shape.
    pub fn zeros(shape: Shape) -> Tensor {
        let data = vec![0.0; shape.count()];
        Tensor { shape, data }
    }

    /// A tensor of these elements; `None` unless there are as many as the shape holds.
    pub fn from_vec(shape: Shape, data: Vec<f32>) -> Option<Tensor> {
        (shape.count() == data.len()).then_some(Tensor { shape, data })
    }

    /// Takes a new shape; keeps the memory where it suffices. New elements are zero.
    pub fn resize(&mut self, shape: &Shape) {
        self.data.resize(shape.count(), 0.0);
        self.shape.clone_from(shape);
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The elements, to write.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Shape and elements at once, to write.
    pub fn parts_mut(&mut self) -> (&Shape, &mut [f32]) {
        (&self.shape, &mut self.data)
    }

    /// The same memory as u32, for indices and bit masks.
    pub fn bits_mut(&mut self) -> &mut [u32] {
        bytemuck::cast_slice_mut(&mut self.data)
    }

    /// The same memory as u32.
    pub fn bits(&self) -> &[u32] {
        bytemuck::cast_slice(&self.data)
    }

    /// A view of the whole.
    pub fn view(&self) -> View<'_> {
        View { shape: &self.shape, layout: Layout::Nchw, data: &self.data }
    }
}

/// A blob to read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Logical shape.
    pub shape: &'a Shape,
    /// How `data` lies; layers pass it on to kernels.
    pub layout: Layout,
    /// The elements.
    pub data: &'a [f32],
}

/// A blob to write.
#[derive(Debug)]
pub struct ViewMut<'a> {
    /// Logical shape.
    pub shape: &'a Shape,
    /// How `data` lies; layers pass it on to kernels.
    pub layout: Layout,
    /// The elements.
    pub data: &'a mut [f32],
}

impl Layout {
    /// The blocks in which a blob of this shape lies; `None` for planes.
    pub fn blocked(self, shape: &Shape) -> Option<Blocked> {
        match (self, &shape[..]) {
            (Layout::Nchw16c { halo }, &[n, c, h, w]) => {
                Some(Blocked { n, c, h, w, halo: halo.into() })
            }
            _ => None,
        }
    }
}

impl<'a> View<'a> {
    /// The blob as a convolution reads it.
    pub fn source(&self) -> Source<'a> {
        match self.layout.blocked(self.shape) {
            Some(of) => Source::Blocked(BlockedRef::new(self.data, of)),
            None => Source::Planes(self.data),
        }
    }

    /// The blob as an ndarray view.
    pub fn array(&self) -> ArrayViewD<'a, f32> {
        debug_assert_eq!(self.layout, Layout::Nchw);
        ArrayViewD::from_shape(IxDyn(self.shape), self.data)
            .expect("a view holds as many elements as its shape says")
    }
}

impl ViewMut<'_> {
    /// The blob as a convolution writes it.
    pub fn dest(&mut self) -> Dest<'_> {
        dest(self.layout, self.shape, self.data)
    }

    /// The blob as an ndarray view.
    pub fn array(&mut self) -> ArrayViewMutD<'_, f32> {
        debug_assert_eq!(self.layout, Layout::Nchw);
        ArrayViewMutD::from_shape(IxDyn(self.shape), self.data)
            .expect("a view holds as many elements as its shape says")
    }

    /// The same blob, to read.
    pub fn as_view(&self) -> View<'_> {
        View { shape: self.shape, layout: self.layout, data: self.data }
    }
}

pub(crate) fn dest<'a>(layout: Layout, shape: &Shape, data: &'a mut [f32]) -> Dest<'a> {
    match layout.blocked(shape) {
        Some(of) => Dest::Blocked(BlockedMut::new(data, of)),
        None => Dest::Planes(data),
    }
}
