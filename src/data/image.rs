//! Pictures: JPEG and PNG decoded to bytes, and resized as OpenCV resizes them.

#[cfg(feature = "images")]
use std::io::Cursor;

#[cfg(feature = "images")]
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

/// A picture of bytes, channel by channel (C, H, W), colours in the order blue, green, red.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// C x H x W bytes.
    pub data: Vec<u8>,
}

/// Which channels an encoded picture is decoded to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// Those that the file has: 1, 3, or 4 with alpha last.
    #[default]
    Native,
    /// Three.
    Bgr,
    /// One.
    Gray,
}

/// Pixels of one bit, packed by deflate as closely as it can.
#[cfg(feature = "images")]
const MOST_PIXELS_PER_BYTE: u64 = 8 * 1032;

/// Decodes JPEG or PNG.
///
/// PNG and gray JPEG come out as OpenCV's imdecode gives them. Photographs as JPEG in colour come out
/// within 4 of it: libjpeg-turbo rounds and interpolates colours in another way.
///
/// # Errors
/// The bytes are no picture, are damaged or cut off (also where OpenCV fills the rest with gray), or hold more than 8 bits per channel (with
/// [`Color::Native`], where the original refuses them too).
#[cfg(feature = "images")]
pub fn decode(bytes: &[u8], color: Color) -> Result<Picture, String> {
    let failed = |e: image::ImageError| match e {
        image::ImageError::Unsupported(_) => {
            format!("it is no picture this program reads (JPEG, PNG): {e}")
        }
        _ => format!("it is a damaged picture: {e}"),
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|e| format!("it can't be read: {e}"))?;
    let format = reader.format();
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let (w, h) = decoder.dimensions();
    if u64::from(w) * u64::from(h) > bytes.len() as u64 * MOST_PIXELS_PER_BYTE {
        let found = bytes.len();
        return Err(format!("it is a damaged picture: {found} bytes can't hold {w} x {h} pixels"));
    }
    image::Limits::default().reserve(decoder.total_bytes()).map_err(failed)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    if format == Some(ImageFormat::Jpeg) && !is_whole_jpeg(bytes) {
        return Err("it is a damaged picture: the JPEG is cut off before its end marker".to_owned());
    }
    // imdecode turns a picture as its EXIF data asks, except when it takes the file as it is.
    if color != Color::Native {
        picture.apply_orientation(orientation);
    }
    let (h, w) = (picture.height() as usize, picture.width() as usize);
    let planes = |channels: usize, pixels: &[u8], stride: usize, order: &[usize]| {
        let plane = |c: usize| pixels.chunks_exact(stride).map(move |pixel| pixel[order[c]]);
        Picture { shape: [channels, h, w], data: (0..channels).flat_map(plane).collect() }
    };
    Ok(match (color, &picture) {
        (Color::Native, DynamicImage::ImageLuma8(gray)) => planes(1, gray, 1, &[0]),
        (Color::Native, DynamicImage::ImageRgb8(rgb)) => planes(3, rgb, 3, &[2, 1, 0]),
        (Color::Native, DynamicImage::ImageRgba8(_) | DynamicImage::ImageLumaA8(_)) => {
            planes(4, &picture.to_rgba8(), 4, &[2, 1, 0, 3])
        }
        (Color::Native, _) => {
            return Err("its pixels have more than 8 bits per channel; 8 are wanted".to_owned());
        }
        (Color::Bgr, _) => planes(3, &picture.to_rgb8(), 3, &[2, 1, 0]),
        (Color::Gray, DynamicImage::ImageLuma8(gray)) => planes(1, gray, 1, &[0]),
        (Color::Gray, _) => {
            let luma = if format == Some(ImageFormat::Png) { luma_of_libpng } else { luma };
            let gray = picture.to_rgb8().chunks_exact(3).map(luma).collect();
            Picture { shape: [1, h, w], data: gray }
        }
    })
}

/// Whether the pixels of a JPEG end with the marker that ends it (ITU T.81, B.1.1.3): decoders fill
/// what is missing with gray and say nothing. A preview inside the header has a marker of its own.
#[cfg(feature = "images")]
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        match rest {
            // Bytes of filling may stand before a marker.
            [0xff, 0xff, ..] => rest = &rest[1..],
            [0xff, 0xda, ..] => return rest.windows(2).any(|pair| pair == [0xff, 0xd9]),
            [0xff, _, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + length..).unwrap_or_default();
            }
            [_, after @ ..] => rest = after,
            [] => return false,
        }
    }
}

