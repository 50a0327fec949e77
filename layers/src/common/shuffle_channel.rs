//! ShuffleChannel: channels dealt out over groups.

use super::transpose::Transpose;
use crate::{Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape};
use cortado_kernels::Write;

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("ShuffleChannel", build, &DOC).needs(needs).dialect("shufflenet");

static DOC: LayerDoc = LayerDoc {
    params: &["shuffle_channel_param"],
    bottoms: &["x: N x C x …, C a multiple of `group`"],
    tops: &["y: the shape of x"],
    forward: "y[n, j·group + i] = x[n, i·C/group + j]",
    backward: "dx = dy with its channels put back",
    notes: "Behind a convolution in groups it lets each group of the next one see all groups.",
    example: r#"layer { name: "shuffle1" type: "ShuffleChannel" bottom: "conv1" top: "shuffle1"
  shuffle_channel_param { group: 3 } }"#,
    source: "Zhang, Zhou, Lin, Sun 2017 (ShuffleNet), section 3.1",
    ..LayerDoc::new("Deals the channels out over groups.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let group = def.shuffle_channel_param.as_ref().map_or(1, |p| p.group()) as usize;
    if group == 0 {
        let why = "`group` must be above 0, found 0";
        return Err(LayerError::field("shuffle_channel_param.group", why));
    }
    Ok(Box::new(ShuffleChannelLayer { group, transpose: Transpose::default() }))
}

struct ShuffleChannelLayer {
    group: usize,
    transpose: Transpose,
}

impl Layer for ShuffleChannelLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let (outer, c, inner) = bottom.around(bottom.axis(1, "bottom")?);
        if !c.is_multiple_of(self.group) {
            let why = format!(
                "`group` {} must divide the {c} channels of the bottom, {bottom}",
                self.group
            );
            return Err(LayerError::field("shuffle_channel_param.group", why));
        }
        let dims = [outer, self.group, c / self.group, inner];
        self.transpose = Transpose::new(&dims, &[0, 2, 1, 3]);
        cx.top(0, bottom);
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
