//! LMDB folders, whole and broken.

use std::path::Path;

use cortado_layers::Phase;
use cortado_proto::caffe::Datum;
use heed::types::Bytes;
use heed::{CommitOrAbort, EnvOpenOptions};
use prost::Message;

use crate::files::{batches, folder, golden, net, try_net, write};

/// Writes a database of these records.
pub fn write_lmdb(folder: &Path, records: &[(&str, Vec<u8>)]) {
    // SAFETY: the folder is the test's own; nothing else opens it before the writer is closed.
    let env = unsafe { EnvOpenOptions::new().map_size(1 << 20).open(folder) };
    let env = env.expect("a temporary folder takes a database");
    let txn = env.write_txn().expect("there is one writer");
    let written = env.create_databases_and_commit(txn, |opener, txn| {
        let db = opener.create_database::<Bytes, Bytes>(txn, None)?;
        for (key, value) in records {
            db.put(txn, key.as_bytes(), value)?;
        }
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(db))
    });
    assert!(written.is_ok());
    env.prepare_for_closing().wait();
}

fn datum(shape: [i32; 3], data: &[u8], label: i32) -> Vec<u8> {
    let [channels, height, width] = shape.map(Some);
    let (data, label) = (Some(data.to_vec()), Some(label));
    Datum { channels, height, width, data, label, ..Datum::default() }.encode_to_vec()
}

fn layer(batch_size: u32, more: &str) -> String {
    format!(
        "layer {{ name: \"d\" type: \"Data\" top: \"data\" top: \"label\" {more} \
         data_param {{ source: \"db\" backend: LMDB batch_size: {batch_size} }} }}"
    )
}

/// The error of building, or of the passes after it.
fn error(folder: &Path, text: &str) -> String {
    let mut net = match try_net(folder, text, Phase::Test, 1) {
        Ok(net) => net,
        Err(e) => return e,
    };
    (0..4).find_map(|_| net.forward().err()).expect("an error was wanted").to_string()
}

fn db() -> tempfile::TempDir {
    let folder = folder();
    std::fs::create_dir(folder.path().join("db")).expect("a temporary folder can be written");
    folder
}

#[test]
fn floats_and_large_labels_come_through() {
    let folder = db();
    let float = Datum {
        channels: Some(2),
        height: Some(1),
        width: Some(2),
        float_data: vec![-1.5, 0.25, 1e30, f32::MIN_POSITIVE],
        label: Some(-7),
        ..Datum::default()
    };
    let bytes = datum([2, 1, 2], &[0, 127, 128, 255], 2_000_000_000);
    let records = [("a", float.encode_to_vec()), ("b", bytes)];
    write_lmdb(&folder.path().join("db"), &records);
    let found = batches(&mut net(folder.path(), &layer(2, ""), Phase::Test, 1), 1);
    assert_eq!(found[0].0, [-1.5, 0.25, 1e30, f32::MIN_POSITIVE, 0.0, 127.0, 128.0, 255.0]);
    assert_eq!(found[0].1, [-7.0, 2e9]);
}

#[test]
fn damaged_records_are_named_by_their_key() {
    let good = datum([1, 1, 2], &[1, 2], 0);
    let encoded = |data: &[u8]| {
        let (encoded, data) = (Some(true), Some(data.to_vec()));
        Datum { encoded, data, ..Datum::default() }.encode_to_vec()
    };
    let cases = [
        (vec![0xff; 7], "it is no Datum message"),
        (good[..good.len() - 3].to_vec(), "it is no Datum message"),
        (datum([1, 1, 3], &[1, 2], 0), "its Datum says 1x1x3 and holds 2 values"),
        (datum([-1, 1, 3], &[1, 2], 0), "its Datum has -1 channels"),
        (datum([i32::MAX; 3], &[1, 2], 0), "and holds 2 values"),
        (Vec::new(), "comes out as 0x0x0"),
        (encoded(b"no picture"), "it is no picture this program reads (JPEG, PNG)"),
        (encoded(b"\x89PNG\r\n\x1a\n\0\0"), "it is a damaged picture"),
        (encoded(b"\xff\xd8\xff\xe0"), "it is a damaged picture"),
        (datum([1, 2, 2], &[1, 2, 3, 4], 0), "it comes out as 1x2x2, the first of its batch"),
    ];
    for (bad, wanted) in cases {
        let folder = db();
        let records = [("one", good.clone()), ("two", good.clone()), ("three", bad.clone())];
        write_lmdb(&folder.path().join("db"), &records);
        // Keys are sorted: one, three, two.
        let error = error(folder.path(), &layer(3, ""));
        assert!(error.contains("record 1 (key `three`)"), "{wanted}: {error}");
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(error.contains("net.prototxt:1:"), "{error}");
    }
}

