//! AnnotatedData: boxes that follow their pictures.

use std::path::Path;

use cortado::data::annotated::{BBox, Map};
use cortado::data::{Backend, NewDb};
use cortado::net::Net;
use cortado_layers::Phase;
use cortado_proto::caffe::{AnnotatedDatum, Annotation, AnnotationGroup, Datum, NormalizedBBox};
use prost::Message;

use crate::files::{batches, folder, net, try_net};

/// A gray picture of 20x40, 10 everywhere, with a box of 200 in it.
fn record(bbox: [usize; 4]) -> Vec<u8> {
    let [left, top, right, bottom] = bbox;
    let pixel = |i: usize| {
        let (y, x) = (i / 40, i % 40);
        let inside = (top..bottom).contains(&y) && (left..right).contains(&x);
        if inside { 200 } else { 10 }
    };
    let part = |value: usize, of: f32| Some(value as f32 / of);
    let bbox = NormalizedBBox {
        xmin: part(left, 40.0),
        ymin: part(top, 20.0),
        xmax: part(right, 40.0),
        ymax: part(bottom, 20.0),
        difficult: Some(left == 0),
        ..NormalizedBBox::default()
    };
    let datum = Datum {
        channels: Some(1),
        height: Some(20),
        width: Some(40),
        data: Some((0..800).map(pixel).collect()),
        ..Datum::default()
    };
    let annotation = vec![Annotation { instance_id: Some(3), bbox: Some(bbox) }];
    let annotation_group = match right > left {
        true => vec![AnnotationGroup { group_label: Some(7), annotation }],
        false => Vec::new(),
    };
    AnnotatedDatum { datum: Some(datum), annotation_group, ..AnnotatedDatum::default() }
        .encode_to_vec()
}

fn database(records: &[[usize; 4]]) -> tempfile::TempDir {
    let folder = folder();
    let mut db = NewDb::create(&folder.path().join("db"), Backend::Lmdb, false).expect("it may");
    for (i, bbox) in records.iter().enumerate() {
        db.put(format!("{i:08}").as_bytes(), record(*bbox)).unwrap_or_else(|e| panic!("{e}"));
    }
    db.finish().unwrap_or_else(|e| panic!("{e}"));
    folder
}

fn text(batch: usize, transform: &str, more: &str) -> String {
    format!(
        "layer {{ name: \"d\" type: \"AnnotatedData\" top: \"data\" top: \"label\" \
         data_param {{ source: \"db\" backend: LMDB batch_size: {batch} }} \
         transform_param {{ {transform} }} annotated_data_param {{ {more} }} }}"
    )
}

fn make(folder: &Path, batch: usize, transform: &str, more: &str) -> Net {
    net(folder, &text(batch, transform, more), Phase::Train, 5)
}

#[test]
fn labels_are_rows_of_eight_in_the_order_of_the_items() {
    let folder = database(&[[0, 5, 10, 15], [0, 0, 0, 0], [20, 10, 30, 20]]);
    let mut net = make(folder.path(), 3, "", "");
    let found = batches(&mut net, 1);
    assert_eq!(found[0].0.len(), 3 * 800);
    let wanted = [0., 7., 3., 0., 0.25, 0.25, 0.75, 1., 2., 7., 3., 0.5, 0.5, 0.75, 1., 0.];
    assert_eq!(found[0].1, wanted);
    assert_eq!(net.shape("label").map(ToString::to_string).as_deref(), Some("1x1x2x8"));
    // The number of rows follows the batch; a batch without objects has one row of -1.
    let mut net = make(folder.path(), 1, "", "");
    let rows: Vec<Vec<f32>> = batches(&mut net, 3).into_iter().map(|(_, label)| label).collect();
    assert_eq!(rows[1], [-1.0; 8]);
    assert_eq!((rows[0][0], rows[2][0]), (0.0, 0.0));
}

/// Where the pixels of 200 lie, as parts of the picture: left, top, right, bottom.
fn seen(data: &[f32], height: usize, width: usize) -> Option<[f32; 4]> {
    let bright: Vec<usize> = (0..height * width).filter(|&i| data[i] > 105.0).collect();
    let over = |f: &dyn Fn(usize) -> usize| {
        let values = bright.iter().map(|&i| f(i));
        Some((values.clone().min()?, values.max()? + 1))
    };
    let (left, right) = over(&|i| i % width)?;
    let (top, bottom) = over(&|i| i / width)?;
    let (w, h) = (width as f32, height as f32);
    Some([left as f32 / w, top as f32 / h, right as f32 / w, bottom as f32 / h])
}

