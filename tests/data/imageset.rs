//! Lists of pictures made into databases, held against what the original's tool wrote.

use std::path::Path;

use cortado::data::db::{Payload, datum, open_any};
use cortado::data::{Backend, Color, Pixels};
use cortado::tools::imageset::{Converted, ImageSet, convert};

use crate::files::{folder, golden, write};

/// Key and value of every record.
pub fn pairs(db: &Path) -> Vec<(String, Vec<u8>)> {
    let mut source = open_any(db).unwrap_or_else(|e| panic!("{}: {e}", db.display()));
    let numbers: Vec<u64> = (0..source.records()).collect();
    let records = source.read(&numbers).unwrap_or_else(|e| panic!("{e}"));
    let pair = |record: cortado::data::Record| match record.payload {
        Payload::Datum(value) => (String::from_utf8_lossy(&record.key).into_owned(), value),
        other => panic!("{other:?}"),
    };
    records.into_iter().map(pair).collect()
}

/// The set of the golden pictures.
fn golden_set() -> ImageSet {
    let root = format!("{}/", golden("data/images").display());
    ImageSet { root: root.into(), ..ImageSet::default() }
}

fn run(list: &Path, to: &Path, set: &ImageSet) -> Result<Converted, String> {
    convert(list, to, set, &mut |_, _| ()).map_err(|e| e.to_string())
}

#[test]
fn databases_are_those_of_the_original_byte_for_byte() {
    let folder = folder();
    let set = golden_set();
    let cases = [
        ("raw_lmdb", set.clone()),
        ("enc_lmdb", ImageSet { encoded: true, encode_type: "png".into(), ..set.clone() }),
        ("gray_lmdb", ImageSet { gray: true, ..set.clone() }),
        ("raw_leveldb", ImageSet { backend: Backend::LevelDb, ..set }),
    ];
    for (name, set) in cases {
        let to = folder.path().join(name);
        let done = run(&golden("data/list.txt"), &to, &set).unwrap_or_else(|e| panic!("{e}"));
        let wanted = pairs(&golden("data").join(name));
        assert_eq!(done, Converted { records: wanted.len() as u64, skipped: Vec::new() });
        assert!(pairs(&to) == wanted, "{name} differs");
    }
}

#[test]
fn pictures_are_resized_and_encoded_when_asked() {
    let folder = folder();
    let to = folder.path().join("db");
    for (format, tolerance) in [("png", 0), ("jpg", 24)] {
        let plain = ImageSet { size: [6, 9], overwrite: true, ..golden_set() };
        run(&golden("data/list.txt"), &to, &plain).unwrap_or_else(|e| panic!("{e}"));
        let plain_pairs = pairs(&to);
        let set = ImageSet { encode_type: format.into(), ..plain };
        run(&golden("data/list.txt"), &to, &set).unwrap_or_else(|e| panic!("{e}"));
        for ((key, plain), (other_key, encoded)) in plain_pairs.iter().zip(pairs(&to)) {
            assert_eq!(*key, other_key);
            let item = |bytes: &[u8]| datum::decode(bytes, Color::Bgr).expect("it is whole");
            let (plain, encoded) = (item(plain), item(&encoded));
            assert_eq!((plain.shape, plain.label), ([3, 6, 9], encoded.label));
            assert_eq!(plain.shape, encoded.shape);
            let (Pixels::U8(plain), Pixels::U8(encoded)) = (plain.pixels, encoded.pixels) else {
                panic!("pictures are bytes");
            };
            let sum: u32 = plain.iter().zip(&encoded).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
            assert!(sum <= tolerance * plain.len() as u32, "{format} {key}: {sum}");
        }
    }
}

#[test]
fn a_random_order_holds_every_picture_once_and_follows_its_seed() {
    let folder = folder();
    let order = |name: &str, seed| -> Vec<String> {
        let to = folder.path().join(name);
        let set = ImageSet { shuffle: Some(seed), ..golden_set() };
        run(&golden("data/list.txt"), &to, &set).unwrap_or_else(|e| panic!("{e}"));
        pairs(&to).into_iter().map(|(key, _)| key[9..].to_owned()).collect()
    };
    let (one, again, other) = (order("a", 1), order("b", 1), order("c", 2));
    assert_eq!(one, again);
    assert_ne!(one, other);
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(one), sorted(other));
}

