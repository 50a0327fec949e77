//! Resize: planes of another size, as forks for faces and poses make them.

use cortado_proto::caffe::ResizeLayerParameter;
use cortado_proto::caffe::resize_layer_parameter::Type;

use super::resample::{Resample, Tap};
use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("Resize", build, &DOC).needs(needs).dialect("faces, poses");

static DOC: LayerDoc = LayerDoc {
    params: &["resize_param"],
    bottoms: &["x: N x C x H x W"],
    tops: &["y: N x C x height x width"],
    forward: "BILINEAR: y[i, j] = x at (i · H / height, j · W / width), between the four elements around, of \
              which those beyond the last row or column count as 0\n\
              NEAREST: y[i, j] = x[⌊i · H / height⌋, ⌊j · W / width⌋]",
    backward: "dx += dy in the parts with which each element was read",
    notes: "The size is `height` and `width`, or with `is_pyramid_test: true` that of the bottom times \
            `out_height_scale` and `out_width_scale`, rounded down. Other forks' Resize layers go by other \
            rules and other fields, which are refused by name. Interp keeps the corners in place.",
    example: r#"layer { name: "up" type: "Resize" bottom: "x" top: "up"
  resize_param { is_pyramid_test: true out_height_scale: 2 out_width_scale: 2 } }"#,
    source: "resize_layer.cpp and util_img.cpp of caffe-windows and of the forks for poses",
    ..LayerDoc::new("Resizes planes, corner of the first pixel kept.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::NOTHING
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.resize_param.unwrap_or_default();
    let wrong = |field: &str, found: Option<String>| {
        let found = found.unwrap_or("none".to_owned());
        let why = format!("`{field}` must be given and above 0, found {found}");
        LayerError::field(format!("resize_param.{field}"), why)
    };
    if param.is_pyramid_test() {
        for (field, scale) in [
            ("out_height_scale", param.out_height_scale),
            ("out_width_scale", param.out_width_scale),
        ] {
            if !scale.is_some_and(|scale| scale > 0.0 && scale.is_finite()) {
                return Err(wrong(field, scale.map(|scale| scale.to_string())));
            }
        }
    } else {
        for (field, length) in [("height", param.height), ("width", param.width)] {
            if length.unwrap_or(0) == 0 {
                return Err(wrong(field, length.map(|length| length.to_string())));
            }
        }
    }
    Ok(Box::new(ResizeLayer { param, planes: Resample::default() }))
}

struct ResizeLayer {
    param: ResizeLayerParameter,
    planes: Resample,
}

fn bilinear(i: usize, from: usize, to: usize) -> Tap {
    let at = i as f32 * (from as f32 / to as f32);
    let first = (at as usize).min(from - 1);
    let part = at - first as f32;
    match first + 1 < from {
        true => [(first, 1.0 - part), (first + 1, part)],
        false => [(first, 1.0 - part), (first, 0.0)],
    }
}

fn nearest(i: usize, from: usize, to: usize) -> Tap {
    let at = (i as u128 * from as u128 / to as u128) as usize;
    [(at, 1.0), (at, 0.0)]
}

impl Layer for ResizeLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        let [n, c, h, w] = x[..] else {
            return Err(LayerError::bottom(0, format!("the bottom is N x C x H x W, found {x}")));
        };
        let p = &self.param;
        let scaled = |length: usize, scale: f32| (length as f32 * scale) as i64;
        let [height, width] = match p.is_pyramid_test() {
            true => [scaled(h, p.out_height_scale()), scaled(w, p.out_width_scale())],
            false => [p.height().into(), p.width().into()],
        };
        if h == 0 || w == 0 || height == 0 || width == 0 {
            let why = format!("nothing of the bottom, {x}, is left at {height} x {width}");
            return Err(LayerError::bottom(0, why));
        }
        if height.max(width) > 1 << 16 {
            let why = format!("planes are resized up to 65536 x 65536, found {height} x {width}");
            return Err(LayerError::field("resize_param", why));
        }
        let [n, c] = [n, c].map(|d| i64::try_from(d).unwrap_or(i64::MAX));
        let top = Shape::from_file(&[n, c, height, width])
            .map_err(|why| LayerError::field("resize_param", why))?;
        let to = [top[2], top[3]];
        self.planes = match p.r#type() {
            Type::Bilinear => Resample::new([h, w], to, bilinear),
            Type::Nearest => Resample::new([h, w], to, nearest),
        };
        cx.top(0, top);
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        self.planes.forward(cx.bottom(0).data, cx.tops[0].data);
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        if let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) {
            self.planes.backward(dy.data, dx);
        }
        Ok(())
    }
}
