//! What happens around a run: a full disk, files that can't be written, data that goes away, a second
//! run, a clock that was set back, files that moved.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::run::{
    EVERY, ITERS, assert_same, command, finish, folder, newest, output, spawn, unbroken, write,
};

/// Trains the first iterations only, with the rates of the whole run.
fn begin(folder: &Path, iters: u64) {
    let mut command = command(folder);
    let (output, told) = output(command.args(["--set", &format!("max_iter={iters}")]));
    assert!(output.status.success(), "{told}");
}

#[test]
fn a_full_disk_stops_no_training_and_loses_no_snapshot() {
    let folder = folder();
    begin(folder.path(), 2 * EVERY);
    // No file may grow beyond a block: what a full disk does to a writer.
    let program = env!("CARGO_BIN_EXE_cortado");
    let script = format!(
        "ulimit -f 0; exec '{program}' train --solver solver.prototxt --snapshot auto --threads 1"
    );
    let mut limited = Command::new("sh");
    let (output, told) = output(limited.current_dir(folder.path()).args(["-c", &script]));
    assert_eq!(output.status.code(), Some(1), "{told}");
    let tries = told.matches("training goes on, the next snapshot is another try").count() as u64;
    assert_eq!(tries, (ITERS - 2 * EVERY) / EVERY, "{told}");
    assert!(told.contains("cannot write `run_iter_60.caffemodel`"), "{told}");
    assert_eq!(newest(folder.path()), Some(2 * EVERY));
    finish(folder.path());
    assert_same(folder.path(), "a full disk");
}

#[test]
fn a_small_disk_is_measured_before_it_is_written_to() {
    let folder = folder();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap_or_else(|e| panic!("{e}"));
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=300k", "tmpfs"])
        .arg(&disk)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: no small disk can be mounted here");
        return;
    }
    write(&disk, ITERS, "");
    begin(&disk, 2 * EVERY);
    let filled = fs::write(disk.join("filler"), vec![0; 240 << 10]);
    let (output, told) = output(&mut command(&disk));
    let newest = newest(&disk);
    let emptied = fs::remove_file(disk.join("filler"));
    finish(&disk);
    assert_same(&disk, "a small disk");
    let unmounted = Command::new("umount").arg(&disk).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert!(filled.is_err() || emptied.is_ok());
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("a snapshot takes") && told.contains("KiB left"), "{told}");
    assert_eq!(newest, Some(2 * EVERY));
}

#[test]
fn read_only_files_are_replaced_and_read() {
    let folder = folder();
    begin(folder.path(), 2 * EVERY);
    for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
        let mut rights = entry.metadata().unwrap_or_else(|e| panic!("{e}")).permissions();
        rights.set_readonly(true);
        fs::set_permissions(entry.path(), rights).unwrap_or_else(|e| panic!("{e}"));
    }
    finish(folder.path());
    assert_same(folder.path(), "read-only files");
}

#[test]
fn a_folder_that_is_not_there_is_told_before_any_work() {
    let folder = folder();
    let mut command = command(folder.path());
    let (output, told) = output(command.args(["--set", "snapshot_prefix=nowhere/run"]));
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("`snapshot_prefix` says where snapshots go"), "{told}");
    assert!(!told.contains("Solving"), "{told}");
}

#[test]
fn a_second_run_on_the_same_prefix_is_locked_out() {
    let folder = folder();
    write(folder.path(), 100_000_000, "");
    let mut first = spawn(folder.path());
    while newest(folder.path()).is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // One that came through would end soon.
    let mut second = command(folder.path());
    let (output, told) = output(second.args(["--set", "max_iter=1"]));
    assert_eq!(output.status.code(), Some(1), "{told}");
    let owner = format!("another training (process {}) writes snapshots there", first.id());
    assert!(told.contains(&owner), "{told}");
    // A killed owner is none.
    first.kill().unwrap_or_else(|e| panic!("{e}"));
    first.wait().unwrap_or_else(|e| panic!("{e}"));
    let reached = newest(folder.path()).unwrap_or(0);
    let mut command = command(folder.path());
    let more = format!("max_iter={}", reached + 1);
    let (output, told) = crate::run::output(command.args(["--set", &more]));
    assert!(output.status.success(), "{told}");
    assert_eq!(newest(folder.path()), Some(reached + 1));
}

#[test]
fn the_newest_snapshot_is_so_by_iteration_not_by_clock() {
    let folder = folder();
    begin(folder.path(), 3 * EVERY);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    for ending in ["caffemodel", "solverstate"] {
        let path = folder.path().join(format!("run_iter_15.{ending}"));
        let set = File::options().append(true).open(path).and_then(|file| file.set_modified(old));
        set.unwrap_or_else(|e| panic!("{e}"));
    }
    let told = finish(folder.path());
    assert!(told.contains("Resuming from ./run_iter_15.solverstate"), "{told}");
    assert_same(folder.path(), "an old clock");
}

