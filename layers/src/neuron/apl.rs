//! APL: a piecewise linear function that each unit learns for itself.

use cortado_kernels::Write;
use cortado_proto::caffe::FillerParameter;
use cortado_proto::text::Block;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, SetUp,
};

/// The layer type.
pub static KIND: LayerKind = LayerKind::new("APL", build, &DOC)
    .in_place()
    .needs(needs)
    .extensions(&["apl_param"])
    .dialect("ducha-aiki");

static DOC: LayerDoc = LayerDoc {
    bottoms: &["x: N x …, U units per item"],
    tops: &["y: the shape of x"],
    blobs: &["a: 1 x 1 x sums x U, slopes", "b: 1 x 1 x sums x U, offsets"],
    forward: "y = max(x, 0) + Σ_s a_s · max(b_s − x, 0)",
    backward: "dx = dy · ([x > 0] − Σ_s a_s [x < b_s])   da_s += dy · max(b_s − x, 0)   db_s += dy · a_s [x < b_s]",
    notes: "`apl_param { sums: 1 slope_filler { … } offset_filler { … } }`; fillers not given are 0, which makes \
            it ReLU. Every unit has a function of its own, each pixel of each channel too, so that the blobs \
            fix the size of the bottom. A layer in place keeps a copy of its input for backward.",
    example: r#"layer { name: "apl1" type: "APL" bottom: "conv1" top: "conv1" }"#,
    source: "Agostinelli, Hoffman, Sadowski, Baldi 2014 (Learning Activation Functions), equation 1",
    ..LayerDoc::new("Learns a piecewise linear function per unit.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

/// The filler that stands in such a field, or the constant 0.
fn filler(block: &Block<'_>, field: &str) -> Result<FillerParameter, LayerError> {
    let mut filler = FillerParameter::default();
    if let Some(found) = block.messages(field)?.first() {
        filler.r#type = found.get_str("type")?.map(str::to_owned);
        filler.value = found.get_f32("value")?;
        filler.min = found.get_f32("min")?;
        filler.max = found.get_f32("max")?;
        filler.mean = found.get_f32("mean")?;
        filler.std = found.get_f32("std")?;
    }
    Ok(filler)
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let (mut sums, mut fillers) = (1, <[FillerParameter; 2]>::default());
    if let Some(extension) = def.extension("apl_param") {
        let block = extension.block();
        sums = block.get_i64("sums")?.unwrap_or(1);
        fillers = [filler(&block, "slope_filler")?, filler(&block, "offset_filler")?];
    }
    let Some(sums) = usize::try_from(sums).ok().filter(|sums| (1..=1024).contains(sums)) else {
        let why = format!("`sums` is from 1 to 1024, found {sums}");
        return Err(LayerError::field("apl_param.sums", why));
    };
    Ok(Box::new(AplLayer { sums, fillers }))
}

struct AplLayer {
    sums: usize,
    fillers: [FillerParameter; 2],
}

impl Layer for AplLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let bottom = &cx.bottoms[0];
        let units = bottom.count_from(bottom.axis(0, "bottom")? + 1);
        let [slopes, offsets] = self.fillers.clone();
        cx.weight_of("apl_param.slope_filler", [1, 1, self.sums, units], slopes);
        cx.weight_of("apl_param.offset_filler", [1, 1, self.sums, units], offsets);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let bottom = cx.bottoms[0].clone();
        let (units, own) = (bottom.count_from(1.min(bottom.len())), cx.params[0][3]);
        if bottom.is_empty() || units != own {
            let why = format!("the blobs are for {own} units, the bottom is {bottom}");
            return Err(LayerError::bottom(0, why));
        }
        if cx.in_place[0] && cx.backward {
            cx.save(bottom.clone());
        }
        cx.top(0, bottom);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let y = &mut *cx.tops[0].data;
        match (&cx.bottoms[0], &mut *cx.saved) {
            (Some(bottom), _) => y.copy_from_slice(bottom.data),
            (None, [copy]) => copy.data_mut().copy_from_slice(y),
            (None, _) => {}
        }
        let (a, b) = (cx.weights[0].data, cx.weights[1].data);
        let units = (a.len() / self.sums).max(1);
        for (i, y) in y.iter_mut().enumerate() {
            let x = *y;
            let hinge = |at: usize| a[at] * (b[at] - x).max(0.0);
            let hinges = (0..self.sums).map(|s| hinge(s * units + i % units));
            *y = x.max(0.0) + hinges.sum::<f32>();
        }
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let (a, b) = (cx.weights[0].data, cx.weights[1].data);
        let units = (a.len() / self.sums).max(1);
        let x = match (&cx.bottoms[0], &*cx.saved) {
            (Some(bottom), _) => bottom.data,
            (None, [copy]) => copy.data(),
            (None, _) => return Ok(()),
        };
        // dy may lie where dx goes: the weights first.
        let [mut da, mut db] = [vec![0f32; a.len()], vec![0f32; b.len()]];
        for (i, (&dy, &x)) in cx.dy(0).iter().zip(x).enumerate() {
            for at in (0..self.sums).map(|s| s * units + i % units).filter(|&at| x < b[at]) {
                da[at] += dy * (b[at] - x);
                db[at] += dy * a[at];
            }
        }
        for (into, sums) in cx.weight_diffs.iter_mut().zip([da, db]) {
            if let Some(into) = into {
                cx.k.axpy(1.0, &sums, into.data);
            }
        }
        let slope = |i: usize| {
            let own = (0..self.sums).map(|s| s * units + i % units).filter(|&at| x[i] < b[at]);
            f32::from(u8::from(x[i] > 0.0)) - own.map(|at| a[at]).sum::<f32>()
        };
        let slopes: Vec<f32> = (0..x.len()).map(slope).collect();
        let k = cx.k;
        let Some((diff, write)): Option<(_, Write)> = cx.diff(0) else { return Ok(()) };
        k.map2(diff, &slopes, write, |dy, slope| dy * slope);
        Ok(())
    }
}
