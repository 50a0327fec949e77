//! Bias: the sum with a learned (or given) value per channel.

use cortado_kernels::{SrcDst, Write};
use cortado_proto::caffe::BiasParameter;

use crate::filler::or_zero;
use crate::{
    Affine, Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx,
    Needs, Prim, Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Bias", build, &DOC)
    .bottoms(Arity::between(1, 2))
    .in_place()
    .needs(needs)
    .lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["bias_param"],
    bottoms: &[
        "x: any shape",
        "β (instead of a blob): the axes of x from `axis` on, `num_axes` of them",
    ],
    tops: &["y: the shape of x"],
    blobs: &["β: the axes of x that it covers (absent with two bottoms)"],
    forward: "y = x + β, β repeated over the axes before and behind those that it covers",
    backward: "dx = dy   dβ += Σ dy over the repeated axes",
    notes: "`num_axes: -1` covers all axes from `axis` on; 0 makes β one number.",
    example: r#"layer { name: "bias1" type: "Bias" bottom: "conv1" top: "conv1" }"#,
    source: "Caffe's bias_layer.cpp",
    ..LayerDoc::new("Adds a value per channel.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.bias_param.clone().unwrap_or_default();
    let shift = super::per_channel(cx, 0, p.axis())?;
    Some(Prim::Affine(Affine { scale: vec![1.0; shift.len()], shift }))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.bias_param.clone().unwrap_or_default();
    Ok(Box::new(BiasLayer { param, own: true, dims: [0; 3] }))
}

struct BiasLayer {
    param: BiasParameter,
    own: bool,
    /// The bottom as [outer, β, inner].
    dims: [usize; 3],
}

impl Layer for BiasLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        self.own = cx.bottoms.len() == 1;
        if self.own {
            let (axis, num_axes) = (self.param.axis(), self.param.num_axes());
            let covered = super::covered(&cx.bottoms[0], axis, num_axes, "bias_param")?;
            cx.weight_of("bias_param.filler", covered, or_zero(&self.param.filler));
        }
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let bias: &Shape = if self.own { &cx.params[0] } else { &cx.bottoms[1] };
        self.dims = super::around(&bottom, bias, self.param.axis(), "bias_param", !self.own)?;
        if !self.own {
            cx.scratch = self.dims[1];
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let bias = if self.own { cx.weights[0].data } else { cx.bottom(1).data };
        let ones = vec![1.0; c];
        let k = cx.k;
        k.affine_channels(outer, c, inner, cx.src_dst(0), &ones, Some(bias));
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let k = cx.k;
        let dy = match (&cx.top_diffs[0], &cx.bottom_diffs[0]) {
            (Some(dy), _) => dy.data,
            (None, Some(diff)) => &*diff.data,
            (None, None) => return Ok(()),
        };
        if self.own {
            if let Some(bias) = &mut cx.weight_diffs[0] {
                k.sum_channels(outer, c, inner, dy, bias.data);
            }
        } else {
            // Through scratch: dy may lie in a bottom diff as well.
            let sums = &mut cx.scratch[..c];
            sums.fill(0.0);
            k.sum_channels(outer, c, inner, dy, sums);
            if let Some(Some(diff)) = cx.bottom_diffs.get_mut(1) {
                match diff.write {
                    Write::Set => diff.data.copy_from_slice(sums),
                    Write::Add => k.axpy(1.0, sums, diff.data),
                }
            }
        }
        match cx.diff(0) {
            Some((SrcDst::Apart(dy, dx), Write::Set)) => dx.copy_from_slice(dy),
            Some((SrcDst::Apart(dy, dx), Write::Add)) => k.axpy(1.0, dy, dx),
            _ => {}
        }
        Ok(())
    }
}
