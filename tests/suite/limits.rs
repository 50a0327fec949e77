//! What no machine can give, files that have no end, numbers that are none: an error each time, before
//! memory is asked for.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use cortado::net::{NetOptions, threads};
use cortado_layers::Phase;

use crate::support::{ROOT, cortado, cortado_in, net, none, stderr, stdout, try_net};

const LENET: &str = "models/lenet/deploy.prototxt";

/// What a run told, unless it ended with this code and told all of these.
fn says(arguments: &[&str], code: i32, parts: &[&str]) -> Option<String> {
    let output = cortado(arguments);
    let told = stdout(&output) + &stderr(&output);
    let good = output.status.code() == Some(code) && parts.iter().all(|part| told.contains(part));
    (!good).then(|| format!("{arguments:?}: {:?}\n{told}", output.status))
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_can_not_be_written_is_a_failure() {
    let mut failures = Vec::new();
    let table: [&[&str]; 5] =
        [&["summary", LENET], &["layers"], &["--help"], &["--version"], &["summary", "--help"]];
    for arguments in table {
        let full = File::options().write(true).open("/dev/full").unwrap_or_else(|e| panic!("{e}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_cortado"));
        let output = command.current_dir(ROOT).args(arguments).stdout(full).output();
        let output = output.unwrap_or_else(|e| panic!("{e}"));
        let told = stderr(&output);
        if output.status.code() != Some(1)
            || !told.contains("error: can't write to the standard output: No space left")
        {
            failures.push(format!("{arguments:?}: {:?} {told}", output.status));
        }
    }
    none(failures);
}

#[cfg(unix)]
#[test]
fn a_reader_who_left_is_no_failure() {
    let script = format!("{} layers | :; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_cortado"));
    let status = Command::new("bash").args(["-c", &script]).current_dir(ROOT).status();
    assert!(status.is_ok_and(|status| status.success()));
}

#[test]
fn nets_that_no_machine_can_hold_are_refused() {
    let data = |field: &str| {
        format!(
            r#"layer {{ name: "d" type: "Data" top: "x" top: "l" {field}
              data_param {{ backend: IDX batch_size: 2 source: "models/lenet/data/t10k-images-idx3-ubyte.gz"
                label_source: "models/lenet/data/t10k-labels-idx1-ubyte.gz" prefetch: PREFETCH }} }}"#
        )
    };
    let pictures = |type_name: &str| {
        format!(
            r#"layer {{ name: "d" type: "{type_name}" top: "x" top: "l" image_data_param {{ source: "tests"
               batch_size: 1 new_height: 4294967295 new_width: 4294967295 }} }}"#
        )
    };
    let huge = r#"layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 65536 dim: 65536 dim: 16384 } } }"#;
    let weights = r#"layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1048576 } } }
        layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 1073741824 bias_term: false } }"#;
    // What a layer means for training as one with others is worked out per channel.
    let channels = r#"layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1099511627776 } } }
        layer { name: "p" type: "Power" bottom: "x" top: "y" power_param { scale: 2 } }"#;
    let nan = "transform_param { mean_value: nan }";
    let pool = r#"layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 4 dim: 4 } } }
        layer { name: "p" type: "Pooling" bottom: "x" top: "y" pooling_param { pool: AVE kernel_size: 2147483648 pad: 2147483647 stride: 4294967295 } }"#;
    let limit = cortado::net::default_memory();
    let table: [(String, u64, &[&str]); 11] = [
        (
            data("").replace("PREFETCH", "4294967295"),
            limit,
            &["layer `d`", "prefetch", "4294967295"],
        ),
        (data(nan).replace("PREFETCH", "1"), limit, &["mean_value", "a finite number is wanted"]),
        (
            data("transform_param { scale: nan }").replace("PREFETCH", "1"),
            limit,
            &["a finite number is wanted, found NaN", "net.prototxt:1:"],
        ),
        (
            data("transform_param { pad: 4000000 }").replace("PREFETCH", "1"),
            limit,
            &["does not fit memory"],
        ),
        (pictures("ImageData"), limit, &["pictures of 4294967295x4294967295 are too large"]),
        (pictures("ImageFolder"), limit, &["pictures of 4294967295x4294967295 are too large"]),
        (huge.to_owned(), limit, &["over the limit of"]),
        (huge.to_owned(), u64::MAX, &["the machine has no memory left for blob `x`"]),
        (weights.to_owned(), u64::MAX, &["the machine has no memory left for parameter 0"]),
        (channels.to_owned(), limit, &["over the limit of"]),
        (pool.to_owned(), limit, &["padding of 2147483647 is too large"]),
    ];
    let mut failures = Vec::new();
    for (text, max_memory, parts) in table {
        let phase = if text.contains("Power") { Phase::Train } else { Phase::Test };
        let options = NetOptions { max_memory, ..NetOptions::new(phase) };
        let told = try_net(&text, &options).err().unwrap_or_else(|| "it was built".to_owned());
        if !parts.iter().all(|part| told.contains(part)) {
            failures.push(format!("{text}: {told}"));
        }
    }
    none(failures);
}

