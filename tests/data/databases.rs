//! Databases looked into, copied, shuffled and summed up.

use std::path::Path;

use cortado::data::{Backend, MeanPicture};
use cortado::tools::dbs::{Db, copy, shuffle};
use cortado::tools::mean::of_db;
use cortado::tools::{mnist, npy};
use cortado_proto::caffe::Datum;
use prost::Message;

use crate::files::{folder, golden, gzip, idx_bytes, write};
use crate::imageset::pairs;

fn nobody(_: u64, _: Option<u64>) {}

#[test]
fn the_mean_is_that_of_the_original() {
    let folder = folder();
    let wanted = MeanPicture::read(&golden("data/mean.binaryproto")).expect("it ships");
    for db in ["raw_lmdb", "raw_leveldb", "enc_lmdb"] {
        let mean = of_db(&golden("data").join(db), &mut nobody).unwrap_or_else(|e| panic!("{e}"));
        let path = folder.path().join("mean.binaryproto");
        mean.save(&path).unwrap_or_else(|e| panic!("{e}"));
        let found = MeanPicture::read(&path).expect("it was just written");
        assert_eq!(found.shape, wanted.shape);
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * b.abs();
        assert!(found.data.iter().zip(&wanted.data).all(near), "{db}");
        // The form of the file is the original's too.
        let form = |path: &Path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            let blob = cortado_proto::caffe::BlobProto::decode(&bytes[..]).expect("it is one");
            (blob.num, blob.channels, blob.height, blob.width, blob.shape)
        };
        assert_eq!(form(&path), form(&golden("data/mean.binaryproto")));
        let path = folder.path().join("mean.npy");
        mean.save(&path).unwrap_or_else(|e| panic!("{e}"));
        let array = npy::read_npy(&path).expect("it was just written");
        assert_eq!((&array.shape[..], array.data), (&wanted.shape[..], found.data.clone()));
        let channels = mean.channels();
        let plane = wanted.shape[1] * wanted.shape[2];
        for (channel, values) in found.data.chunks(plane).enumerate() {
            let wanted = values.iter().sum::<f32>() / plane as f32;
            assert!((channels[channel] - wanted).abs() < 1e-3, "{channels:?}");
        }
    }
}

fn datum(shape: [i32; 3], label: i32) -> Vec<u8> {
    let [channels, height, width] = shape.map(Some);
    let data = Some(vec![1; shape.iter().product::<i32>() as usize]);
    Datum { channels, height, width, data, label: Some(label), ..Datum::default() }.encode_to_vec()
}

