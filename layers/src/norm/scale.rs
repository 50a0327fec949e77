//! Scale: the product with a learned (or given) factor per channel, and a bias.

use cortado_kernels::Write;
use cortado_proto::caffe::ScaleParameter;
use cortado_proto::defaults::filler_or;

use crate::filler::or_zero;
use crate::{
    Affine, Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, LowerCx,
    Needs, Prim, Reshape, SetUp, Shape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Scale", build, &DOC)
    .bottoms(Arity::between(1, 2))
    .in_place()
    .needs(needs)
    .lower(lower);

static DOC: LayerDoc = LayerDoc {
    params: &["scale_param"],
    bottoms: &[
        "x: any shape",
        "γ (instead of a blob): the axes of x from `axis` on, `num_axes` of them",
    ],
    tops: &["y: the shape of x"],
    blobs: &[
        "γ: the axes of x that it covers (absent with two bottoms)",
        "β: the shape of γ, with `bias_term` (blob 0 with two bottoms)",
    ],
    forward: "y = γ · x + β, γ and β repeated over the axes before and behind those that they cover",
    backward: "dx = γ · dy   dγ += Σ dy · x   dβ += Σ dy, summed over the repeated axes",
    notes: "**With BatchNorm.** `Scale { bias_term: true }` behind a BatchNorm holds the γ and β of the \
            paper, which Caffe keeps apart from the normalisation; see BatchNorm. Forward reads γ and β \
            once per channel; backward needs the normalised x, so a layer in place keeps a copy of its \
            input.\n\n\
            **Fillers.** Without a `filler` γ starts at 1. A `filler { }` that is given but has no type \
            is the constant 0, as in the original: then the layer passes nothing until it has learned.\n\n\
            `num_axes: -1` covers all axes from `axis` on; 0 makes γ one number.",
    example: r#"layer { name: "scale1" type: "Scale" bottom: "conv1" top: "conv1"
  scale_param { bias_term: true } }"#,
    source: "Ioffe, Szegedy 2015, equation 3 of algorithm 1; Caffe's scale_layer.cpp and bias_layer.cpp",
    ..LayerDoc::new("Multiplies with a factor per channel and adds a bias.")
};

/// dγ wants x; dx wants γ, which may be a bottom.
fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn lower(cx: &LowerCx<'_>) -> Option<Prim> {
    let p = cx.def.scale_param.clone().unwrap_or_default();
    let scale = super::per_channel(cx, 0, p.axis())?;
    let shift = match p.bias_term() {
        true => super::per_channel(cx, 1, p.axis())?,
        false => vec![0.0; scale.len()],
    };
    Some(Prim::Affine(Affine { scale, shift }))
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.scale_param.clone().unwrap_or_default();
    Ok(Box::new(ScaleLayer { param, own: true, dims: [0; 3] }))
}

struct ScaleLayer {
    param: ScaleParameter,
    /// Whether γ is a blob, not a bottom.
    own: bool,
    /// The bottom as [outer, γ, inner].
    dims: [usize; 3],
}

impl ScaleLayer {
    /// Index of β among the weights.
    fn bias(&self) -> Option<usize> {
        self.param.bias_term().then_some(usize::from(self.own))
    }
}

impl Layer for ScaleLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        self.own = cx.bottoms.len() == 1;
        let covered = match cx.bottoms {
            [_, factor] => factor.clone(),
            _ => super::covered(
                &cx.bottoms[0],
                self.param.axis(),
                self.param.num_axes(),
                "scale_param",
            )?,
        };
        if self.own {
            let filler = filler_or(self.param.filler.as_ref(), 1.0);
            cx.weight_of("scale_param.filler", covered.clone(), filler);
        }
        if self.param.bias_term() {
            let filler = or_zero(&self.param.bias_filler);
            cx.weight_of("scale_param.bias_filler", covered, filler);
        }
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let factor: &Shape = if self.own { &cx.params[0] } else { &cx.bottoms[1] };
        self.dims = super::around(&bottom, factor, self.param.axis(), "scale_param", !self.own)?;
        if let Some(bias) = self.bias().map(|i| &cx.params[i]).filter(|&bias| bias != factor) {
            let why = format!("the bias is for {bias}, the second bottom is {factor}");
            return Err(LayerError::bottom(1, why));
        }
        if cx.in_place[0] && cx.backward {
            cx.save(bottom.clone());
        }
        if cx.backward && !self.own {
            cx.scratch = self.dims[1];
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let (k, weights) = (cx.k, cx.weights);
        if let (None, [copy]) = (&cx.bottoms[0], &mut cx.saved[..]) {
            copy.data_mut().copy_from_slice(cx.tops[0].data);
        }
        let factor = if self.own { weights[0].data } else { cx.bottom(1).data };
        let bias = self.bias().map(|i| weights[i].data);
        k.affine_channels(outer, c, inner, cx.src_dst(0), factor, bias);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let [outer, c, inner] = self.dims;
        let k = cx.k;
        if let Some(Some(bias)) = self.bias().map(|i| &mut cx.weight_diffs[i]) {
            let dy = match (&cx.top_diffs[0], &cx.bottom_diffs[0]) {
                (Some(dy), _) => dy.data,
                (None, Some(diff)) => &*diff.data,
                (None, None) => return Ok(()),
            };
            k.sum_channels(outer, c, inner, dy, bias.data);
        }
        let x = match &cx.bottoms[0] {
            Some(bottom) => bottom.data,
            None => cx.saved[0].data(),
        };
        let dy = match (&cx.top_diffs[0], &cx.bottom_diffs[0]) {
            (Some(dy), _) => dy.data,
            (None, Some(diff)) => &*diff.data,
            (None, None) => return Ok(()),
        };
        if self.own {
            if let Some(factor) = &mut cx.weight_diffs[0] {
                k.dot_channels(outer, c, inner, dy, x, factor.data);
            }
        } else {
            // Through scratch: dy may lie in a bottom diff as well.
            let sums = &mut cx.scratch[..c];
            sums.fill(0.0);
            k.dot_channels(outer, c, inner, dy, x, sums);
            if let Some(Some(diff)) = cx.bottom_diffs.get_mut(1) {
                match diff.write {
                    Write::Set => diff.data.copy_from_slice(sums),
                    Write::Add => k.axpy(1.0, sums, diff.data),
                }
            }
        }
        let factor = if self.own { cx.weights[0].data } else { cx.bottom(1).data };
        if let Some((diff, write)) = cx.diff(0) {
            super::scale_channels(k, [outer, c, inner], factor, diff, write);
        }
        Ok(())
    }
}