#[test]
fn boxes_lie_where_their_pixels_went() {
    let sampler = "batch_sampler { sampler { min_scale: 0.5 max_scale: 0.9 min_aspect_ratio: 0.7 \
        max_aspect_ratio: 1.5 } max_sample: 1 max_trials: 5 }";
    let warp = "resize_param { height: 60 width: 60 interp_mode: NEAREST }";
    let pad = "resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 60 width: 60 interp_mode: NEAREST }";
    let cases = [
        ("mirror: true", "", 20, 40),
        ("mirror: true crop_size: 15", "", 15, 15),
        ("pad: 6 crop_size: 24 mirror: true", "", 24, 24),
        (warp, "", 60, 60),
        (pad, "", 60, 60),
        (
            "expand_param { prob: 1 max_expand_ratio: 2 } resize_param { height: 80 width: 80 interp_mode: NEAREST }",
            "",
            80,
            80,
        ),
        (&format!("mirror: true {warp}"), sampler, 60, 60),
        (
            &format!("expand_param {{ prob: 1 max_expand_ratio: 2 }} {pad} mirror: true"),
            sampler,
            60,
            60,
        ),
    ];
    let folder = database(&[[4, 3, 18, 12], [22, 8, 36, 18], [12, 6, 30, 16]]);
    for (transform, more, height, width) in cases {
        let mut net = make(folder.path(), 1, transform, more);
        let mut compared = 0;
        for (data, label) in batches(&mut net, 30) {
            assert_eq!(data.len(), height * width, "{transform}");
            let Some(seen) = seen(&data, height, width) else { continue };
            if label[0] < 0.0 {
                // Less than a pixel of it may be left.
                continue;
            }
            compared += 1;
            // Cutting rounds where a sample begins and how long it is, to pixels of which the smallest
            // sample has 12 rows; resizing rounds to pixels of the result.
            let slack = 2.0 / 12.0 + 1.0 / 60.0;
            for (side, (found, wanted)) in label[3..7].iter().zip(seen).enumerate() {
                assert!(
                    (found - wanted).abs() < slack,
                    "{transform} {more} side {side}: {label:?} {seen:?}"
                );
            }
        }
        assert!(compared > 10, "{transform}: {compared}");
    }
}

#[test]
fn objects_that_are_not_emitted_go() {
    let folder = database(&[[0, 0, 20, 20]]);
    // The middle 10x10 of the picture: columns 15 to 25 hold a quarter of the box, its centre lies outside.
    let rows = |emit: &str| {
        let transform = format!("crop_size: 10 {emit}");
        let text = text(1, &transform, "");
        batches(&mut net(folder.path(), &text, Phase::Test, 1), 1).remove(0).1
    };
    let there = |row: &[f32]| row[0] == 0.0;
    assert_eq!(rows("")[3..7], [0.0, 0.0, 0.5, 1.0]);
    assert!(!there(&rows("emit_constraint { emit_type: CENTER }")));
    assert!(there(&rows("emit_constraint { emit_type: MIN_OVERLAP emit_overlap: 0.1 }")));
    assert!(!there(&rows("emit_constraint { emit_type: MIN_OVERLAP emit_overlap: 0.2 }")));
}

