//! Augmentation, held against what OpenCV makes of the same pictures
//! (tests/golden/pictures/generate_augment.py), and its draws.

use cortado::data::augment::Augment;
use cortado::data::augment::resample::resample;
use cortado::data::{Item, Picture, Pixels, Transform};
use cortado_layers::{Phase, RngKey};
use cortado_proto::caffe::resize_parameter::InterpMode;
use safetensors::SafeTensors;

use crate::files::{batches, folder, golden, net, try_net, write_idx};
use crate::transform::param;

/// Values of an array H x W x C, channel by channel, and its shape.
fn planes(file: &SafeTensors<'_>, name: &str) -> ([usize; 3], Vec<f32>) {
    let tensor = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let [h, w, c] = *tensor.shape() else { panic!("{name}") };
    let values: Vec<f32> = match tensor.data().len() == h * w * c {
        true => tensor.data().iter().map(|&v| v.into()).collect(),
        false => tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    };
    let plane = |channel: usize| values[channel..].iter().copied().step_by(c);
    ([c, h, w], (0..c).flat_map(plane).collect())
}

fn with_golden(check: impl FnOnce(&SafeTensors<'_>, Picture)) {
    let bytes = std::fs::read(golden("pictures/augment.safetensors")).expect("it ships");
    let file = SafeTensors::deserialize(&bytes).expect("it is whole");
    let (shape, values) = planes(&file, "picture");
    check(&file, Picture { shape, data: values.iter().map(|&v| v as u8).collect() });
}

fn augment(text: &str, picture: &Picture, number: u64) -> Result<Item, String> {
    let augment = Augment::new(&param(text)).map_err(|e| e.to_string())?;
    let augment = augment.expect("something is asked for");
    let Picture { shape, data } = picture.clone();
    let mut rng = RngKey { seed: 1, pass: number, replica: 0 }.stream("d/item");
    let item = Item { shape, pixels: Pixels::U8(data), label: 4 };
    augment.apply(item, &[10.0, 20.0, 30.0], &mut rng).map_err(|e| e.to_string())
}

fn values(item: &Item) -> Vec<f32> {
    match &item.pixels {
        Pixels::U8(data) => data.iter().map(|&v| v.into()).collect(),
        Pixels::F32(data) => data.clone(),
    }
}

/// The largest difference.
fn difference(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    found.iter().zip(wanted).map(|(f, w)| (f - w).abs()).fold(0.0, f32::max)
}

#[test]
fn other_sizes_are_those_of_opencv() {
    // OpenCV counts in fixed point where this counts in floats.
    let modes = [
        ("nearest", InterpMode::Nearest, 0.0),
        ("area", InterpMode::Area, 1.0),
        ("cubic", InterpMode::Cubic, 1.0),
        ("lanczos4", InterpMode::Lanczos4, 2.0),
    ];
    with_golden(|file, picture| {
        let mut wrong = Vec::new();
        for (name, mode, tolerance) in modes {
            for size in ["7x9", "13x23", "10x10", "31x40", "11x40"] {
                let name = format!("{name}/{size}");
                if file.tensor(&name).is_err() {
                    continue;
                }
                let (shape, wanted) = planes(file, &name);
                let found = resample(&picture, shape[1], shape[2], mode);
                let found: Vec<f32> = found.data.iter().map(|&v| v.into()).collect();
                let most = difference(&found, &wanted);
                if most > tolerance {
                    wrong.push(format!("{name}: {most}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn noise_is_that_of_opencv() {
    let cases = [
        ("convert_to_hsv: true", "hsv", 1.0),
        ("convert_to_lab: true", "lab", 0.5),
        ("gauss_blur: true", "blur", 1.0),
        ("erode: true", "erode", 0.0),
        ("hist_eq: true", "hist_eq", 2.0),
    ];
    with_golden(|file, picture| {
        let mut wrong = Vec::new();
        for (text, name, tolerance) in cases {
            let text = format!("noise_param {{ prob: 1 {text} }}");
            let item = augment(&text, &picture, 0).unwrap_or_else(|e| panic!("{e}"));
            let most = difference(&values(&item), &planes(file, name).1);
            if most > tolerance {
                wrong.push(format!("{name}: {most}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn simple_noise_is_what_was_worked_out_by_hand() {
    let picture = Picture { shape: [3, 1, 2], data: vec![10, 200, 60, 100, 128, 255] };
    let table: [(&str, &[f32]); 4] = [
        ("inverse: true", &[245., 55., 195., 155., 127., 0.]),
        ("posterize: true", &[32., 224., 32., 96., 160., 224.]),
        // 0.114 B + 0.587 G + 0.299 R
        ("decolorize: true", &[75., 158., 75., 158., 75., 158.]),
        (
            "saltpepper: true saltpepper_param { type: absolute fraction: 100 value: 1 value: 2 value: 3 }",
            &[1., 1., 2., 2., 3., 3.],
        ),
    ];
    for (text, wanted) in table {
        // Two pixels drawn twice leave one alone half of the time: another draw then.
        let found = (0..20).map(|number| {
            let text = format!("noise_param {{ prob: 1 {text} }}");
            values(&augment(&text, &picture, number).unwrap_or_else(|e| panic!("{e}")))
        });
        let found: Vec<Vec<f32>> = found.collect();
        assert!(found.iter().any(|found| found == wanted), "{text}: {found:?}");
    }
    let item = augment("noise_param { prob: 1 jpeg: 90 }", &picture, 0);
    assert_eq!(item.map(|item| item.shape), Ok([3, 1, 2]));
}

#[test]
fn proportions_are_kept_or_not_as_asked() {
    with_golden(|file, picture| {
        // The picture is 19x23.
        let shapes = [
            ("height: 12 width: 50", [3, 12, 50]),
            ("resize_mode: FIT_SMALL_SIZE height: 38 width: 38", [3, 38, 46]),
            ("resize_mode: FIT_SMALL_SIZE height: 10 width: 40", [3, 33, 40]),
            ("resize_mode: FIT_LARGE_SIZE_AND_PAD height: 46 width: 46", [3, 46, 46]),
        ];
        for (text, wanted) in shapes {
            let item = augment(&format!("resize_param {{ {text} }}"), &picture, 0);
            assert_eq!(item.map(|item| item.shape), Ok(wanted), "{text}");
        }
        for mode in ["CONSTANT", "MIRRORED", "REPEAT_NEAREST"] {
            let text = format!(
                "resize_param {{ resize_mode: FIT_LARGE_SIZE_AND_PAD height: 28 width: 23 \
                 pad_mode: {mode} pad_value: 1 pad_value: 2 pad_value: 3 }}"
            );
            let item = augment(&text, &picture, 0).unwrap_or_else(|e| panic!("{e}"));
            let (shape, wanted) = planes(file, &format!("pad/{mode}"));
            assert_eq!(item.shape, shape, "{mode}");
            assert_eq!(values(&item), wanted, "{mode}");
        }
    });
}

#[test]
fn distorted_colours_stay_in_their_ranges() {
    let gray = Picture { shape: [3, 1, 1], data: vec![100; 3] };
    let draws = |text: &str| -> Vec<[f32; 3]> {
        let draw = |number| {
            let text = format!("distort_param {{ {text} }}");
            let item = augment(&text, &gray, number).unwrap_or_else(|e| panic!("{e}"));
            let found = values(&item);
            [found[0], found[1], found[2]]
        };
        (0..400).map(draw).collect()
    };
    let spread = |draws: &[[f32; 3]]| {
        let all = || draws.iter().flatten().copied();
        (all().fold(f32::MAX, f32::min), all().fold(f32::MIN, f32::max))
    };
    // Half of the pictures by up to 32.
    let found = draws("brightness_prob: 0.5 brightness_delta: 32");
    let (low, high) = spread(&found);
    assert!((68.0..72.0).contains(&low) && (128.0..=132.0).contains(&high), "{low} {high}");
    let changed = found.iter().filter(|pixel| pixel[0] != 100.0).count();
    assert!((150..250).contains(&changed), "{changed}");
    let found = draws("contrast_prob: 1 contrast_lower: 0.5 contrast_upper: 1.5");
    let (low, high) = spread(&found);
    assert!((50.0..52.0).contains(&low) && (148.0..=150.0).contains(&high), "{low} {high}");
    // Gray has no hue and no saturation.
    let text =
        "hue_prob: 1 hue_delta: 18 saturation_prob: 1 saturation_lower: 0.5 saturation_upper: 1.5";
    assert_eq!(spread(&draws(text)), (100.0, 100.0));
    let color = Picture { shape: [3, 1, 1], data: vec![10, 60, 200] };
    let orders: std::collections::BTreeSet<Vec<u8>> = (0..100)
        .filter_map(|number| augment("distort_param { random_order_prob: 1 }", &color, number).ok())
        .map(|item| values(&item).iter().map(|&v| v as u8).collect())
        .collect();
    assert_eq!(orders.len(), 6);
    let hues: std::collections::BTreeSet<Vec<u8>> = (0..200)
        .filter_map(|n| augment("distort_param { hue_prob: 1 hue_delta: 18 }", &color, n).ok())
        .map(|item| values(&item).iter().map(|&v| v as u8).collect())
        .collect();
    // The brightest channel stays as bright.
    assert!(
        hues.len() > 10 && hues.iter().all(|pixel| pixel.iter().max() == Some(&200)),
        "{hues:?}"
    );
}

#[test]
fn a_larger_canvas_holds_the_picture_in_the_mean() {
    let picture = Picture { shape: [3, 2, 3], data: (100..118).collect() };
    let (mut largest, mut kept) = (0, 0);
    for number in 0..200 {
        let text = "expand_param { prob: 0.5 max_expand_ratio: 4 }";
        let item = augment(text, &picture, number).unwrap_or_else(|e| panic!("{e}"));
        let [c, h, w] = item.shape;
        assert!(c == 3 && (2..=8).contains(&h) && (3..=12).contains(&w), "{h}x{w}");
        let found = values(&item);
        for (channel, mean) in [10.0, 20.0, 30.0].into_iter().enumerate() {
            let plane = &found[channel * h * w..][..h * w];
            let inside: Vec<f32> = plane.iter().copied().filter(|&v| v >= 100.0).collect();
            let wanted: Vec<f32> = (0..6).map(|i| (100 + 6 * channel + i) as f32).collect();
            assert_eq!(inside, wanted);
            assert!(plane.iter().all(|&v| v >= 100.0 || v == mean));
        }
        largest = largest.max(h * w);
        kept += usize::from(item.shape == picture.shape);
    }
    assert!(largest > 60 && (80..140).contains(&kept), "{largest}, {kept}");
}

#[test]
fn a_canvas_that_no_memory_holds_is_refused() {
    let picture = Picture { shape: [1, 2400, 2400], data: vec![0; 2400 * 2400] };
    let text = "expand_param { prob: 1 max_expand_ratio: 64 }";
    let error =
        augment(text, &picture, 0).expect_err("it grows to more than eight times its sides");
    assert!(error.contains("are too large"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let table = [
        ("resize_param { width: 3 }", "a number from 1 to 32768 is wanted, found 0"),
        (
            "resize_param { height: 3 width: 3 max_angle: 10 }",
            "`max_angle` is not known here; leave it out",
        ),
        (
            "resize_param { height: 3 width: 3 pad_value: 1 pad_value: 2 }",
            "1 or 3 values are wanted, found 2",
        ),
        ("noise_param { clahe: true }", "`clahe` is not known here; leave it out"),
        ("noise_param { jpeg: 101 }", "a quality up to 100 is wanted, found 101"),
        ("expand_param { max_expand_ratio: 0.5 }", "a ratio from 1 to 64 is wanted, found 0.5"),
        (
            "distort_param { contrast_prob: 1 contrast_lower: 2 contrast_upper: 1 }",
            "0 <= contrast_lower <= contrast_upper is wanted, found 2 and 1",
        ),
        ("distort_param { hue_delta: -1 }", "a number from 0 to 255 is wanted, found -1"),
    ];
    for (text, wanted) in table {
        let error = Transform::new(&param(text)).expect_err(text).to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
    let folder = folder();
    write_idx(folder.path(), 4);
    let text =
        crate::files::idx_layer("batch_size: 1", "noise_param { prob: 1 convert_to_hsv: true }");
    let error = try_net(folder.path(), &text, Phase::Train, 1).err().expect("it is gray");
    assert!(error.contains("three channels are wanted, the item has 1"), "{error}");
}

#[test]
fn batches_follow_seed_and_position_alone() {
    let folder = folder();
    write_idx(folder.path(), 11);
    let more = "distort_param { brightness_prob: 0.7 brightness_delta: 20 } \
        expand_param { prob: 0.5 max_expand_ratio: 3 } \
        resize_param { prob: 1 height: 5 width: 6 interp_mode: LINEAR interp_mode: CUBIC interp_mode: AREA } \
        noise_param { prob: 0.5 saltpepper: true saltpepper_param { type: relative fraction: 0.2 value: 255 } } \
        crop_size: 4 mirror: true mean_value: 3";
    let run = |prefetch: u32, seed: u64| {
        let param = format!("batch_size: 3 shuffle: true prefetch: {prefetch}");
        let text = crate::files::idx_layer(&param, more);
        batches(&mut net(folder.path(), &text, Phase::Train, seed), 5)
    };
    let first = run(0, 7);
    assert_eq!(first[0].0.len(), 3 * 4 * 4);
    assert_eq!(first, run(4, 7));
    assert_ne!(first, run(0, 8));
}

/// SSD's files name a share and values; the kind of share came with another fork.
#[test]
fn salt_and_pepper_needs_no_type() {
    let picture = Picture { shape: [3, 10, 10], data: vec![100; 300] };
    let text =
        "noise_param { prob: 1 saltpepper: true saltpepper_param { fraction: 0.1 value: 7 } }";
    let item = augment(text, &picture, 0).unwrap_or_else(|e| panic!("{e}"));
    let salted = values(&item).iter().filter(|&&value| value == 7.0).count();
    // Ten draws, some of them of the same pixel, on three channels.
    assert!((3..=30).contains(&salted) && salted.is_multiple_of(3), "{salted}");
}
