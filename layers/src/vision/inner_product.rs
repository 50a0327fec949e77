//! InnerProduct: every output is a weighted sum of all inputs.

use cortado_kernels::{SrcDst, Trans, Write};
use cortado_proto::caffe::InnerProductParameter;

use crate::filler::or_zero;
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx, Needs, Prim,
    Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("InnerProduct", build, &DOC).needs(needs).macs(macs).lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["inner_product_param"],
    bottoms: &["x: M x K, where M is all axes before `axis` and K all from it on"],
    tops: &["y: the axes before `axis`, then num_output"],
    blobs: &[
        "W: num_output x K (K x num_output with `transpose`)",
        "b: num_output, unless bias_term is false",
    ],
    forward: "y = x · Wᵀ + b",
    backward: "dx = dy · W   dW += dyᵀ · x   db += Σ_m dy",
    notes: "K is fixed at setup: a bottom of another size is an error. Without a `weight_filler` all \
            weights start at 0. Intel's `relu: true` is a ReLU of the slope `negative_slope` behind the bias.",
    example: r#"layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 10 weight_filler { type: "xavier" } } }"#,
    source: "Caffe's inner_product_layer.cpp",
    ..LayerDoc::new("Multiplies its bottom with a learned matrix.")
};

/// A ReLU in the layer tells itself by y.
fn needs(def: &LayerDef) -> Needs {
    let relu = def.inner_product_param.as_ref().is_some_and(|p| p.relu());
    if relu { Needs::BOTH } else { Needs::BOTTOM }
}

fn macs(_: &[Shape], tops: &[Shape], params: &[Shape]) -> u64 {
    let outputs = tops[0].last().copied().unwrap_or(1).max(1);
    let inputs = params.first().map_or(0, |w| w.count() / outputs);
    (tops[0].count() * inputs) as u64
}

/// How W is used as the right operand of y = x · op(W).
fn op(param: &InnerProductParameter) -> Trans {
    if param.transpose() { Trans::No } else { Trans::Yes }
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.inner_product_param.clone().unwrap_or_default();
    let (bottom, n) = (&cx.bottoms[0], p.num_output() as usize);
    bottom.axis(p.axis(), "").ok().filter(|&axis| axis == 1 && !p.relu())?;
    Some(Prim::Gemm { m: bottom[0], n, k: bottom.count_from(1), trans: op(&p) })
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.inner_product_param.clone().unwrap_or_default();
    let n = super::num_output(param.num_output, "inner_product_param")?;
    let relu = super::own_relu(param.relu(), param.negative_slope(), "inner_product_param")?;
    Ok(Box::new(InnerProductLayer { param, relu, axis: 0, m: 0, n, k: 0 }))
}

struct InnerProductLayer {
    param: InnerProductParameter,
    /// Slope of the ReLU behind the bias, if there is one.
    relu: Option<f32>,
    axis: usize,
    /// Rows of the bottom.
    m: usize,
    /// Columns of the top.
    n: usize,
    /// Columns of the bottom.
    k: usize,
}

impl Layer for InnerProductLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        self.axis = bottom.axis(self.param.axis(), "inner_product_param.axis")?;
        self.k = bottom.count_from(self.axis);
        let (n, k) = (self.n, self.k);
        if k == 0 {
            let why = format!("the bottom, {bottom}, has no elements from axis {} on", self.axis);
            return Err(LayerError::bottom(0, why));
        }
        let weights = if self.param.transpose() { [k, n] } else { [n, k] };
        let (field, filler) = ("inner_product_param.weight_filler", &self.param.weight_filler);
        cx.weight_of(field, weights, or_zero(filler));
        if self.param.bias_term() {
            let (field, filler) = ("inner_product_param.bias_filler", &self.param.bias_filler);
            cx.weight_of(field, [n], or_zero(filler));
        }
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        if bottom.len() <= self.axis || bottom.count_from(self.axis) != self.k {
            let why = format!("the weights are for {} inputs, the bottom is {bottom}", self.k);
            return Err(LayerError::bottom(0, why)
                .help("the bottom's size from `axis` on is fixed when the net is built"));
        }
        self.m = bottom.count_to(self.axis);
        let top = bottom.with_tail(self.axis, &[self.n]);
        // dy, passed back through the ReLU.
        cx.scratch = if cx.backward && self.relu.is_some() { top.count() } else { 0 };
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, w, y) = (cx.bottom(0).data, cx.weights[0].data, &mut *cx.tops[0].data);
        let (m, n, k) = (self.m, self.n, self.k);
        let mut beta = 0.0;
        if let Some(bias) = cx.weights.get(1) {
            y.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(bias.data));
            beta = 1.0;
        }
        cx.k.gemm(Trans::No, op(&self.param), m, n, k, 1.0, x, w, beta, y);
        if let Some(slope) = self.relu {
            cx.k.relu_forward(SrcDst::InPlace(y), slope);
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (x, w, mut dy) = (cx.bottom(0).data, cx.weights[0].data, dy.data);
        if let Some(slope) = self.relu {
            let io = SrcDst::Apart(dy, &mut *cx.scratch);
            cx.k.relu_backward(io, cx.tops[0].data, slope, Write::Set);
            dy = &*cx.scratch;
        }
        let (m, n, k) = (self.m, self.n, self.k);
        if let Some(dw) = &mut cx.weight_diffs[0] {
            match op(&self.param) {
                Trans::Yes => cx.k.gemm(Trans::Yes, Trans::No, n, k, m, 1.0, dy, x, 1.0, dw.data),
                Trans::No => cx.k.gemm(Trans::Yes, Trans::No, k, n, m, 1.0, x, dy, 1.0, dw.data),
            }
        }
        if let Some(Some(db)) = cx.weight_diffs.get_mut(1) {
            cx.k.sum_channels(m, n, 1, dy, db.data);
        }
        if let Some(dx) = &mut cx.bottom_diffs[0] {
            let op = if op(&self.param) == Trans::Yes { Trans::No } else { Trans::Yes };
            let beta = if dx.write == Write::Add { 1.0 } else { 0.0 };
            cx.k.gemm(Trans::No, op, m, k, n, 1.0, dy, w, beta, dx.data);
        }
        Ok(())
    }
}
