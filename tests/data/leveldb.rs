//! LevelDB: order, shuffling, resume, damage.

use std::path::Path;

use cortado_layers::Phase;

use crate::files::{batches, folder, golden, net, try_net};

fn layer(source: &Path, param: &str) -> String {
    format!(
        "layer {{ name: \"d\" type: \"Data\" top: \"data\" top: \"label\" \
         data_param {{ source: {:?} backend: LEVELDB {param} }} }}",
        source.display().to_string()
    )
}

fn labels(param: &str, passes: usize, seek: Option<u64>) -> Vec<f32> {
    let text = layer(&golden("data/raw_leveldb"), param);
    let mut net = net(Path::new("."), &text, Phase::Train, 1);
    if let Some(position) = seek {
        batches(&mut net, 1);
        net.seek(&[("d".to_owned(), position)]).unwrap_or_else(|e| panic!("{e}"));
    }
    batches(&mut net, passes).into_iter().flat_map(|(_, labels)| labels).collect()
}

/// Labels of the six records.
const LABELS: [f32; 6] = [0.0, 2.0, 4.0, 1.0, 3.0, 0.0];

#[test]
fn records_come_in_order_and_start_again() {
    let wanted: Vec<f32> = (0..20).map(|i| LABELS[i % 6]).collect();
    assert_eq!(labels("batch_size: 4", 5, None), wanted);
    for position in [0, 3, 6, 11, 15] {
        let found = labels("batch_size: 1 prefetch: 0", 4, Some(position as u64));
        assert_eq!(found, wanted[position..position + 4], "from {position}");
    }
}

#[test]
fn every_shuffled_pass_holds_every_record() {
    let found = labels("batch_size: 3 shuffle: true", 8, None);
    let sorted = |labels: &[f32]| {
        let mut labels = labels.to_vec();
        labels.sort_by(f32::total_cmp);
        labels
    };
    found.chunks(6).for_each(|epoch| assert_eq!(sorted(epoch), sorted(&LABELS)));
    assert!(found.chunks(6).any(|epoch| epoch != LABELS));
}

#[test]
fn damage_is_named() {
    let folder = folder();
    let copy = |cut: Option<(&str, usize)>, leave: &str| {
        for entry in std::fs::read_dir(golden("data/raw_leveldb")).expect("it is there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let mut bytes = std::fs::read(entry.path()).expect("it can be read");
            if let Some((_, length)) = cut.filter(|(cut, _)| *cut == name) {
                bytes.truncate(length);
            }
            std::fs::remove_file(folder.path().join(&name)).unwrap_or_default();
            if name != leave {
                std::fs::write(folder.path().join(&name), bytes).expect("it can be written");
            }
        }
        let text = layer(folder.path(), "batch_size: 1");
        try_net(Path::new("."), &text, Phase::Train, 1).map(|_| ()).unwrap_err()
    };
    let error = copy(Some(("000005.ldb", 700)), "");
    assert!(error.contains("its table `000005.ldb` is cut off or damaged"), "{error}");
    let error = copy(Some(("CURRENT", 5)), "");
    assert!(error.contains("can't read the LevelDB database"), "{error}");
    let error = copy(None, "MANIFEST-000004");
    assert!(error.contains("can't read the LevelDB database"), "{error}");
    let error = copy(None, "CURRENT");
    assert!(error.contains("is no LevelDB database: it has no file CURRENT"), "{error}");
}

#[test]
#[cfg(feature = "lmdb")]
fn another_database_names_the_cure() {
    let text = layer(&golden("data/raw_lmdb"), "batch_size: 1");
    let error = try_net(Path::new("."), &text, Phase::Train, 1).map(|_| ()).unwrap_err();
    assert!(error.contains("is an LMDB database, the layer names LevelDB"), "{error}");
    let text = layer(&golden("data/raw_leveldb"), "batch_size: 1").replace("LEVELDB", "LMDB");
    let error = try_net(Path::new("."), &text, Phase::Train, 1).map(|_| ()).unwrap_err();
    assert!(error.contains("say `backend: LEVELDB`"), "{error}");
}
