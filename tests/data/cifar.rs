//! CIFAR-10 made into databases.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use cortado::data::{Backend, MeanPicture};
use cortado::tools::cifar::{Converted, convert};
use cortado_layers::Phase;

use crate::files::{batches, folder, golden, gzip, net, write};

/// Records of the binary version: (class, red, green, blue).
fn records(list: &[(u8, [u8; 3])]) -> Vec<u8> {
    let record = |(class, colors): &(u8, [u8; 3])| {
        let planes = colors.iter().flat_map(|&color| [color; 32 * 32]);
        std::iter::once(*class).chain(planes).collect::<Vec<u8>>()
    };
    list.iter().flat_map(record).collect()
}

fn run(from: &Path, to: &Path) -> Result<Converted, String> {
    convert(from, to, Backend::Lmdb, false, &mut |_, _| ()).map_err(|e| e.to_string())
}

/// The first value of each channel and the label of each record.
fn read(folder: &Path, db: &str, backend: &str, count: usize) -> Vec<([f32; 3], f32)> {
    let text = format!(
        "layer {{ name: \"d\" type: \"Data\" top: \"data\" top: \"label\" \
         data_param {{ source: \"{db}\" backend: {backend} batch_size: {count} }} }}"
    );
    let (data, labels) = batches(&mut net(folder, &text, Phase::Test, 1), 1).remove(0);
    let first = |picture: &[f32]| [picture[0], picture[1024], picture[2048]];
    data.chunks(3072).map(first).zip(labels).collect()
}

#[test]
fn the_binary_version_becomes_databases_and_a_mean() {
    let folder = folder();
    let from = folder.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&from).expect("a temporary folder can be written");
    write(&from, "data_batch_1.bin", &records(&[(3, [0, 1, 2]), (9, [10, 11, 12])]));
    write(&from, "data_batch_2.bin.gz", &gzip(&records(&[(0, [20, 21, 22])])));
    let more = records(&[(1, [10, 11, 12])]);
    ["data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"]
        .iter()
        .for_each(|name| write(&from, name, &more));
    write(&from, "test_batch.bin", &records(&[(5, [255, 0, 7])]));
    write(&from, "lossless.bin", b"no part of the set");
    let done = run(folder.path(), &folder.path().join("out")).expect("it is whole");
    assert_eq!(done.databases.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [6, 1]);
    let train = read(folder.path(), "out/cifar10_train_lmdb", "LMDB", 6);
    let mut wanted =
        vec![([0.0, 1.0, 2.0], 3.0), ([10.0, 11.0, 12.0], 9.0), ([20.0, 21.0, 22.0], 0.0)];
    wanted.extend([([10.0, 11.0, 12.0], 1.0); 3]);
    assert_eq!(train, wanted);
    let test = read(folder.path(), "out/cifar10_test_lmdb", "LMDB", 1);
    assert_eq!(test, [([255.0, 0.0, 7.0], 5.0)]);
    let mean = MeanPicture::read(&folder.path().join("out/mean.binaryproto")).expect("it is there");
    assert_eq!(mean.shape, [3, 32, 32]);
    assert_eq!([mean.data[0], mean.data[1024], mean.data[3071]], [10.0, 11.0, 12.0]);
    assert_eq!(done.mean.expect("it was made").1, [10.0, 11.0, 12.0]);
}

#[test]
fn pictures_in_an_archive_come_out_red_green_blue() {
    let folder = folder();
    for (backend, name) in [(Backend::Lmdb, "lmdb"), (Backend::LevelDb, "leveldb")] {
        let from = golden("cifar/pictures.tar.xz");
        let done = convert(&from, folder.path(), backend, false, &mut |_, _| ());
        done.unwrap_or_else(|e| panic!("{e}"));
        let db = format!("cifar10_train_{name}");
        let train = read(folder.path(), &db, &name.to_uppercase(), 2);
        assert_eq!(train, [([10.0, 20.0, 30.0], 0.0), ([40.0, 60.0, 80.0], 9.0)]);
        let db = format!("cifar10_test_{name}");
        assert_eq!(read(folder.path(), &db, &name.to_uppercase(), 1), [([1.0, 2.0, 3.0], 6.0)]);
    }
}

