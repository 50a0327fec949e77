//! HDF5Data and HDF5Output: order, resume, what is written, broken files.

use std::path::Path;

use cortado::hdf5::{Content, Reader, write as write_hdf5};
use cortado::net::Net;
use cortado_layers::{Phase, Shape};

use crate::files::{self, batches, folder, golden, net, try_net, write};

/// A file with `rows` rows of 2 numbers and as many labels, counted from `first`.
fn rows(folder: &Path, name: &str, first: usize, rows: usize) {
    let labels: Vec<f32> = (first..first + rows).map(|i| i as f32).collect();
    let data: Vec<f32> = labels.iter().flat_map(|&i| [i, -i]).collect();
    let contents = [
        ("data".to_owned(), Content::Floats(Shape::from([rows, 2]), &data)),
        ("label".to_owned(), Content::Floats(Shape::from([rows]), &labels)),
    ];
    write_hdf5(&folder.join(name), &contents).unwrap_or_else(|e| panic!("{e}"));
}

fn layer(param: &str) -> String {
    format!(
        "layer {{ name: \"d\" type: \"HDF5Data\" top: \"data\" top: \"label\" \
         hdf5_data_param {{ source: \"list.txt\" {param} }} }}"
    )
}

/// Three files of 3, 1 and 4 rows, numbered through.
fn three() -> tempfile::TempDir {
    let folder = folder();
    rows(folder.path(), "a.h5", 0, 3);
    rows(folder.path(), "b c.h5", 3, 1);
    rows(folder.path(), "d.h5", 4, 4);
    write(folder.path(), "list.txt", b"a.h5\nb c.h5\n\nd.h5\n");
    folder
}

fn labels(net: &mut Net, passes: usize) -> Vec<f32> {
    let found = batches(net, passes);
    for (data, labels) in &found {
        let wanted: Vec<f32> = labels.iter().flat_map(|&i| [i, -i]).collect();
        assert_eq!(data, &wanted, "data and label are of different rows");
    }
    found.into_iter().flat_map(|(_, labels)| labels).collect()
}

#[test]
fn rows_come_in_order_across_files_and_start_again() {
    let folder = three();
    let found = labels(&mut net(folder.path(), &layer("batch_size: 3"), Phase::Train, 1), 6);
    let wanted: Vec<f32> = (0..18).map(|i| (i % 8) as f32).collect();
    assert_eq!(found, wanted);
}

#[test]
fn shuffling_permutes_files_and_rows() {
    let folder = three();
    let text = layer("batch_size: 4 shuffle: true");
    let found = labels(&mut net(folder.path(), &text, Phase::Train, 1), 20);
    let epochs: Vec<&[f32]> = found.chunks(8).collect();
    let file = |row: f32| {
        if row < 3.0 {
            0
        } else if row < 4.0 {
            1
        } else {
            2
        }
    };
    let (mut orders, mut rows) = (Vec::new(), Vec::new());
    for epoch in &epochs {
        let mut sorted = epoch.to_vec();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, (0..8).map(|i| i as f32).collect::<Vec<_>>());
        let mut order: Vec<i32> = epoch.iter().map(|&row| file(row)).collect();
        order.dedup();
        assert_eq!(order.len(), 3, "the rows of a file stay together: {epoch:?}");
        orders.push(order);
        rows.push(epoch.iter().copied().filter(|&row| file(row) == 2).collect::<Vec<_>>());
    }
    assert!(orders.iter().any(|order| order != &orders[0]), "files: {orders:?}");
    assert!(rows.iter().any(|order| order != &rows[0]), "rows: {rows:?}");
    let other = labels(&mut net(folder.path(), &text, Phase::Train, 2), 20);
    assert_ne!(found, other);
}

#[test]
fn a_run_that_is_taken_up_equals_an_unbroken_one() {
    let folder = three();
    for more in ["", "shuffle: true"] {
        let make = || net(folder.path(), &layer(&format!("batch_size: 3 {more}")), Phase::Train, 4);
        let unbroken = labels(&mut make(), 9);
        for at in [0, 2, 5] {
            let mut first = make();
            let mut found = labels(&mut first, at);
            let mut second = make();
            labels(&mut second, 1);
            second.seek(&first.positions()).unwrap_or_else(|e| panic!("{e}"));
            found.extend(labels(&mut second, 9 - at));
            assert_eq!(found, unbroken, "{more}, broken off after {at}");
        }
    }
}

#[track_caller]
fn refused(folder: &Path, text: &str, wanted: &str) {
    let error = try_net(folder, text, Phase::Train, 1).map(|_| ()).expect_err(wanted);
    assert!(error.contains(wanted), "wanted {wanted}\n{error}");
}

