//! What a user reads when data are wrong, word for word. `messages.txt` holds the cases: the files that
//! the user wrote (`> NAME` and their lines), what was run (`$ COMMAND`), and all that was told of it.
//! `CORTADO_BLESS=1` writes what is told now into it, to be read and judged.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use cortado::data::{Backend, NewDb, Picture, db::datum, image};
use cortado::hdf5::{Content, write as write_hdf5};
use cortado_layers::Shape;
use rayon::prelude::*;

use crate::files::{folder, golden, write};

/// Between a case and what is told of it, and in front of each case.
const TOLD: &str = "-----\n";
const CASE: &str = "===== ";
/// Before a command for which every file may have 20 blocks of 512 bytes at most.
const FULL_DISK: &str = "on a full disk: ";

/// The files that all cases find, besides their own.
fn prepare(at: &Path) {
    let dir = |name: &str| std::fs::create_dir_all(at.join(name)).expect("it can be made");
    ["pictures", "my pictures", "empty", "set/cat", "set/dog"].into_iter().for_each(dir);
    let picture = |[h, w]: [usize; 2]| {
        let data = (0..3 * h * w).map(|i| (i * 7) as u8).collect();
        Picture { shape: [3, h, w], data }
    };
    let encoded = |size: [usize; 2], format: &str| {
        image::encode(&picture(size), format).expect("it can be encoded")
    };
    let png = encoded([8, 10], "png");
    let jpg = encoded([64, 64], "jpg");
    for name in ["pictures/a.png", "pictures/b.png", "my pictures/a b.png", "set/cat/a.png"] {
        write(at, name, &png);
    }
    write(at, "pictures/wide.png", &encoded([8, 20], "png"));
    write(at, "pictures/half.png", &png[..png.len() / 2]);
    write(at, "pictures/half.jpg", &jpg[..jpg.len() / 2]);
    write(at, "pictures/empty.png", b"");
    write(at, "pictures/note.png", b"no picture at all");

    let datum =
        |size: [usize; 2], label| datum::encode([3, size[0], size[1]], picture(size).data, label);
    let database = |name: &str, backend, records: &[(&str, Vec<u8>)]| {
        let mut db = NewDb::create(&at.join(name), backend, false).expect("it can be made");
        for (key, value) in records {
            db.put(key.as_bytes(), value.clone()).expect("it can be written");
        }
        db.finish().expect("it can be written");
    };
    let good = [("0", datum([8, 10], 1)), ("1", datum([8, 10], 2)), ("2", datum([8, 10], 3))];
    let mixed = [good[0].clone(), ("1", datum([8, 20], 2)), good[2].clone()];
    let bad = [good[0].clone(), ("1", good[1].1[..40].to_vec()), good[2].clone()];
    database("lmdb", Backend::Lmdb, &good);
    database("leveldb", Backend::LevelDb, &good);
    database("mixed_lmdb", Backend::Lmdb, &mixed);
    database("bad_lmdb", Backend::Lmdb, &bad);
    let many: Vec<(String, Vec<u8>)> =
        (0..400).map(|i| (format!("{i:04}"), datum([8, 10], i))).collect();
    let many: Vec<(&str, Vec<u8>)> = many.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    database("cut_lmdb", Backend::Lmdb, &many);
    // More than stays in the log.
    let keys: Vec<String> = (0..1500).map(|i| format!("{i:04}")).collect();
    let large: Vec<(&str, Vec<u8>)> =
        keys.iter().map(|key| (key.as_str(), datum([64, 64], 0))).collect();
    database("cut_leveldb", Backend::LevelDb, &large);
    halve(&at.join("cut_lmdb/data.mdb"));
    halve(&at.join("cut_leveldb/000005.ldb"));

    let mean = std::fs::read(golden("data/mean.binaryproto")).expect("it is there");
    write(at, "mean.binaryproto", &mean);
    let values = [0.5f32; 12];
    let hdf5 = |name: &str, contents: &[(&str, &[usize])]| {
        let content = |&(name, dims): &(&str, &[usize])| {
            let shape = Shape::new(dims);
            let count = shape.count();
            (name.to_owned(), Content::Floats(shape, &values[..count]))
        };
        let contents: Vec<_> = contents.iter().map(content).collect();
        write_hdf5(&at.join(name), &contents).expect("it can be written");
    };
    hdf5("rows.h5", &[("data", &[3, 2]), ("label", &[3])]);
    hdf5("nameless.h5", &[("data", &[3, 2])]);
    hdf5("short.h5", &[("data", &[3, 2]), ("label", &[2])]);
    hdf5("wide.h5", &[("data", &[3, 4]), ("label", &[3])]);
    std::fs::copy(at.join("rows.h5"), at.join("cut.h5")).expect("it can be copied");
    halve(&at.join("cut.h5"));
}