#[test]
fn a_batch_of_one_may_change_its_shape() {
    let folder = db();
    let records = [("a", datum([1, 1, 2], &[1, 2], 0)), ("b", datum([1, 2, 2], &[3, 4, 5, 6], 1))];
    write_lmdb(&folder.path().join("db"), &records);
    let mut net = net(folder.path(), &layer(1, ""), Phase::Test, 1);
    let mut shapes = Vec::new();
    for _ in 0..3 {
        net.forward().unwrap_or_else(|e| panic!("{e}"));
        shapes.push(net.blob("data").expect("it is there").shape.to_string());
    }
    assert_eq!(shapes, ["1x1x1x2", "1x1x2x2", "1x1x1x2"]);
}

#[test]
fn two_layers_read_one_database_at_once() {
    let text = layer(2, "").replace("\"db\"", "\"raw_lmdb\"");
    let mut first = net(&golden("data"), &text, Phase::Train, 1);
    let mut second = net(&golden("data"), &text, Phase::Test, 1);
    assert_eq!(batches(&mut first, 4), batches(&mut second, 4));
}

#[test]
fn folders_that_are_no_database_say_what_they_are() {
    let folder = folder();
    let absolute = folder.path().join("db");
    let shown = absolute.display();
    let fails = |wanted: &str| {
        let error = error(folder.path(), &layer(1, ""));
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert!(error.contains(&shown.to_string()), "{error}");
    };
    fails("there is no");
    std::fs::create_dir(&absolute).expect("a temporary folder can be written");
    fails("it has no data.mdb, it is empty");
    write(&absolute, "picture.jpg", b"");
    fails("it has no data.mdb, it holds picture.jpg");
    write(&absolute, "CURRENT", b"MANIFEST-1\n");
    fails("is a LevelDB database, the layer asks for LMDB");
    write(&absolute, "data.mdb", b"");
    fails("does not begin as an LMDB file does");
    write(&absolute, "data.mdb", &[7; 5000]);
    fails("does not begin as an LMDB file does");
    std::fs::remove_dir_all(&absolute).expect("it was made above");
    write_lmdb_folder(&absolute);
    fails("is empty");
    std::fs::remove_dir_all(&absolute).expect("it was made above");
    write(folder.path(), "db", b"");
    fails("is a file; an LMDB database is a folder that holds data.mdb");
    let error = error(folder.path(), &layer(1, "").replace("\"db\"", "\"../data.mdb\""));
    assert!(error.contains("there is no"), "{error}");
}

fn write_lmdb_folder(path: &Path) {
    std::fs::create_dir(path).expect("a temporary folder can be written");
    write_lmdb(path, &[]);
}

#[test]
fn a_file_that_was_cut_off_is_told_at_any_length() {
    let whole = std::fs::read(golden("data/raw_lmdb/data.mdb")).expect("it is there");
    for length in (0..whole.len()).step_by(97) {
        let folder = db();
        write(&folder.path().join("db"), "data.mdb", &whole[..length]);
        let error = error(folder.path(), &layer(1, ""));
        let told = error.contains("is cut off") || error.contains("does not begin as");
        assert!(told, "{length} of {} bytes: {error}", whole.len());
    }
}

#[test]
fn a_folder_with_a_lock_file_is_read_with_locks() {
    let folder = db();
    write_lmdb(&folder.path().join("db"), &[("a", datum([1, 1, 1], &[9], 3))]);
    assert!(folder.path().join("db/lock.mdb").exists());
    let found = batches(&mut net(folder.path(), &layer(1, ""), Phase::Test, 1), 2);
    assert_eq!(found, vec![(vec![9.0], vec![3.0]); 2]);
}
