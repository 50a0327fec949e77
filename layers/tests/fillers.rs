//! Fillers: what their numbers look like, and what they refuse.

use cortado_layers::{RngKey, Shape, filler};
use cortado_proto::NetDef;
use cortado_proto::caffe::FillerParameter;
use cortado_proto::span::Source;

/// A filler from text.
fn parse(text: &str) -> FillerParameter {
    let layer = format!("layer {{ bias_param {{ filler {{ {text} }} }} }}");
    let net = NetDef::from_text(&Source::new("filler.prototxt", &*layer));
    let net = net.unwrap_or_else(|e| panic!("{text}: {e}"));
    net.layers[0].bias_param.as_ref().and_then(|p| p.filler.clone()).unwrap_or_default()
}

fn try_fill(text: &str, dims: &[usize]) -> Result<Vec<f32>, String> {
    let shape = Shape::new(dims);
    let mut data = vec![f32::NAN; shape.count()];
    let mut rng = RngKey::at_start(3).stream("filler");
    match filler::fill(&parse(text), &shape, &mut data, &mut rng) {
        Ok(()) => Ok(data),
        Err(error) => Err(format!("{:?}: {error}", error.at)),
    }
}

fn fill(text: &str, dims: &[usize]) -> Vec<f32> {
    try_fill(text, dims).unwrap_or_else(|e| panic!("{text} {dims:?}: {e}"))
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

fn std(values: &[f32]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / values.len() as f64)
        .sqrt()
}

/// Least and largest.
fn range(values: &[f32]) -> (f64, f64) {
    let fold = |f: fn(f32, f32) -> f32, start| values.iter().copied().fold(start, f).into();
    (fold(f32::min, f32::INFINITY), fold(f32::max, f32::NEG_INFINITY))
}

/// As many elements as make 4 standard errors of a mean or deviation less than 2 % of the deviation.
const DIMS: [usize; 4] = [40, 20, 9, 9];

/// Mean and deviation of a filler's numbers.
fn check(text: &str, wanted_mean: f64, wanted_std: f64) -> Vec<f32> {
    let values = fill(text, &DIMS);
    let (mean, std) = (mean(&values), std(&values));
    assert!((mean - wanted_mean).abs() < 0.02 * wanted_std, "{text}: mean {mean}");
    assert!((std - wanted_std).abs() < 0.02 * wanted_std, "{text}: deviation {std}");
    values
}

#[test]
fn constant_is_the_default() {
    assert_eq!(fill("", &[3]), [0.0; 3]);
    assert_eq!(fill("type: 'constant' value: 2.5", &[3]), [2.5; 3]);
}

#[test]
fn uniform_numbers_lie_between_the_bounds() {
    let values = check("type: 'uniform' min: -3 max: 1", -1.0, 4.0 / 12f64.sqrt());
    let (low, high) = range(&values);
    assert!((-3.0..-2.99).contains(&low) && (0.99..=1.0).contains(&high), "{low} {high}");
    assert_eq!(fill("type: 'uniform' min: 2 max: 2", &[2]), [2.0; 2]);
}

#[test]
fn gaussian_numbers_have_mean_and_deviation() {
    check("type: 'gaussian' mean: 5 std: 0.1", 5.0, 0.1);
    assert_eq!(fill("type: 'gaussian' mean: 5 std: 0", &[2]), [5.0; 2]);
}

#[test]
fn sparse_keeps_so_many_weights_per_input() {
    let values = fill("type: 'gaussian' sparse: 10", &DIMS);
    let kept: Vec<f32> = values.iter().copied().filter(|&v| v != 0.0).collect();
    let share = kept.len() as f64 / values.len() as f64;
    assert!((share - 10.0 / 40.0).abs() < 0.01, "{share}");
    assert!((std(&kept) - 1.0).abs() < 0.03);
    assert_eq!(fill("type: 'gaussian' sparse: 0", &[4, 4]), [0.0; 16]);
    assert!(fill("type: 'gaussian' sparse: 4", &[4, 4]).iter().all(|&v| v != 0.0));
}

#[test]
fn rows_of_a_positive_unitball_sum_to_one() {
    let values = fill("type: 'positive_unitball'", &[7, 3, 5]);
    for row in values.chunks_exact(15) {
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(row.iter().all(|&v| (0.0..=0.2).contains(&v)));
    }
}

#[test]
fn xavier_and_msra_divide_by_the_fan() {
    // DIMS: 20 * 81 inputs and 40 * 81 outputs per weight.
    for (norm, fan) in [("FAN_IN", 1620.0f64), ("FAN_OUT", 3240.0), ("AVERAGE", 2430.0)] {
        let text = |kind: &str| format!("type: '{kind}' variance_norm: {norm}");
        let values = check(&text("xavier"), 0.0, (1.0 / fan).sqrt());
        let (low, high) = range(&values);
        let limit = (3.0 / fan).sqrt();
        assert!(-limit <= low && high <= limit + 1e-7 && high > 0.99 * limit, "{low} {high}");
        check(&text("msra"), 0.0, (2.0 / fan).sqrt());
    }
    assert_eq!(fill("type: 'xavier'", &DIMS), fill("type: 'xavier' variance_norm: FAN_IN", &DIMS));
}