#[test]
fn a_stride_beyond_the_plane_costs_nothing() {
    let mut failures = Vec::new();
    // Window, stride, what comes out of 1 2 3 4 in each row.
    let table: [(&str, &str, &[f32]); 4] = [
        ("AVE", "kernel_size: 4 stride: 4294967295", &[2.5]),
        ("MAX", "kernel_size: 4 stride: 4294967295", &[4.0]),
        ("AVE", "kernel_size: 3 stride: 4294967295 round_mode: FLOOR", &[2.0]),
        // Rounded up, a window begins beyond the plane: over nothing the sum is 0.
        ("AVE", "kernel_size: 2 stride: 4294967295", &[1.5, 0.0, 0.0, 0.0]),
    ];
    for (pool, window, wanted) in table {
        let text = format!(
            r#"layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 1 dim: 1 dim: 4 dim: 4 }} }} }}
               layer {{ name: "p" type: "Pooling" bottom: "x" top: "y" pooling_param {{ pool: {pool} {window} }} }}"#
        );
        for plan in [true, false] {
            let options = NetOptions { plan, ..NetOptions::new(Phase::Test) };
            let mut net = try_net(&text, &options).unwrap_or_else(|why| panic!("{why}"));
            if let Some(blob) = net.input_mut("x") {
                blob.data.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 4 + 1) as f32);
            }
            net.forward().unwrap_or_else(|e| panic!("{e}"));
            let found = net.blob("y").map(|blob| blob.data.to_vec()).unwrap_or_default();
            if found != wanted {
                failures.push(format!("{pool} {window}: {found:?}"));
            }
        }
    }
    none(failures);
}

#[test]
fn more_threads_than_a_machine_runs_are_an_error() {
    let told = threads::try_pool(1 << 40).err().unwrap_or_default();
    assert!(told.contains("threads are too many"), "{told}");
}

