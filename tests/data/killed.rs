//! Programs that are killed while they write, and disks that are full.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::files::{folder, golden, write};
use crate::imageset::pairs;

const PICTURES: usize = 3000;

fn list(folder: &Path) {
    let names = ["sub/im0.png", "im1.png", "sub/im2.png", "im3.png", "sub/im4.png", "im5.png"];
    let lines: Vec<String> =
        (0..PICTURES).map(|i| format!("{} {i}", names[i % names.len()])).collect();
    write(folder, "list.txt", lines.join("\n").as_bytes());
}

fn arguments(backend: &str) -> Vec<String> {
    let root = golden("data/images").display().to_string();
    let fixed = ["convert-imageset", "-resize_height=24", "-resize_width=24", "--gray=false"];
    let fixed = fixed.iter().map(|s| (*s).to_owned());
    fixed.chain([format!("-backend={backend}"), root, "list.txt".into(), "db".into()]).collect()
}

fn start(folder: &Path, backend: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_cortado"))
        .current_dir(folder)
        .args(arguments(backend))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_killed_conversion_never_leaves_a_database_that_looks_complete() {
    for backend in ["lmdb", "leveldb"] {
        let folder = folder();
        list(folder.path());
        let db = folder.path().join("db");
        let mut killed = 0;
        for round in 0..8u64 {
            let mut child = start(folder.path(), backend);
            std::thread::sleep(Duration::from_millis(5 + 40 * round));
            child.kill().unwrap_or_else(|e| panic!("{e}"));
            let status = child.wait().unwrap_or_else(|e| panic!("{e}"));
            killed += usize::from(!status.success());
            if db.exists() {
                assert_eq!(pairs(&db).len(), PICTURES, "{backend}, round {round}");
                std::fs::remove_dir_all(&db).unwrap_or_else(|e| panic!("{e}"));
            }
        }
        assert!(killed > 0, "every run was over before it was killed");
        let status = start(folder.path(), backend).wait().unwrap_or_else(|e| panic!("{e}"));
        assert!(status.success());
        let found = pairs(&db);
        assert_eq!(found.len(), PICTURES);
        assert_eq!(found[PICTURES - 1].0, format!("{:08}_im5.png", PICTURES - 1));
        assert!(!folder.path().join("db.partial").exists());
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_nothing_is_left() {
    // LMDB names a write that ended early an input/output error.
    for (backend, why) in [("lmdb", "is the disk full?"), ("leveldb", "File too large")] {
        let folder = folder();
        list(folder.path());
        let program = env!("CARGO_BIN_EXE_cortado");
        let script = "trap '' XFSZ; ulimit -f 200; exec \"$@\"";
        let output: Output = Command::new("sh")
            .current_dir(folder.path())
            .args(["-c", script, "sh", program])
            .args(arguments(backend))
            .output()
            .unwrap_or_else(|e| panic!("{e}"));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("error: can't write the database `db`: "), "{told}");
        assert!(told.contains(why), "{told}");
        let left = ["db", "db.partial"].map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, false], "{backend}");
    }
}
