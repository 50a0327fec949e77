//! DenseImageData and ImageLabelmapData: pictures with pictures of their labels.

use std::path::Path;

use cortado_layers::Phase;
use cortado_proto::caffe::BlobProto;
use image::{GrayImage, ImageFormat, Luma};
use prost::Message;

use crate::files::{batches, folder, net, try_net, write};

/// A gray PNG with these rows of four.
fn png(folder: &Path, name: &str, values: &[u8]) {
    let height = values.len() as u32 / 4;
    let picture = GrayImage::from_fn(4, height, |x, y| Luma([values[(y * 4 + x) as usize]]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).expect("memory takes a picture");
    write(folder, name, bytes.get_ref());
}

fn pictures() -> tempfile::TempDir {
    let folder = folder();
    png(folder.path(), "a.png", &[10, 20, 30, 40, 50, 60, 70, 80]);
    png(folder.path(), "b.png", &[0, 1, 2, 3, 4, 5, 127, 200]);
    png(folder.path(), "tall.png", &[0; 12]);
    write(folder.path(), "list.txt", b"a.png b.png\n\na.png b.png\n");
    folder
}

fn dense(more: &str, transform: &str) -> String {
    format!(
        r#"layer {{ name: "d" type: "DenseImageData" top: "data" top: "label"
             transform_param {{ {transform} }}
             dense_image_data_param {{ source: "list.txt" batch_size: 1 is_color: false {more} }} }}"#
    )
}

#[test]
fn labels_are_the_gray_values_of_the_second_picture() {
    let folder = pictures();
    let mut found = net(folder.path(), &dense("", "scale: 0.1 mean_value: 10"), Phase::Test, 1);
    let (data, labels) = batches(&mut found, 1).remove(0);
    assert_eq!(labels, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 127.0, 200.0]);
    assert!(data.iter().zip([0.0, 1.0, 2.0]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5));
    for name in ["data", "label"] {
        assert_eq!(found.blob(name).map(|b| b.shape[..].to_vec()), Some(vec![1, 1, 2, 4]));
    }
}

#[test]
fn both_are_cut_and_mirrored_alike() {
    let folder = pictures();
    let text = dense("crop_height: 1 crop_width: 2 mirror: true", "");
    let mut found = net(folder.path(), &text, Phase::Train, 1);
    let mut seen = std::collections::BTreeSet::new();
    for (data, labels) in batches(&mut found, 60) {
        // Ten times the place, counted from one, and the place.
        let place = |v: f32| (v / 10.0 - 1.0) as usize;
        let wanted = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 127.0, 200.0];
        let [a, b] = [place(data[0]), place(data[1])];
        assert_eq!(labels, [wanted[a], wanted[b]]);
        assert_eq!(a.abs_diff(b), 1);
        seen.insert((a, b));
    }
    assert_eq!(seen.len(), 12, "{seen:?}");
    let middle =
        batches(&mut net(folder.path(), &text.replace("mirror: true", ""), Phase::Test, 1), 1);
    assert_eq!(middle[0].0, [20.0, 30.0]);
}

#[test]
fn labels_are_resized_without_blending() {
    let folder = pictures();
    let text = dense("new_height: 2 new_width: 2", "");
    let found = batches(&mut net(folder.path(), &text, Phase::Test, 1), 1);
    assert_eq!(found[0].1, [0.0, 2.0, 4.0, 127.0]);
    assert_eq!(found[0].0, [15.0, 35.0, 55.0, 75.0]);
}

#[test]
fn a_labelmap_is_black_or_white() {
    let folder = pictures();
    let text = r#"layer { name: "d" type: "ImageLabelmapData" top: "data" top: "label"
         image_data_param { source: "list.txt" batch_size: 2 is_color: false } }"#;
    let found = batches(&mut net(folder.path(), text, Phase::Test, 1), 1);
    assert_eq!(found[0].1[..8], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(found[0].1.len(), 16);
}

fn mean(folder: &Path, [height, width]: [i32; 2]) {
    let mean = BlobProto {
        num: Some(1),
        channels: Some(1),
        height: Some(height),
        width: Some(width),
        data: (1..=height * width).map(|i| i as f32).collect(),
        ..BlobProto::default()
    };
    write(folder, "mean", &mean.encode_to_vec());
}

#[test]
fn the_mean_of_a_labelmaps_picture_is_read_where_both_are_cut() {
    let folder = pictures();
    png(folder.path(), "b.png", &[255, 0, 255, 0, 0, 0, 255, 255]);
    mean(folder.path(), [2, 4]);
    let text = r#"layer { name: "d" type: "ImageLabelmapData" top: "data" top: "label"
         transform_param { mean_file: "mean" crop_size: 2 mirror: true }
         image_data_param { source: "list.txt" batch_size: 2 is_color: false } }"#;
    let mut seen = std::collections::BTreeSet::new();
    for (data, labels) in batches(&mut net(folder.path(), text, Phase::Train, 1), 60) {
        // Ten times the place, counted from one, less the place.
        let places: Vec<usize> = data.iter().map(|v| (v / 9.0) as usize - 1).collect();
        let wanted = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0];
        assert_eq!(labels, places.iter().map(|&at| wanted[at]).collect::<Vec<f32>>());
        for part in places.chunks(4) {
            assert_eq!([part[2], part[3]], [part[0] + 4, part[1] + 4]);
            seen.insert(part.to_vec());
        }
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn the_mean_of_a_dense_picture_has_the_size_of_the_crop() {
    let folder = pictures();
    let text = dense("crop_height: 1 crop_width: 2 mean_file: \"mean\"", "");
    mean(folder.path(), [1, 2]);
    let found = batches(&mut net(folder.path(), &text, Phase::Test, 1), 1);
    assert_eq!(found[0].0, [19.0, 28.0]);
    mean(folder.path(), [2, 4]);
    let error = try_net(folder.path(), &text, Phase::Test, 1).err().expect("it is not cut");
    assert!(error.contains("the mean picture is 1x2x4, the item 1x1x2"), "{error}");
    assert!(error.contains("before `transform_param` crops them"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let folder = pictures();
    let refused = |list: &str, text: &str, why: &str| {
        write(folder.path(), "list.txt", list.as_bytes());
        let error = match try_net(folder.path(), text, Phase::Test, 1) {
            Err(error) => error,
            Ok(_) => panic!("{list}: no error"),
        };
        assert!(error.contains(why), "{error}");
    };
    let plain = dense("", "");
    refused("a.png\n", &plain, "has `a.png` on line 1; two paths are wanted");
    refused("\n", &plain, "names no pictures");
    refused("a.png tall.png\n", &plain, "the picture is 2x4, that of its labels 3x4");
    refused("a.png b.png\n", &dense("crop_height: 9 crop_width: 1", ""), "the crop is 9x1");
    refused(
        "a.png b.png\n",
        &dense("new_height: 9", ""),
        "new_height and new_width go together, found 9 and 0",
    );
    refused(
        "a.png b.png\n",
        &dense("", "mirror: true"),
        "cut and mirrored by `dense_image_data_param`",
    );
    refused("a.png b.png\n", &dense("", "pad: 1"), "only mean and scale leave");
}