/// Names of what lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn what_is_wrong_with_the_files_is_told_and_nothing_is_left() {
    let archive = std::fs::read(golden("cifar/pictures.tar.xz")).expect("it ships");
    let small = std::fs::read(golden("data/images/im1.png")).expect("it ships");
    let good = records(&[(1, [1, 2, 3])]);
    let mut bad_class = good.clone();
    bad_class.extend(records(&[(10, [1, 2, 3])]));
    let cases = [
        (
            "data_batch_1.bin",
            good[..3000].to_vec(),
            "it has 3000 bytes; a multiple of 3073 is wanted (a class and 3x32x32 values each)",
        ),
        (
            "test_batch.bin",
            Vec::new(),
            "it has 0 bytes; a multiple of 3073 is wanted (a class and 3x32x32 values each)",
        ),
        ("data_batch_1.bin", bad_class, "record 1 has class 10; 0 to 9 are wanted"),
        (
            "train/horse/1.jpg",
            b"no picture".to_vec(),
            "it is no picture this program reads (JPEG, PNG)",
        ),
        (
            "train/zebra/1.png",
            Vec::new(),
            "`zebra` is no class; there are airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck",
        ),
        ("all.tar.xz", archive[..archive.len() / 2].to_vec(), "can't be read or is damaged"),
        ("train/horse/1.png", small, "the picture is 9x11; 32x32 are wanted"),
        (
            "data_batch_2.bin",
            good.clone(),
            "lacks data_batch_1.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, test_batch.bin",
        ),
        ("readme.txt", Vec::new(), "holds nothing of CIFAR-10"),
    ];
    for (name, bytes, wanted) in cases {
        let folder = folder();
        let path = folder.path().join("in").join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        std::fs::write(&path, bytes).expect("it can be written");
        let to = folder.path().join("out");
        let error = run(&folder.path().join("in"), &to).expect_err(name);
        assert!(error.contains(wanted), "{name}: {error}");
        assert!(names(&to).is_empty(), "{name}: {:?}", names(&to));
    }
}

#[test]
fn a_database_that_is_there_is_kept_unless_told_otherwise() {
    let folder = folder();
    let from = golden("cifar/pictures.tar.xz");
    run(&from, folder.path()).expect("it is whole");
    let place = folder.path().join("cifar10_train_lmdb");
    let wanted = format!("`{}` exists; remove it, or give --overwrite", place.display());
    assert_eq!(run(&from, folder.path()).expect_err("it is there"), wanted);
    convert(&from, folder.path(), Backend::Lmdb, true, &mut |_, _| ()).expect("it may");
    assert_eq!(names(&place), ["data.mdb"]);
}

#[test]
fn what_a_killed_program_left_is_replaced() {
    let folder = folder();
    let left = folder.path().join("cifar10_train_lmdb.partial");
    std::fs::create_dir(&left).expect("a temporary folder can be written");
    write(&left, "data.mdb", b"half a page");
    write(&left, "writing.lock", b"");
    run(&golden("cifar/pictures.tar.xz"), folder.path()).expect("it is whole");
    let mut found = names(folder.path());
    found.sort();
    assert_eq!(found, ["cifar10_test_lmdb", "cifar10_train_lmdb", "mean.binaryproto"]);
}

#[test]
fn two_programs_do_not_write_one_database() {
    let folder = folder();
    let to = folder.path().join("db");
    let mut first = cortado::data::NewDb::create(&to, Backend::Lmdb, false).expect("it may");
    let second = cortado::data::NewDb::create(&to, Backend::Lmdb, false);
    let wanted = format!("another program is writing `{}`", to.display());
    assert_eq!(second.err(), Some(wanted));
    first.put(b"b", vec![1]).expect("there is room");
    let error = first.put(b"a", vec![1]).expect_err("its place was before");
    let wanted =
        format!("can't write `{}`: key `a` comes after `b`; keys must ascend", to.display());
    assert_eq!(error, wanted);
    drop(first);
    assert!(names(folder.path()).is_empty());
}

#[test]
fn whoever_may_write_a_database_ends_it_undisturbed() {
    for (overwrite, wanted) in [(true, 60), (false, 1)] {
        let folder = folder();
        let to = folder.path().join("db");
        let (ended, began) = (AtomicUsize::new(0), Instant::now());
        let write = &|by: u8| {
            let mut disturbed = Vec::new();
            while ended.load(Ordering::Relaxed) < wanted && began.elapsed().as_secs() < 60 {
                // Not while another one writes.
                let db = cortado::data::NewDb::create(&to, Backend::Lmdb, overwrite);
                let Ok(mut db) = db else { continue };
                let put = (0..3).try_for_each(|key| db.put(&[key], vec![by; 9]));
                disturbed.extend(put.and_then(|()| db.finish()).err());
                ended.fetch_add(1, Ordering::Relaxed);
            }
            disturbed
        };
        let disturbed: Vec<String> = std::thread::scope(|scope| {
            let writers = [1, 2, 3].map(|by| scope.spawn(move || write(by)));
            writers.into_iter().flat_map(|writer| writer.join().expect("it ends")).collect()
        });
        assert!(disturbed.is_empty(), "{disturbed:?}");
        let ended = ended.into_inner();
        assert!(if overwrite { ended >= wanted } else { ended == wanted }, "{ended} have ended");
        let mut source = cortado::data::db::open_any(&to).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(source.read(&[0, 1, 2]).map_or(0, |records| records.len()), 3);
        assert_eq!(names(&to), ["data.mdb"]);
        assert_eq!(names(folder.path()), ["db"]);
    }
}

#[test]
fn a_database_grows_beyond_its_first_map() {
    let folder = folder();
    let to = folder.path().join("db");
    let mut db = cortado::data::NewDb::create(&to, Backend::Lmdb, false).expect("it may");
    for i in 0..70 {
        db.put(format!("{i:03}").as_bytes(), vec![i; 1 << 20]).expect("there is room");
    }
    assert_eq!(db.finish(), Ok(70));
    let size = std::fs::metadata(to.join("data.mdb")).map_or(0, |file| file.len());
    assert!(size > 70 << 20, "{size}");
}
