//! A list of pictures as a database: what the original's `convert_imageset` does, byte for byte.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use cortado_proto::caffe::Datum;
use prost::Message;
use rayon::prelude::*;

use super::{Tell, ToolError};
use crate::data::image::{self, Color, Picture};
use crate::data::list::entries;
use crate::data::{Backend, NewDb, Order};
use crate::files::{MOST_BYTES, read_file, read_lines};

/// How pictures go into the database.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// Put before every path of the list, with a slash between.
    pub root: OsString,
    /// Kind of database.
    pub backend: Backend,
    /// Pictures as one channel.
    pub gray: bool,
    /// Seed of a random order.
    pub shuffle: Option<u64>,
    /// Height and width, 0 for as they are.
    pub size: [usize; 2],
    /// All pictures must have the size of the first one.
    pub check_size: bool,
    /// As files of pictures instead of values.
    pub encoded: bool,
    /// Format of those (`png`, `jpg`); empty for that of each file.
    pub encode_type: String,
    /// Leave damaged pictures out instead of stopping at them.
    pub skip_bad: bool,
    /// Replace a database that is there.
    pub overwrite: bool,
}

impl Default for ImageSet {
    fn default() -> ImageSet {
        ImageSet {
            root: OsString::new(),
            backend: Backend::Lmdb,
            gray: false,
            shuffle: None,
            size: [0; 2],
            check_size: false,
            encoded: false,
            encode_type: String::new(),
            skip_bad: false,
            overwrite: false,
        }
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// Number of records.
    pub records: u64,
    /// What was wrong with each picture that was left out.
    pub skipped: Vec<String>,
}

/// Pictures that are read at once for each thread of the pool that this runs on: all of them are held.
const AT_ONCE: usize = 16;

/// A picture as it goes into the database: its datum, and its shape where that is known.
struct Made {
    datum: Vec<u8>,
    shape: [usize; 3],
}

/// Writes the database `to` of the pictures that `list` names: keys are `%08d_path`, numbered from 0
/// in the order of writing, pictures left out included.
///
/// # Errors
/// The list is none; a picture is damaged (unless told to skip those) or of another size; the
/// database is there already or can't be written.
pub fn convert(
    list: &Path,
    to: &Path,
    set: &ImageSet,
    tell: &mut Tell<'_>,
) -> Result<Converted, ToolError> {
    let [height, width] = set.size;
    if (height == 0) != (width == 0) {
        return Err(ToolError(format!(
            "resize_height and resize_width go together, found {height} and {width}"
        )));
    }
    image::check_size(height, width).map_err(ToolError)?;
    if !matches!(set.encode_type.as_str(), "" | "png" | "jpg" | "jpeg") {
        let found = &set.encode_type;
        return Err(ToolError(format!("encode_type is `{found}`; png, jpg and jpeg are written")));
    }
    let shown = list.display();
    let text = read_lines(list).map_err(|e| ToolError(format!("can't read `{shown}`: {e}")))?;
    let lines = entries(&text, "").map_err(|why| ToolError(format!("`{shown}` {why}")))?;
    let count = lines.len() as u64;
    let (seed, shuffle) = (set.shuffle.unwrap_or(0), set.shuffle.is_some());
    let mut order = Order::new(count, "convert_imageset", seed, shuffle, 0);
    let order: Vec<usize> = (0..count).map(|at| order.record(at) as usize).collect();
    let mut db = NewDb::create(to, set.backend, set.overwrite)?;
    let mut done = Converted { records: 0, skipped: Vec::new() };
    let mut first: Option<(String, [usize; 3])> = None;
    let at_once = AT_ONCE * rayon::current_num_threads();
    for (part, numbers) in order.chunks(at_once).enumerate() {
        let made: Vec<Result<Made, String>> = numbers
            .par_iter()
            .map(|&number| make(&lines[number].0, lines[number].1, set))
            .collect();
        for (i, (&number, made)) in numbers.iter().zip(made).enumerate() {
            let path = &lines[number].0;
            let at = part * at_once + i;
            tell(at as u64 + 1, Some(count));
            let made = match made {
                Ok(made) => made,
                Err(why) if set.skip_bad => {
                    done.skipped.push(format!("`{path}`: {why}"));
                    continue;
                }
                Err(why) => {
                    let mut whole =
                        text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
                    let line = whole.nth(number).map_or(number + 1, |(_, line)| line);
                    return Err(ToolError(format!(
                        "`{path}` (line {line} of `{shown}`): {why}; --skip-bad leaves such pictures out"
                    )));
                }
            };
            let (like, shape) = first.get_or_insert_with(|| (path.clone(), made.shape));
            if set.check_size && *shape != made.shape {
                let show = |[c, h, w]: [usize; 3]| format!("{c}x{h}x{w}");
                return Err(ToolError(format!(
                    "`{path}` is {}, the first picture, `{like}`, {}; check_size wants one size",
                    show(made.shape),
                    show(*shape)
                )));
            }
            db.put(format!("{at:08}_{path}").as_bytes(), made.datum)?;
        }
    }
    if done.skipped.len() as u64 == count {
        return Err(ToolError(format!("none of the {count} pictures of `{shown}` can be read")));
    }
    done.records = db.finish()?;
    Ok(done)
}

fn make(path: &str, label: i32, set: &ImageSet) -> Result<Made, String> {
    let color = if set.gray { Color::Gray } else { Color::Bgr };
    let file = under(&set.root, path);
    let bytes = read_file(&file, MOST_BYTES)
        .map_err(|e| format!("can't read `{}`: {e}", file.display()))?;
    let picture = match set.size {
        [0, 0] => image::decode(&bytes, color)?,
        size => image::decode_resized(&bytes, color, size)?,
    };
    let own = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let own = own.unwrap_or_default();
    let label = Some(label);
    let shape = picture.shape;
    let datum = if set.encoded || !set.encode_type.is_empty() {
        let wanted = if set.encode_type.is_empty() { &own } else { &set.encode_type };
        // A file that is what is wanted goes in as it stands.
        let data = match set.size == [0; 2] && same_format(wanted, &own) {
            true => bytes,
            false => image::encode(&picture, wanted)?,
        };
        Datum { data: Some(data), label, encoded: Some(true), ..Datum::default() }
    } else {
        let [channels, height, width] = shape.map(|length| i32::try_from(length).ok());
        let Picture { data, .. } = picture;
        let (data, encoded) = (Some(data), Some(false));
        Datum { channels, height, width, data, label, encoded, ..Datum::default() }
    };
    Ok(Made { datum: datum.encode_to_vec(), shape })
}

fn same_format(a: &str, b: &str) -> bool {
    let short = |name: &str| if name == "jpeg" { "jpg".to_owned() } else { name.to_owned() };
    short(a) == short(b)
}

/// The root as it stands, a slash where it ends without one, the path.
fn under(root: &OsStr, path: &str) -> PathBuf {
    let is_whole = root.is_empty() || root.as_encoded_bytes().ends_with(b"/");
    let mut under = root.to_owned();
    under.push(if is_whole { "" } else { "/" });
    under.push(path);
    PathBuf::from(under)
}
