//! Model files: the walker against prost on real and golden files, damage of every kind, writing.

mod common;

use std::path::{Path, PathBuf};

use cortado_proto::caffe::{
    BlobProto, BlobShape, LayerParameter, NetParameter, V0LayerParameter, V1LayerParameter,
};
use cortado_proto::wire::{self, BlobOut, Generation, LayerOut, Model};
use proptest::prelude::*;
use prost::Message;

fn blobs_of(net: &NetParameter) -> Vec<(String, Vec<BlobProto>)> {
    let v2 = net.layer.iter().map(|l| (l.name().to_string(), l.blobs.clone()));
    let old = net.layers.iter().map(|l| match &l.layer {
        Some(v0) => (v0.name().to_string(), v0.blobs.clone()),
        None => (l.name().to_string(), l.blobs.clone()),
    });
    old.chain(v2).collect()
}

fn agrees_with_prost(model: &Model, net: &NetParameter, what: &Path) {
    let want = blobs_of(net);
    assert_eq!(model.layers.len(), want.len(), "{}", what.display());
    for (layer, (name, blobs)) in model.layers.iter().zip(want) {
        assert_eq!(layer.name, name);
        assert_eq!(layer.blobs.len(), blobs.len());
        for (blob, message) in model.blobs(layer).zip(&blobs) {
            let (shape, legacy) = wire::blob_shape(message).unwrap();
            assert_eq!(blob.shape(), shape);
            assert_eq!(blob.is_legacy(), legacy);
            let (a, b) = (blob.to_vec().unwrap(), wire::blob_values(message).unwrap());
            assert!(a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()));
            assert_eq!(a.len(), b.len());
        }
    }
}

#[test]
fn walker_and_prost_read_the_same_weights() {
    let mut files = Vec::new();
    for part in ["golden/solver", "golden/mtcnn", "data/models"] {
        files.extend(common::shared(part).map_or(Vec::new(), |f| common::files(&f, ".caffemodel")));
    }
    for folder in common::golden("upgrade") {
        files.extend(common::files(&folder, ".binaryproto"));
    }
    let mut old = 0;
    for path in &files {
        let model = Model::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let bytes = std::fs::read(path).unwrap();
        let net = wire::decode_net(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        agrees_with_prost(&model, &net, path);
        old += usize::from(model.layers.iter().any(|l| l.generation != Generation::V2));
    }
    assert!(old >= 5, "only {old} files of older generations");
}

#[test]
fn mean_file_is_read_with_its_old_shape() {
    let Some(folder) = common::shared("golden/data") else { return };
    let (shape, values) = wire::read_blob(folder.join("mean.binaryproto")).unwrap();
    assert_eq!(shape.len(), 4);
    assert_eq!(values.len(), shape.iter().product::<usize>());
    let message =
        BlobProto::decode(&*std::fs::read(folder.join("mean.binaryproto")).unwrap()).unwrap();
    assert_eq!(values, message.data);
}

#[test]
fn states_of_the_original_are_read_and_written_back_unchanged() {
    let Some(folder) = common::shared("golden/solver") else { return };
    let files = common::files(&folder, ".solverstate");
    assert!(!files.is_empty());
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let state = wire::read_state(&path).unwrap();
        assert!(state.iter() > 0 && !state.history.is_empty());
        assert_eq!(state.encode_to_vec(), bytes, "{}", path.display());
    }
}

fn blob(shape: &[i64], data: &[f32]) -> BlobProto {
    let shape = Some(BlobShape { dim: shape.to_vec() });
    BlobProto { shape, data: data.to_vec(), ..BlobProto::default() }
}

/// A net with all three generations, both precisions and the old shape.
fn small_net() -> NetParameter {
    let legacy = BlobProto {
        num: Some(1),
        channels: Some(1),
        height: Some(2),
        width: Some(2),
        data: vec![1.0, -2.0, 3.5, f32::MIN_POSITIVE],
        ..BlobProto::default()
    };
    let double = BlobProto {
        shape: Some(BlobShape { dim: vec![2] }),
        double_data: vec![0.1, -1e300],
        ..BlobProto::default()
    };
    let v0 = V0LayerParameter {
        name: Some("old".into()),
        r#type: Some("conv".into()),
        blobs: vec![legacy.clone()],
        ..V0LayerParameter::default()
    };
    NetParameter {
        name: Some("small".into()),
        layers: vec![
            V1LayerParameter { layer: Some(v0), ..V1LayerParameter::default() },
            V1LayerParameter {
                name: Some("middle".into()),
                r#type: Some(14),
                blobs: vec![legacy, double],
                ..V1LayerParameter::default()
            },
        ],
        layer: vec![LayerParameter {
            name: Some("new".into()),
            r#type: Some("InnerProduct".into()),
            blobs: vec![blob(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), blob(&[], &[7.0])],
            ..LayerParameter::default()
        }],
        ..NetParameter::default()
    }
}