/// A folder with the list, two whole pictures (one under a path with spaces) and a damaged one.
fn mixed(list: &str) -> tempfile::TempDir {
    let folder = folder();
    let picture = std::fs::read(golden("data/images/im1.png")).expect("it ships");
    let small = std::fs::read(golden("data/images/im3.png")).expect("it ships");
    std::fs::create_dir(folder.path().join("my pictures")).expect("it can be made");
    write(folder.path(), "my pictures/a b.png", &picture);
    write(folder.path(), "c.png", &small);
    write(folder.path(), "half.png", &picture[..picture.len() / 2]);
    write(folder.path(), "list.txt", list.as_bytes());
    folder
}

#[test]
fn what_is_wrong_with_a_list_is_told_and_no_database_is_left() {
    let cut = |size, check_size| ImageSet { size, check_size, ..ImageSet::default() };
    let same = ImageSet::default();
    let cases = [
        ("", same.clone(), "`LIST` names no pictures"),
        ("\n\n", same.clone(), "`LIST` names no pictures"),
        (
            "c.png\n",
            same.clone(),
            "`LIST` has `c.png` on line 1; a path, a space and a whole number are wanted",
        ),
        (
            "c.png 1\nc.png cat\n",
            same.clone(),
            "`LIST` has `c.png cat` on line 2; a path, a space and a whole number are wanted",
        ),
        (
            "c.png 1\nnone.png 2\n",
            same.clone(),
            "`none.png` (line 2 of `LIST`): can't read `ROOT/none.png`: No such file or directory (os \
             error 2); --skip-bad leaves such pictures out",
        ),
        (
            "c.png 1\nlist.txt 2\n",
            same.clone(),
            "`list.txt` (line 2 of `LIST`): it is no picture this program reads (JPEG, PNG); \
             --skip-bad leaves such pictures out",
        ),
        (
            "my pictures/a b.png 1\nc.png 2\n",
            cut([0, 0], true),
            "`c.png` is 3x9x11, the first picture, `my pictures/a b.png`, 3x9x11; check_size wants one size",
        ),
        (
            "c.png 1\n",
            cut([5, 0], false),
            "resize_height and resize_width go together, found 5 and 0",
        ),
        (
            "c.png 1\n",
            ImageSet { encode_type: "bmp".into(), ..same.clone() },
            "encode_type is `bmp`; png, jpg and jpeg are written",
        ),
        (
            "half.png 1\n",
            ImageSet { skip_bad: true, ..same },
            "none of the 1 pictures of `LIST` can be read",
        ),
    ];
    for (list, mut set, wanted) in cases {
        let folder = mixed(list);
        if set.check_size {
            // Another size.
            let picture = cortado::data::Picture { shape: [3, 4, 5], data: vec![7; 60] };
            let bytes = cortado::data::image::encode(&picture, "png").expect("it can");
            write(folder.path(), "c.png", &bytes);
        }
        set.root = folder.path().display().to_string().into();
        let path = folder.path().join("list.txt");
        let wanted = wanted
            .replace("LIST", &path.display().to_string())
            .replace("ROOT", &folder.path().display().to_string())
            .replace("c.png` is 3x9x11", "c.png` is 3x4x5");
        let error = run(&path, &folder.path().join("db"), &set).expect_err(&wanted);
        assert_eq!(error, wanted);
        let left = ["db", "db.partial"].map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, false], "{wanted}");
    }
}

