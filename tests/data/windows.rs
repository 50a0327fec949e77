//! WindowData: which windows are drawn, how they are cut out, mistakes.

use std::path::Path;

use cortado_layers::Phase;
use image::{ImageFormat, RgbImage};

use crate::files::{batches, folder, net, try_net, write};

/// A picture of 12 x 8 whose blue is the column, green the row, red 200.
fn picture(folder: &Path) {
    let image = RgbImage::from_fn(12, 8, |x, y| image::Rgb([200, 10 * y as u8, 10 * x as u8]));
    let path = folder.join("p.png");
    image.save_with_format(path, ImageFormat::Png).expect("a temporary folder can be written");
}

fn layer(param: &str, transform: &str) -> String {
    format!(
        "layer {{ name: \"d\" type: \"WindowData\" top: \"data\" top: \"label\" \
         transform_param {{ {transform} }} \
         window_data_param {{ source: \"windows.txt\" {param} }} }}"
    )
}

/// The picture with windows `class overlap x1 y1 x2 y2`.
fn with_windows(windows: &[&str]) -> tempfile::TempDir {
    let folder = folder();
    picture(folder.path());
    let list = format!("# 0\np.png\n3 8 12\n{}\n{}\n", windows.len(), windows.join("\n"));
    write(folder.path(), "windows.txt", list.as_bytes());
    folder
}

fn batch(folder: &Path, param: &str, transform: &str, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut net = net(folder, &layer(param, transform), Phase::Train, seed);
    batches(&mut net, 1).remove(0)
}