#[test]
fn samples_meet_their_constraints() {
    let folder = database(&[[10, 5, 30, 15]]);
    let sampler = |constraint: &str| {
        format!(
            "batch_sampler {{ sampler {{ min_scale: 0.3 max_scale: 1 min_aspect_ratio: 0.5 \
             max_aspect_ratio: 2 }} sample_constraint {{ {constraint} }} max_sample: 1 max_trials: 200 }}"
        )
    };
    // The box takes a quarter of the picture. What is left of it in the sample tells the overlap.
    let covered = |constraint: &str| -> Vec<f32> {
        let mut net = make(folder.path(), 1, "", &sampler(constraint));
        let bright = |(data, _): (Vec<f32>, Vec<f32>)| {
            data.iter().filter(|&&v| v > 105.0).count() as f32 / 200.0
        };
        batches(&mut net, 60).into_iter().map(bright).collect()
    };
    let whole = covered("min_object_coverage: 1");
    assert!(whole.iter().all(|&part| part > 0.8), "{whole:?}");
    let little = covered("max_object_coverage: 0.2");
    assert!(little.iter().all(|&part| part < 0.3), "{little:?}");
    assert!(covered("min_jaccard_overlap: 0.7").iter().all(|&part| part > 0.6));
    // Of several kinds the first decides: what the second allows is not enough, what it forbids is kept.
    assert!(covered("min_object_coverage: 0.1").iter().any(|&part| part < 0.6));
    let strict = covered("min_jaccard_overlap: 0.7 min_object_coverage: 0.1");
    assert!(strict.iter().all(|&part| part > 0.6), "{strict:?}");
    let lenient = covered("max_sample_coverage: 0.05 min_object_coverage: 1");
    assert!(lenient.iter().any(|&part| part < 0.3), "{lenient:?}");
}

#[test]
fn boxes_and_maps_are_as_worked_out_by_hand() {
    let a = BBox { min: [0.0, 0.0], max: [0.5, 1.0] };
    let b = BBox { min: [0.25, 0.5], max: [0.75, 1.0] };
    assert_eq!((a.area(), b.area()), (0.5, 0.25));
    assert_eq!(a.overlap(&b), 0.125 / 0.625);
    assert_eq!((a.covered_by(&b), b.covered_by(&a)), (0.25, 0.5));
    assert_eq!(Map::into_part(&b).of(&b), BBox::WHOLE);
    assert_eq!(Map::MIRROR.of(&a), BBox { min: [0.5, 0.0], max: [1.0, 1.0] });
    let map = Map::onto_canvas([10, 10], [20, 40], 5, 10);
    assert_eq!(map.of(&BBox::WHOLE), BBox { min: [0.25, 0.25], max: [0.5, 0.75] });
}

#[test]
fn mistakes_are_named() {
    let folder = database(&[[0, 0, 20, 20]]);
    let table = [
        (
            "batch_sampler { sampler { min_scale: 0 } }",
            "0 < min_scale <= max_scale <= 1 is wanted, found 0 and 1",
        ),
        (
            "batch_sampler { sampler { max_scale: 2 } }",
            "0 < min_scale <= max_scale <= 1 is wanted, found 1 and 2",
        ),
        (
            "batch_sampler { sampler { min_aspect_ratio: 3 } }",
            "0 < min_aspect_ratio <= max_aspect_ratio is wanted, found 3 and 1",
        ),
        ("batch_sampler { use_original_image: false }", "only true is known here"),
        ("batch_sampler { max_trials: 1000000 }", "up to 100000 are wanted, found 1000000"),
    ];
    for (more, wanted) in table {
        let error = try_net(folder.path(), &text(1, "", more), Phase::Train, 1).err().expect(more);
        assert!(error.contains(wanted), "{more}: {error}");
    }
    let plain = crate::files::folder();
    let mut db = NewDb::create(&plain.path().join("db"), Backend::Lmdb, false).expect("it may");
    db.put(b"a", vec![0xff; 3]).unwrap_or_else(|e| panic!("{e}"));
    db.put(b"b", Vec::new()).unwrap_or_else(|e| panic!("{e}"));
    db.finish().unwrap_or_else(|e| panic!("{e}"));
    let error = try_net(plain.path(), &text(1, "", ""), Phase::Train, 1).err().expect("damaged");
    assert!(error.contains("record 0 (key `a`): it is no AnnotatedDatum message"), "{error}");
}

#[test]
fn a_run_depends_on_its_seed_alone() {
    let folder = database(&[[4, 3, 18, 12], [22, 8, 36, 18], [12, 6, 30, 16], [0, 0, 9, 9]]);
    let more = "batch_sampler { sampler { min_scale: 0.3 } max_trials: 3 }";
    let run = |seed: u64, prefetch: u32| {
        let text = text(2, "mirror: true resize_param { height: 8 width: 8 }", more)
            .replace("batch_size: 2", &format!("batch_size: 2 shuffle: true prefetch: {prefetch}"));
        batches(&mut net(folder.path(), &text, Phase::Train, seed), 6)
    };
    assert_eq!(run(3, 0), run(3, 4));
    assert_ne!(run(3, 0), run(4, 0));
}
