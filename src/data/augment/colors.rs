//! Colour spaces, on single pixels, with the ranges of OpenCV's cvtColor: bytes have hue from 0 to 179.

use super::to_byte;

/// Blue, green, red → hue (degrees), saturation and value (0 to 1). (A. R. Smith, "Color gamut
/// transform pairs", 1978.)
pub fn to_hsv([b, g, r]: [f32; 3]) -> [f32; 3] {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    let spread = max - min;
    let hue = match spread {
        0.0 => 0.0,
        _ if max == r => 60.0 * (g - b) / spread,
        _ if max == g => 120.0 + 60.0 * (b - r) / spread,
        _ => 240.0 + 60.0 * (r - g) / spread,
    };
    let saturation = if max > 0.0 { spread / max } else { 0.0 };
    [if hue < 0.0 { hue + 360.0 } else { hue }, saturation, max]
}

/// The way back.
pub fn from_hsv([hue, saturation, value]: [f32; 3]) -> [f32; 3] {
    let channel = |n: f32| {
        let k = (n + hue / 60.0).rem_euclid(6.0);
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(1.0), channel(3.0), channel(5.0)]
}

/// Three bytes as bytes: hue halved, the others to 255.
pub fn bytes_to_hsv(bgr: [u8; 3]) -> [u8; 3] {
    let [hue, saturation, value] = to_hsv(bgr.map(|value| f32::from(value) / 255.0));
    let hue = (hue / 2.0).round_ties_even();
    [
        to_byte(if hue >= 180.0 { 0.0 } else { hue }),
        to_byte(saturation * 255.0),
        to_byte(value * 255.0),
    ]
}

/// The way back.
pub fn bytes_from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let unit = |value: u8| f32::from(value) / 255.0;
    from_hsv([2.0 * f32::from(hue), unit(saturation), unit(value)]).map(|v| to_byte(v * 255.0))
}

/// Blue, green, red from 0 to 1 in sRGB → L from 0 to 100, a, b (CIE 1976, white D65).
pub fn to_lab(bgr: [f32; 3]) -> [f32; 3] {
    let linear = bgr.map(|v| match v <= 0.04045 {
        true => v / 12.92,
        false => ((v + 0.055) / 1.055).powf(2.4),
    });
    let [b, g, r] = linear;
    let x = (0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.950456;
    let y = 0.212671 * r + 0.715160 * g + 0.072169 * b;
    let z = (0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.088754;
    let root = |t: f32| match t > 0.008856 {
        true => t.cbrt(),
        false => 7.787 * t + 16.0 / 116.0,
    };
    let light = if y > 0.008856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y };
    [light, 500.0 * (root(x) - root(y)), 200.0 * (root(y) - root(z))]
}

/// The brightness of a pixel, as cvtColor weighs the colours.
pub fn gray([b, g, r]: [u8; 3]) -> u8 {
    let [b, g, r] = [b, g, r].map(u32::from);
    ((4899 * r + 9617 * g + 1868 * b + (1 << 13)) >> 14) as u8
}