#[test]
fn bilinear_is_the_kernel_of_upsampling() {
    let row = [0.25, 0.75, 0.75, 0.25];
    let kernel: Vec<f32> = row.iter().flat_map(|y| row.map(|x| y * x)).collect();
    assert_eq!(fill("type: 'bilinear'", &[2, 1, 4, 4]), [kernel.clone(), kernel].concat());
    let row: [f32; 3] = [0.5, 1.0, 0.5];
    let kernel: Vec<f32> = row.iter().flat_map(|y| row.map(|x| y * x)).collect();
    assert_eq!(fill("type: 'bilinear'", &[1, 1, 3, 3]), kernel);
}

/// Largest distance of the products of all rows from the unit matrix.
fn distance_from_unit(rows: &[f32], length: usize) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let mut worst = 0f64;
    for (i, a) in rows.chunks_exact(length).enumerate() {
        for (j, b) in rows.chunks_exact(length).enumerate() {
            let wanted = if i == j { 1.0 } else { 0.0 };
            worst = worst.max((dot(a, b) - wanted).abs());
        }
    }
    worst
}

#[test]
fn orthonormal_rows_stand_at_right_angles() {
    for kind in ["orthonormal", "lsuv"] {
        let text = format!("type: '{kind}'");
        for dims in [&[1, 1][..], &[5, 5], &[3, 40], &[70, 3, 5, 5], &[150, 150]] {
            let values = fill(&text, dims);
            let worst = distance_from_unit(&values, values.len() / dims[0]);
            assert!(worst < 1e-6, "{kind} {dims:?}: {worst}");
        }
        // More rows than columns: the columns.
        for dims in [[40, 3], [170, 140]] {
            let values = fill(&text, &dims);
            let turned: Vec<f32> =
                (0..values.len()).map(|i| values[i % dims[0] * dims[1] + i / dims[0]]).collect();
            let worst = distance_from_unit(&turned, dims[0]);
            assert!(worst < 1e-6, "{kind} {dims:?}: {worst}");
        }
    }
    let values = fill("type: 'orthonormal'", &[30, 300]);
    assert!((std(&values) - (1.0 / 300f64).sqrt()).abs() < 1e-3 && mean(&values).abs() < 2e-3);
}

#[test]
fn one_seed_gives_the_same_numbers() {
    for kind in filler::TYPES {
        let text = format!("type: '{kind}'");
        assert_eq!(fill(&text, &[4, 2, 3, 3]), fill(&text, &[4, 2, 3, 3]), "{kind}");
    }
}

#[test]
fn mistakes_name_field_and_value() {
    let table: &[(&str, &[usize], &str)] = &[
        ("type: 'xaver'", &[2, 2], "Field(\"type\"): there is no filler `xaver`"),
        ("type: 'xaver' sparse: 1", &[2, 2], "Field(\"type\"): there is no filler `xaver`"),
        ("sparse: 1", &[2, 2], "Field(\"sparse\"): filler `constant` can't be sparse"),
        ("type: 'msra' sparse: 0", &[2], "Field(\"sparse\"): filler `msra` can't be sparse"),
        (
            "type: 'gaussian' sparse: 3",
            &[2, 2],
            "Field(\"sparse\"): sparse is between 0 and the number of outputs, 2; found 3",
        ),
        (
            "type: 'gaussian' sparse: -2",
            &[2, 2],
            "Field(\"sparse\"): sparse is between 0 and the number of outputs, 2; found -2",
        ),
        (
            "type: 'gaussian' std: -1",
            &[2],
            "Field(\"std\"): a standard deviation is not negative, found -1",
        ),
        (
            "type: 'uniform' min: 1 max: 0",
            &[2],
            "Field(\"min\"): uniform wants min <= max, found 1 and 0",
        ),
        ("type: 'bilinear'", &[4, 4], "Field(\"type\"): bilinear fills 4 axes, found 4x4"),
        (
            "type: 'bilinear'",
            &[1, 1, 4, 3],
            "Field(\"type\"): bilinear fills squares, found 1x1x4x3",
        ),
        ("type: 'lsuv'", &[4], "Field(\"type\"): lsuv fills 2 axes or more, found 4"),
    ];
    for (text, dims, wanted) in table {
        assert_eq!(try_fill(text, dims).err().as_deref(), Some(*wanted), "{text}");
    }
}

#[test]
fn parameters_without_elements_stay_empty() {
    for kind in filler::TYPES {
        assert!(fill(&format!("type: '{kind}'"), &[3, 0, 2, 2]).is_empty(), "{kind}");
    }
}