#[test]
fn three_generations_in_one_file() {
    let net = small_net();
    let model = Model::from_bytes(net.encode_to_vec()).unwrap();
    agrees_with_prost(&model, &net, Path::new("small"));
    let found: Vec<_> = model
        .layers
        .iter()
        .map(|l| (l.name.as_str(), l.type_name.as_str(), l.generation))
        .collect();
    assert_eq!(
        found,
        [
            ("old", "conv", Generation::V0),
            ("middle", "InnerProduct", Generation::V1),
            ("new", "InnerProduct", Generation::V2),
        ]
    );
    assert!(model.layer("new").is_some() && model.layer("none").is_none());
    let raw = model.raw(&model.layers[2]);
    assert_eq!(LayerParameter::decode(raw).unwrap(), net.layer[0]);
}

#[test]
fn unpacked_and_half_precision_values_are_read() {
    // data: 1.5 and -2 unpacked, 3 packed, shape dims 3 unpacked
    let mut bytes = vec![0x2d];
    bytes.extend(1.5f32.to_le_bytes());
    bytes.push(0x2d);
    bytes.extend((-2.0f32).to_le_bytes());
    bytes.extend([0x2a, 4]);
    bytes.extend(3.0f32.to_le_bytes());
    bytes.extend([0x3a, 2, 0x08, 3]);
    assert_eq!(wire::decode_blob(&bytes).unwrap(), (vec![3], vec![1.5, -2.0, 3.0]));
    // raw_data_type FLOAT16, raw_data: 1, -2, smallest subnormal, infinity
    let halves = [0x3c00u16, 0xc000, 0x0001, 0x7c00];
    let mut bytes = vec![0x50, 2, 0x62, 8];
    halves.iter().for_each(|h| bytes.extend(h.to_le_bytes()));
    bytes.extend([0x3a, 3, 0x0a, 1, 4]);
    let (shape, values) = wire::decode_blob(&bytes).unwrap();
    assert_eq!(shape, [4]);
    assert_eq!(values, [1.0, -2.0, 2f32.powi(-24), f32::INFINITY]);
}

#[test]
fn cut_at_every_length_never_reads_what_is_not_there() {
    let net = small_net();
    let bytes = net.encode_to_vec();
    let whole = Model::from_bytes(bytes.clone()).unwrap();
    let ends: Vec<u64> = whole.layers.iter().map(|l| l.raw.end).collect();
    for length in 0..bytes.len() {
        let cut = &bytes[..length];
        match Model::from_bytes(cut.to_vec()) {
            // Between two layers the rest is a shorter model; the name in front counts as well.
            Ok(model) => {
                assert!(length == 0 || length == 7 || ends.contains(&(length as u64)), "{length}");
                assert!(model.layers.len() < whole.layers.len());
            }
            Err(e) => assert!(e.to_string().starts_with("damaged at byte "), "{length}: {e}"),
        }
        let _ = wire::decode_net(cut);
        let _ = wire::decode_state(cut);
        let _ = wire::decode_blob(cut);
    }
}

#[test]
fn sizes_are_checked_before_memory_is_taken() {
    let huge = |dims: &[i64]| blob(dims, &[1.0]).encode_to_vec();
    for dims in [&[i64::MAX, 2][..], &[1 << 31, 1 << 31], &[-1], &[1; 33]] {
        let error = wire::decode_blob(&huge(dims)).unwrap_err().to_string();
        assert!(
            error.contains("limit") || error.contains("extent") || error.contains("axes"),
            "{error}"
        );
    }
    let error = wire::decode_blob(&huge(&[1 << 39])).unwrap_err().to_string();
    assert!(error.contains("549755813888 values, 1 are stored"), "{error}");
    // Two bytes per layer in the file, kilobytes each in memory.
    let bytes = [0xa2, 0x06, 0x00].repeat(60_000);
    assert!(wire::decode_net(&bytes).unwrap_err().to_string().contains("over the limit of 10000"));
    assert!(Model::from_bytes(bytes).unwrap_err().to_string().contains("over the limit of 10000"));
}

#[test]
fn other_kinds_of_files_are_named() {
    let note =
        |bytes: &[u8]| Model::from_bytes(bytes.to_vec()).unwrap_err().diagnostic().to_string();
    assert!(note(b"\x89HDF\r\n\x1a\n0000").contains("this is an HDF5 file"));
    assert!(note(b"version https://git-lfs.github.com/spec/v1\n").contains("not downloaded"));
    assert!(note(b"name: \"net\"\nlayer { }\n").contains("looks like text"));
    let missing = Model::open("no/such.caffemodel").unwrap_err().to_string();
    assert!(missing.starts_with("cannot read `no/such.caffemodel`"), "{missing}");
    assert!(Model::open(".").unwrap_err().to_string().contains("a directory"));
}

