//! `transform_param`, held against values worked out by hand.

use cortado::data::{Item, MeanPicture, Pixels, Transform};
use cortado_layers::{Phase, RngKey};
use cortado_proto::caffe::{BlobProto, BlobShape, TransformationParameter};
use cortado_proto::schema::schema;
use cortado_proto::{NetDef, Source};
use prost::Message;

use crate::files::{batches, folder, idx_layer, net, try_net, write, write_idx};

pub fn param(text: &str) -> TransformationParameter {
    let text = format!("layer {{ name: \"d\" type: \"Data\" transform_param {{ {text} }} }}");
    let def =
        NetDef::from_text(&Source::new("net.prototxt", text)).unwrap_or_else(|e| panic!("{e}"));
    def.layers[0].transform_param.clone().unwrap_or_default()
}

/// Two channels of 3x3: 0 to 8, and 10 to 18.
fn item() -> Item {
    let pixels = Pixels::U8((0..9).chain(10..19).collect());
    Item { shape: [2, 3, 3], pixels, label: 0 }
}

fn apply(text: &str, item: &Item, phase: Phase, number: u64) -> Result<Vec<f32>, String> {
    let transform = Transform::new(&param(text)).map_err(|e| e.to_string())?;
    let [c, h, w] = transform.output(item.shape).map_err(|e| e.to_string())?;
    let mut out = vec![f32::NAN; c * h * w];
    let mut rng = RngKey { seed: 1, pass: number, replica: 0 }.stream("d");
    transform.apply(item, phase, &mut rng, &mut out).map_err(|e| e.to_string())?;
    Ok(out)
}

#[test]
fn values_are_those_worked_out_by_hand() {
    let cases: &[(&str, &[f32])] = &[
        ("", &[0., 1., 2., 3., 4., 5., 6., 7., 8., 10., 11., 12., 13., 14., 15., 16., 17., 18.]),
        ("crop_size: 1", &[4., 14.]),
        // (3 - 2) / 2 rounds down: rows and columns 0 and 1.
        ("crop_size: 2", &[0., 1., 3., 4., 10., 11., 13., 14.]),
        ("crop_h: 1 crop_w: 3", &[3., 4., 5., 13., 14., 15.]),
        ("crop_size: 1 mean_value: 1 scale: 2", &[6., 26.]),
        ("crop_size: 1 mean_value: 1 mean_value: 10 scale: 0.5", &[1.5, 2.]),
        ("crop_size: 1 std_value: 2", &[2., 7.]),
        ("crop_size: 1 mean_value: 2 scale: 3 std_value: 2 std_value: 4", &[3., 9.]),
        // Zeros stand for the mean; the crop of the padded picture is the picture itself.
        ("pad: 2 crop_size: 1 mean_value: 1", &[3., 13.]),
        (
            "pad: 1 crop_h: 5 crop_w: 1 mean_value: 1 scale: 10",
            &[0., 0., 30., 60., 0., 0., 100., 130., 160., 0.],
        ),
        ("pad: 1 crop_h: 1 crop_w: 5 mean_value: 1", &[0., 2., 3., 4., 0., 0., 12., 13., 14., 0.]),
    ];
    for (text, wanted) in cases {
        let found = apply(text, &item(), Phase::Test, 0).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(&found, wanted, "{text}");
        let Pixels::U8(bytes) = item().pixels else { continue };
        let pixels = Pixels::F32(bytes.iter().map(|&b| b.into()).collect());
        let floats = Item { pixels, ..item() };
        assert_eq!(apply(text, &floats, Phase::Test, 0).as_deref(), Ok(*wanted), "{text}");
    }
}

#[test]
fn padding_alone_makes_the_picture_larger() {
    let one = Item { shape: [1, 1, 2], pixels: Pixels::U8(vec![3, 4]), label: 0 };
    let found = apply("pad: 1 scale: 2", &one, Phase::Test, 0);
    let wanted = [0., 0., 0., 0., 0., 6., 8., 0., 0., 0., 0., 0.];
    assert_eq!(found.as_deref(), Ok(&wanted[..]));
}

