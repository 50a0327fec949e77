//! What the original's data layers hand out, from databases that the original's tools wrote.

use std::path::Path;

use cortado_layers::Phase;
use safetensors::SafeTensors;

use crate::files::{self, batches, golden, net, try_net};

fn wanted(case: &str, name: &str) -> Vec<f32> {
    let path = golden("data").join(format!("{case}.safetensors"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("the golden files are whole");
    let tensor = file.tensor(name).unwrap_or_else(|e| panic!("{case}: {name}: {e}"));
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Three passes as the original made them, every value within `tolerance`.
fn check(case: &str, tolerance: f32) -> Result<(), String> {
    let text = std::fs::read_to_string(golden("data").join(format!("{case}.prototxt")))
        .map_err(|e| format!("{case}: {e}"))?;
    let mut net = net(&golden("data"), &text, Phase::Test, 1);
    for (pass, found) in batches(&mut net, 3).into_iter().enumerate() {
        for (name, found) in [("data", found.0), ("label", found.1)] {
            let wanted = wanted(case, &format!("forward/{pass}/{name}"));
            if wanted.len() != found.len() {
                return Err(format!("{case} {pass} {name}: {} values", found.len()));
            }
            let tolerance = if name == "label" { 0.0 } else { tolerance };
            let differs = |(f, w): &(&f32, &f32)| (*f - *w).abs() > tolerance || f.is_nan();
            if let Some((f, w)) = found.iter().zip(&wanted).find(differs) {
                return Err(format!("{case} {pass} {name}: found {f}, wanted {w}"));
            }
        }
    }
    Ok(())
}

/// All cases, each with its tolerance.
fn none(cases: &[(&str, f32)]) {
    let failed: Vec<String> = cases.iter().filter_map(|(case, t)| check(case, *t).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Tolerances of the golden data's README.
#[test]
#[cfg(all(feature = "lmdb", feature = "images"))]
fn batches_are_those_of_the_original() {
    none(&[
        ("lmdb_raw", 0.0),
        ("lmdb_raw_crop_meanvalue_scale", 0.0),
        ("lmdb_raw_meanfile", 1e-5),
        ("lmdb_raw_meanfile_crop", 1e-5),
        ("lmdb_raw_meanvalue1", 0.0),
        ("lmdb_gray", 0.0),
        ("lmdb_encoded", 0.0),
        ("lmdb_encoded_gray", 0.0),
    ]);
}

#[test]
fn dummy_batches_are_those_of_the_original() {
    none(&[("dummy", 0.0), ("dummy_legacy", 0.0)]);
}

#[test]
#[cfg(feature = "lmdb")]
fn no_file_is_left_in_a_folder_of_data() {
    check("lmdb_raw", 0.0).unwrap_or_else(|e| panic!("{e}"));
    assert!(!golden("data/raw_lmdb/lock.mdb").exists());
}

#[test]
#[cfg(feature = "images")]
fn batches_of_pictures_are_those_of_the_original() {
    none(&[("image", 0.0), ("image_crop", 0.0), ("image_gray", 1.0), ("image_resize", 1.0)]);
}

#[test]
#[cfg(feature = "hdf5")]
fn batches_of_hdf5_files_are_those_of_the_original() {
    none(&[("hdf5", 0.0)]);
}

#[test]
#[cfg(feature = "leveldb")]
fn batches_of_leveldb_are_those_of_the_original() {
    let files = || {
        let entries = std::fs::read_dir(golden("data/raw_leveldb")).expect("it is there");
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    none(&[("leveldb_raw", 0.0)]);
    assert_eq!(files(), before, "the folder of data was written to");
}

#[test]
fn the_default_backend_on_an_lmdb_folder_names_the_cure() {
    let text = "layer { name: \"d\" type: \"Data\" top: \"data\" \
                data_param { source: \"raw_lmdb\" batch_size: 1 } }";
    let error = try_net(&golden("data"), text, Phase::Test, 1).map(|_| ()).unwrap_err();
    assert!(
        error.contains("is an LMDB database, the layer means, when no backend is given, LevelDB")
    );
    assert!(error.contains("say `backend: LMDB`"), "{error}");
}

#[test]
fn dummy_data_draws_random_values_anew_and_from_the_seed() {
    let text = "layer { name: \"d\" type: \"DummyData\" top: \"data\" top: \"label\" \
                dummy_data_param { shape { dim: 2 dim: 3 } \
                data_filler { type: \"gaussian\" } data_filler { value: 7 } } }";
    let run = |seed| batches(&mut net(Path::new("."), text, Phase::Train, seed), 2);
    let first = run(1);
    assert_ne!(first[0].0, first[1].0);
    assert_eq!(first[0].1, vec![7.0; 6]);
    assert_eq!(first[1].1, vec![7.0; 6]);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[test]
fn dummy_data_counts_its_lists() {
    let cases = [
        ("shape { dim: 1 } shape { dim: 1 }", "shape stands 2 times"),
        ("shape { dim: -1 }", "an axis can't have the length -1"),
        ("num: 1 channels: 1 height: 1", "width stands 0 times"),
        ("num: 1 shape { dim: 1 }", "exclude each other"),
        ("shape { dim: 1 } data_filler { } data_filler { }", "data_filler stands 2 times"),
        ("shape { dim: 4000000000 dim: 4000000000 }", "is too large"),
    ];
    for (param, wanted) in cases {
        let text = format!(
            "layer {{ name: \"d\" type: \"DummyData\" top: \"a\" top: \"b\" top: \"c\" \
             dummy_data_param {{ {param} }} }}"
        );
        let error = try_net(Path::new("."), &text, Phase::Train, 1).map(|_| ()).unwrap_err();
        assert!(error.contains(wanted), "{param}: {error}");
    }
}

#[test]
fn memory_data_is_written_by_the_user_of_the_net() {
    let text = "layer { name: \"m\" type: \"MemoryData\" top: \"data\" top: \"label\" \
                memory_data_param { batch_size: 2 channels: 1 height: 1 width: 3 } }";
    let mut net = files::net(Path::new("."), text, Phase::Test, 1);
    assert_eq!(net.inputs(), ["data", "label"]);
    let values: Vec<f32> = (0..6).map(|v| v as f32).collect();
    net.input_mut("data").expect("it is an input").data.copy_from_slice(&values);
    net.input_mut("label").expect("it is an input").data.copy_from_slice(&[4.0, 5.0]);
    assert_eq!(batches(&mut net, 2)[1], (values, vec![4.0, 5.0]));
    let text = text.replace("channels: 1", "");
    let error = try_net(Path::new("."), &text, Phase::Test, 1).map(|_| ()).unwrap_err();
    assert!(error.contains("channels must be given and above 0"), "{error}");
}