#[test]
fn damaged_pictures_stop_the_run_or_are_left_out_and_counted() {
    let folder = mixed("my pictures/a b.png 7\nhalf.png 1\nc.png 2\n");
    let root = format!("{}/", folder.path().display());
    let (list, to) = (folder.path().join("list.txt"), folder.path().join("db"));
    let set = ImageSet { root: root.into(), ..ImageSet::default() };
    let error = run(&list, &to, &set).expect_err("one is damaged");
    assert!(error.starts_with("`half.png` (line 2 of "), "{error}");
    assert!(error.contains("it is a damaged picture"), "{error}");
    let done = run(&list, &to, &ImageSet { skip_bad: true, ..set }).expect("the rest is whole");
    assert_eq!(done.records, 2);
    assert_eq!(done.skipped.len(), 1);
    assert!(done.skipped[0].starts_with("`half.png`: it is a damaged picture"), "{done:?}");
    let keys: Vec<String> = pairs(&to).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["00000000_my pictures/a b.png", "00000002_c.png"]);
}

#[test]
fn only_a_database_is_replaced() {
    let folder = folder();
    write(folder.path(), "list.txt", b"im1.png 1\n");
    for (name, wanted) in
        [("db", "is no database: it holds notes.txt"), ("db.partial", "is in the way")]
    {
        let mine = folder.path().join(name);
        std::fs::create_dir(&mine).expect("it can be made");
        write(&mine, "notes.txt", b"mine");
        let set = ImageSet { overwrite: true, ..golden_set() };
        let why = run(&folder.path().join("list.txt"), &folder.path().join("db"), &set);
        let why = why.expect_err("something is in its place");
        assert!(why.contains(wanted), "{why}");
        assert!(mine.join("notes.txt").exists());
        std::fs::remove_dir_all(mine).expect("it can be removed");
    }
}

#[test]
fn a_database_is_not_replaced_while_the_users_files_are_in_it() {
    let folder = folder();
    write(folder.path(), "list.txt", b"im1.png 1\n");
    let (list, to) = (folder.path().join("list.txt"), folder.path().join("db"));
    for backend in [Backend::Lmdb, Backend::LevelDb] {
        let set = ImageSet { overwrite: true, backend, ..golden_set() };
        run(&list, &to, &set).expect("nothing is in its place, or a database");
        for name in ["train.prototxt", "train.log", "000005.txt", "MANIFEST-mine", "snapshots"] {
            let mine = to.join(name);
            let made = match name {
                "snapshots" => std::fs::create_dir(&mine),
                _ => std::fs::write(&mine, "mine"),
            };
            made.expect("the folder can be written");
            let why = run(&list, &to, &set).expect_err("a file of the user is in it");
            let wanted = format!("holds `{name}`, which is no part of a database");
            assert!(why.contains(&wanted), "{why}");
            assert!(mine.exists() && !folder.path().join("db.partial").exists());
            assert_eq!(pairs(&to).len(), 1);
            let removed = std::fs::remove_file(&mine).or_else(|_| std::fs::remove_dir(&mine));
            removed.expect("it was made above");
        }
    }
}

#[test]
fn what_other_writers_leave_in_a_database_is_replaced_with_it() {
    let folder = folder();
    write(folder.path(), "list.txt", b"im1.png 1\n");
    let (list, to) = (folder.path().join("list.txt"), folder.path().join("db"));
    for backend in [Backend::LevelDb, Backend::Lmdb] {
        let set = ImageSet { overwrite: true, backend, ..golden_set() };
        run(&list, &to, &set).expect("nothing is in its place, or a database");
        let known = ["lock.mdb", "LOCK", "LOG", "LOG.old", "000900.sst", "000901.dbtmp"];
        // The last one is of a program that was killed right after it had put the database there.
        for name in known.iter().chain(&["writing.lock"]) {
            write(&to, name, b"");
        }
        run(&list, &to, &set).expect("all of it is part of a database");
        write(&to, "writing.lock", b"");
        assert_eq!(pairs(&to).len(), 1);
        let left = std::fs::read_dir(folder.path()).expect("it is there").count();
        assert_eq!(left, 2, "the list and the database");
    }
}

#[test]
fn the_line_that_is_named_counts_empty_ones() {
    let folder = folder();
    write(folder.path(), "list.txt", b"im1.png 1\n\n\nnone.png 2\n");
    let why = run(&folder.path().join("list.txt"), &folder.path().join("db"), &golden_set());
    let why = why.expect_err("there is no such picture");
    assert!(why.contains("`none.png` (line 4 of "), "{why}");
}
