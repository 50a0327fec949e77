//! AnnotatedData: pictures with boxes.

use std::path::Path;

use cortado_layers::Phase;
use cortado_proto::caffe::{AnnotatedDatum, Annotation, AnnotationGroup, Datum, NormalizedBBox};
use prost::Message;

use crate::files::{batches, folder, net, try_net};
use crate::lmdb::write_lmdb;

/// Class and corners of a box.
type Boxed = (i32, [f32; 4]);

/// A gray picture of `side`² pixels, 0, 1, 2, …, with boxes.
fn record(side: u8, boxes: &[Boxed]) -> Vec<u8> {
    let length = Some(i32::from(side));
    let data = Some((0..side * side).collect());
    let datum =
        Datum { channels: Some(1), height: length, width: length, data, ..Datum::default() };
    let group = |(label, [xmin, ymin, xmax, ymax]): &Boxed| {
        let bbox = NormalizedBBox {
            xmin: Some(*xmin),
            ymin: Some(*ymin),
            xmax: Some(*xmax),
            ymax: Some(*ymax),
            difficult: Some(*label == 2),
            ..NormalizedBBox::default()
        };
        let annotation = Annotation { instance_id: Some(0), bbox: Some(bbox) };
        AnnotationGroup { group_label: Some(*label), annotation: vec![annotation] }
    };
    let annotation_group = boxes.iter().map(group).collect();
    AnnotatedDatum { datum: Some(datum), annotation_group, ..AnnotatedDatum::default() }
        .encode_to_vec()
}

fn db(records: &[Vec<u8>]) -> tempfile::TempDir {
    let folder = folder();
    let path = folder.path().join("db");
    std::fs::create_dir(&path).expect("a temporary folder can be written");
    let keys: Vec<String> = (0..records.len()).map(|i| format!("{i:08}")).collect();
    let pairs: Vec<(&str, Vec<u8>)> =
        keys.iter().map(String::as_str).zip(records.iter().cloned()).collect();
    write_lmdb(&path, &pairs);
    folder
}

fn layer(batch: u32, transform: &str, annotated: &str) -> String {
    format!(
        r#"layer {{ name: "d" type: "AnnotatedData" top: "data" top: "label"
             transform_param {{ {transform} }} annotated_data_param {{ {annotated} }}
             data_param {{ source: "db" backend: LMDB batch_size: {batch} }} }}"#
    )
}

fn pass(folder: &Path, text: &str, phase: Phase) -> (Vec<f32>, Vec<f32>) {
    batches(&mut net(folder, text, phase, 1), 1).remove(0)
}

const FIRST: Boxed = (1, [0.0, 0.0, 0.5, 0.25]);
const SECOND: Boxed = (2, [0.25, 0.5, 1.0, 1.0]);

#[test]
fn a_batch_holds_a_row_per_box() {
    let folder = db(&[record(4, &[FIRST, SECOND]), record(4, &[]), record(4, &[FIRST])]);
    let mut found = net(folder.path(), &layer(3, "scale: 0.5", ""), Phase::Test, 1);
    let (data, labels) = batches(&mut found, 1).remove(0);
    assert_eq!(data[..3], [0.0, 0.5, 1.0]);
    assert_eq!(found.blob("data").map(|b| b.shape[..].to_vec()), Some(vec![3, 1, 4, 4]));
    assert_eq!(found.blob("label").map(|b| b.shape[..].to_vec()), Some(vec![1, 1, 3, 8]));
    let rows: Vec<&[f32]> = labels.chunks(8).collect();
    assert_eq!(rows[0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.25, 0.0]);
    assert_eq!(rows[1], [0.0, 2.0, 0.0, 0.25, 0.5, 1.0, 1.0, 1.0]);
    assert_eq!(rows[2], [2.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.25, 0.0]);
}

#[test]
fn a_batch_without_boxes_says_so() {
    let folder = db(&[record(2, &[])]);
    assert_eq!(pass(folder.path(), &layer(1, "", ""), Phase::Test).1, [-1.0; 8]);
}

