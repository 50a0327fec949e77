//! PoolingND: the maximum or the mean of windows over any number of axes.

use cortado_kernels::Write;
use cortado_proto::caffe::PoolingNdParameter;
use cortado_proto::caffe::pooling_nd_parameter::PoolMethod;

use crate::{
    Backward, Forward, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs, Reshape, Shape,
};

/// The layer type.
pub static KIND: LayerKind =
    LayerKind::new("PoolingND", build, &DOC).needs(needs).dialect("volumes");

static DOC: LayerDoc = LayerDoc {
    params: &["pooling_nd_param"],
    bottoms: &["x: … x C x spatial axes, C at `axis`"],
    tops: &["y: … x C x ⌈(L + 2 pad − kernel) / stride⌉ + 1 of each axis"],
    forward: "y = the largest element of a window (MAX), or the mean of its elements (AVE)",
    backward: "dx += dy at the largest element (the first of equal ones); dy / elements at each (AVE)",
    notes: "`kernel_size`, `stride` (1) and `pad` (0) are given once or once per axis. Sizes are rounded up, \
            as Pooling's; the last window is left out if it starts in the padding. Padding does not count in \
            a mean.",
    example: r#"layer { name: "pool1" type: "PoolingND" bottom: "conv1" top: "pool1"
  pooling_nd_param { pool: MAX kernel_size: 2 stride: 2 } }"#,
    source: "Çiçek et al. 2016 (3D U-Net), its Caffe",
    ..LayerDoc::new("Pools over any number of axes.")
};

fn needs(_: &LayerDef) -> Needs {
    Needs::BOTTOM
}

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.pooling_nd_param.clone().unwrap_or_default();
    if param.pool() == PoolMethod::Stochastic {
        let why = "`pool` is MAX or AVE, found STOCHASTIC";
        return Err(LayerError::field("pooling_nd_param.pool", why));
    }
    Ok(Box::new(PoolingNdLayer { param, planes: 0, axes: Vec::new() }))
}

/// One spatial axis.
#[derive(Clone, Copy)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
}

struct PoolingNdLayer {
    param: PoolingNdParameter,
    planes: usize,
    axes: Vec<Axis>,
}

impl PoolingNdLayer {
    /// The setting of each of `count` axes.
    fn each(&self, name: &str, list: &[u32], count: usize) -> Result<Vec<usize>, LayerError> {
        let field = format!("pooling_nd_param.{name}");
        match list.len() {
            1 => Ok(vec![list[0] as usize; count]),
            n if n == count => Ok(list.iter().map(|&v| v as usize).collect()),
            n => {
                let why =
                    format!("`{name}` is given once or once for each of {count} axes, found {n}");
                Err(LayerError::field(field, why))
            }
        }
    }

    fn axis(&self, i: usize, input: usize, of: [&[usize]; 3]) -> Result<Axis, LayerError> {
        let [kernel, stride, pad] = of.map(|list| list[i]);
        if kernel == 0 || stride == 0 || pad >= kernel || input + 2 * pad < kernel {
            let why = format!(
                "a window of {kernel} at steps of {stride} with a padding of {pad} does not fit axis {i}, of \
                 length {input}"
            );
            return Err(LayerError::field("pooling_nd_param.kernel_size", why));
        }
        let mut output = (input + 2 * pad - kernel).div_ceil(stride) + 1;
        if pad > 0 && (output - 1) * stride >= input + pad {
            output -= 1;
        }
        Ok(Axis { input, output, kernel, stride, pad })
    }

    /// Calls `visit(element of the top's plane, elements of the bottom's plane)` for each window.
    fn visit(&self, mut visit: impl FnMut(usize, &[usize])) {
        let cells: usize = self.axes.iter().map(|axis| axis.output).product();
        let mut window = Vec::new();
        for cell in 0..cells {
            window.clear();
            window.push(0);
            let mut rest = cells;
            for axis in &self.axes {
                rest /= axis.output;
                let start = (cell / rest % axis.output * axis.stride) as i64 - axis.pad as i64;
                let end = (start + axis.kernel as i64).min(axis.input as i64);
                let range = start.max(0) as usize..end.max(0) as usize;
                let before = std::mem::take(&mut window);
                window = before
                    .iter()
                    .flat_map(|at| range.clone().map(move |i| at * axis.input + i))
                    .collect();
            }
            visit(cell, &window);
        }
    }

    fn sizes(&self) -> (usize, usize) {
        let of = |f: fn(&Axis) -> usize| self.axes.iter().map(f).product::<usize>().max(1);
        (of(|axis| axis.input), of(|axis| axis.output))
    }
}

/// The first of the largest.
fn largest(x: &[f32], window: &[usize]) -> Option<usize> {
    let first = *window.first()?;
    Some(window.iter().fold(first, |best, &at| if x[at] > x[best] { at } else { best }))
}

impl Layer for PoolingNdLayer {
    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let x = &cx.bottoms[0];
        let axis = x.axis(self.param.axis(), "pooling_nd_param.axis")?;
        let count = x.len() - axis - 1;
        let p = &self.param;
        let or =
            |list: &[u32], absent: u32| if list.is_empty() { vec![absent] } else { list.to_vec() };
        let kernel = self.each("kernel_size", &or(&p.kernel_size, 0), count)?;
        let stride = self.each("stride", &or(&p.stride, 1), count)?;
        let pad = self.each("pad", &or(&p.pad, 0), count)?;
        let axes: Result<Vec<Axis>, LayerError> =
            (0..count).map(|i| self.axis(i, x[axis + 1 + i], [&kernel, &stride, &pad])).collect();
        self.axes = axes?;
        self.planes = x.count_to(axis + 1);
        let mut dims = x[..=axis].to_vec();
        dims.extend(self.axes.iter().map(|axis| axis.output));
        cx.top(0, Shape::new(&dims));
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let (x, y) = (cx.bottom(0).data, &mut *cx.tops[0].data);
        let ((input, output), max) = (self.sizes(), self.param.pool() == PoolMethod::Max);
        self.visit(|cell, window| {
            for plane in 0..self.planes {
                let x = &x[plane * input..][..input];
                y[plane * output + cell] = match max {
                    true => largest(x, window).map_or(0.0, |at| x[at]),
                    false => {
                        window.iter().map(|&at| x[at]).sum::<f32>() / window.len().max(1) as f32
                    }
                };
            }
        });
        Ok(())
    }

    fn backward(&mut self, cx: &mut Backward<'_>) -> Result<(), LayerError> {
        let x = cx.bottom(0).data;
        let (Some(dy), Some(dx)) = (cx.top_diffs[0], &mut cx.bottom_diffs[0]) else {
            return Ok(());
        };
        if dx.write == Write::Set {
            dx.data.fill(0.0);
        }
        let ((input, output), max) = (self.sizes(), self.param.pool() == PoolMethod::Max);
        self.visit(|cell, window| {
            for plane in 0..self.planes {
                let dy = dy.data[plane * output + cell];
                let (x, dx) =
                    (&x[plane * input..][..input], &mut dx.data[plane * input..][..input]);
                match max {
                    true => largest(x, window).into_iter().for_each(|at| dx[at] += dy),
                    false => window.iter().for_each(|&at| dx[at] += dy / window.len() as f32),
                }
            }
        });
        Ok(())
    }
}
