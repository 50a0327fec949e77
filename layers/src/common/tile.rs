//! Tile: a blob repeated along an axis.

use cortado_kernels::Write;

use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("Tile", build, &DOC).needs(needs);

static DOC: LayerDoc = LayerDoc {
    params: &["tile_param"],
    bottoms: &["x: any shape"],
    tops: &["y: the shape of x with `axis` `tiles` times as long"],
    forward: "y = [x, x, …] along `axis`",
    backward: "dx = Σ of the `tiles` parts of dy",
    example: r#"layer { name: "tile" type: "Tile" bottom: "x" top: "y" tile_param { axis: 1 tiles: 3 } }"#,
    source: "Caffe's tile_layer.cpp",
    ..LayerDoc::new("Repeats a blob along an axis.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.tile_param.unwrap_or_default();
    let tiles = usize::try_from(param.tiles()).ok().filter(|&tiles| tiles > 0);
    let Some(tiles) = tiles else {
        let why = format!("`tiles` must be given and above 0, found {}", param.tiles());
        return Err(LayerError::field("tile_param.tiles", why));
    };
    Ok(Box::new(TileLayer { axis: param.axis(), tiles, inner: 0 }))
}

struct TileLayer {
    axis: i32,
    tiles: usize,
    /// Elements that are repeated at once.
    inner: usize,
}

impl Layer for TileLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let axis = bottom.axis(self.axis, "tile_param.axis")?;
        self.inner = bottom.count_from(axis);
        let top = bottom.with_axis(axis, bottom[axis].saturating_mul(self.tiles));
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let x = cx.bottom(0).data.chunks_exact(self.inner.max(1));
        let tops = cx.tops[0].data.chunks_exact_mut((self.inner * self.tiles).max(1));
        for (x, tiles) in x.zip(tops) {
            tiles.chunks_exact_mut(self.inner).for_each(|tile| tile.copy_from_slice(x));
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let Some(dy) = cx.top_diffs[0] else { return Ok(()) };
        let Some(dx) = &mut cx.bottom_diffs[0] else { return Ok(()) };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        let tops = dy.data.chunks_exact((self.inner * self.tiles).max(1));
        for (dx, tiles) in dx.data.chunks_exact_mut(self.inner.max(1)).zip(tops) {
            tiles.chunks_exact(self.inner).for_each(|tile| cx.k.axpy(1.0, tile, dx));
        }
        Ok(())
    }
}
