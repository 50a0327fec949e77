//! LMDB folders, whole and broken.

use std::path::Path;

use cortado::data::db::{Payload, open_any};
use cortado::data::{Backend, NewDb};
use cortado_layers::Phase;
use cortado_proto::caffe::Datum;
use heed::types::Bytes;
use heed::{CommitOrAbort, EnvOpenOptions};
use prost::Message;

use crate::files::{batches, folder, golden, net, try_net, write};

/// Writes a database of these records.
fn write_lmdb(folder: &Path, records: &[(&str, Vec<u8>)]) {
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
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", &absolute)
            .expect("a temporary folder can be written");
        fails("is a link to `nowhere`, which is not there");
        std::fs::remove_file(&absolute).expect("it was made above");
    }
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

/// Trees of one, two and three levels, values on the pages of the tree and on pages of their own.
#[test]
fn every_record_is_found_in_order_and_out_of_it() {
    for (count, size) in [(1usize, 10usize), (40, 60), (3000, 100), (60_000, 20), (500, 5000)] {
        let folder = folder();
        let path = folder.path().join("db");
        let mut db = NewDb::create(&path, Backend::Lmdb, false).expect("it can be made");
        let value = |i: usize| (0..size + i % 7).map(|j| (i * 31 + j) as u8).collect::<Vec<u8>>();
        for i in 0..count {
            db.put(format!("{i:08}").as_bytes(), value(i)).expect("it can be put");
        }
        db.finish().expect("it is whole");
        let mut source = open_any(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(source.records(), count as u64);
        let all: Vec<u64> = (0..count as u64).collect();
        let mixed: Vec<u64> = all.iter().map(|i| (i * 7919 + 3) % count as u64).collect();
        for numbers in [&all, &mixed, &all] {
            for part in numbers.chunks(977) {
                let records = source.read(part).unwrap_or_else(|e| panic!("{e}"));
                assert_eq!(records.len(), part.len());
                for (record, &number) in records.iter().zip(part) {
                    let i = number as usize;
                    assert_eq!(record.key, format!("{i:08}").as_bytes());
                    assert!(matches!(&record.payload, Payload::Datum(found) if *found == value(i)));
                }
            }
        }
        assert!(source.read(&[count as u64]).is_err());
    }
}

/// There are no checksums; but whatever the bytes are, the program goes on.
#[test]
fn damage_inside_a_file_never_ends_the_program() {
    let folder = folder();
    let path = folder.path().join("db");
    let mut db = NewDb::create(&path, Backend::Lmdb, false).expect("it can be made");
    for i in 0..300 {
        let size = if i % 50 == 0 { 9000 } else { 100 };
        db.put(format!("{i:08}").as_bytes(), vec![7; size]).expect("it can be put");
    }
    db.finish().expect("it is whole");
    let file = path.join("data.mdb");
    let whole = std::fs::read(&file).expect("it can be read");
    let (mut told, mut taken) = (0, 0);
    let heads = (0..whole.len()).filter(|at| at % 4096 < 48);
    for (at, change) in heads.zip([0xff, 0x01, 0x80].into_iter().cycle()) {
        let mut bytes = whole.clone();
        bytes[at] ^= change;
        std::fs::write(&file, bytes).expect("it can be written");
        let read = open_any(&path).and_then(|mut source| {
            let numbers: Vec<u64> = (0..source.records().min(400)).rev().collect();
            source.read(&numbers).map(|records| records.len())
        });
        match read {
            Ok(_) => taken += 1,
            Err(why) => {
                assert!(!why.to_string().is_empty());
                told += 1;
            }
        }
    }
    assert!(told > 200 && taken > 200, "{told} told, {taken} taken");
}

#[test]
fn a_count_of_records_that_have_no_room_is_told() {
    let folder = db();
    write_lmdb(&folder.path().join("db"), &[("a", datum([1, 1, 1], &[9], 3))]);
    let file = folder.path().join("db/data.mdb");
    let mut bytes = std::fs::read(&file).expect("it was written");
    for meta in [0, 4096] {
        bytes[meta + 120..meta + 128].copy_from_slice(&(1u64 << 60).to_le_bytes());
    }
    std::fs::write(&file, bytes).expect("it can be written");
    let error =
        error(folder.path(), &layer(1, "").replace("batch_size", "shuffle: true batch_size"));
    assert!(error.contains("records have no room on their pages"), "{error}");
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_told() {
    let folder = db();
    let records: Vec<(String, Vec<u8>)> =
        (0..200).map(|i| (format!("{i:03}"), datum([1, 20, 20], &[1; 400], i))).collect();
    let records: Vec<(&str, Vec<u8>)> =
        records.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    write_lmdb(&folder.path().join("db"), &records);
    let mut net = net(folder.path(), &layer(4, ""), Phase::Test, 1);
    net.forward().unwrap_or_else(|e| panic!("{e}"));
    write(folder.path(), "db/data.mdb", b"");
    let error = (0..20).find_map(|_| net.forward().err()).expect("an error was wanted");
    assert!(error.to_string().contains("does not begin as an LMDB file does"), "{error}");
}

#[test]
fn a_database_that_is_emptied_while_it_is_read_is_told() {
    let folder = db();
    let path = folder.path().join("db");
    let records: Vec<(String, Vec<u8>)> = (0..9).map(|i| (format!("{i}"), vec![i])).collect();
    let records: Vec<(&str, Vec<u8>)> =
        records.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    write_lmdb(&path, &records);
    let mut source = open_any(&path).unwrap_or_else(|e| panic!("{e}"));
    source.read(&[0, 1]).unwrap_or_else(|e| panic!("{e}"));
    // SAFETY: the folder is the test's own; nothing else maps its file.
    let env = unsafe { EnvOpenOptions::new().map_size(1 << 20).open(&path) };
    let env = env.expect("it is whole");
    let txn = env.write_txn().expect("there is one writer");
    let emptied = env.create_databases_and_commit(txn, |opener, txn| {
        let db = opener.create_database::<Bytes, Bytes>(txn, None)?;
        db.clear(txn)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(db))
    });
    assert!(emptied.is_ok());
    for number in [2, 0, 5] {
        let why = source.read(&[number]).expect_err("it is empty").to_string();
        assert!(why.contains(&format!("record {number} of the LMDB database")), "{why}");
    }
}

#[test]
fn a_list_of_pages_that_could_not_be_made_is_made_by_the_next_read() {
    let folder = db();
    let path = folder.path().join("db");
    write_lmdb(&path, &[("a", vec![1])]);
    let mut source = open_any(&path).unwrap_or_else(|e| panic!("{e}"));
    source.read(&[0]).unwrap_or_else(|e| panic!("{e}"));
    write_lmdb(&path, &[("a", vec![2]), ("b", vec![3])]);
    let file = path.join("data.mdb");
    let whole = std::fs::read(&file).expect("it was just written");
    let page = u32::from_le_bytes(whole[40..44].try_into().expect("four bytes")) as usize;
    write(folder.path(), "db/data.mdb", &whole[..2 * page]);
    for _ in 0..2 {
        let why = source.read(&[0, 1]).expect_err("its last page is gone").to_string();
        assert!(why.contains("is cut off"), "{why}");
    }
    write(folder.path(), "db/data.mdb", &whole);
    let values: Vec<Vec<u8>> = source
        .read(&[0, 1])
        .unwrap_or_else(|e| panic!("{e}"))
        .into_iter()
        .map(|record| match record.payload {
            Payload::Datum(value) => value,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values, [vec![2], vec![3]]);
}