/// Every window of the padded picture occurs in TRAIN, none else, about equally often.
#[test]
fn random_crops_are_uniform_over_all_places() {
    let one = Item { shape: [1, 2, 3], pixels: Pixels::U8(vec![1, 2, 3, 4, 5, 6]), label: 0 };
    // Rows and columns around the picture are zeros: 3 x 4 windows of 2x2 in 4 x 5.
    let padded = [0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0];
    let window = |y: usize, x: usize| -> Vec<f32> {
        [0, 1, 5, 6].iter().map(|offset| padded[y * 5 + x + offset] as f32).collect()
    };
    let mut counts = vec![0; 12];
    for number in 0..2400 {
        let found = apply("pad: 1 crop_size: 2", &one, Phase::Train, number).unwrap_or_default();
        let place = (0..12).find(|i| window(i / 4, i % 4) == found);
        counts[place.unwrap_or_else(|| panic!("{found:?} is no window"))] += 1;
    }
    // 200 each; 5 standard deviations are 68.
    assert!(counts.iter().all(|&count| (132..268).contains(&count)), "{counts:?}");
}

/// As in the original, mirroring is drawn in TEST too.
#[test]
fn mirroring_flips_half_of_the_items_in_both_phases() {
    let wanted: Vec<f32> =
        vec![2., 1., 0., 5., 4., 3., 8., 7., 6., 12., 11., 10., 15., 14., 13., 18., 17., 16.];
    let plain = apply("", &item(), Phase::Test, 0).unwrap_or_default();
    for phase in [Phase::Train, Phase::Test] {
        let found: Vec<Vec<f32>> = (0..400)
            .map(|number| apply("mirror: true", &item(), phase, number).unwrap_or_default())
            .collect();
        let flipped = found.iter().filter(|found| **found == wanted).count();
        assert_eq!(found.iter().filter(|found| **found == plain).count(), 400 - flipped);
        assert!((150..250).contains(&flipped), "{flipped} of 400");
    }
}

#[test]
fn a_mean_picture_is_read_where_the_item_is_cut() {
    let folder = folder();
    write_idx(folder.path(), 4);
    let mean = BlobProto {
        num: Some(1),
        channels: Some(1),
        height: Some(2),
        width: Some(3),
        data: vec![1., 2., 3., 4., 5., 6.],
        ..BlobProto::default()
    };
    write(folder.path(), "mean", &mean.encode_to_vec());
    let text = idx_layer("batch_size: 4", "mean_file: \"mean\" crop_size: 1 pad: 1 scale: 2");
    // Padded to 4x5, the middle is row 1, column 2: row 0, column 1 of the picture.
    let found = batches(&mut net(folder.path(), &text, Phase::Test, 1), 1);
    assert_eq!(found[0].0, [-4., -2., 0., 2.]);
    let text = idx_layer("batch_size: 4", "mean_file: \"mean\" pad: 1");
    let found = batches(&mut net(folder.path(), &text, Phase::Test, 1), 1);
    assert_eq!(found[0].0[..10], [0., 0., 0., 0., 0., 0., -1., -2., -3., 0.]);
}

