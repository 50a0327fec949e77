//! Pictures, held against what OpenCV makes of them (tests/golden/pictures/generate.py).

use std::io::Cursor;

use cortado::data::image::{decode, resize};
use cortado::data::{Color, Picture};
use image::{DynamicImage, ImageBuffer, ImageFormat};
use safetensors::SafeTensors;

use crate::files::golden;

/// An array of bytes H x W (x C), as C x H x W.
fn picture(file: &SafeTensors<'_>, name: &str) -> Picture {
    let tensor = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (h, w, c) = match *tensor.shape() {
        [h, w] => (h, w, 1),
        [h, w, c] => (h, w, c),
        ref other => panic!("{name} is {other:?}"),
    };
    let plane = |channel: usize| tensor.data().chunks_exact(c).map(move |pixel| pixel[channel]);
    Picture { shape: [c, h, w], data: (0..c).flat_map(plane).collect() }
}

/// The largest difference, and how many of a thousand bytes differ.
fn difference(found: &Picture, wanted: &Picture) -> (u8, usize) {
    assert_eq!(found.shape, wanted.shape);
    let pairs = || found.data.iter().zip(&wanted.data);
    let most = pairs().map(|(f, w)| f.abs_diff(*w)).max().unwrap_or(0);
    (most, 1000 * pairs().filter(|(f, w)| f != w).count() / found.data.len())
}

fn with_golden(check: impl FnOnce(&SafeTensors<'_>)) {
    let bytes =
        std::fs::read(golden("pictures/pictures.safetensors")).expect("it ships with the tests");
    check(&SafeTensors::deserialize(&bytes).expect("it is whole"));
}

/// PNG and gray JPEG come out exactly. JPEG in colour does not: libjpeg-turbo, which OpenCV calls,
/// rounds YCbCr to RGB and interpolates halved colours in its own way. The bounds (largest
/// difference, share of bytes in thousandths) are those measured; noise is the worst case, where
/// neighbouring colours have nothing to do with each other. With the feature `turbojpeg` all are exact.
#[test]
fn decoded_pictures_are_those_of_opencv() {
    let exact = (0, 0);
    let cases = [
        ("noise.png", exact, exact),
        ("grey.png", exact, exact),
        ("alpha.png", exact, exact),
        ("grey.jpg", exact, exact),
        ("smooth444.jpg", (2, 12), (1, 4)),
        ("turned.jpg", (2, 12), (1, 4)),
        ("smooth420.jpg", (2, 466), (1, 3)),
        ("noise420.jpg", (25, 315), (3, 23)),
        ("inks.jpg", (2, 990), (2, 990)),
    ];
    with_golden(|file| {
        let mut wrong = Vec::new();
        for (name, colored, gray) in cases {
            let encoded = file.tensor(&format!("encoded/{name}")).expect("it is there");
            for (way, color, limit) in [
                ("native", Color::Native, colored),
                ("bgr", Color::Bgr, colored),
                ("gray", Color::Gray, gray),
            ] {
                let found = decode(encoded.data(), color).unwrap_or_else(|e| panic!("{name}: {e}"));
                let limit = if cfg!(feature = "turbojpeg") { exact } else { limit };
                let (most, share) = difference(&found, &picture(file, &format!("{way}/{name}")));
                if most > limit.0 || share > limit.1 {
                    wrong.push(format!("{name} {way}: differs by {most} in {share} of 1000 bytes"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn of_16_bits_the_upper_8_are_taken() {
    let png = |picture: DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).expect("memory takes a picture");
        bytes.into_inner()
    };
    let values = vec![0x12ff, 0x00ff, 0x80ff, 0xfeff, 0xffff, 0x0080];
    let gray = ImageBuffer::from_raw(6, 1, values.clone()).expect("six pixels");
    let gray = png(DynamicImage::ImageLuma16(gray));
    let found = |bytes: &[u8], color| decode(bytes, color).unwrap_or_else(|e| panic!("{e}")).data;
    let wanted = [0x12, 0, 0x80, 0xfe, 0xff, 0];
    assert_eq!(found(&gray, Color::Gray), wanted);
    assert_eq!(found(&gray, Color::Bgr), [wanted; 3].concat());
    let colored = ImageBuffer::from_raw(2, 1, values).expect("two pixels");
    let colored = png(DynamicImage::ImageRgb16(colored));
    assert_eq!(found(&colored, Color::Bgr), [0x80, 0, 0, 0xff, 0x12, 0xfe]);
    let error = decode(&gray, Color::Native).expect_err("the original refuses it too");
    assert!(error.contains("more than 8 bits per channel"), "{error}");
}

#[test]
fn resized_pictures_are_those_of_opencv() {
    with_golden(|file| {
        let source = picture(file, "native/noise.png");
        let mut wrong = Vec::new();
        let mut cases = 0;
        for name in file.names().into_iter().filter(|name| name.starts_with("resize/")) {
            let wanted = picture(file, name);
            let [_, h, w] = wanted.shape;
            let (most, permille) = difference(&resize(&source, h, w), &wanted);
            if most > 0 {
                wrong.push(format!("{name}: differs by {most} in {permille} of 1000"));
            }
            cases += 1;
        }
        assert_eq!(cases, 10);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[test]
fn every_truncation_of_a_png_is_an_error_and_none_of_any_picture_a_panic() {
    with_golden(|file| {
        for name in ["noise.png", "grey.jpg", "smooth420.jpg", "turned.jpg"] {
            let encoded = file.tensor(&format!("encoded/{name}")).expect("it is there");
            // The last chunk of a PNG (12 bytes) holds nothing.
            for length in 0..encoded.data().len() - 12 {
                let result = decode(&encoded.data()[..length], Color::Bgr);
                assert!(result.is_err() || name.ends_with("jpg"), "{name} of {length} bytes");
            }
        }
    });
}

#[test]
fn damaged_bytes_of_a_jpeg_are_told_or_survived() {
    with_golden(|file| {
        let mut told = 0;
        for name in ["grey.jpg", "smooth420.jpg", "turned.jpg"] {
            let encoded = file.tensor(&format!("encoded/{name}")).expect("it is there").data();
            for at in 0..encoded.len() {
                let mut damaged = encoded.to_vec();
                damaged[at] ^= 0x55;
                told += usize::from(decode(&damaged, Color::Bgr).is_err());
            }
        }
        assert!(told > 300, "{told}");
    });
}

#[test]
fn pictures_without_pixels_stay_so() {
    let none = Picture { shape: [3, 0, 4], data: Vec::new() };
    assert_eq!(resize(&none, 2, 2).data, [0; 12]);
    let some = Picture { shape: [1, 1, 1], data: vec![7] };
    assert_eq!(resize(&some, 0, 5).data, [0; 0]);
    assert_eq!(resize(&some, 2, 3).data, [7; 6]);
}
