//! Pictures: JPEG and PNG decoded to bytes, and resized as OpenCV resizes them.

#[cfg(feature = "images")]
use std::io::Cursor;

#[cfg(feature = "images")]
use image::metadata::Orientation;
#[cfg(feature = "images")]
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::bilinear::Raster;

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

/// The most values that a picture has, as it comes out of its file or in a new size: 1 GiB.
pub const MOST_VALUES: usize = 1 << 30;

/// Refuses a height and a width that no picture takes.
///
/// # Errors
/// Three channels would have more than [`MOST_VALUES`].
pub fn check_size(height: usize, width: usize) -> Result<(), String> {
    match height.checked_mul(width).is_some_and(|pixels| pixels <= MOST_VALUES / 3) {
        true => Ok(()),
        false => Err(format!("pictures of {height}x{width} are too large")),
    }
}

/// The most bytes of a picture once it is decoded, as a file of a few kilobytes may ask for: 512 MiB, such
/// as 13377 x 13377 pixels in colour.
#[cfg(feature = "images")]
const MOST_DECODED: u64 = 512 << 20;

/// Pixels of one bit, packed by deflate as closely as it can.
#[cfg(feature = "images")]
const MOST_PIXELS_PER_BYTE: u64 = 8 * 1032;

/// Decodes JPEG or PNG.
///
/// PNG and gray JPEG come out as OpenCV's imdecode gives them. Photographs as JPEG in colour come out
/// within 4 of it: libjpeg-turbo rounds and interpolates colours in another way. With the feature
/// `turbojpeg` they have its bits.
///
/// # Errors
/// The bytes are no picture, take more than 512 MiB of pixels, are damaged or cut off (also where OpenCV fills the rest with gray), or
/// hold more than 8 bits per channel (with [`Color::Native`], where the original refuses them too).
pub fn decode(bytes: &[u8], color: Color) -> Result<Picture, String> {
    Ok(decoded(bytes, color)?.planes())
}

/// The same in another size, height and width, as [`resize`] makes it.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_resized(bytes: &[u8], color: Color, size: [usize; 2]) -> Result<Picture, String> {
    let decoded = decoded(bytes, color)?;
    if size == decoded.size {
        return Ok(decoded.planes());
    }
    let Decoded { data, size: from, order } = &decoded;
    let raster = Raster { bytes: data, size: *from, step: order.len(), channels: order.to_vec() };
    Ok(raster.resized(size[0], size[1]))
}

/// A picture as its decoder leaves it: pixel by pixel.
#[cfg_attr(not(feature = "images"), allow(dead_code))]
struct Decoded {
    data: Vec<u8>,
    /// Height, width.
    size: [usize; 2],
    /// Which bytes of a pixel are the channels; it has no others.
    order: &'static [usize],
}

impl Decoded {
    fn planes(self) -> Picture {
        let Decoded { data, size: [h, w], order } = self;
        let shape = [order.len(), h, w];
        let mut planes = Vec::with_capacity(data.len());
        for &channel in order {
            match order.len() {
                1 => planes.extend_from_slice(&data),
                3 => planes.extend(channel_of::<3>(&data, channel)),
                _ => planes.extend(channel_of::<4>(&data, channel)),
            }
        }
        Picture { shape, data: planes }
    }
}

/// One channel of pixels of `N` bytes.
fn channel_of<const N: usize>(pixels: &[u8], channel: usize) -> impl Iterator<Item = u8> {
    pixels.as_chunks::<N>().0.iter().map(move |pixel| pixel[channel])
}