fn halve(file: &Path) {
    let bytes = std::fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    std::fs::write(file, &bytes[..bytes.len() / 2]).expect("it can be written");
}

/// Writes the files of a case beside a copy of the prepared ones, runs its commands; all that they told
/// but the log of a training or test.
fn told(case: &str, prepared: &Path) -> String {
    let folder = folder();
    let copied = Command::new("cp").arg("-r").arg(prepared.join(".")).arg(folder.path()).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let (mut told, mut name, mut content) = (String::new(), "", String::new());
    for line in case.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            told.push_str(&run(folder.path(), command));
            continue;
        }
        match line.strip_prefix("> ") {
            Some(new) => (name, content) = (new, String::new()),
            None => content.extend([line, "\n"]),
        }
        write(folder.path(), name, content.as_bytes());
    }
    let real = folder.path().canonicalize().expect("it was made above");
    told.replace(&real.display().to_string(), "HERE")
        .replace(&folder.path().display().to_string(), "HERE")
}

fn run(folder: &Path, line: &str) -> String {
    let (limited, line) = match line.strip_prefix(FULL_DISK) {
        Some(line) => (true, line),
        None => (false, line),
    };
    // What stands in quotes is one argument.
    let arguments = line.split('"').enumerate().flat_map(|(i, part)| match i % 2 {
        0 => part.split_whitespace().collect(),
        _ => vec![part],
    });
    let program = env!("CARGO_BIN_EXE_cortado");
    let mut command = match limited {
        true => Command::new("sh"),
        false => Command::new(program),
    };
    if limited {
        command.args(["-c", "trap '' XFSZ; ulimit -f 20; exec \"$@\"", "sh", program]);
    }
    let output = command.args(arguments).current_dir(folder).output();
    let output = output.unwrap_or_else(|e| panic!("{line}: {e}"));
    let mut told = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        // Log lines begin with I, the date and the time.
        let log = line.strip_prefix('I').is_some_and(|rest| rest.starts_with(char::is_numeric));
        match line.split_once("] ").filter(|_| log) {
            None => told.extend([line, "\n"]),
            Some((_, text)) if text.starts_with("left out") => told.extend([text, "\n"]),
            Some(_) => {}
        }
    }
    let code = output.status.code().expect("no signal ended it");
    let _ = writeln!(told, "(exit code {code})");
    told
}

#[test]
fn mistakes_in_data_are_told_word_for_word() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/messages.txt");
    let file = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let cases: Vec<(&str, &str, &str)> = file
        .split(CASE)
        .skip(1)
        .map(|case| {
            let (title, rest) = case.split_once('\n').unwrap_or((case, ""));
            let (case, wanted) = rest.split_once(TOLD).unwrap_or((rest, ""));
            (title, case, wanted)
        })
        .collect();
    assert!(cases.len() >= 55, "{} cases", cases.len());
    let prepared = folder();
    prepare(prepared.path());
    let found: Vec<String> =
        cases.par_iter().map(|(_, case, _)| told(case, prepared.path())).collect();
    if std::env::var_os("CORTADO_BLESS").is_some() {
        let blessed = cases
            .iter()
            .zip(&found)
            .map(|((title, case, _), found)| format!("{CASE}{title}\n{case}{TOLD}{found}"));
        std::fs::write(path, blessed.collect::<String>()).unwrap_or_else(|e| panic!("{path}: {e}"));
        return;
    }
    let wrong: Vec<String> = cases
        .iter()
        .zip(&found)
        .filter(|((_, _, wanted), found)| found.trim_end() != wanted.trim_end())
        .map(|((title, _, wanted), found)| format!("{title}: told\n{found}\nbut wanted\n{wanted}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