/// This program was built without pictures.
#[cfg(not(feature = "images"))]
pub fn decode(_bytes: &[u8], _color: Color) -> Result<Picture, String> {
    Err("it is an encoded picture; this program was built without the feature `images`".to_owned())
}

/// Encodes a picture of one or three channels as `png` or `jpg` (quality 95, as OpenCV's imencode).
///
/// # Errors
/// Another format is named; the picture has other channels, or no pixels.
#[cfg(feature = "images")]
pub fn encode(picture: &Picture, format: &str) -> Result<Vec<u8>, String> {
    use image::{ImageEncoder, codecs};
    match format {
        "png" => {
            let (pixels, [h, w], color) = interleaved(picture)?;
            let mut out = Vec::new();
            let encoder = codecs::png::PngEncoder::new(&mut out);
            let done = encoder.write_image(&pixels, w, h, color);
            done.map_err(|e| format!("the picture can't be encoded: {e}"))?;
            Ok(out)
        }
        "jpg" | "jpeg" => encode_jpeg(picture, 95),
        _ => Err(format!("`{format}` is no format that is written; png and jpg are")),
    }
}

/// Encodes a picture of one or three channels as JPEG of a quality from 1 to 100.
///
/// # Errors
/// The picture has other channels, or no pixels.
#[cfg(feature = "images")]
pub fn encode_jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, String> {
    use image::{ImageEncoder, codecs};
    let (pixels, [h, w], color) = interleaved(picture)?;
    let mut out = Vec::new();
    let encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut out, quality);
    let done = encoder.write_image(&pixels, w, h, color);
    done.map_err(|e| format!("the picture can't be encoded: {e}"))?;
    Ok(out)
}

/// The bytes pixel by pixel, red first; height and width.
#[cfg(feature = "images")]
fn interleaved(picture: &Picture) -> Result<(Vec<u8>, [u32; 2], image::ExtendedColorType), String> {
    use image::ExtendedColorType;
    let [c, h, w] = picture.shape;
    let plane = h * w;
    let (pixels, color) = match c {
        1 => (picture.data.clone(), ExtendedColorType::L8),
        3 => {
            let at = |i: usize| [2, 1, 0].map(|c| picture.data[c * plane + i]);
            ((0..plane).flat_map(at).collect(), ExtendedColorType::Rgb8)
        }
        _ => return Err(format!("a picture of {c} channels can't be encoded; 1 and 3 can")),
    };
    match (u32::try_from(h), u32::try_from(w)) {
        (Ok(h), Ok(w)) => Ok((pixels, [h, w], color)),
        _ => Err(format!("a picture of {h}x{w} can't be encoded")),
    }
}

/// This program was built without pictures.
#[cfg(not(feature = "images"))]
pub fn encode_jpeg(_picture: &Picture, _quality: u8) -> Result<Vec<u8>, String> {
    Err("this program was built without the feature `images`".to_owned())
}

/// This program was built without pictures.
#[cfg(not(feature = "images"))]
pub fn encode(_picture: &Picture, _format: &str) -> Result<Vec<u8>, String> {
    Err("this program was built without the feature `images`".to_owned())
}

/// 0.299 R + 0.587 G + 0.114 B in 14 bits, as OpenCV's cvtColor.
#[cfg(feature = "images")]
fn luma(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((4899 * r + 9617 * g + 1868 * b + (1 << 13)) >> 14) as u8
}

/// The same in 15 bits, rounded down: libpng turns colours to gray by itself.
#[cfg(feature = "images")]
fn luma_of_libpng(rgb: &[u8]) -> u8 {
    let [r, g, b] = [rgb[0], rgb[1], rgb[2]].map(u32::from);
    ((9797 * r + 19234 * g + 3737 * b) >> 15) as u8
}

/// Bits of a weight in [`resize`].
const BITS: i32 = 11;

/// Where an output row or column comes from: two neighbours and their weights, which sum to 2^11.
struct Tap {
    from: [usize; 2],
    weight: [i32; 2],
}

