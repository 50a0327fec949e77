//! Permute: the axes in another order.

use super::transpose::Transpose;
use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};
use cortado_kernels::Write;

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Permute", build, &DOC).needs(needs).dialect("ssd");

/// The same under CTPN's name: all axes are named.
pub static TRANSPOSE: LayerKind =
    LayerKind::new("Transpose", build_transpose, &TRANSPOSE_DOC).needs(needs).dialect("ctpn");

static TRANSPOSE_DOC: LayerDoc = LayerDoc {
    params: &["transpose_param"],
    bottoms: DOC.bottoms,
    tops: &["y: the axes of x in the order of `dim`"],
    forward: "y[i_dim(0), i_dim(1), …] = x[i_0, i_1, …]",
    backward: DOC.backward,
    notes: "`dim` names every axis once; `-1` is the last.",
    example: r#"layer { name: "t" type: "Transpose" bottom: "x" top: "y"
  transpose_param { dim: 3 dim: 2 dim: 0 dim: 1 } }"#,
    source: "Tian, Huang, He, He, Qiao 2016 (Connectionist Text Proposal Network), its Caffe",
    ..LayerDoc::new("Puts the axes in another order.")
};

static DOC: LayerDoc = LayerDoc {
    params: &["permute_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the axes of x in the order given"],
    forward: "y[i_order(0), i_order(1), …] = x[i_0, i_1, …]",
    backward: "dx = dy with its axes put back",
    notes: "Axes that `order` does not name follow in their own order: `order: 2` of four axes is \
            2 0 1 3.",
    example: r#"layer { name: "conf_perm" type: "Permute" bottom: "conf" top: "conf_perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }"#,
    source: "permute_layer.cpp of Caffe's SSD branch",
    ..LayerDoc::new("Puts the axes in another order.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let order = def.permute_param.as_ref().map_or(Vec::new(), |p| p.order.clone());
    let order: Vec<usize> = order.into_iter().map(|axis| axis as usize).collect();
    if let Some(i) = (0..order.len()).find(|&i| order[..i].contains(&order[i])) {
        let why = format!("`order` names each axis once, found {} twice", order[i]);
        return Err(LayerError::field("permute_param.order", why));
    }
    Ok(Box::new(PermuteLayer { order, transpose: Transpose::default() }))
}

fn build_transpose(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let dims = def.transpose_param.clone().unwrap_or_default().dim;
    let all = dims.len() as i32;
    let mut order = Vec::new();
    for &dim in &dims {
        let axis = if dim < 0 { dim + all } else { dim };
        match usize::try_from(axis) {
            Ok(axis) if axis < dims.len() && !order.contains(&axis) => order.push(axis),
            _ => {
                let why = format!("`dim` names each of the {all} axes once, found {dims:?}");
                return Err(LayerError::field("transpose_param.dim", why));
            }
        }
    }
    Ok(Box::new(TransposeLayer(PermuteLayer { order, transpose: Transpose::default() })))
}

/// A permutation that names every axis.
struct TransposeLayer(PermuteLayer);

impl Layer for TransposeLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let (named, bottom) = (self.0.order.len(), &cx.bottoms[0]);
        if named != bottom.len() {
            let why = format!("`dim` names every axis of the bottom, {bottom}; found {named}");
            return Err(LayerError::field("transpose_param.dim", why));
        }
        self.0.reshape(cx)
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.0.forward(cx)
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        self.0.backward(cx)
    }
}

struct PermuteLayer {
    order: Vec<usize>,
    transpose: Transpose,
}

impl Layer for PermuteLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        if let Some(axis) = self.order.iter().find(|&&axis| axis >= bottom.len()) {
            let why = format!(
                "`order` names axes below {}, those of the bottom, {bottom}; found {axis}",
                bottom.len()
            );
            return Err(LayerError::field("permute_param.order", why));
        }
        let rest = (0..bottom.len()).filter(|axis| !self.order.contains(axis));
        let order: Vec<usize> = self.order.iter().copied().chain(rest).collect();
        self.transpose = Transpose::new(bottom, &order);
        cx.top(0, order.iter().map(|&axis| bottom[axis]).collect::<Vec<_>>());
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.transpose.gather(cx.bottom(0).data, cx.tops[0].data, Write::Set);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        if let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) {
            self.transpose.scatter(dy.data, dx.data, dx.write);
        }
        Ok(())
    }
}