#[test]
fn damage_inside_a_net_is_found_to_the_byte() {
    // name "n", then a `layer` of two bytes whose field 1 (name) claims five.
    let error = wire::decode_net(&[0x0a, 1, b'n', 0xa2, 0x06, 2, 0x0a, 5]).unwrap_err();
    assert_eq!(error.to_string(), "damaged at byte 8: 5 bytes should follow, 0 are left");
}

#[test]
fn fields_of_another_wire_type_are_passed_over() {
    // A fork's number: `name` of a layer as a varint, then its type; a name that is not UTF-8.
    let net = wire::decode_net(&[0x0a, 2, b'n', 0xff, 0xa2, 0x06, 6, 0x08, 5, 0x12, 2, b'R', b'e']);
    let net = net.unwrap();
    assert_eq!(net.name(), "n\u{fffd}");
    assert_eq!((net.layer[0].name.as_deref(), net.layer[0].r#type()), (None, "Re"));
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("model_files");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

#[test]
fn written_models_read_back_and_equal_prost() {
    let net = small_net();
    let layer = &net.layer[0];
    let shapes: Vec<Vec<usize>> =
        layer.blobs.iter().map(|b| wire::blob_shape(b).unwrap().0).collect();
    let blobs = layer.blobs.iter().zip(&shapes);
    let blobs: Vec<_> =
        blobs.map(|(b, shape)| BlobOut { shape, data: &b.data, diff: Some(&b.data) }).collect();
    let path = scratch("written.caffemodel");
    let note = wire::save_model(&path, "small", &[LayerOut { param: layer, blobs }]).unwrap();
    assert_eq!(note, None);
    let read = wire::decode_net(&std::fs::read(&path).unwrap()).unwrap();
    let mut want = layer.clone();
    want.blobs.iter_mut().for_each(|b| b.diff = b.data.clone());
    assert_eq!(read.layer, [want]);
    assert_eq!(read.name(), "small");
    let names = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten();
    assert!(names.into_iter().all(|e| !e.file_name().to_string_lossy().ends_with(".part")));

    let path = scratch("mean.binaryproto");
    wire::save_blob(&path, &[1, 2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(wire::read_blob(&path).unwrap(), (vec![1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]));
    let error = wire::save_blob("no/folder/x", &[1], &[1.0]).unwrap_err().to_string();
    assert!(error.starts_with("cannot write `no/folder/x`"), "{error}");
}

proptest! {
    #[test]
    fn random_bytes_are_never_more_than_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = wire::decode_net(&bytes);
        let _ = wire::decode_state(&bytes);
        let _ = wire::decode_datum(&bytes);
        let _ = wire::decode_blob(&bytes);
        if let Ok(model) = Model::from_bytes(bytes) {
            for layer in &model.layers {
                model.blobs(layer).for_each(|b| drop(b.to_vec()));
            }
        }
    }

    #[test]
    fn changed_models_are_never_more_than_an_error(at in 0usize..400, to in any::<u8>(), more in any::<u8>()) {
        let mut bytes = small_net().encode_to_vec();
        let n = bytes.len();
        bytes[at % n] = to;
        bytes[(at * 7 + 3) % n] ^= more;
        let _ = wire::decode_net(&bytes);
        if let Ok(model) = Model::from_bytes(bytes) {
            for layer in &model.layers {
                model.blobs(layer).for_each(|b| drop(b.to_vec()));
            }
        }
    }
}

#[test]
fn sealed_files_tell_every_cut_and_every_changed_byte() {
    let net = small_net();
    let layer = &net.layer[0];
    let shapes: Vec<Vec<usize>> =
        layer.blobs.iter().map(|b| wire::blob_shape(b).unwrap().0).collect();
    let blobs = layer.blobs.iter().zip(&shapes);
    let blobs: Vec<_> =
        blobs.map(|(b, shape)| BlobOut { shape, data: &b.data, diff: None }).collect();
    let path = scratch("sealed.caffemodel");
    wire::save_model(&path, "small", &[LayerOut { param: layer, blobs }]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(wire::check_seal(&bytes).unwrap());
    assert_eq!(Model::from_bytes(bytes.clone()).unwrap().layers.len(), 1);
    for length in 11..bytes.len() {
        assert!(wire::check_seal(&bytes[..length]).is_err(), "cut at {length}");
        assert!(Model::from_bytes(bytes[..length].to_vec()).is_err(), "cut at {length}");
    }
    for at in 3..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(wire::check_seal(&changed).is_err(), "byte {at}");
    }
    // Files of others have none; those that others wrote again have it no more at their head.
    let decoded = wire::decode_net(&bytes).unwrap();
    assert!(!wire::check_seal(&prost::Message::encode_to_vec(&decoded)).unwrap());
    assert!(!wire::check_seal(&[]).unwrap());
    let (upgraded, _) = wire::upgraded_net(&bytes).unwrap();
    assert!(Model::from_bytes(upgraded).is_ok());
}