/// Decodes; the pixels stay together.
#[cfg(feature = "images")]
fn decoded(bytes: &[u8], color: Color) -> Result<Decoded, String> {
    let unknown = "it is no picture this program reads (JPEG, PNG)";
    let failed = |e: image::ImageError| match e {
        image::ImageError::Unsupported(_) => format!("{unknown}: {e}"),
        _ => format!("it is a damaged picture: {e}"),
    };
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|e| format!("it can't be read: {e}"))?;
    let format = reader.format();
    match format {
        None if bytes.is_empty() => return Err("it is empty".to_owned()),
        None => return Err(unknown.to_owned()),
        Some(_) => {}
    }
    let mut decoder = reader.into_decoder().map_err(failed)?;
    // imdecode turns a picture as its EXIF data asks, except when it takes the file as it is.
    let orientation = match color {
        Color::Native => Orientation::NoTransforms,
        _ => decoder.orientation().map_err(failed)?,
    };
    let (w, h) = decoder.dimensions();
    if u64::from(w) * u64::from(h) > bytes.len() as u64 * MOST_PIXELS_PER_BYTE {
        let found = bytes.len();
        return Err(format!("it is a damaged picture: {found} bytes can't hold {w} x {h} pixels"));
    }
    let own = usize::from(decoder.color_type().channel_count());
    let channels = own.max(if color == Color::Bgr { 3 } else { 1 });
    if u64::from(w) * u64::from(h) * channels as u64 > MOST_DECODED {
        let most = MOST_DECODED >> 20;
        return Err(format!(
            "its {w} x {h} pixels take more than {most} MiB, the most for a picture"
        ));
    }
    image::Limits::default().reserve(decoder.total_bytes()).map_err(failed)?;
    #[cfg(feature = "turbojpeg")]
    let jpeg = (format == Some(ImageFormat::Jpeg))
        .then(|| super::libjpeg::decode(bytes, color == Color::Gray))
        .transpose()?;
    #[cfg(not(feature = "turbojpeg"))]
    let jpeg = None;
    let mut picture = match jpeg {
        Some(picture) => picture,
        None => DynamicImage::from_decoder(decoder).map_err(failed)?,
    };
    if format == Some(ImageFormat::Jpeg) && !is_whole_jpeg(bytes) {
        return Err("it is a damaged picture: the JPEG is cut off before its end marker".to_owned());
    }
    keep_high_bytes(&mut picture);
    picture.apply_orientation(orientation);
    let size = [picture.height() as usize, picture.width() as usize];
    let (data, order): (Vec<u8>, &'static [usize]) = match (color, picture) {
        (Color::Native | Color::Gray, DynamicImage::ImageLuma8(gray)) => (gray.into_raw(), &[0]),
        (Color::Gray, picture) => {
            let luma = if format == Some(ImageFormat::Png) { luma_of_libpng } else { luma };
            (picture.into_rgb8().chunks_exact(3).map(luma).collect(), &[0])
        }
        (Color::Bgr, picture) => (picture.into_rgb8().into_raw(), &[2, 1, 0]),
        (Color::Native, DynamicImage::ImageRgb8(rgb)) => (rgb.into_raw(), &[2, 1, 0]),
        (Color::Native, DynamicImage::ImageRgba8(rgba)) => (rgba.into_raw(), &[2, 1, 0, 3]),
        (Color::Native, picture @ DynamicImage::ImageLumaA8(_)) => {
            (picture.into_rgba8().into_raw(), &[2, 1, 0, 3])
        }
        (Color::Native, _) => {
            return Err("its pixels have more than 8 bits per channel; 8 are wanted".to_owned());
        }
    };
    Ok(Decoded { data, size, order })
}

/// Of 16 bits OpenCV takes the upper 8. Both bytes alike become one without rounding.
#[cfg(feature = "images")]
fn keep_high_bytes(picture: &mut DynamicImage) {
    let keep =
        |values: &mut [u16]| values.iter_mut().for_each(|value| *value = (*value >> 8) * 257);
    match picture {
        DynamicImage::ImageLuma16(pixels) => keep(pixels),
        DynamicImage::ImageLumaA16(pixels) => keep(pixels),
        DynamicImage::ImageRgb16(pixels) => keep(pixels),
        DynamicImage::ImageRgba16(pixels) => keep(pixels),
        _ => {}
    }
}

/// This program was built without pictures.
#[cfg(not(feature = "images"))]
fn decoded(_bytes: &[u8], _color: Color) -> Result<Decoded, String> {
    Err("it is an encoded picture; this program was built without the feature `images`".to_owned())
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

/// Bilinear resize as OpenCV's `INTER_LINEAR` on bytes: pixel centres, weights of 11 bits, and for
/// exactly half the size in both directions the mean of 2x2.
///
/// A picture without pixels stays one.
pub fn resize(picture: &Picture, height: usize, width: usize) -> Picture {
    let [channels, h, w] = picture.shape;
    if [h, w] == [height, width] {
        return picture.clone();
    }
    let channels = (0..channels).map(|channel| channel * h * w).collect();
    Raster { bytes: &picture.data, size: [h, w], step: 1, channels }.resized(height, width)
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
