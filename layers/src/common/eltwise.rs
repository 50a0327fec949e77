//! Eltwise: blobs of one shape combined element by element.

use cortado_proto::caffe::EltwiseParameter;
use cortado_proto::caffe::eltwise_parameter::EltwiseOp;

use crate::{
    Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Layouts, LowerCx,
    Needs, Prim, Reshape,
};
use cortado_kernels::Write;

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Eltwise", build, &DOC)
    .bottoms(Arity::at_least(2))
    .needs(needs)
    .lower(lower)
    .layouts(Layouts::Elementwise);

static DOC: LayerDoc = LayerDoc {
    params: &["eltwise_param"],
    bottoms: &["x_1, x_2, …: one shape"],
    tops: &["y: the shape of the bottoms"],
    forward: "SUM: y = Σ coeff_i · x_i   PROD: y = Π x_i   MAX: y = max x_i",
    backward: "SUM: dx_i = coeff_i · dy   PROD: dx_i = dy · Π_j≠i x_j   MAX: dx_i = dy where x_i is the maximum",
    notes: "MAX: of equal first two bottoms the second wins; a later bottom must be strictly greater. \
            PROD with `stable_prod_grad: false` divides y by x_i, which is faster and gives NaN where \
            x_i is 0.",
    example: r#"layer { name: "res2a" type: "Eltwise" bottom: "a" bottom: "b" top: "res2a" }"#,
    source: "Caffe's eltwise_layer.cpp",
    ..LayerDoc::new("Sum, product or maximum of blobs.")
};

fn op(def: &LayerDef) -> EltwiseOp {
    def.eltwise_param.as_ref().map_or(EltwiseOp::Sum, |p| p.operation())
}

fn needs(def: &LayerDef) -> Needs {
    match op(def) {
        EltwiseOp::Prod => Needs::BOTH,
        _ => Needs::NOTHING,
    }
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    Some(match op(cx.def) {
        EltwiseOp::Sum => {
            let given = cx.def.eltwise_param.as_ref().map_or(&[][..], |p| &p.coeff);
            let of = |i: usize| given.get(i).copied().unwrap_or(1.0);
            Prim::Add { coeffs: (0..cx.bottoms.len()).map(of).collect() }
        }
        EltwiseOp::Prod => Prim::Mul,
        EltwiseOp::Max => Prim::Max,
    })
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.eltwise_param.clone().unwrap_or_default();
    let (coeffs, bottoms) = (param.coeff.len(), def.bottom.len());
    if coeffs != 0 && coeffs != bottoms {
        let why = format!(
            "`coeff` is given once per bottom or not at all: {bottoms} bottoms, {coeffs} {}",
            if coeffs == 1 { "entry" } else { "entries" }
        );
        return Err(LayerError::field("eltwise_param.coeff", why));
    }
    if coeffs != 0 && param.operation() == EltwiseOp::Prod {
        let why = "`coeff` goes with SUM, found PROD";
        return Err(LayerError::field("eltwise_param.coeff", why));
    }
    Ok(Box::new(EltwiseLayer { param }))
}

struct EltwiseLayer {
    param: EltwiseParameter,
}

impl EltwiseLayer {
    fn coeff(&self, i: usize) -> f32 {
        self.param.coeff.get(i).copied().unwrap_or(1.0)
    }
}

impl Layer for EltwiseLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let first = cx.bottoms[0].clone();
        if let Some(i) = cx.bottoms.iter().position(|bottom| *bottom != first) {
            let why =
                format!("all bottoms must have one shape, found {first} and {}", cx.bottoms[i]);
            return Err(LayerError::bottom(i, why));
        }
        if self.param.operation() == EltwiseOp::Max {
            cx.save(first.clone());
        }
        cx.top(0, first);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let bottoms: Vec<&[f32]> = (0..cx.bottoms.len()).map(|i| cx.bottom(i).data).collect();
        let (k, y) = (cx.k, &mut *cx.tops[0].data);
        match self.param.operation() {
            EltwiseOp::Sum => {
                let coeffs: Vec<f32> = (0..bottoms.len()).map(|i| self.coeff(i)).collect();
                k.eltwise_sum(&bottoms, &coeffs, y);
            }
            EltwiseOp::Prod => k.eltwise_prod(&bottoms, y),
            EltwiseOp::Max => k.eltwise_max(&bottoms, y, Some(cx.saved[0].bits_mut())),
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let (k, dy, y) = (cx.k, dy.data, cx.tops[0].data);
        for i in 0..cx.bottom_diffs.len() {
            let coeff = self.coeff(i);
            let bottoms = cx.bottoms;
            let Some(diff) = &mut cx.bottom_diffs[i] else { continue };
            let add = diff.write == Write::Add;
            match self.param.operation() {
                EltwiseOp::Sum if add => k.axpy(coeff, dy, diff.data),
                EltwiseOp::Sum if coeff == 1.0 => diff.data.copy_from_slice(dy),
                EltwiseOp::Sum => {
                    k.affine(cortado_kernels::SrcDst::Apart(dy, diff.data), coeff, 0.0)
                }
                EltwiseOp::Max => {
                    let mask = cx.saved[0].bits();
                    for ((dx, &dy), &from) in diff.data.iter_mut().zip(dy).zip(mask) {
                        let value = if from as usize == i { dy } else { 0.0 };
                        *dx = if add { *dx + value } else { value };
                    }
                }
                EltwiseOp::Prod => {
                    for (e, dx) in diff.data.iter_mut().enumerate() {
                        let x = |j: usize| bottoms[j].map_or(0.0, |bottom| bottom.data[e]);
                        let others = match self.param.stable_prod_grad() {
                            true => (0..bottoms.len()).filter(|&j| j != i).map(x).product(),
                            false => y[e] / x(i),
                        };
                        let value = others * dy[e];
                        *dx = if add { *dx + value } else { value };
                    }
                }
            }
        }
        Ok(())
    }
}
