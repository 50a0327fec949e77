//! JPEG decoded by MozJPEG's C code (feature `turbojpeg`), which gives the bits of libjpeg-turbo and so
//! those of OpenCV.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, GrayImage, RgbImage};
use mozjpeg::{ColorSpace, Decompress};

/// No picture is decoded that takes more.
const MAX_BYTES: usize = 512 << 20;

/// Decodes a JPEG; `gray` takes its luma alone.
///
/// # Errors
/// It is damaged, or too large.
pub(super) fn decode(bytes: &[u8], gray: bool) -> Result<DynamicImage, String> {
    // What the library can't go on after unwinds through its C code, which is compiled for that.
    match catch_unwind(AssertUnwindSafe(|| pixels(bytes, gray))) {
        Ok(made) => made.map_err(|e| format!("it is a damaged picture: {e}")),
        Err(told) => {
            let told = told.downcast_ref::<String>().map_or("it can't be decoded", String::as_str);
            let why = told.strip_prefix("libjpeg fatal error: ").unwrap_or(told);
            Err(format!("it is a damaged picture: {why}"))
        }
    }
}

fn pixels(bytes: &[u8], gray: bool) -> io::Result<DynamicImage> {
    let file = Decompress::new_mem(bytes)?;
    let channels = file.components().len();
    let (width, height) = file.size();
    let size = width.checked_mul(height).and_then(|n| n.checked_mul(channels.max(3)));
    if size.is_none_or(|size| size > MAX_BYTES) {
        return Err(io::Error::other(format!("{width}x{height} pixels are too many")));
    }
    let space = match channels {
        1 => ColorSpace::JCS_GRAYSCALE,
        4 => ColorSpace::JCS_CMYK,
        _ if gray => ColorSpace::JCS_GRAYSCALE,
        _ => ColorSpace::JCS_RGB,
    };
    let mut lines = file.to_colorspace(space)?;
    let data: Vec<u8> = lines.read_scanlines()?;
    let (w, h) = (width as u32, height as u32);
    let picture = match space {
        ColorSpace::JCS_GRAYSCALE => GrayImage::from_raw(w, h, data).map(DynamicImage::from),
        ColorSpace::JCS_CMYK => RgbImage::from_raw(w, h, inks(&data)).map(DynamicImage::from),
        _ => RgbImage::from_raw(w, h, data).map(DynamicImage::from),
    };
    picture.ok_or_else(|| io::Error::other("it ends before its last line"))
}

/// Red, green and blue of cyan, magenta, yellow and black, which JPEG files hold inverted: what of the
/// black's light each colour leaves, in the arithmetic of OpenCV.
fn inks(cmyk: &[u8]) -> Vec<u8> {
    let light = |ink: u8, black: u8| black - ((u16::from(255 - ink) * u16::from(black)) >> 8) as u8;
    cmyk.chunks_exact(4).flat_map(|p| [0, 1, 2].map(|i| light(p[i], p[3]))).collect()
}
