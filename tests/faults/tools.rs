//! Every tool that writes something, killed at random moments: what it was to write is there whole or
//! not at all, what was there before is not lost, and the next run ends as if nothing had happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cortado::data::NewDb;
use cortado::data::{Backend, db};

use crate::run::Numbers;

/// Kills of each tool in the ordinary test run; `CORTADO_KILLS` says otherwise.
const KILLS: u64 = 4;

/// A tool: its arguments, and what it leaves.
struct Tool {
    arguments: Vec<String>,
    results: &'static [&'static str],
}

fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).display().to_string()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// What the tools read.
fn prepare(folder: &Path) {
    let names = ["sub/im0.png", "im1.png", "sub/im2.png", "im3.png"];
    let lines: Vec<String> = (0..600).map(|i| format!("{} {i}", names[i % 4])).collect();
    write(&folder.join("list.txt"), lines.join("\n").as_bytes());
    crate::run::write(folder, 5, "");
    let record = |i: u32| {
        let pixels = (0..3072).map(move |p| (p * 7 + i) as u8);
        std::iter::once((i % 10) as u8).chain(pixels).collect::<Vec<u8>>()
    };
    write(&folder.join("data_batch_1.bin"), &(0..300).flat_map(record).collect::<Vec<u8>>());
    let mut from =
        NewDb::create(&folder.join("from"), Backend::Lmdb, false).unwrap_or_else(|e| panic!("{e}"));
    for i in 0..2000u32 {
        let pixels = (0..300).map(|p| (p + i) as u8).collect();
        let value = db::datum::encode([3, 10, 10], pixels, (i % 10) as i32);
        from.put(format!("{i:08}").as_bytes(), value).unwrap_or_else(|e| panic!("{e}"));
    }
    from.finish().unwrap_or_else(|e| panic!("{e}"));
    let net = r#"
        layer { name: "d" type: "Data" top: "data" data_param { source: "from" backend: LMDB batch_size: 20 } }
        layer { name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { kernel_size: 2 stride: 2 } }"#;
    write(&folder.join("features.prototxt"), net.as_bytes());
    fs::copy(any_model(), folder.join("net.caffemodel")).unwrap_or_else(|e| panic!("{e}"));
}

/// Some trained weights among the golden files.
fn any_model() -> PathBuf {
    let mut folders = vec![PathBuf::from(golden(""))];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "caffemodel") {
                return path;
            }
        }
    }
    panic!("the golden files hold no weights");
}

fn tools() -> Vec<Tool> {
    let tool = |line: &str, results: &'static [&'static str]| {
        let images = golden("data/images");
        let arguments = line.split(' ').map(|word| word.replace("IMAGES", &images)).collect();
        Tool { arguments, results }
    };
    vec![
        tool("convert-imageset --overwrite IMAGES list.txt db", &["db"]),
        tool("convert-imageset --overwrite --backend leveldb IMAGES list.txt db", &["db"]),
        tool("convert-mnist --overwrite images labels db", &["db"]),
        tool(
            "convert-cifar --overwrite data_batch_1.bin .",
            &["cifar10_train_lmdb", "mean.binaryproto"],
        ),
        tool("compute-mean from mean.binaryproto", &["mean.binaryproto"]),
        tool("compute-mean from mean.npy", &["mean.npy"]),
        tool(
            "extract-features --overwrite net.caffemodel features.prototxt p f_db 50 lmdb",
            &["f_db"],
        ),
        tool(
            "extract-features --overwrite net.caffemodel features.prototxt p f.h5 50 hdf5",
            &["f.h5"],
        ),
        tool(
            "extract-features --overwrite net.caffemodel features.prototxt p f.npz 50 npz",
            &["f.npz"],
        ),
        tool("db copy --overwrite --backend leveldb from db", &["db"]),
        tool("db shuffle --overwrite from db", &["db"]),
        tool("caffemodel extract net.caffemodel w.npz", &["w.npz"]),
        tool(
            "caffemodel average net.caffemodel net.caffemodel --output m.caffemodel",
            &["m.caffemodel"],
        ),
    ]
}

fn start(folder: &Path, tool: &Tool) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cortado"))
        .current_dir(folder)
        .args(&tool.arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{e}"))
}

/// What a database or file holds; nothing where there is none. A damaged database fails the test.
fn held(path: &Path) -> Option<Vec<u8>> {
    if path.is_file() {
        return fs::read(path).ok();
    }
    if !path.exists() {
        return None;
    }
    let failed = |e: cortado_layers::LayerError| -> ! { panic!("{}: {e}", path.display()) };
    let mut source = db::open_any(path).unwrap_or_else(|e| failed(e));
    let numbers: Vec<u64> = (0..source.records()).collect();
    let records = source.read(&numbers).unwrap_or_else(|e| failed(e));
    let bytes = records.into_iter().flat_map(|record| match record.payload {
        db::Payload::Datum(value) => [record.key, value].concat(),
        _ => Vec::new(),
    });
    Some(bytes.collect())
}

fn results(folder: &Path, tool: &Tool) -> Vec<Option<Vec<u8>>> {
    tool.results.iter().map(|name| held(&folder.join(name))).collect()
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).unwrap_or_else(|e| panic!("{e}"));
    } else if path.exists() {
        fs::remove_file(path).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn tools_killed_at_random_moments_leave_whole_results_or_none() {
    let number = |name: &str, else_: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(else_)
    };
    let (kills, seed) = (number("CORTADO_KILLS", KILLS), number("CORTADO_SEED", 1));
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    prepare(folder.path());
    let mut numbers = Numbers(seed);
    for tool in tools() {
        let shown = tool.arguments.join(" ");
        let began = Instant::now();
        let status = start(folder.path(), &tool).wait().unwrap_or_else(|e| panic!("{e}"));
        assert!(status.success(), "{shown}");
        let whole = began.elapsed().as_micros() as u64;
        let wanted = results(folder.path(), &tool);
        assert!(wanted.iter().all(Option::is_some), "{shown}");
        for round in 0..kills {
            // Every other time there is nothing yet, else the results of before are to be replaced.
            let fresh = round % 2 == 0;
            if fresh {
                tool.results.iter().for_each(|name| remove(&folder.path().join(name)));
            } else {
                let status = start(folder.path(), &tool).wait();
                assert!(status.is_ok_and(|status| status.success()), "{shown}");
            }
            let mut child = start(folder.path(), &tool);
            std::thread::sleep(Duration::from_micros(whole / 8 + numbers.below(whole)));
            // It may have ended by itself.
            let _ = child.kill();
            child.wait().unwrap_or_else(|e| panic!("{e}"));
            for (found, wanted) in results(folder.path(), &tool).iter().zip(&wanted) {
                let as_before = found.is_none() && fresh;
                assert!(as_before || found == wanted, "{shown}: round {round}, seed {seed}");
            }
        }
        let status = start(folder.path(), &tool).wait().unwrap_or_else(|e| panic!("{e}"));
        assert!(status.success(), "{shown}: after {kills} kills");
        assert!(results(folder.path(), &tool) == wanted, "{shown}: after {kills} kills");
        let left = fs::read_dir(folder.path()).into_iter().flatten().flatten();
        let left = left.filter(|e| e.file_name().to_string_lossy().ends_with(".partial")).count();
        assert_eq!(left, 0, "{shown}: half a database is left");
        tool.results.iter().for_each(|name| remove(&folder.path().join(name)));
    }
}