#[test]
fn a_mirror_turns_picture_and_boxes_around() {
    let folder = db(&[record(4, &[FIRST])]);
    let mut net = net(folder.path(), &layer(1, "mirror: true", ""), Phase::Train, 1);
    let mut seen = [false; 2];
    for (data, labels) in batches(&mut net, 20) {
        let mirrored = data[0] == 3.0;
        seen[usize::from(mirrored)] = true;
        let (row, corners) = match mirrored {
            true => ([3.0, 2.0, 1.0, 0.0], [0.5, 0.0, 1.0, 0.25]),
            false => ([0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.5, 0.25]),
        };
        assert_eq!((&data[..4], &labels[3..7]), (&row[..], &corners[..]));
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_part_that_a_sampler_proposes_holds_what_it_asks_for() {
    let folder = db(&[record(10, &[SECOND])]);
    let sampler =
        "batch_sampler { sampler { min_scale: 0.3 max_scale: 0.9 } max_sample: 1 max_trials: 50
        sample_constraint { min_object_coverage: 1 } }";
    let mut net = net(
        folder.path(),
        &layer(1, "resize_param { height: 6 width: 6 }", sampler),
        Phase::Train,
        1,
    );
    let mut sizes = std::collections::BTreeSet::new();
    for (data, labels) in batches(&mut net, 20) {
        assert_eq!((data.len(), labels.len()), (36, 8));
        // All of the box is inside, larger than before: its part of the whole is 3/4 x 1/2.
        let [w, h] = [labels[5] - labels[3], labels[6] - labels[4]];
        assert!(w > 0.75 && h > 0.5 && w <= 1.0 && h <= 1.0, "{labels:?}");
        assert!((w / h - 1.5).abs() < 1e-3, "a square part keeps the form: {labels:?}");
        sizes.insert((w * 1e6) as i64);
    }
    assert!(sizes.len() > 5, "{sizes:?}");
}

#[test]
fn a_picture_on_a_larger_ground_has_smaller_boxes() {
    let folder = db(&[record(8, &[(1, [0.0, 0.0, 1.0, 1.0])])]);
    let transform = "mean_value: 100 expand_param { prob: 1 max_expand_ratio: 3 }";
    let mut net = net(folder.path(), &layer(1, transform, ""), Phase::Train, 1);
    for _ in 0..10 {
        let (data, labels) = batches(&mut net, 1).remove(0);
        let side = (data.len() as f32).sqrt();
        let width = labels[5] - labels[3];
        assert!((width - 8.0 / side).abs() < 1e-4, "8 of {side}: {labels:?}");
        // The ground is the mean, 0 once that is subtracted; the corner of the picture is 0 - 100.
        let at = (labels[4] * side).round() * side + (labels[3] * side).round();
        assert_eq!(data[at as usize], -100.0);
        assert!(side == 8.0 || data.contains(&0.0));
    }
    // In use nothing is added.
    assert_eq!(pass(folder.path(), &layer(1, transform, ""), Phase::Test).0.len(), 64);
}

#[test]
fn boxes_go_with_a_picture_that_is_fitted_into_a_size() {
    let folder = db(&[record(4, &[(1, [0.0, 0.0, 1.0, 1.0])])]);
    let fit =
        "resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 4 width: 8 pad_value: 9 }";
    let (data, labels) = pass(folder.path(), &layer(1, fit, ""), Phase::Test);
    assert_eq!(data[..8], [9.0, 9.0, 0.0, 1.0, 2.0, 3.0, 9.0, 9.0]);
    assert_eq!(labels[3..7], [0.25, 0.0, 0.75, 1.0]);
}

#[test]
fn colours_are_shifted_in_training_only() {
    let folder = db(&[record(4, &[FIRST])]);
    let transform = "distort_param { brightness_prob: 1 brightness_delta: 30 contrast_prob: 1
        contrast_lower: 0.5 contrast_upper: 1.5 saturation_prob: 1 saturation_lower: 0.5
        saturation_upper: 1.5 hue_prob: 1 hue_delta: 18 random_order_prob: 0 }";
    let plain: Vec<f32> = (0..16).map(|i| i as f32).collect();
    assert_eq!(pass(folder.path(), &layer(1, transform, ""), Phase::Test).0, plain);
    let mut net = net(folder.path(), &layer(1, transform, ""), Phase::Train, 1);
    let found: Vec<Vec<f32>> = batches(&mut net, 5).into_iter().map(|(data, _)| data).collect();
    assert!(found.iter().any(|data| *data != plain));
    assert!(found.iter().flatten().all(|v| (0.0..=255.0).contains(v)));
}

#[test]
fn what_is_not_followed_is_refused() {
    let folder = db(&[record(4, &[])]);
    let refused = |text: &str, why: &str| {
        let error = match try_net(folder.path(), text, Phase::Test, 1) {
            Err(error) => error,
            Ok(_) => panic!("{text}: no error"),
        };
        assert!(error.contains(why), "{error}");
    };
    refused(&layer(1, "crop_size: 2", ""), "pictures with boxes are cut by `batch_sampler`");
    refused(&layer(1, "noise_param { prob: 1 }", ""), "`noise_param` is not known here");
    refused(
        &layer(1, "resize_param { height: 3 }", ""),
        "`width` of `resize_param` must be above 0",
    );
    let plain = "layer { name: \"d\" type: \"Data\" top: \"x\" data_param { source: \"db\" backend: LMDB batch_size: 1 } }";
    assert!(try_net(folder.path(), plain, Phase::Test, 1).is_err());
}
