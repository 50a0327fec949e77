//! Axpy: a·x + y with a factor per channel, the end of a squeeze-and-excitation block.

use cortado_kernels::{SrcDst, Write};

use crate::{
    Arity, Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Axpy", build, &DOC)
    .bottoms(Arity::exactly(3))
    .needs(needs)
    .dialect("senet, intel");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["a: N x C, or N x C x 1 x 1", "x: N x C x …", "y: the shape of x"],
    tops: &["z: the shape of x"],
    forward: "z = a · x + y, a repeated over the axes behind the channels",
    backward: "da = Σ dz · x   dx = a · dz   dy = dz",
    example: r#"layer { name: "res2a" type: "Axpy" bottom: "gate" bottom: "branch" bottom: "short" top: "res2a" }"#,
    source: "Hu, Shen, Sun 2017 (Squeeze-and-Excitation Networks); axpy_layer.cpp of their Caffe",
    ..LayerDoc::new("Multiplies with a given factor per channel and adds.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(_: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    Ok(Box::new(AxpyLayer { planes: 0, inner: 0 }))
}

struct AxpyLayer {
    /// Items x channels.
    planes: usize,
    inner: usize,
}

impl Layer for AxpyLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let [a, x, y] = cx.bottoms else { return Ok(()) };
        if x != y {
            let why = format!("y has the shape of x, {x}; found {y}");
            return Err(LayerError::bottom(2, why));
        }
        let fits = x.len() >= 2 && a.len() >= 2 && a[..2] == x[..2];
        if !fits || a[2..].iter().any(|&length| length != 1) {
            let why = format!("a has one element per item and channel of x, {x}; found {a}");
            return Err(LayerError::bottom(0, why));
        }
        (self.planes, self.inner) = (x.count_to(2), x.count_from(2));
        let shape = x.clone();
        cx.top(0, shape);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (a, x, y) = (cx.bottom(0).data, cx.bottom(1).data, cx.bottom(2).data);
        let z = &mut *cx.tops[0].data;
        cx.k.mul_channels(1, self.planes, self.inner, SrcDst::Apart(x, z), a);
        cx.k.axpy(1.0, y, z);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dz) = cx.top_diffs[0] else { return Ok(()) };
        let (a, x) = (cx.bottom(0).data, cx.bottom(1).data);
        let [da, dx, dy] = &mut *cx.bottom_diffs else { return Ok(()) };
        for diff in [&mut *da, dx, dy].into_iter().flatten() {
            if diff.write == Write::Set {
                diff.data.fill(0.0);
            }
        }
        if let Some(da) = da {
            cx.k.dot_channels(1, self.planes, self.inner, dz.data, x, da.data);
        }
        if let Some(dx) = dx {
            let width = self.inner.max(1);
            for (i, (dz, dx)) in dz.data.chunks(width).zip(dx.data.chunks_mut(width)).enumerate() {
                cx.k.axpy(a[i], dz, dx);
            }
        }
        if let Some(dy) = dy {
            cx.k.axpy(1.0, dz.data, dy.data);
        }
        Ok(())
    }
}
