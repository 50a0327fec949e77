//! Pairs of IDX files, whole and broken.

use cortado_layers::Phase;

use crate::files::{
    batches, folder, gzip, idx_bytes, idx_layer, net, numbers, try_net, write, write_idx,
};

fn error(folder: &tempfile::TempDir) -> String {
    let text = idx_layer("batch_size: 1", "");
    try_net(folder.path(), &text, Phase::Test, 1).map(|_| ()).unwrap_err()
}

#[test]
fn plain_and_gzipped_files_read_alike() {
    let folder = folder();
    write_idx(folder.path(), 5);
    let text = idx_layer("batch_size: 3", "");
    let plain = batches(&mut net(folder.path(), &text, Phase::Test, 1), 3);
    for name in ["images", "labels"] {
        let bytes = std::fs::read(folder.path().join(name)).expect("it was written");
        write(folder.path(), name, &gzip(&bytes));
    }
    assert_eq!(batches(&mut net(folder.path(), &text, Phase::Test, 1), 3), plain);
    assert_eq!(plain.iter().map(numbers).collect::<Vec<_>>(), [[0, 1, 2], [3, 4, 0], [1, 2, 3]]);
    assert_eq!(plain[1].1, [3.0, 4.0, 0.0]);
}

#[test]
fn labels_are_found_beside_or_where_the_file_says() {
    let folder = folder();
    write_idx(folder.path(), 2);
    std::fs::rename(folder.path().join("labels"), folder.path().join("classes"))
        .expect("it is there");
    let text = idx_layer("batch_size: 2 label_source: \"classes\"", "");
    assert_eq!(batches(&mut net(folder.path(), &text, Phase::Test, 1), 1)[0].1, [0.0, 1.0]);
    let error = error(&folder);
    assert!(error.contains("the labels `labels` (or `labels.gz`) are not beside"), "{error}");
    assert!(error.contains("holds classes, images"), "{error}");
}

#[test]
fn every_truncation_is_an_error() {
    let folder = folder();
    write_idx(folder.path(), 3);
    for name in ["images", "labels"] {
        let whole = std::fs::read(folder.path().join(name)).expect("it was written");
        for bytes in [whole.clone(), gzip(&whole)] {
            for length in 0..bytes.len() {
                // A gzip file without its last 8 bytes (its checksum) is cut off as well.
                write(folder.path(), name, &bytes[..length]);
                let error = error(&folder);
                let told = error.contains("is cut off") || error.contains("is damaged");
                assert!(told, "{name} of {length} bytes: {error}");
                assert!(error.contains(&format!("{name}`")), "{error}");
            }
        }
        write(folder.path(), name, &whole);
    }
    net(folder.path(), &idx_layer("batch_size: 1", ""), Phase::Test, 1);
}

#[test]
fn damaged_headers_are_told() {
    let pixels = [0; 18];
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("images", idx_bytes(&[2, 3, 3], &pixels), "holds 2 images"),
        ("images", idx_bytes(&[3], &pixels[..3]), "they are labels"),
        ("images", b"\x89PNG\r\n\x1a\n".to_vec(), "starts with 89 50 4e 47"),
        ("images", idx_bytes(&[3, 2, 3], &[0; 19]), "goes on after its 3x2x3 images (18 bytes)"),
        ("images", idx_bytes(&[u32::MAX; 3], &pixels), "too many"),
        // Much, but countable: nothing of this size may be reserved.
        ("images", idx_bytes(&[1 << 20, 1 << 10, 1 << 10], &pixels), "is cut off"),
        ("images", idx_bytes(&[3, 0, 3], &[]), "holds no pixels"),
        ("labels", idx_bytes(&[4], &[0; 4]), "holds 3 images"),
    ];
    for (name, bytes, wanted) in cases {
        for bytes in [bytes.clone(), gzip(&bytes)] {
            let folder = folder();
            write_idx(folder.path(), 3);
            write(folder.path(), name, &bytes);
            let error = error(&folder);
            assert!(error.contains(wanted), "{wanted}: {error}");
        }
    }
}

#[test]
fn a_missing_file_says_where_it_was_looked_for() {
    let folder = folder();
    write(folder.path(), "something", b"");
    let error = error(&folder);
    let here = std::env::current_dir().expect("tests run somewhere");
    assert!(error.contains(&format!("`{}`", here.join("images").display())), "{error}");
    assert!(error.contains(&format!("`{}`", folder.path().join("images").display())), "{error}");
    assert!(error.contains("holds something"), "{error}");
}

#[test]
fn a_batch_larger_than_the_data_gives_both_numbers() {
    let folder = folder();
    write_idx(folder.path(), 3);
    let text = idx_layer("batch_size: 4", "");
    let error = try_net(folder.path(), &text, Phase::Train, 1).map(|_| ()).unwrap_err();
    assert!(error.contains("a batch of 4 items is larger than the data set"), "{error}");
    assert!(error.contains("holds 3"), "{error}");
    for text in [idx_layer("", ""), idx_layer("batch_size: 0", "")] {
        let error = try_net(folder.path(), &text, Phase::Train, 1).map(|_| ()).unwrap_err();
        assert!(error.contains("a batch holds at least one item"), "{error}");
    }
}
