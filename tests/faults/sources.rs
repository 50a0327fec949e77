//! Runs over every kind of data, killed once they have a snapshot: what goes on sees the data that were due.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cortado::data::{Backend, NewDb};
use cortado_proto::caffe::{AnnotatedDatum, Annotation, AnnotationGroup, Datum, NormalizedBBox};
use prost::Message;

use crate::run::{Numbers, finish, newest, spawn};

const ITERS: u64 = 300;

/// The layers, without names and tops. Batches of three or four, so that an epoch ends within one.
const KINDS: [&str; 10] = [
    r#"type: "Data" transform_param { scale: 0.01 mirror: true crop_size: 6 }
       data_param { source: "raw_lmdb" backend: LMDB batch_size: 4 shuffle: true }"#,
    r#"type: "Data" transform_param { scale: 0.01 mirror: true crop_size: 6 }
       data_param { source: "enc_lmdb" backend: LMDB batch_size: 4 rand_skip: 7 }"#,
    r#"type: "Data" transform_param { scale: 0.01 mirror: true crop_size: 6 }
       data_param { source: "raw_leveldb" backend: LEVELDB batch_size: 4 shuffle: true }"#,
    r#"type: "Data" transform_param { scale: 0.01 mirror: true crop_size: 6 }
       data_param { source: "raw_leveldb" backend: LEVELDB batch_size: 4 }"#,
    r#"type: "ImageData" transform_param { scale: 0.01 mirror: true crop_size: 6 }
       image_data_param { source: "list.txt" root_folder: "images/" batch_size: 4
         new_height: 8 new_width: 8 shuffle: true }"#,
    r#"type: "ImageFolder" transform_param { scale: 0.01 mirror: true crop_size: 6 }
       image_data_param { source: "images" batch_size: 4 new_height: 8 new_width: 8 shuffle: true }"#,
    r#"type: "HDF5Data" hdf5_data_param { source: "h5.txt" batch_size: 4 shuffle: true }"#,
    r#"type: "WindowData" transform_param { scale: 0.01 mirror: true crop_size: 4 }
       window_data_param { source: "windows.txt" batch_size: 3 fg_threshold: 0.5 bg_threshold: 0.5 }"#,
    r#"type: "DummyData" dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
         data_filler { type: "gaussian" std: 1 } data_filler { type: "uniform" } }"#,
    r#"type: "AnnotatedData" transform_param { scale: 0.01 mirror: true
         resize_param { width: 6 height: 6 resize_mode: WARP } }
       data_param { source: "boxes" backend: LMDB batch_size: 4 }
       annotated_data_param { batch_sampler { max_sample: 1 max_trials: 5
         sampler { min_scale: 0.3 max_scale: 1 } } }"#,
];

/// A folder with the data, a net that learns from this layer, its solver.
fn folder(kind: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data");
    for name in
        ["raw_lmdb", "enc_lmdb", "raw_leveldb", "images", "a.h5", "b.h5", "list.txt", "h5.txt"]
    {
        let there = folder.path().join(name);
        std::os::unix::fs::symlink(golden.join(name), there).unwrap_or_else(|e| panic!("{e}"));
    }
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
    };
    let windows = "3 0.9 0 0 3 3\n2 0.8 2 1 5 6\n1 0.6 1 0 6 4\n0 0.1 3 3 7 7\n0 0 0 2 4 6";
    let window = |i: u32, name: &str| format!("# {i}\nimages/{name}\n3 8 8\n5\n{windows}\n");
    write("windows.txt", &[window(0, "im1.png"), window(1, "im3.png")].concat());
    boxes(&folder.path().join("boxes"));
    write(
        "net.prototxt",
        &format!(
            "layer {{ name: \"d\" top: \"data\" top: \"label\" {kind} }}\n\
             layer {{ name: \"s\" type: \"Silence\" bottom: \"label\" }}\n\
             layer {{ name: \"fc\" type: \"InnerProduct\" bottom: \"data\" top: \"fc\" \
               inner_product_param {{ num_output: 2 weight_filler {{ type: \"xavier\" }} }} }}\n\
             layer {{ name: \"l\" type: \"Reduction\" bottom: \"fc\" top: \"l\" loss_weight: 1 \
               reduction_param {{ operation: SUMSQ }} }}\n"
        ),
    );
    write(
        "solver.prototxt",
        &format!(
            "net: \"net.prototxt\" base_lr: 0.0001 lr_policy: \"fixed\" max_iter: {ITERS} \
             snapshot: 7 keep_last: 2 snapshot_prefix: \"run\" random_seed: 3\n"
        ),
    );
    folder
}

/// A database of pictures with a box each.
fn boxes(path: &Path) {
    let mut db = NewDb::create(path, Backend::Lmdb, false).unwrap_or_else(|e| panic!("{e}"));
    for i in 0..7u8 {
        let data = (0..300u32).map(|p| (p * 7 + u32::from(i)) as u8).collect();
        let [channels, height, width] = [Some(3), Some(10), Some(10)];
        let datum = Datum { channels, height, width, data: Some(data), ..Datum::default() };
        let [xmin, xmax] = [Some(0.1), Some(0.5 + f32::from(i) / 20.0)];
        let bbox =
            NormalizedBBox { xmin, ymin: xmin, xmax, ymax: xmax, ..NormalizedBBox::default() };
        let annotation = vec![Annotation { instance_id: Some(0), bbox: Some(bbox) }];
        let group = AnnotationGroup { group_label: Some(1), annotation };
        let record = AnnotatedDatum {
            datum: Some(datum),
            annotation_group: vec![group],
            ..AnnotatedDatum::default()
        };
        db.put(format!("{i:08}").as_bytes(), record.encode_to_vec())
            .unwrap_or_else(|e| panic!("{e}"));
    }
    db.finish().unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_run_over_any_kind_of_data_goes_on_where_it_was_killed() {
    let last = format!("run_iter_{ITERS}.caffemodel");
    let (mut killed, mut failures, mut numbers) = (0, Vec::new(), Numbers(11));
    for kind in KINDS {
        let weights = |folder: &Path| fs::read(folder.join(&last)).unwrap_or_default();
        let whole = folder(kind);
        finish(whole.path());
        let wanted = weights(whole.path());
        assert!(!wanted.is_empty(), "{kind}");
        let broken = folder(kind);
        for _ in 0..2 {
            let before = newest(broken.path());
            let mut child = spawn(broken.path());
            while newest_name(broken.path()) <= before
                && child.try_wait().is_ok_and(|status| status.is_none())
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_micros(numbers.below(4000)));
            child.kill().unwrap_or_else(|e| panic!("{e}"));
            let status = child.wait().unwrap_or_else(|e| panic!("{e}"));
            killed += usize::from(!status.success());
        }
        finish(broken.path());
        if weights(broken.path()) != wanted {
            failures.push(kind);
        }
    }
    assert!(failures.is_empty(), "differ:\n{}", failures.join("\n"));
    assert!(killed > KINDS.len(), "only {killed} runs were killed before their end");
    println!("{killed} kills over {} kinds of data: all the same", KINDS.len());
}

/// The iteration of the newest state by name alone: cheaper than opening it.
fn newest_name(folder: &Path) -> Option<u64> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let states = files.filter_map(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        name.strip_prefix("run_iter_")?.strip_suffix(".solverstate")?.parse().ok()
    });
    states.max()
}
