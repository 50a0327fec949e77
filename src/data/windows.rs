//! Windows of pictures: the file that lists them, and how one is cut out.

use std::fmt;
use std::path::Path;
use std::str::SplitWhitespace;
use std::sync::Arc;

use cortado_proto::caffe::WindowDataParameter;

use super::db::Lazy;
use super::image::{decode, resize};
use super::{Color, Folder, Item, MeanPicture, Picture, Pixels};
use crate::files::{read_lines, read_patiently};

/// A part of a picture, corners included.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Number of the picture.
    pub picture: usize,
    /// Class.
    pub label: i32,
    /// x1, y1, x2, y2.
    pub corners: [i64; 4],
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x1, y1, x2, y2] = self.corners;
        write!(f, "{x1} {y1} {x2} {y2}")
    }
}

/// Where the file of a picture is, or its bytes.
#[derive(Clone, Debug)]
pub struct Place {
    /// As the list has it, after the root folder.
    pub path: String,
    folder: Folder,
    cached: Option<Arc<Vec<u8>>>,
}

impl Place {
    fn bytes(&self) -> Result<Arc<Vec<u8>>, String> {
        if let Some(bytes) = &self.cached {
            return Ok(bytes.clone());
        }
        let path = self.folder.find("", &self.path).map_err(|e| e.why)?;
        let bytes = read_patiently(&path).map_err(|e| format!("can't read the file: {e}"))?;
        Ok(Arc::new(bytes))
    }
}

/// A list of windows.
#[derive(Debug)]
pub struct WindowFile {
    /// The pictures.
    pub pictures: Vec<Place>,
    /// Windows on objects.
    pub foreground: Vec<Window>,
    /// Windows on background.
    pub background: Vec<Window>,
}

impl WindowFile {
    /// Reads a list.
    ///
    /// # Errors
    /// It can't be read, or something stands where something else is wanted: says where.
    pub fn read(
        path: &Path,
        param: &WindowDataParameter,
        folder: &Folder,
    ) -> Result<WindowFile, String> {
        let shown = path.display();
        let text = read_lines(path).map_err(|e| format!("can't read `{shown}`: {e}"))?;
        let mut file =
            WindowFile { pictures: Vec::new(), foreground: Vec::new(), background: Vec::new() };
        let mut words = text.split_whitespace();
        while let Some(mark) = words.next() {
            let number = file.pictures.len();
            let read = file.picture(mark, &mut words, param, folder);
            read.map_err(|why| format!("`{shown}`, picture {number}: {why}"))?;
        }
        Ok(file)
    }

    fn picture(
        &mut self,
        mark: &str,
        words: &mut SplitWhitespace<'_>,
        param: &WindowDataParameter,
        folder: &Folder,
    ) -> Result<(), String> {
        let picture = self.pictures.len();
        if mark != "#" {
            return Err(format!("`#` is wanted, found `{mark}`"));
        }
        let index: usize = next(words, "its number")?;
        if index != picture {
            return Err(format!("it is numbered {index}: the numbers go up from 0 by one"));
        }
        let path: String = next(words, "its path")?;
        let path = format!("{}{path}", param.root_folder());
        for what in ["its channels", "its height", "its width"] {
            next::<usize>(words, what)?;
        }
        let mut place = Place { path, folder: folder.clone(), cached: None };
        if param.cache_images() {
            place.cached = Some(place.bytes()?);
        }
        self.pictures.push(place);
        for _ in 0..next::<usize>(words, "the number of its windows")? {
            let label: i32 = next(words, "a class")?;
            let overlap: f32 = next(words, "an overlap")?;
            let mut corners = [0; 4];
            for (corner, what) in corners.iter_mut().zip(["x1", "y1", "x2", "y2"]) {
                // Fractions are cut off, as in the original; no picture is as large as the bound.
                let bound = f64::from(1 << 30);
                *corner = next::<f64>(words, what)?.clamp(-bound, bound) as i64;
            }
            if overlap >= param.fg_threshold() {
                if label <= 0 {
                    return Err(format!(
                        "a window on an object is of class {label}; 1 or more is wanted"
                    ));
                }
                self.foreground.push(Window { picture, label, corners });
            } else if overlap < param.bg_threshold() {
                self.background.push(Window { picture, label: 0, corners });
            }
        }
        Ok(())
    }
}

fn next<T: std::str::FromStr>(words: &mut SplitWhitespace<'_>, what: &str) -> Result<T, String> {
    let word = words.next().ok_or_else(|| format!("the file ends where {what} is wanted"))?;
    word.parse().map_err(|_| format!("{what} is wanted, found `{word}`"))
}

/// How windows are cut out.
#[derive(Debug)]
pub struct Cut {
    /// Height and width of what comes out.
    pub crop: usize,
    /// Surroundings on each side of it.
    pub pad: usize,
    /// Whether the square around a window is taken.
    pub square: bool,
    /// Subtracted: its middle.
    pub mean: Option<MeanPicture>,
    /// Subtracted: one for all channels, one for each, or none.
    pub values: Vec<f32>,
    /// Multiplied with.
    pub scale: f32,
}

