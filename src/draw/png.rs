//! The picture as PNG, at most as large as a viewer takes.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels of a side, and of a picture.
const MAX_SIDE: f32 = 16_000.0;
const MAX_AREA: f32 = 120e6;

/// Bytes of a PNG file from the text of an SVG, drawn `scale` times as large (smaller where the picture
/// would be huge), and the scale that it has.
///
/// # Errors
/// The machine has no font, or the picture makes no sense.
pub fn png(svg: &str, scale: f32) -> Result<(Vec<u8>, f32), String> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_system_fonts();
    if fonts.is_empty() {
        return Err("there is no font on this machine to write the texts with: write SVG, or \
                    install one (DejaVu Sans)"
            .to_owned());
    }
    let sans = ["DejaVu Sans", "Verdana", "Liberation Sans", "Noto Sans", "Arial"];
    let there = |name: &&&str| fonts.faces().any(|f| f.families.iter().any(|(n, _)| n == **name));
    let family = match sans.iter().find(there) {
        Some(name) => (*name).to_owned(),
        None => fonts.faces().find_map(|f| Some(f.families.first()?.0.clone())).unwrap_or_default(),
    };
    fonts.set_sans_serif_family(family);
    let tree = Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let size = tree.size();
    let fits = (MAX_SIDE / size.width().max(size.height()))
        .min((MAX_AREA / (size.width() * size.height())).sqrt());
    let scale = scale.min(fits);
    let pixels = |side: f32| ((side * scale).ceil() as u32).max(1);
    let mut image = Pixmap::new(pixels(size.width()), pixels(size.height()))
        .ok_or("the picture is too large")?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut image.as_mut());
    let bytes = image.encode_png().map_err(|e| e.to_string())?;
    Ok((bytes, scale))
}