#[test]
fn background_comes_first_and_thresholds_divide() {
    let folder = with_windows(&[
        "5 0.9 0 0 3 3",
        "6 0.5 4 0 7 3",
        "7 0.4 0 0 3 3", // neither
        "8 0.1 8 4 11 7",
    ]);
    let param = "batch_size: 8 fg_threshold: 0.5 bg_threshold: 0.3 fg_fraction: 0.4";
    let mut seen = [false; 2];
    for seed in 0..20 {
        let (data, labels) = batch(folder.path(), param, "crop_size: 4", seed);
        // int(8 * 0.4) = 3 are foreground.
        assert_eq!(labels[..5], [0.0; 5]);
        for (n, &label) in labels.iter().enumerate().skip(5) {
            assert!(label == 5.0 || label == 6.0);
            seen[label as usize - 5] = true;
            let left = if label == 5.0 { 0.0 } else { 40.0 };
            assert_eq!(data[n * 48], left, "the window belongs to the label");
        }
        assert_eq!(data[..4], [80.0, 90.0, 100.0, 110.0], "the background's blue");
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn a_window_of_the_size_of_the_crop_is_copied() {
    let folder = with_windows(&["1 1 2 3 5 6"]);
    let param = "batch_size: 1 fg_fraction: 1";
    let (plain, _) = batch(folder.path(), param, "crop_size: 4", 1);
    let wanted = |c: usize, y: usize, x: usize| match c {
        0 => 10.0 * (2 + x) as f32,
        1 => 10.0 * (3 + y) as f32,
        _ => 200.0,
    };
    let all = |f: &dyn Fn(usize, usize, usize) -> f32| -> Vec<f32> {
        (0..48).map(|i| f(i / 16, i / 4 % 4, i % 4)).collect()
    };
    assert_eq!(plain, all(&wanted));
    let transform = "crop_size: 4 mean_value: 1 mean_value: 2 mean_value: 3 scale: 0.5";
    let (scaled, _) = batch(folder.path(), param, transform, 1);
    assert_eq!(scaled, all(&|c, y, x| (wanted(c, y, x) - (c + 1) as f32) * 0.5));
    let mut mirrored = 0;
    for seed in 0..20 {
        let (data, _) = batch(folder.path(), param, "crop_size: 4 mirror: true", seed);
        let mirror = all(&|c, y, x| wanted(c, y, 3 - x));
        assert!(data == plain || data == mirror);
        mirrored += usize::from(data == mirror);
    }
    assert!((1..20).contains(&mirrored));
}

#[test]
fn what_lies_beyond_the_picture_is_zero() {
    // 4 x 4 in the corner; with 1 of context the crop of 6 takes -1 .. 4, of which -1 is outside
    // (the original's rounding takes one more pixel: 7 wide, warped to 6).
    let folder = with_windows(&["1 1 0 0 3 3"]);
    let param = "batch_size: 1 fg_fraction: 1 context_pad: 1";
    let (data, _) = batch(folder.path(), param, "crop_size: 6 mean_value: 100", 1);
    let at = |c: usize, y: usize, x: usize| data[(c * 6 + y) * 6 + x];
    for i in 0..6 {
        assert_eq!((at(2, 0, i), at(2, i, 0)), (0.0, 0.0), "zero, not less the mean");
    }
    for (y, x) in [(1, 1), (5, 5), (1, 5)] {
        assert_eq!(at(2, y, x), 100.0);
    }
    let (square, _) = {
        let folder = with_windows(&["1 1 2 2 9 3"]);
        batch(
            folder.path(),
            "batch_size: 1 fg_fraction: 1 crop_mode: \"square\"",
            "crop_size: 8",
            1,
        )
    };
    // 8 wide and 2 high: the square goes from row -1 to row 7, one row beyond the upper edge.
    assert_eq!(square[2 * 64], 0.0);
    assert_eq!(square[2 * 64 + 8], 200.0);
}

#[test]
fn draws_depend_on_seed_and_position_alone() {
    let windows: Vec<String> = (0..8).map(|x| format!("{} 1 {x} 0 {} 3", x + 1, x + 3)).collect();
    let windows: Vec<&str> = windows.iter().map(String::as_str).collect();
    let folder = with_windows(&windows);
    let text =
        layer("batch_size: 4 fg_fraction: 1 cache_images: true", "crop_size: 4 mirror: true");
    let make = || net(folder.path(), &text, Phase::Train, 3);
    let unbroken = batches(&mut make(), 6);
    assert_ne!(unbroken[0], unbroken[1]);
    let mut second = make();
    batches(&mut second, 1);
    second.seek(&[("d".to_owned(), 12)]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(batches(&mut second, 3), unbroken[3..]);
    assert_ne!(batches(&mut net(folder.path(), &text, Phase::Train, 4), 6), unbroken);
}

#[test]
fn mistakes_are_named() {
    let folder = with_windows(&["1 1 0 0 3 3", "0 0 1 1 4 4"]);
    let refused = |list: Option<&str>, param: &str, transform: &str, wanted: &str| {
        if let Some(list) = list {
            write(folder.path(), "windows.txt", list.as_bytes());
        }
        let made = try_net(folder.path(), &layer(param, transform), Phase::Train, 1);
        let run = made.and_then(|mut net| net.forward().map(drop).map_err(|e| e.to_string()));
        let error = run.expect_err(wanted);
        assert!(error.contains(wanted), "wanted {wanted}\n{error}");
    };
    let (one, crop) = ("batch_size: 1 fg_fraction: 1", "crop_size: 4");
    refused(None, "", crop, "found batch_size 0 or none");
    refused(None, one, "", "crop_size must be given and above 0");
    for large in [20_000, 60_000, 4_000_000_000_u32] {
        let wanted = format!("pictures of {large}x{large} are too large");
        refused(None, one, &format!("crop_size: {large}"), &wanted);
    }
    refused(None, one, "crop_size: 4 pad: 3", "windows are not padded");
    refused(None, &format!("{one} crop_mode: \"warped\""), crop, "`warp` or `square` is wanted");
    refused(None, &format!("{one} context_pad: 2"), crop, "leaves nothing of crop_size 4");
    refused(None, "batch_size: 1 fg_fraction: 1.5", crop, "fg_fraction is 1.5; 0 to 1 is wanted");
    refused(None, one, "crop_size: 4 mean_value: 1 mean_value: 2", "2 mean values are given");
    let list = |windows: &str| format!("# 0\np.png\n3 8 12\n{windows}\n");
    refused(Some(&list("1\n0 0 1 1 4 4")), one, crop, "has no window on objects, a batch takes 1");
    refused(Some(&list("1\n1 1 1 1 40 4")), one, crop, "does not lie in the picture of 12x8");
    refused(Some(&list("2\n1 1 1 1 4 4")), one, crop, "the file ends where a class is wanted");
    refused(Some(&list("1\n1 high 1 1 4 4")), one, crop, "an overlap is wanted, found `high`");
    refused(Some(&list("1\n0 1 1 1 4 4")), one, crop, "a window on an object is of class 0");
    refused(Some("# 3\np.png"), one, crop, "it is numbered 3");
    refused(Some("p.png"), one, crop, "`#` is wanted, found `p.png`");
    refused(Some("# 0 q.png 3 8 12 1 1 1 1 1 4 4"), one, crop, "there is no");
}