#[test]
fn mistakes_are_named() {
    let folder = three();
    let at = folder.path();
    let one = layer("batch_size: 1");
    refused(at, &layer(""), "a batch holds at least one row, found batch_size 0 or none");
    refused(at, &one.replace("\"label\"", "\"mask\""), "has no dataset `mask`; it has data, label");
    let transformed = one.replace("hdf5_data_param", "transform_param { } hdf5_data_param");
    refused(at, &transformed, "`transform_param` can't be given");
    refused(at, &one.replace("list.txt", "a.h5"), "is an HDF5 file itself; a text file that names");
    refused(at, &one.replace("list.txt", "none.txt"), "there is no");
    write(at, "list.txt", b"a.h5\nmissing.h5\n");
    refused(at, &one, "list.txt` names `missing.h5`: there is no");
    write(at, "list.txt", b" \n");
    refused(at, &one, "names no files");
    write(at, "list.txt", b"list.txt");
    refused(at, &one, "list.txt` is no HDF5 file");
    let data = [0.0; 6];
    let file = |name: &str, contents: &[(&str, &[usize])]| {
        let content = |&(name, dims): &(&str, &[usize])| {
            let shape = Shape::new(dims);
            let count = shape.count();
            (name.to_owned(), Content::Floats(shape, &data[..count]))
        };
        let contents: Vec<_> = contents.iter().map(content).collect();
        write_hdf5(&at.join(name), &contents).unwrap_or_else(|e| panic!("{e}"));
        write(at, "list.txt", format!("a.h5 {name}").as_bytes());
    };
    file("rows.h5", &[("data", &[3, 2]), ("label", &[2])]);
    refused(at, &one, "has 3 rows of `data` and 2 of `label`; as many are wanted");
    file("wide.h5", &[("data", &[2, 3]), ("label", &[2])]);
    refused(at, &one, "rows of `data` are 3 in");
    let text = [("data".to_owned(), Content::Text("words".to_owned()))];
    write_hdf5(&at.join("text.h5"), &text).unwrap_or_else(|e| panic!("{e}"));
    write(at, "list.txt", b"text.h5");
    refused(at, &one, "holds string; numbers are wanted");
}

/// Every truncation of a file is an error, or gives what the whole gives; none a panic.
#[test]
fn a_truncated_file_is_an_error() {
    for name in ["a.h5", "b.h5"] {
        let bytes = std::fs::read(golden("data").join(name)).expect("it ships with the tests");
        let folder = folder();
        let path = folder.path().join("cut.h5");
        let read = || -> Result<_, String> {
            let reader = Reader::open(&path)?;
            Ok((reader.read("data")?, reader.read("label")?))
        };
        std::fs::write(&path, &bytes).expect("a temporary folder can be written");
        let whole = read().unwrap_or_else(|e| panic!("{e}"));
        let mut refused = 0;
        for length in (0..bytes.len()).step_by(17) {
            std::fs::write(&path, &bytes[..length]).expect("a temporary folder can be written");
            match read() {
                Ok(found) => assert_eq!(found, whole, "{name} of {length} bytes"),
                Err(why) => {
                    assert!(why.contains("cut.h5"), "{why}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 50, "only {refused} truncations were noticed");
    }
}

/// No damaged byte makes it panic or take all memory.
#[test]
fn damaged_bytes_are_survived() {
    let bytes = std::fs::read(golden("data/b.h5")).expect("it ships with the tests");
    let folder = folder();
    let path = folder.path().join("damaged.h5");
    for at in (0..bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        std::fs::write(&path, &damaged).expect("a temporary folder can be written");
        if let Ok(reader) = Reader::open(&path) {
            let (_, _) = (reader.read("data").is_ok(), reader.read("label").is_ok());
        }
    }
}

fn output(more: &str) -> String {
    format!(
        "{} layer {{ name: \"out\" type: \"HDF5Output\" bottom: \"data\" bottom: \"label\" \
         hdf5_output_param {{ {more} }} }}",
        layer("batch_size: 3")
    )
}

#[test]
fn rows_that_come_in_are_written_when_the_net_is_closed_or_dropped() {
    let folder = three();
    let file = folder.path().join("out.h5");
    let text = output(&format!("file_name: {:?}", file.display().to_string()));
    let mut net = net(folder.path(), &text, Phase::Test, 1);
    files::batches(&mut net, 2);
    assert!(!file.exists(), "nothing is written before the end");
    net.close().unwrap_or_else(|e| panic!("{e}"));
    let read = |name: &str| {
        let reader = Reader::open(&file).unwrap_or_else(|e| panic!("{e}"));
        reader.read(name).unwrap_or_else(|e| panic!("{e}"))
    };
    let count = |n: usize| (0..n).map(|i| (i % 8) as f32).collect::<Vec<_>>();
    assert_eq!(read("label"), (Shape::from([6, 1, 1, 1]), count(6)));
    files::batches(&mut net, 1);
    drop(net);
    assert_eq!(read("label"), (Shape::from([9, 1, 1, 1]), count(9)));
    let data: Vec<f32> = count(9).iter().flat_map(|&i| [i, -i]).collect();
    assert_eq!(read("data"), (Shape::from([9, 2, 1, 1]), data));
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let folder = three();
    let at = folder.path();
    refused(at, &output(""), "the file to write must be named");
    refused(at, &output("file_name: \"/no/such/out.h5\""), "there is no folder `/no/such`");
    let shown = at.display().to_string();
    refused(at, &output(&format!("file_name: {shown:?}")), "is a folder; a file is wanted");
    let path = at.join("gone").join("out.h5");
    std::fs::create_dir(at.join("gone")).expect("a temporary folder can be written");
    let text = output(&format!("file_name: {:?}", path.display().to_string()));
    let mut net = net(at, &text, Phase::Test, 1);
    files::batches(&mut net, 1);
    std::fs::remove_dir(at.join("gone")).expect("it is empty");
    let error = net.close().expect_err("there is no folder").to_string();
    assert!(error.contains("out.h5"), "{error}");
}