#[test]
fn mean_files_come_in_several_forms() {
    let shape = |dim: &[i64]| Some(BlobShape { dim: dim.to_vec() });
    let blob = |dim: &[i64], data: &[f32]| BlobProto {
        shape: shape(dim),
        data: data.to_vec(),
        ..BlobProto::default()
    };
    let doubles =
        BlobProto { shape: shape(&[1, 1, 2]), double_data: vec![0.5, 2.0], ..BlobProto::default() };
    for good in [blob(&[1, 1, 2], &[0.5, 2.0]), blob(&[1, 1, 1, 2], &[0.5, 2.0]), doubles] {
        let found = MeanPicture::decode(&good.encode_to_vec());
        assert_eq!(found, Ok(MeanPicture { shape: [1, 1, 2], data: vec![0.5, 2.0] }));
    }
    let bad = [
        (blob(&[2, 1, 1, 2], &[0.; 4]).encode_to_vec(), "one picture is wanted"),
        (blob(&[1, 2], &[0.; 2]).encode_to_vec(), "channels, height and width are wanted"),
        (blob(&[1, 2, 2], &[0.; 2]).encode_to_vec(), "it holds 2 values"),
        (blob(&[-1, 2, 2], &[0.; 2]).encode_to_vec(), "are wanted"),
        (blob(&[i64::MAX, i64::MAX, 2], &[0.; 2]).encode_to_vec(), "it holds 2 values"),
        (vec![0xff; 3], "no BlobProto message"),
    ];
    for (bytes, wanted) in bad {
        let error = MeanPicture::decode(&bytes).expect_err(wanted);
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn every_field_of_transform_param_is_documented_or_refused() {
    let registry = cortado::registry();
    let pages =
        ["Data", "AnnotatedData"].map(|name| registry.get(name).expect("it is there").doc.notes);
    let notes = pages.concat();
    let messages = [
        "TransformationParameter",
        "ResizeParameter",
        "NoiseParameter",
        "SaltPepperParameter",
        "DistortionParameter",
        "ExpansionParameter",
        "EmitConstraint",
        "BatchSampler",
        "Sampler",
        "SampleConstraint",
    ];
    let known =
        |name: &str| notes.contains(&format!("`{name}`")) || notes.contains(&format!("`{name}:"));
    let mut missing = Vec::new();
    for name in messages {
        let message = schema().message(name).expect("it is in the schema");
        let fields = message.fields.iter().filter(|field| !known(&field.name));
        missing.extend(fields.map(|field| format!("{name}.{}", field.name)));
    }
    assert!(missing.is_empty(), "not in the pages: {missing:?}");
    let size = "resize_param { height: 2 width: 2";
    let refused = [
        ("vertical_mirror", "vertical_mirror: true".to_owned()),
        ("random_90_deg_rot", "random_90_deg_rot: true".to_owned()),
        ("random_crop_on_test", "random_crop_on_test: true".to_owned()),
        ("vertical_stretch_lower", "vertical_stretch_lower: 0.5".to_owned()),
        ("vertical_stretch_upper", "vertical_stretch_upper: 2".to_owned()),
        ("horizontal_stretch_lower", "horizontal_stretch_lower: 0.5".to_owned()),
        ("horizontal_stretch_upper", "horizontal_stretch_upper: 2".to_owned()),
        ("img_rand_resize_lower", "img_rand_resize_lower: 2".to_owned()),
        ("img_rand_resize_upper", "img_rand_resize_upper: 2".to_owned()),
        ("rand_resize_ratio_lower", "rand_resize_ratio_lower: 2".to_owned()),
        ("rand_resize_ratio_upper", "rand_resize_ratio_upper: 2".to_owned()),
        ("random_resize_param", "random_resize_param {}".to_owned()),
        ("random_aspect_ratio_param", "random_aspect_ratio_param {}".to_owned()),
        ("num_labels", "num_labels: 2".to_owned()),
        ("flow", "flow: true".to_owned()),
        ("bgr2rgb", "bgr2rgb: true".to_owned()),
        ("forward_packing", "forward_packing: NHWC".to_owned()),
        ("max_angle", format!("{size} max_angle: 3 }}")),
        ("center_object", format!("{size} center_object: true }}")),
        ("height_scale", format!("{size} height_scale: 2 }}")),
        ("width_scale", format!("{size} width_scale: 2 }}")),
        ("clahe", "noise_param { clahe: true }".to_owned()),
    ];
    let folder = folder();
    write_idx(folder.path(), 4);
    for (name, text) in refused {
        let made = try_net(folder.path(), &idx_layer("batch_size: 1", &text), Phase::Test, 1);
        let error = made.map(|_| ()).expect_err(name);
        assert!(error.contains(&format!("`{name}` is not known here")), "{name}: {error}");
    }
}

#[test]
fn fields_that_make_no_sense_are_told() {
    let cases = [
        ("crop_size: 4", "the crop is 4x4, the item only 2x3"),
        ("crop_size: 9 pad: 1", "the item only 4x5 with its padding"),
        ("crop_h: 1", "crop_h and crop_w must be given together"),
        ("crop_h: 1 crop_w: 1 crop_size: 1", "exclude each other"),
        ("mean_value: 1 mean_value: 2", "2 mean values are given, the item has 1 channels"),
        ("mean_value: 1 mean_file: \"m\"", "mean_file and mean_value exclude each other"),
        ("std_value: 1 std_file: \"m\"", "std_file and std_value exclude each other"),
        ("std_value: 0", "a deviation is 0; more than 0 is wanted"),
        ("zca_file: \"m\"", "the mean_file of the same pictures is wanted too"),
        ("mean_file: \"m\" zca_file: \"m\" std_value: 1", "exclude each other"),
        ("force_color: true force_gray: true", "exclude each other"),
        ("mean_file: \"nowhere\"", "there is no"),
        ("mean_file: \"images\"", "is no mean picture"),
        ("vertical_mirror: true", "the transform `vertical_mirror` is not known here"),
    ];
    let folder = folder();
    write_idx(folder.path(), 4);
    for (text, wanted) in cases {
        let layer = idx_layer("batch_size: 4", text);
        let error = try_net(folder.path(), &layer, Phase::Test, 1).map(|_| ()).unwrap_err();
        assert!(error.contains(wanted), "{text}: {error}");
        assert!(error.contains("net.prototxt:1:"), "{text}: {error}");
    }
}