#[test]
fn arguments_that_make_no_sense_are_wrong_usage() {
    let picture = "tests/golden/data/images/im1.png";
    let classify = |more: &[&'static str]| -> Vec<&'static str> {
        [&["classify", "--model", LENET][..], more, &[picture]].concat()
    };
    let imageset = |more: &'static str| vec!["convert-imageset", more, "-1", "a", "b", "c"];
    let table: [(Vec<&str>, &str); 14] = [
        (classify(&["--scale", "nan"]), "wants a finite number, found `nan`"),
        (classify(&["--scale", "1e99"]), "wants a finite number, found `1e99`"),
        (classify(&["--mean", "nan"]), "--mean nan: finite numbers are wanted"),
        (classify(&["--top", "0"]), "wants a whole number of 1 or more, found `0`"),
        (classify(&["--resize", "4000000000"]), "are too large"),
        (classify(&["--resize", "18446744073709551615"]), "are too large"),
        (vec!["tune", "--model", LENET, "--rounds", "0"], "1 or more, found `0`"),
        (vec!["tune", "--model", LENET, "--rounds", "-1"], "1 or more, found `-1`"),
        (vec!["caffemodel", "diff", "a", "b", "--tolerance", "nan"], "0 or more, found `nan`"),
        (vec!["caffemodel", "diff", "a", "b", "--tolerance", "-1"], "0 or more, found `-1`"),
        (vec!["fold", LENET, "a", "--tolerance", "nan"], "0 or more, found `nan`"),
        (imageset("--resize-width"), "wants a whole number of 0 or more, found `-1`"),
        (imageset("--resize-height"), "wants a whole number of 0 or more, found `-1`"),
        (vec!["summary", LENET, "--threads", "1000000"], "wants a number of threads up to"),
    ];
    none(table.iter().filter_map(|(arguments, part)| says(arguments, 2, &[part])).collect());
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_without_end_is_no_file() {
    const ZERO: &str = "/dev/zero";
    let picture = "tests/golden/data/images/im1.png";
    let classify = ["classify", "--model", LENET];
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let db = folder.path().join("db").display().to_string();
    let endless = "it is a device that has no end, not a file";
    let table: [(Vec<&str>, &str); 8] = [
        (vec!["summary", ZERO], endless),
        ([&classify[..], &["--labels", ZERO, picture]].concat(), endless),
        ([&classify[..], &["--mean", ZERO, picture]].concat(), endless),
        ([&classify[..], &[ZERO]].concat(), endless),
        ([&classify[..], &["--tuned", ZERO, picture]].concat(), endless),
        ([&classify[..], &["--weights", ZERO, picture]].concat(), "it is not a regular file"),
        (vec!["convert-imageset", "tests", ZERO, &db], endless),
        (vec!["caffemodel", "list", ZERO], "it is not a regular file"),
    ];
    none(table.iter().filter_map(|(arguments, part)| says(arguments, 1, &[part])).collect());
}

#[cfg(unix)]
#[test]
fn nets_come_through_pipes_as_well() {
    let model = File::open(Path::new(ROOT).join(LENET)).unwrap_or_else(|e| panic!("{e}"));
    let mut cat = Command::new("cat").stdin(model).stdout(Stdio::piped()).spawn();
    let pipe = cat.as_mut().ok().and_then(|cat| cat.stdout.take());
    let pipe = pipe.unwrap_or_else(|| panic!("there is no `cat`"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cortado"));
    let output = command.args(["summary", "/dev/stdin"]).stdin(pipe).output();
    let output = output.unwrap_or_else(|e| panic!("{e}"));
    assert!(stdout(&output).contains("conv1"), "{}", stderr(&output));
    let waited = cat.and_then(|mut cat| cat.wait());
    assert!(waited.is_ok_and(|status| status.success()));
}

#[test]
fn a_net_without_layers_is_refused() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{e}"));
        path.display().to_string()
    };
    let (empty, named) =
        (write("empty.prototxt", ""), write("named.prototxt", "name: \"n\" state { level: 1 }"));
    let train = write(
        "train.prototxt",
        "layer { name: \"d\" type: \"DummyData\" top: \"x\" include { phase: TRAIN }
           dummy_data_param { shape { dim: 1 } } }",
    );
    let mut failures = Vec::new();
    for file in [&empty, &named] {
        for command in [
            &["test", "--model", file][..],
            &["time", "--model", file],
            &["summary", file],
            &["check", file],
        ] {
            failures.extend(says(command, 1, &["holds no layers"]));
        }
    }
    let told = "has no layer in this phase";
    failures.extend(says(&["test", "--model", &train, "--iterations", "1"], 1, &[told]));
    none(failures);
}

#[test]
fn labels_are_as_many_as_scores() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let picture = Path::new(ROOT).join("tests/golden/data/images/im1.png").display().to_string();
    let model = Path::new(ROOT).join(LENET).display().to_string();
    let mut failures = Vec::new();
    for (count, code) in [(9, 1), (10, 0), (11, 1)] {
        let names: String = (0..count).map(|i| format!("class {i}\n")).collect();
        // Behind the last name an editor may leave empty lines.
        std::fs::write(folder.path().join("names.txt"), names + "\n")
            .unwrap_or_else(|e| panic!("{e}"));
        let arguments = ["classify", "--model", &model, "--labels", "names.txt", &picture];
        let output = cortado_in(folder.path(), &arguments);
        let told = stderr(&output);
        let named = told.contains(&format!("`names.txt` has {count} labels, `prob` 10 scores"));
        if output.status.code() != Some(code) || named != (code == 1) {
            failures.push(format!("{count}: {told}"));
        }
    }
    none(failures);
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let link = folder.path().join("link.prototxt");
    std::os::unix::fs::symlink("nowhere", &link).unwrap_or_else(|e| panic!("{e}"));
    let link = link.display().to_string();
    let table: [&[&str]; 3] = [
        &["summary", &link],
        &["test", "--model", LENET, "--weights", &link],
        &["classify", "--model", LENET, "--labels", &link, "a.png"],
    ];
    let told = "it is a link to `nowhere`, which is not there";
    none(table.iter().filter_map(|arguments| says(arguments, 1, &[told])).collect());
}

#[test]
fn what_a_file_says_moves_no_cursor() {
    let text = "layer { name: \"\\033[2Ja\" type: \"\\033[31mRed\" top: \"x\" }";
    let told = try_net(text, &NetOptions::new(Phase::Test)).err().unwrap_or_default();
    assert!(!told.contains('\x1b'), "{told:?}");
    assert!(told.contains(r"there is no layer type `\u{1b}[31mRed`"), "{told}");
    assert!(told.contains(r"layer `\u{1b}[2Ja`"), "{told}");
}

