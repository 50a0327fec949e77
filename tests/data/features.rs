//! Blobs of many passes, written into databases and arrays.

use std::path::{Path, PathBuf};

use cortado::data::Backend;
use cortado::net::Net;
use cortado::tools::features::{Store, extract};
use cortado_layers::Phase;
use cortado_proto::caffe::Datum;
use prost::Message;

use crate::files::{folder, idx_layer, net, write_idx};
use crate::imageset::pairs;

/// Seven images of 2x3 in batches of 3, and twice their values.
fn doubled(folder: &Path) -> Net {
    write_idx(folder, 7);
    let text = idx_layer("batch_size: 3", "")
        + r#" layer { name: "p" type: "Power" bottom: "data" top: "double" power_param { scale: 2 } }
             layer { name: "r" type: "Reduction" bottom: "data" top: "sum" reduction_param { axis: 1 } }"#;
    net(folder, &text, Phase::Test, 1)
}

fn run(net: &mut Net, blobs: &[(&str, PathBuf)], store: Store) -> Result<Vec<u64>, String> {
    let blobs: Vec<(String, PathBuf)> =
        blobs.iter().map(|(name, path)| ((*name).to_owned(), path.clone())).collect();
    extract(net, &blobs, 3, store, false, &mut |_, _| ()).map_err(|e| e.to_string())
}

#[test]
fn features_go_into_databases() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for backend in [Backend::Lmdb, Backend::LevelDb] {
        let (double, sum) = (at(&format!("d{backend:?}")), at(&format!("s{backend:?}")));
        let blobs = [("double", double.clone()), ("sum", sum.clone())];
        let rows = run(&mut doubled(folder.path()), &blobs, Store::Db(backend));
        assert_eq!(rows, Ok(vec![9, 9]));
        let found = pairs(&double);
        assert_eq!(found.len(), 9);
        for (i, (key, value)) in found.iter().enumerate() {
            assert_eq!(*key, format!("{i:010}"));
            let datum = Datum::decode(&value[..]).expect("it is one");
            assert_eq!((datum.channels(), datum.height(), datum.width()), (1, 2, 3));
            // The ninth row is the second image again.
            assert_eq!(datum.float_data, [2.0 * (i % 7) as f32; 6]);
        }
        let datum = Datum::decode(&pairs(&sum)[4].1[..]).expect("it is one");
        assert_eq!((datum.channels(), datum.float_data), (1, vec![24.0]));
        let error = run(&mut doubled(folder.path()), &blobs, Store::Db(backend));
        let wanted = format!("`{}` exists; remove it, or give --overwrite", double.display());
        assert_eq!(error, Err(wanted));
    }
}

#[test]
fn features_for_one_file_go_into_it_together() {
    let folder = folder();
    for (name, store) in [("f.h5", Store::Hdf5), ("f.npz", Store::Npz)] {
        let path = folder.path().join(name);
        let blobs = [("double", path.clone()), ("sum", path.clone())];
        assert_eq!(run(&mut doubled(folder.path()), &blobs, store), Ok(vec![9, 9]));
        if store == Store::Hdf5 {
            let file = cortado::hdf5::Reader::open(&path).unwrap_or_else(|e| panic!("{e}"));
            let (shape, data) = file.read("double").unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((&shape[..], data[6 * 5]), (&[9, 1, 2, 3][..], 10.0));
            let (shape, data) = file.read("sum").unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((&shape[..], data[8]), (&[9][..], 6.0));
        } else {
            let bytes = std::fs::read(&path).expect("it was written");
            assert!(bytes.starts_with(b"PK\x03\x04"));
        }
    }
}

#[test]
fn a_blob_that_is_not_there_is_told() {
    let folder = folder();
    let blobs = [("nothing", folder.path().join("db"))];
    let error = run(&mut doubled(folder.path()), &blobs, Store::Db(Backend::Lmdb));
    let error = error.expect_err("there is none");
    assert!(error.contains("the net has no blob `nothing`"), "{error}");
    assert!(!folder.path().join("db").exists());
    let wanted = "`zip` is no kind of store; lmdb, leveldb, hdf5 and npz are";
    assert_eq!(Store::named("zip"), Err(wanted.to_owned()));
}
