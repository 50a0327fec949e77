//! Tolerances of the golden data's README, by kind of layer.

use cortado_layers::Shape;
use cortado_proto::NetDef;

/// Passes if |a − b| ≤ atol + rtol·|b|; with `scaled`, atol grows with the array's largest magnitude.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    pub rtol: f64,
    pub atol: f64,
    pub scaled: bool,
}

pub const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0, scaled: false };
pub const ELEMENTWISE: Tolerance = Tolerance { rtol: 1e-5, atol: 1e-6, scaled: false };
/// Of boxes from 0 to 1.
const PRIORS: Tolerance = Tolerance::of_boxes(1e-6);
/// Item and label, which are whole numbers, are exact with it.
pub const DETECTIONS: Tolerance = Tolerance::of_boxes(1e-5);
pub const FUNCTION: Tolerance = Tolerance { rtol: 2e-5, atol: 1e-6, scaled: false };
pub const LINEAR: Tolerance = Tolerance { rtol: 1e-4, atol: 1e-5, scaled: true };

/// The tolerance of a case, from its kind, its name and the layers of its net. A Split computes
/// nothing: its nets differ by what the layers around it may.
pub fn tolerance(kind: &str, case: &str, net: &NetDef) -> Tolerance {
    if kind != "split" {
        return row(kind, case);
    }
    let types = net.layers.iter().map(|def| def.r#type()).filter(|&name| name != "Input");
    let looser = |a: Tolerance, b: Tolerance| {
        if (b.atol, b.rtol) > (a.atol, a.rtol) { b } else { a }
    };
    types.map(|name| row(&name.to_ascii_lowercase(), "")).fold(EXACT, looser)
}

/// The row of the README's table.
fn row(kind: &str, case: &str) -> Tolerance {
    match kind {
        "pooling" if case.starts_with("ave") => ELEMENTWISE,
        "eltwise" if !case.starts_with("max") => ELEMENTWISE,
        "absval" | "accuracy" | "argmax" | "batchreindex" | "concat" | "crop" | "dropout"
        | "eltwise" | "filter" | "flatten" | "im2col" | "pooling" | "relu" | "reshape"
        | "silence" | "slice" | "split" | "threshold" | "tile" => EXACT,
        "detectionevaluate" | "permute" | "relu6" | "reorg" | "shufflechannel"
        | "upsample_segnet" => EXACT,
        "priorbox" => PRIORS,
        "detectionoutput" => DETECTIONS,
        "bias" | "clip" | "embed" | "euclideanloss" | "prelu" | "scale" | "reduction"
        | "parameter" => ELEMENTWISE,
        "axpy" | "multiboxloss" | "normalize" | "psroipooling" | "roipooling" | "smoothl1loss"
        | "smoothl1_sigma" => ELEMENTWISE,
        "bnll"
        | "elu"
        | "exp"
        | "log"
        | "power"
        | "sigmoid"
        | "swish"
        | "tanh"
        | "softmax"
        | "softmaxloss"
        | "sigmoidceloss"
        | "hingeloss"
        | "infogainloss"
        | "contrastiveloss"
        | "multinomiallogisticloss" => FUNCTION,
        _ => LINEAR,
    }
}

impl Tolerance {
    /// Of numbers that are at most about 1, whatever the array holds.
    pub const fn of_boxes(atol: f64) -> Tolerance {
        Tolerance { rtol: 0.0, atol, scaled: false }
    }

    /// Says how `found` differs from `wanted`.
    pub fn check(&self, found: &[f32], wanted: &[f32]) -> Result<(), String> {
        if found.len() != wanted.len() {
            return Err(format!("{} elements, wanted {}", found.len(), wanted.len()));
        }
        let largest = wanted.iter().fold(0f64, |m, &w| m.max(f64::from(w).abs()));
        let atol = if self.scaled { self.atol * largest.max(1.0) } else { self.atol };
        let wrong: Vec<usize> = (0..found.len())
            .filter(|&i| {
                let (a, b) = (f64::from(found[i]), f64::from(wanted[i]));
                let same = a == b || (a.is_nan() && b.is_nan());
                !same && !((a - b).abs() <= atol + self.rtol * b.abs())
            })
            .collect();
        match wrong.first() {
            None => Ok(()),
            Some(&i) => Err(format!(
                "{} of {} elements differ, [{i}] is {} instead of {}",
                wrong.len(),
                found.len(),
                found[i],
                wanted[i]
            )),
        }
    }
}

/// Shapes must be the same.
pub fn same_shape(found: &Shape, wanted: &Shape) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("the shape is {found}, wanted {wanted}")) }
}