/// Bilinear resize as OpenCV's `INTER_LINEAR` on bytes: pixel centres, weights of 11 bits, and for
/// exactly half the size in both directions the mean of 2x2.
///
/// A picture without pixels stays one.
pub fn resize(picture: &Picture, height: usize, width: usize) -> Picture {
    let [channels, h, w] = picture.shape;
    let shape = [channels, height, width];
    if (h, w) == (height, width) {
        return picture.clone();
    }
    if h == 0 || w == 0 || height == 0 || width == 0 {
        return Picture { shape, data: vec![0; channels * height * width] };
    }
    let mut data = Vec::with_capacity(channels * height * width);
    let planes = picture.data.chunks_exact(h * w);
    if (h, w) == (2 * height, 2 * width) {
        planes.for_each(|plane| halve(plane, w, &mut data));
        return Picture { shape, data };
    }
    let columns = taps(w, width, true);
    let rows = taps(h, height, false);
    for plane in planes {
        let across = |y: usize| -> Vec<i32> {
            let row = &plane[y * w..(y + 1) * w];
            let blend = |tap: &Tap| {
                tap.weight[0] * i32::from(row[tap.from[0]])
                    + tap.weight[1] * i32::from(row[tap.from[1]])
            };
            columns.iter().map(blend).collect()
        };
        let mut kept: [Option<(usize, Vec<i32>)>; 2] = [None, None];
        for Tap { from, weight } in &rows {
            // The second row of one pair is often the first of the next.
            if kept[0].as_ref().is_none_or(|(y, _)| *y != from[0]) {
                kept.swap(0, 1);
            }
            for (slot, &y) in kept.iter_mut().zip(from) {
                if slot.as_ref().is_none_or(|(at, _)| *at != y) {
                    *slot = Some((y, across(y)));
                }
            }
            if let [Some((_, above)), Some((_, below))] = &kept {
                let half = |weight: i32, value: i32| (weight * (value >> 4)) >> 16;
                data.extend(above.iter().zip(below).map(|(&a, &b)| {
                    ((half(weight[0], a) + half(weight[1], b) + 2) >> 2).clamp(0, 255) as u8
                }));
            }
        }
    }
    Picture { shape, data }
}

/// Resize by taking pixels as they are, as OpenCV's `INTER_NEAREST`: for pictures of labels.
pub fn resize_nearest(picture: &Picture, height: usize, width: usize) -> Picture {
    let [channels, h, w] = picture.shape;
    let mut data = Vec::with_capacity(channels * height * width);
    for channel in 0..channels {
        for y in 0..height {
            let row = &picture.data[(channel * h + y * h / height.max(1)) * w..];
            data.extend((0..width).filter_map(|x| row.get(x * w / width.max(1))));
        }
    }
    // Of a picture without pixels.
    data.resize(channels * height * width, 0);
    Picture { shape: [channels, height, width], data }
}

/// `clip` gives the border pixel all the weight where a column lies beyond the centres of the first
/// and last ones; for rows OpenCV keeps the weights and takes the border twice.
fn taps(from: usize, to: usize, clip: bool) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    let last = from as i64 - 1;
    let tap = |i: usize| {
        let centre = ((i as f64 + 0.5) * scale - 0.5) as f32;
        let (mut at, mut part) = (centre.floor() as i64, centre - centre.floor());
        if clip && (at < 0 || at >= last) {
            (at, part) = (at.clamp(0, last), 0.0);
        }
        let fixed = |weight: f32| (weight * (1 << BITS) as f32).round_ties_even() as i32;
        let neighbour = |at: i64| at.clamp(0, last) as usize;
        Tap { from: [neighbour(at), neighbour(at + 1)], weight: [fixed(1.0 - part), fixed(part)] }
    };
    (0..to).map(tap).collect()
}

fn halve(plane: &[u8], width: usize, out: &mut Vec<u8>) {
    for rows in plane.chunks_exact(2 * width) {
        let (above, below) = rows.split_at(width);
        let pairs = above.chunks_exact(2).zip(below.chunks_exact(2));
        out.extend(pairs.map(|(a, b)| {
            let sum: u16 = [a[0], a[1], b[0], b[1]].map(u16::from).iter().sum();
            ((sum + 2) >> 2) as u8
        }));
    }
}