#[cfg(feature = "lmdb")]
#[test]
fn features_have_places_of_their_own() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let text = r#"
        layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }
        layer { name: "fc" type: "InnerProduct" bottom: "x" top: "z"
          inner_product_param { num_output: 2 } }"#;
    std::fs::write(folder.path().join("net.prototxt"), text).unwrap_or_else(|e| panic!("{e}"));
    let weights = folder.path().join("w.caffemodel");
    net(text, Phase::Test).save(&weights).unwrap_or_else(|e| panic!("{e}"));
    let table = [
        ("x,x", "f.npz,./f.npz", "npz", Some("blob `x` goes into `./f.npz` twice")),
        ("x,x", "f.npz,g.npz", "npz", None),
        ("x,z", "h.npz,h.npz", "npz", None),
        ("x,z", "f_db,f_db", "lmdb", Some("`f_db` is named for two blobs; a database takes one")),
        ("x,z", "g_db,h_db", "lmdb", None),
    ];
    let mut failures = Vec::new();
    for (blobs, stores, kind, wanted) in table {
        let arguments =
            ["extract-features", "w.caffemodel", "net.prototxt", blobs, stores, "1", kind];
        let output = cortado_in(folder.path(), &arguments);
        let told = stderr(&output);
        let good = match wanted {
            Some(wanted) => output.status.code() == Some(1) && told.contains(wanted),
            None => output.status.success(),
        };
        if !good {
            failures.push(format!("{arguments:?}: {told}"));
        }
    }
    none(failures);
}

#[cfg(all(target_os = "linux", feature = "images", feature = "lmdb"))]
#[test]
fn names_of_files_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let odd = OsStr::from_bytes(b"pictures\xff");
    let images = Path::new(ROOT).join("tests/golden/data/images");
    let prepared = std::fs::create_dir(folder.path().join(odd))
        .and_then(|()| std::fs::copy(images.join("im1.png"), folder.path().join(odd).join("a.png")))
        .and_then(|_| std::fs::write(folder.path().join("list.txt"), "a.png 1\n"))
        .and_then(|()| {
            let mean = Path::new(ROOT).join("tests/golden/data/mean.binaryproto");
            std::fs::copy(mean, folder.path().join(OsStr::from_bytes(b"mean\xff")))
        });
    prepared.unwrap_or_else(|e| panic!("{e}"));
    let run = |arguments: &[&OsStr]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cortado"));
        let output = command.current_dir(folder.path()).args(arguments).output();
        output.unwrap_or_else(|e| panic!("{e}"))
    };
    let [command, list, db] = ["convert-imageset", "list.txt", "db"].map(OsStr::new);
    let output = run(&[command, odd, list, db]);
    assert!(output.status.success(), "{}", stderr(&output));
    let model = Path::new(ROOT).join(LENET);
    let [command, option, mean_option] = ["classify", "--model", "--mean"].map(OsStr::new);
    let mean = OsStr::from_bytes(b"mean\xff");
    let output = run(&[command, option, model.as_os_str(), mean_option, mean, OsStr::new("a.png")]);
    // It is read: it has other channels than the net.
    assert!(stderr(&output).contains("the input has 1 channels"), "{}", stderr(&output));
}

#[cfg(feature = "images")]
#[test]
fn a_small_file_of_a_huge_picture_is_refused() {
    use std::io::Write;
    let chunk = |name: &[u8; 4], data: &[u8]| -> Vec<u8> {
        let mut sum = crc32fast::Hasher::new();
        sum.update(name);
        sum.update(data);
        let length = (data.len() as u32).to_be_bytes();
        [&length[..], name, data, &sum.finalize().to_be_bytes()].concat()
    };
    let side = 20_000u32;
    let head = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    let mut pixels = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let row = vec![0; side as usize / 8 + 1];
    (0..side).for_each(|_| pixels.write_all(&row).unwrap_or_else(|e| panic!("{e}")));
    let pixels = pixels.finish().unwrap_or_else(|e| panic!("{e}"));
    let signature = b"\x89PNG\r\n\x1a\n".to_vec();
    let parts = [signature, chunk(b"IHDR", &head), chunk(b"IDAT", &pixels), chunk(b"IEND", &[])];
    let picture = parts.concat();
    let told = cortado::data::image::decode(&picture, cortado::data::Color::Bgr).err();
    let told = told.unwrap_or_default();
    assert!(told.contains("20000 x 20000 pixels take more than 512 MiB"), "{told}");
}
