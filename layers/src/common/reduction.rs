//! Reduction: one number for all that lies behind an axis.

use cortado_kernels::{SrcDst, Write};
use cortado_proto::caffe::ReductionParameter;
use cortado_proto::caffe::reduction_parameter::ReductionOp;

use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Reduction", build, &DOC).needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["reduction_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the axes of x before `axis`"],
    forward: "SUM: y = coeff · Σ x   ASUM: y = coeff · Σ |x|   SUMSQ: y = coeff · Σ x²\n\
              MEAN: y = coeff · mean of x",
    backward: "SUM: dx = coeff · dy   ASUM: dx = coeff · dy · sign x   SUMSQ: dx = 2 · coeff · dy · x\n\
               MEAN: dx = coeff · dy / number of elements",
    notes: "Only trailing axes are reduced; `axis: 0` (the default) gives a scalar. With `loss_weight` \
            it makes a loss of any blob.",
    example: r#"layer { name: "energy" type: "Reduction" bottom: "x" top: "energy" loss_weight: 0.1
  reduction_param { operation: SUMSQ coeff: 0.5 } }"#,
    source: "Caffe's reduction_layer.cpp",
    ..LayerDoc::new("Sums up the trailing axes.")
};

fn op(def: &LayerDef) -> ReductionOp {
    def.reduction_param.map_or(ReductionOp::Sum, |p| p.operation())
}

fn needs(def: &LayerDef) -> Needs {
    match op(def) {
        ReductionOp::Sum | ReductionOp::Mean => Needs::NOTHING,
        ReductionOp::Asum | ReductionOp::Sumsq => Needs::BOTTOM,
    }
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.reduction_param.unwrap_or_default();
    Ok(Box::new(ReductionLayer { param, rows: 0, width: 0 }))
}

struct ReductionLayer {
    param: ReductionParameter,
    /// Number of sums.
    rows: usize,
    /// Elements in each.
    width: usize,
}

impl ReductionLayer {
    fn coeff(&self) -> f32 {
        match self.param.operation() {
            ReductionOp::Mean => self.param.coeff() / self.width as f32,
            _ => self.param.coeff(),
        }
    }
}

impl Layer for ReductionLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let axis = bottom.axis(self.param.axis(), "reduction_param.axis")?;
        (self.rows, self.width) = (bottom.count_to(axis), bottom.count_from(axis));
        if self.param.operation() == ReductionOp::Asum {
            cx.scratch = bottom.count();
        }
        let top = bottom.with_tail(axis, &[]);
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, k, rows, width) = (cx.bottom(0).data, cx.k, self.rows, self.width);
        let y = &mut *cx.tops[0].data;
        y.fill(0.0);
        match self.param.operation() {
            ReductionOp::Sum | ReductionOp::Mean => k.sum_channels(1, rows, width, x, y),
            ReductionOp::Sumsq => k.dot_channels(1, rows, width, x, x, y),
            ReductionOp::Asum => {
                let sizes = &mut cx.scratch[..x.len()];
                k.map(SrcDst::Apart(x, sizes), f32::abs);
                k.sum_channels(1, rows, width, sizes, y);
            }
        }
        k.scale(self.coeff(), y);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (Some(dy), coeff, width) = (cx.top_diffs[0], self.coeff(), self.width) else {
            return Ok(());
        };
        let x = cx.bottoms[0].map_or(&[][..], |bottom| bottom.data);
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if width == 0 {
            return Ok(());
        }
        for (row, dx_row) in dx.data.chunks_exact_mut(width).enumerate() {
            let factor = coeff * dy.data[row];
            let add = dx.write == Write::Add;
            let write = |dx: &mut f32, value: f32| *dx = if add { *dx + value } else { value };
            let x_row = || &x[row * width..][..width];
            match self.param.operation() {
                ReductionOp::Sum | ReductionOp::Mean => {
                    dx_row.iter_mut().for_each(|dx| write(dx, factor));
                }
                ReductionOp::Sumsq => {
                    dx_row.iter_mut().zip(x_row()).for_each(|(dx, x)| write(dx, 2.0 * factor * x));
                }
                ReductionOp::Asum => {
                    let sign = |x: f32| if x == 0.0 { 0.0 } else { x.signum() };
                    dx_row.iter_mut().zip(x_row()).for_each(|(dx, &x)| write(dx, factor * sign(x)));
                }
            }
        }
        Ok(())
    }
}
