//! LevelDB: order, shuffling, resume, damage.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use cortado::data::db::open_any;
use cortado::data::{Backend, NewDb};
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

const RECORDS: usize = 6000;

/// A database of several tables and a log: records of noise, which nothing makes smaller.
fn large(path: &Path) {
    let mut db = NewDb::create(path, Backend::LevelDb, false).unwrap_or_else(|e| panic!("{e}"));
    let mut state = 1u64;
    for number in 0..RECORDS {
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        let value = noise.take(4000).collect();
        db.put(format!("{number:08}").as_bytes(), value).unwrap_or_else(|e| panic!("{e}"));
    }
    db.finish().unwrap_or_else(|e| panic!("{e}"));
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("it is there").flatten();
    let file = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).expect("it can be read");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    entries.map(file).collect()
}

fn keys(folder: &Path) -> Result<usize, String> {
    let mut source = open_any(folder).map_err(|e| e.to_string())?;
    let numbers: Vec<u64> = (0..source.records()).collect();
    let records = source.read(&numbers).map_err(|e| e.to_string())?;
    let right = |(number, record): (usize, &cortado::data::Record)| {
        record.key == format!("{number:08}").as_bytes()
    };
    assert!(records.iter().enumerate().all(right));
    Ok(records.len())
}

#[test]
fn tables_are_read_wherever_they_lie_and_stay_as_they_are() {
    let folder = folder();
    let db = folder.path().join("db");
    large(&db);
    let before = files(&db);
    let tables = before.keys().filter(|name| name.ends_with(".ldb")).count();
    assert!(tables > 2, "{:?}", before.keys());
    assert_eq!(keys(&db), Ok(RECORDS));
    // A relative path, as users give it.
    let listed = Command::new(env!("CARGO_BIN_EXE_cortado"))
        .current_dir(folder.path())
        .args(["db", "list", "db", "--limit", "1"])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(told.ends_with(&format!("{RECORDS} records\n")), "{told}");
    assert!(files(&db) == before, "reading changed the folder");
    // Tables had another ending once.
    for name in before.keys().filter(|name| name.ends_with(".ldb")) {
        let old = name.replace(".ldb", ".sst");
        fs::rename(db.join(name), db.join(old)).expect("it can be renamed");
    }
    assert_eq!(keys(&db), Ok(RECORDS));
}

/// Logs that were not gone through, tables that no manifest names, tables of the same keys.
#[test]
fn what_a_writer_left_that_died_is_read_whole() {
    use rusty_leveldb::{DB, Options};
    let folder = folder();
    let db = folder.path().join("db");
    for session in 0..4 {
        let options = Options { reuse_logs: false, ..Options::default() };
        let mut writer = DB::open(&db, options).expect("it can be written");
        for number in 0..60 {
            let key = format!("{number:08}");
            match session == 2 && number % 7 == 0 {
                true => writer.delete(key.as_bytes()).expect("it can be deleted"),
                false => writer.put(key.as_bytes(), &[session; 3000]).expect("it can be put"),
            }
        }
        writer.flush().and_then(|()| writer.close()).expect("it can be closed");
    }
    let log = files(&db).into_keys().rfind(|name| name.ends_with(".log")).expect("a log");
    fs::copy(db.join(log), db.join("000200.log")).expect("it can be copied");
    let table = fs::read(golden("data/raw_leveldb/000005.ldb")).expect("it is there");
    for number in 100..120 {
        let part = if number % 2 == 0 { &table[..100] } else { &table[..] };
        let path = db.join(format!("{number:06}.ldb"));
        fs::write(path, part).expect("it can be written");
    }
    let before = files(&db);
    assert_eq!(keys(&db), Ok(60));
    let shuffled = layer(&db, "batch_size: 1 shuffle: true");
    let why = try_net(Path::new("."), &shuffled, Phase::Train, 1).map(|_| ()).unwrap_err();
    assert!(why.contains("it is no Datum message"), "{why}");
    assert!(files(&db) == before, "reading changed the folder");
}

#[test]
fn damage_inside_a_log_or_a_manifest_is_told() {
    let wrong: Vec<String> = ["log", "MANIFEST"]
        .into_iter()
        .filter_map(|kind| {
            let folder = folder();
            let db = folder.path().join("db");
            let mut writer = rusty_leveldb::DB::open(&db, Default::default()).expect("a database");
            for number in 0..60 {
                writer.put(format!("{number:08}").as_bytes(), &[1; 3000]).expect("it can be put");
            }
            drop(writer);
            assert_eq!(keys(&db), Ok(60));
            let files = files(&db);
            let (name, bytes) = files.iter().find(|(name, _)| name.contains(kind))?;
            let mut bytes = bytes.clone();
            bytes[10] ^= 0x55;
            fs::write(db.join(name), bytes).expect("it can be written");
            match keys(&db) {
                Err(why) if why.contains(&format!("its file `{name}` is damaged at byte ")) => None,
                told => Some(format!("{name}: {told:?}")),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The library passes over what it can't read: records would be missing unnoticed.
#[test]
fn damage_inside_a_table_is_told() {
    let folder = folder();
    let db = folder.path().join("db");
    large(&db);
    let whole = files(&db);
    let (name, table) = whole.iter().find(|(name, _)| name.ends_with(".ldb")).expect("a table");
    let mut wrong = Vec::new();
    for place in (0..table.len()).step_by(table.len() / 40).chain(table.len() - 60..table.len()) {
        let mut bytes = table.clone();
        bytes[place] ^= 0x55;
        fs::write(db.join(name), bytes).expect("it can be written");
        match keys(&db) {
            // The last bytes hold room that is not used.
            Ok(RECORDS) if place + 48 >= table.len() => {}
            Ok(found) => wrong.push(format!("byte {place}: {found} records, nothing told")),
            Err(why) if why.contains("its table `") && why.contains(" damaged") => {}
            Err(why) => wrong.push(format!("byte {place}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "of {}:\n{}", table.len(), wrong.join("\n"));
    fs::remove_file(db.join(name)).expect("it can be removed");
    let why = keys(&db).unwrap_err();
    assert!(why.contains("one of its tables is missing"), "{why}");
}
