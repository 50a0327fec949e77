//! Deviations and whitening, from a database to the data layer that applies them.

use cortado::data::{Backend, NewDb};
use cortado::tools::mean::whitening_of_db;
use cortado_layers::Phase;
use cortado_proto::caffe::Datum;
use prost::Message;

use crate::files::{batches, folder, net, try_net, write};

const COUNT: usize = 500;
const SIDE: usize = 2 * 2 * 3;

/// Pictures of 2x2x3 whose values depend on each other; the last one is always 7.
fn pictures() -> Vec<Vec<u8>> {
    let mut state = 1u32;
    let mut below = |most: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) % most) as u8
    };
    let picture = |_| {
        let common = below(100);
        let mut values: Vec<u8> = (0..SIDE).map(|i| common + below(10 + 9 * i as u32)).collect();
        values[SIDE - 1] = 7;
        values
    };
    (0..COUNT).map(picture).collect()
}

#[test]
fn whitened_pictures_are_uncorrelated_and_divided_ones_have_variance_one() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mut db = NewDb::create(&at("db"), Backend::Lmdb, false).unwrap_or_else(|e| panic!("{e}"));
    for (i, data) in pictures().into_iter().enumerate() {
        let datum = Datum {
            channels: Some(2),
            height: Some(2),
            width: Some(3),
            data: Some(data),
            label: Some(0),
            ..Datum::default()
        };
        let key = format!("{i:05}").into_bytes();
        db.put(&key, datum.encode_to_vec()).unwrap_or_else(|e| panic!("{e}"));
    }
    db.finish().unwrap_or_else(|e| panic!("{e}"));
    let eps = 1e-3;
    let mut mean = whitening_of_db(&at("db"), &mut |_, _| {}).unwrap_or_else(|e| panic!("{e}"));
    mean.save(&at("mean")).unwrap_or_else(|e| panic!("{e}"));
    mean.save_deviation(&at("std")).unwrap_or_else(|e| panic!("{e}"));
    mean.save_whitening(&at("zca"), eps).unwrap_or_else(|e| panic!("{e}"));

    // Plainly, from the pictures themselves.
    let n = COUNT as f64;
    let pictures = pictures();
    let value = |k: usize, i: usize| f64::from(pictures[k][i]);
    let means: Vec<f64> =
        (0..SIDE).map(|i| (0..COUNT).map(|k| value(k, i)).sum::<f64>() / n).collect();
    let covariance = |rows: &dyn Fn(usize, usize) -> f64, i: usize, j: usize| -> f64 {
        (0..COUNT).map(|k| rows(k, i) * rows(k, j)).sum::<f64>() / n
    };
    let centred = |k: usize, i: usize| value(k, i) - means[i];
    for (i, std) in mean.deviation().into_iter().enumerate() {
        let wanted = covariance(&centred, i, i).sqrt();
        assert!((f64::from(std) - wanted).abs() < 1e-4, "{i}: {std} {wanted}");
    }
    for (c, std) in mean.channel_deviations().into_iter().enumerate() {
        let all: Vec<f64> = (0..COUNT)
            .flat_map(|k| (c * 6..c * 6 + 6).map(move |i| (k, i)))
            .map(|(k, i)| value(k, i))
            .collect();
        let middle = all.iter().sum::<f64>() / all.len() as f64;
        let wanted = all.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / all.len() as f64;
        assert!((f64::from(std) - wanted.sqrt()).abs() < 1e-3, "{c}: {std} {wanted}");
    }

    let layer = |transform: &str| {
        format!(
            r#"layer {{ name: "d" type: "Data" top: "data" top: "label"
               data_param {{ source: "db" backend: LMDB batch_size: {COUNT} }}
               transform_param {{ {transform} }} }}"#
        )
    };
    let of = |transform: &str| {
        let mut net = net(folder.path(), &layer(transform), Phase::Test, 1);
        batches(&mut net, 1).remove(0).0
    };
    let divided = of(r#"mean_file: "mean" std_file: "std""#);
    let rows = |k: usize, i: usize| f64::from(divided[k * SIDE + i]);
    for i in 0..SIDE {
        // The last value does not vary.
        let wanted = if i + 1 == SIDE { 0.0 } else { 1.0 };
        assert!((covariance(&rows, i, i) - wanted).abs() < 1e-4, "{i}");
    }
    // W C W = C (C + ε)⁻¹, so that W C W (C + ε) = C.
    let trace: f64 = (0..SIDE).map(|i| covariance(&centred, i, i)).sum();
    let eps = eps * trace / SIDE as f64;
    let whitened = of(r#"mean_file: "mean" zca_file: "zca""#);
    let rows = |k: usize, i: usize| f64::from(whitened[k * SIDE + i]);
    let c: Vec<f64> = (0..SIDE * SIDE).map(|k| covariance(&centred, k / SIDE, k % SIDE)).collect();
    for i in 0..SIDE {
        assert!((covariance(&rows, i, i) - 1.0).abs() < 0.05 || i + 1 == SIDE, "{i}");
        for j in 0..SIDE {
            let product: f64 = (0..SIDE)
                .map(|k| {
                    let shifted = c[k * SIDE + j] + if k == j { eps } else { 0.0 };
                    covariance(&rows, i, k) * shifted
                })
                .sum();
            let wanted = c[i * SIDE + j];
            assert!((product - wanted).abs() < 1e-5 * trace, "{i} {j}: {product} {wanted}");
        }
    }
    // Cut behind whitening: the middle of each channel is the same value.
    let cut = of(r#"mean_file: "mean" zca_file: "zca" scale: 2 crop_h: 1 crop_w: 1"#);
    assert_eq!(cut[..2], [2.0 * whitened[1], 2.0 * whitened[7]]);

    write(folder.path(), "skew", &std::fs::read(at("mean")).unwrap_or_default());
    let error =
        try_net(folder.path(), &layer(r#"mean_file: "mean" zca_file: "skew""#), Phase::Test, 1);
    let error = error.map(drop).expect_err("it is no square");
    assert!(error.contains("is no whitening matrix: its shape is"), "{error}");
}