/// Along one axis: which pixels are taken, how many they become, and how many zeros stand before
/// and after them.
struct Span {
    from: usize,
    count: usize,
    size: usize,
    before: usize,
    after: usize,
}

impl Cut {
    /// The spans of rows and of columns; none if the window lies outside.
    fn spans(&self, window: &Window, [height, width]: [usize; 2]) -> Option<[Span; 2]> {
        let [x1, y1, x2, y2] = window.corners;
        if self.pad == 0 && !self.square {
            let plain = |from: i64, to: i64, length: usize| {
                let inside = 0 <= from && from <= to && to < length as i64;
                let count = (to - from + 1) as usize;
                inside.then_some(Span {
                    from: from as usize,
                    count,
                    size: self.crop,
                    before: 0,
                    after: 0,
                })
            };
            return Some([plain(y1, y2, height)?, plain(x1, x2, width)?]);
        }
        let half = |from: i64, to: i64| (to - from + 1) as f32 / 2.0;
        let halves = [half(y1, y2), half(x1, x2)];
        let largest = halves[0].max(halves[1]);
        let span = |from: i64, half: f32, length: usize| {
            let centre = from as f32 + half;
            let half = if self.square { largest } else { half };
            self.widened(centre, half, length as i64)
        };
        Some([span(y1, halves[0], height)?, span(x1, halves[1], width)?])
    }

    /// A side of a window with its surroundings, clipped to the picture; what was clipped becomes
    /// zeros in the same measure.
    fn widened(&self, centre: f32, half: f32, length: i64) -> Option<Span> {
        let wide = half * (self.crop as f32 / (self.crop - 2 * self.pad) as f32);
        let (from, to) = ((centre - wide).round() as i64, (centre + wide).round() as i64);
        let (before, after) = ((-from).max(0), (to - length + 1).max(0));
        let count = (to - after) - (from + before) + 1;
        if count <= 0 || from + before >= length {
            return None;
        }
        let scale = self.crop as f32 / (to - from + 1) as f32;
        let scaled = |pixels: i64| (pixels as f32 * scale).round() as usize;
        let (size, before_size, after) = (scaled(count), scaled(before), scaled(after));
        let (from, count) = ((from + before) as usize, count as usize);
        Some(Span { from, count, size, before: before_size, after })
    }

    /// The window as an item of 3 x crop x crop.
    fn apply(&self, picture: &Picture, window: &Window, mirror: bool) -> Result<Vec<f32>, String> {
        let [channels, height, width] = picture.shape;
        let [rows, columns] = self.spans(window, [height, width]).ok_or_else(|| {
            format!("the window {window} does not lie in the picture of {width}x{height}")
        })?;
        let mut part = Vec::with_capacity(channels * rows.count * columns.count);
        for plane in picture.data.chunks_exact(height * width) {
            for row in plane.chunks_exact(width).skip(rows.from).take(rows.count) {
                part.extend_from_slice(&row[columns.from..columns.from + columns.count]);
            }
        }
        let part = Picture { shape: [channels, rows.count, columns.count], data: part };
        let top = rows.before.min(self.crop);
        // A mirrored window has its surroundings mirrored as well.
        let left = if mirror { columns.after } else { columns.before }.min(self.crop);
        let (h, w) = (rows.size.min(self.crop - top), columns.size.min(self.crop - left));
        let part = resize(&part, h, w);
        let mut out = vec![0.0; channels * self.crop * self.crop];
        for c in 0..channels {
            for y in 0..h {
                for x in 0..w {
                    let from = if mirror { w - 1 - x } else { x };
                    let pixel = f32::from(part.data[(c * h + y) * w + from]);
                    let (to_y, to_x) = (top + y, left + x);
                    out[(c * self.crop + to_y) * self.crop + to_x] =
                        (pixel - self.mean_at(c, to_y, to_x)) * self.scale;
                }
            }
        }
        Ok(out)
    }

    fn mean_at(&self, c: usize, y: usize, x: usize) -> f32 {
        if let Some(mean) = &self.mean {
            let [_, height, width] = mean.shape;
            // The original centres both axes by the width.
            let offset = (width - self.crop) / 2;
            return mean.data[(c * height + (y + offset).min(height - 1)) * width + x + offset];
        }
        match self.values[..] {
            [] => 0.0,
            [value] => value,
            ref values => values[c],
        }
    }
}

/// A window that is cut out on the thread that prepares its batch.
#[derive(Debug)]
pub struct Windowed {
    /// Where its picture is.
    pub picture: Place,
    /// Which part.
    pub window: Window,
    /// Left and right exchanged.
    pub mirror: bool,
    /// How.
    pub cut: Arc<Cut>,
}

impl Lazy for Windowed {
    fn item(&self, _: Color) -> Result<Item, String> {
        let picture = decode(&self.picture.bytes()?, Color::Bgr)?;
        let pixels = Pixels::F32(self.cut.apply(&picture, &self.window, self.mirror)?);
        let shape = [picture.shape[0], self.cut.crop, self.cut.crop];
        Ok(Item { shape, pixels, label: self.window.label })
    }
}