fn write_db(to: &Path, records: &[(&str, Vec<u8>)]) {
    let mut db = cortado::data::NewDb::create(to, Backend::Lmdb, false).expect("it may");
    for (key, value) in records {
        db.put(key.as_bytes(), value.clone()).unwrap_or_else(|e| panic!("{e}"));
    }
    db.finish().unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_mean_wants_one_size_and_whole_records() {
    let folder = folder();
    let db = folder.path().join("db");
    write_db(&db, &[("a", datum([1, 2, 2], 0)), ("b", datum([1, 2, 3], 0))]);
    let error = of_db(&db, &mut nobody).expect_err("the sizes differ").to_string();
    assert_eq!(
        error,
        "record 1 (key `b`): it is 1x2x3, the first one 1x2x2; a mean wants one size"
    );
    let other = folder.path().join("other");
    write_db(&other, &[("a", datum([1, 2, 2], 0)), ("b", vec![0xff])]);
    let error = of_db(&other, &mut nobody).expect_err("one is damaged").to_string();
    assert!(error.starts_with("record 1 (key `b`): it is no Datum message"), "{error}");
    let none = folder.path().join("none");
    let error = of_db(&none, &mut nobody).expect_err("there is none").to_string();
    assert!(error.contains(&none.display().to_string()), "{error}");
}

#[test]
fn records_are_listed_and_shown() {
    let mut db = Db::open(&golden("data/raw_lmdb")).unwrap_or_else(|e| panic!("{e}"));
    let mut entries = Vec::new();
    db.list(2, &mut |entry| entries.push(entry)).unwrap_or_else(|e| panic!("{e}"));
    let first = entries[0].clone().expect("it is whole");
    assert_eq!(
        (first.key.as_str(), first.shape, first.label),
        ("00000000_sub/im0.png", [3, 9, 11], 0)
    );
    assert_eq!(entries.len(), 2);
    let (by_key, item) = db.item("00000001_im1.png").unwrap_or_else(|e| panic!("{e}"));
    let (by_number, same) = db.item("1").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((by_key.index, &by_key, &item), (1, &by_number, &same));
    assert_eq!((item.shape, item.label), ([3, 9, 11], 2));
    let error = db.item("6").expect_err("there are six").to_string();
    assert_eq!(error, "there is no record `6`: give a key, or a number below 6");
}

#[test]
fn verifying_tells_every_damaged_record() {
    let mut whole = Db::open(&golden("data/enc_lmdb")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(whole.verify(&mut nobody).unwrap_or_else(|e| panic!("{e}")), [""; 0]);
    let folder = folder();
    let path = folder.path().join("db");
    let mut cut = datum([1, 2, 2], 0);
    cut.truncate(8);
    let records =
        [("a", datum([1, 2, 2], 0)), ("b", cut), ("c", datum([1, 2, 3], 0)), ("d", vec![0xff])];
    write_db(&path, &records);
    let mut db = Db::open(&path).unwrap_or_else(|e| panic!("{e}"));
    let bad = db.verify(&mut nobody).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(bad.len(), 2, "{bad:?}");
    assert!(bad[0].starts_with("record 1 (key `b`): "), "{bad:?}");
    assert!(bad[1].starts_with("record 3 (key `d`): it is no Datum message"), "{bad:?}");
}

#[test]
fn a_copy_to_the_other_kind_and_back_is_the_same() {
    let folder = folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let wanted = pairs(&golden("data/raw_lmdb"));
    let copied = copy(&golden("data/raw_lmdb"), &one, Backend::LevelDb, false, &mut nobody);
    assert_eq!(copied.map_err(|e| e.to_string()), Ok(6));
    assert!(one.join("CURRENT").is_file());
    assert!(pairs(&one) == wanted);
    copy(&one, &two, Backend::Lmdb, false, &mut nobody).unwrap_or_else(|e| panic!("{e}"));
    assert!(pairs(&two) == wanted);
    let error = copy(&one, &two, Backend::Lmdb, false, &mut nobody).expect_err("it is there");
    let shown = two.display();
    assert_eq!(error.to_string(), format!("`{shown}` exists; remove it, or give --overwrite"));
}

#[test]
fn a_large_leveldb_comes_back_whole() {
    let folder = folder();
    let path = folder.path().join("db");
    let mut db = cortado::data::NewDb::create(&path, Backend::LevelDb, false).expect("it may");
    // More than the library keeps in memory before it writes tables.
    let value = |i: u32| -> Vec<u8> { (0..30_000u32).map(|j| (i * 31 + j * j) as u8).collect() };
    for i in 0..400 {
        db.put(format!("{i:08}").as_bytes(), value(i)).unwrap_or_else(|e| panic!("{e}"));
    }
    assert_eq!(db.finish(), Ok(400));
    let found = pairs(&path);
    assert_eq!(found.len(), 400);
    for (i, (key, found)) in found.into_iter().enumerate() {
        assert!(key == format!("{i:08}") && found == value(i as u32), "{i}");
    }
}

#[test]
fn a_shuffled_database_holds_the_same_values_in_another_order() {
    let folder = folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let from = golden("data/raw_lmdb");
    for to in [&one, &two] {
        let done = shuffle(&from, to, Backend::Lmdb, 3, false, &mut nobody);
        assert_eq!(done.map_err(|e| e.to_string()), Ok(6));
    }
    assert!(pairs(&one) == pairs(&two));
    let mut found: Vec<(String, Vec<u8>)> =
        pairs(&one).into_iter().map(|(key, value)| (key[9..].to_owned(), value)).collect();
    let wanted = pairs(&from);
    assert!(found != wanted, "six records stayed where they were");
    found.sort();
    assert!(found == wanted);
}

#[test]
fn mnist_becomes_a_database() {
    let folder = folder();
    let images: Vec<u8> = (0..3 * 4).collect();
    write(folder.path(), "images", &idx_bytes(&[3, 2, 2], &images));
    write(folder.path(), "labels", &gzip(&idx_bytes(&[3], &[7, 0, 9])));
    let at = |name: &str| folder.path().join(name);
    for backend in [Backend::Lmdb, Backend::LevelDb] {
        let done =
            mnist::convert(&at("images"), &at("labels"), &at("db"), backend, true, &mut nobody);
        assert_eq!(done.map_err(|e| e.to_string()), Ok(3));
        let found = pairs(&at("db"));
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["00000000", "00000001", "00000002"]);
        let datum = Datum::decode(&found[2].1[..]).expect("it is one");
        assert_eq!((datum.channels(), datum.height(), datum.width()), (1, 2, 2));
        assert_eq!((datum.data(), datum.label()), (&[8, 9, 10, 11][..], 9));
    }
    write(folder.path(), "labels", &idx_bytes(&[2], &[7, 0]));
    let error =
        mnist::convert(&at("images"), &at("labels"), &at("new"), Backend::Lmdb, true, &mut nobody)
            .expect_err("one label is missing");
    let (images, labels) = (at("images"), at("labels"));
    let wanted =
        format!("`{}` holds 3 images, `{}` holds 2 labels", images.display(), labels.display());
    assert_eq!(error.to_string(), wanted);
    assert!(!at("new").exists());
}

#[test]
fn databases_cut_off_anywhere_are_told() {
    let folder = folder();
    for name in ["raw_lmdb", "raw_leveldb"] {
        for entry in std::fs::read_dir(golden("data").join(name)).expect("it ships").flatten() {
            let whole = std::fs::read(entry.path()).expect("it can be read");
            for length in (0..whole.len()).step_by(1 + whole.len() / 23) {
                let to = folder.path().join("cut");
                let _ = std::fs::remove_dir_all(&to);
                std::fs::create_dir(&to).expect("it can be made");
                for other in
                    std::fs::read_dir(golden("data").join(name)).expect("it ships").flatten()
                {
                    let bytes = std::fs::read(other.path()).expect("it can be read");
                    let cut = other.path() == entry.path();
                    let bytes = if cut { &bytes[..length] } else { &bytes };
                    write(&to, &other.file_name().to_string_lossy(), bytes);
                }
                // No panic, and no record that was not there.
                if let Ok(mean) = of_db(&to, &mut nobody) {
                    assert!(mean.count() <= 6, "{name} {length}");
                }
            }
        }
    }
}