#[test]
fn a_damaged_snapshot_is_named_and_the_one_before_is_taken() {
    let folder = folder();
    begin(folder.path(), 3 * EVERY);
    for (name, cut) in [("run_iter_15.solverstate", 7), ("run_iter_10.caffemodel", 0)] {
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap_or_else(|e| panic!("{e}"));
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes.truncate(bytes.len() - cut);
        fs::write(&path, bytes).unwrap_or_else(|e| panic!("{e}"));
    }
    let told = finish(folder.path());
    assert!(told.contains("it was written with"), "{told}");
    assert!(told.contains("have changed since it was written"), "{told}");
    assert!(told.contains("Resuming from ./run_iter_5.solverstate"), "{told}");
    assert_same(folder.path(), "damaged snapshots");
}

#[test]
fn a_folder_that_moved_goes_on_from_either_file() {
    for file in ["run_iter_10.solverstate", "run_iter_10.caffemodel"] {
        let (folder, other) = (folder(), tempfile::tempdir().unwrap_or_else(|e| panic!("{e}")));
        begin(folder.path(), 2 * EVERY);
        let moved = other.path().join("moved");
        fs::rename(folder.path(), &moved).unwrap_or_else(|e| panic!("{e}"));
        let program = env!("CARGO_BIN_EXE_cortado");
        let mut command = Command::new(program);
        command.current_dir(&moved).args(["train", "--solver", "solver.prototxt"]);
        let (output, told) = output(command.args(["--snapshot", file, "--threads", "2"]));
        assert!(output.status.success(), "{told}");
        assert_same(&moved, file);
    }
}

#[test]
fn the_weights_beside_a_state_serve_where_another_run_has_written_since() {
    let folder = folder();
    begin(folder.path(), 2 * EVERY);
    let kept = folder.path().join("kept");
    fs::create_dir(&kept).unwrap_or_else(|e| panic!("{e}"));
    let names = ["run_iter_10.caffemodel", "run_iter_10.solverstate", "run_best.caffemodel"];
    let move_to = |to: &Path, from: &Path, name: &str| {
        fs::rename(from.join(name), to.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    };
    names.iter().for_each(|name| move_to(&kept, folder.path(), name));
    let train = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cortado"));
        command.current_dir(folder.path()).args(["train", "--solver", "solver.prototxt"]);
        let (output, told) = output(command.args(more));
        assert!(output.status.success(), "{told}");
    };
    train(&["--set", "random_seed=8", "--set", "max_iter=10"]);
    move_to(folder.path(), &kept, "run_best.caffemodel");
    train(&["--snapshot", "kept/run_iter_10.solverstate"]);
    assert_same(folder.path(), "a state put aside");
}

#[cfg(feature = "images")]
#[test]
fn data_that_goes_away_ends_the_run_with_a_snapshot() {
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/images");
    let write = |folder: &Path| {
        write(folder, ITERS, "");
        let net = crate::run::NET.replacen("type: \"Data\"", "type: \"ImageData\"", 1).replacen(
            "data_param { backend: IDX source: \"images\" label_source: \"labels\" batch_size: 4 shuffle: true }",
            "image_data_param { source: \"list\" batch_size: 2 shuffle: true new_height: 6 new_width: 6 is_color: false }",
            1,
        );
        fs::write(folder.join("net.prototxt"), net).unwrap_or_else(|e| panic!("{e}"));
        fs::write(folder.join("list"), "a.png 0\nb.png 1\nc.png 2\n")
            .unwrap_or_else(|e| panic!("{e}"));
        for (from, to) in [("im1.png", "a.png"), ("sub/im2.png", "b.png"), ("im3.png", "c.png")] {
            fs::copy(pictures.join(from), folder.join(to))
                .unwrap_or_else(|e| panic!("{from}: {e}"));
        }
    };
    let (straight, broken) = (folder(), folder());
    write(straight.path());
    write(broken.path());
    finish(straight.path());
    let mut child = spawn(broken.path());
    while newest(broken.path()).is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::rename(broken.path().join("b.png"), broken.path().join("away"))
        .unwrap_or_else(|e| panic!("{e}"));
    let status = child.wait().unwrap_or_else(|e| panic!("{e}"));
    if newest(broken.path()) != Some(ITERS) {
        assert_eq!(status.code(), Some(1));
    }
    fs::rename(broken.path().join("away"), broken.path().join("b.png"))
        .unwrap_or_else(|e| panic!("{e}"));
    finish(broken.path());
    let left = |folder: &Path| crate::run::left(folder, ITERS);
    assert!(left(broken.path()) == left(straight.path()), "data that came back");
    unbroken();
}
