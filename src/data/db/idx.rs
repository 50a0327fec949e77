//! IDX: the pair of files in which MNIST comes, images and labels, plain or gzipped.
//!
//! Images: `00 00 08 03`, then number, rows and columns as big-endian u32, then the pixels. Labels:
//! `00 00 08 01`, the number, then one byte each. (Y. LeCun, "The MNIST database".)

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use cortado_layers::LayerError;
use flate2::read::MultiGzDecoder;

use super::{Item, Payload, Pixels, Record, SOURCE, Source};

const LABELS: &str = "data_param.label_source";

/// Both files in memory.
pub struct Idx {
    rows: usize,
    columns: usize,
    /// Number x rows x columns.
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Idx {
    /// Reads both files and holds them against each other.
    pub fn open(images: &Path, labels: &Path) -> Result<Idx, LayerError> {
        let (dims, pixels) = read(images, 3).map_err(|why| LayerError::field(SOURCE, why))?;
        let (_, labels_read) = read(labels, 1).map_err(|why| LayerError::field(LABELS, why))?;
        let count = dims[0];
        if count != labels_read.len() {
            let why = format!(
                "`{}` holds {count} images, `{}` holds {} labels",
                images.display(),
                labels.display(),
                labels_read.len()
            );
            return Err(LayerError::field(LABELS, why));
        }
        if pixels.is_empty() {
            let why = format!(
                "`{}` holds no pixels: {count} images of {}x{}",
                images.display(),
                dims[1],
                dims[2]
            );
            return Err(LayerError::field(SOURCE, why));
        }
        Ok(Idx { rows: dims[1], columns: dims[2], pixels, labels: labels_read })
    }
}

impl Source for Idx {
    fn records(&self) -> u64 {
        self.labels.len() as u64
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let size = self.rows * self.columns;
        let record = |&index: &u64| {
            let at = usize::try_from(index).ok().filter(|&at| at < self.labels.len());
            let at = at.ok_or_else(|| {
                LayerError::field(SOURCE, format!("there is no image {index} in the file"))
            })?;
            let pixels = Pixels::U8(self.pixels[at * size..(at + 1) * size].to_vec());
            let shape = [1, self.rows, self.columns];
            let item = Item { shape, pixels, label: self.labels[at].into() };
            Ok(Record { index, key: Vec::new(), payload: Payload::Item(item) })
        };
        numbers.iter().map(record).collect()
    }
}

/// The file of labels that goes with a file of images: `…images-idx3…` → `…labels-idx1…`.
pub fn labels_beside(images: &Path) -> Result<PathBuf, LayerError> {
    let name =
        images.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let guess = name.replace("images", "labels").replace("idx3", "idx1");
    if guess == name {
        let why = format!("the name `{name}` does not tell the name of the labels");
        return Err(LayerError::field(SOURCE, why).help("name them by `label_source`"));
    }
    let other = match guess.strip_suffix(".gz") {
        Some(plain) => plain.to_owned(),
        None => format!("{guess}.gz"),
    };
    let found =
        [&guess, &other].map(|name| images.with_file_name(name)).into_iter().find(|p| p.exists());
    found.ok_or_else(|| {
        let folder = images.parent().unwrap_or(Path::new("."));
        let why =
            format!("the labels `{guess}` (or `{other}`) are not beside `{}`", images.display());
        LayerError::field(LABELS, why).help(format!(
            "`{}` {}",
            folder.display(),
            super::holds(folder)
        ))
    })
}

/// Whether a file starts as an IDX file of images does, gzipped or not.
pub fn looks_like_idx(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = unzipped(path).and_then(|(mut file, _)| file.read_exact(&mut magic));
    read.is_ok() && magic == [0, 0, 8, 3]
}

/// The content of a file, and its length where that is known before reading.
fn unzipped(path: &Path) -> std::io::Result<(Box<dyn Read>, Option<u64>)> {
    let mut magic = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut magic)?;
    let file = File::open(path)?;
    if magic == [0x1f, 0x8b] {
        return Ok((Box::new(MultiGzDecoder::new(BufReader::new(file))), None));
    }
    let length = file.metadata()?.len();
    Ok((Box::new(BufReader::new(file)), Some(length)))
}

/// Reads an IDX file of bytes with so many axes: their lengths, and the bytes. The header is
/// believed only as far as the file goes: nothing is reserved for what is not there.
fn read(path: &Path, axes: usize) -> Result<(Vec<usize>, Vec<u8>), String> {
    let shown = path.display();
    if path.is_dir() {
        return Err(format!("`{shown}` is a folder; a file is wanted"));
    }
    let (mut file, length) = unzipped(path).map_err(|e| format!("can't read `{shown}`: {e}"))?;
    let mut header = Vec::new();
    let header_size = 4 + 4 * axes;
    let mut take = file.by_ref().take(header_size as u64);
    let read = take.read_to_end(&mut header);
    let wanted = if axes == 1 { "labels" } else { "images" };
    if header.len() >= 4 && header[..4] != [0, 0, 8, axes as u8] {
        let magic: Vec<String> = header[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let what = match header[..4] {
            [0, 0, 8, 1] => ": they are labels".to_owned(),
            [0, 0, 8, 3] => ": they are images".to_owned(),
            _ => String::new(),
        };
        return Err(format!(
            "`{shown}` starts with {}, an IDX file of {wanted} with 00 00 08 {axes:02x}{what}",
            magic.join(" ")
        ));
    }
    read.map_err(|e| format!("`{shown}` is damaged in its header: {e}"))?;
    if header.len() < header_size {
        let why = format!("its header takes {header_size} bytes, it ends after {}", header.len());
        return Err(format!("`{shown}` is cut off: {why}"));
    }
    let dims: Vec<usize> = header[4..]
        .chunks_exact(4)
        .map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize)
        .collect();
    let shape = dims.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let size = dims
        .iter()
        .try_fold(1usize, |n, &dim| n.checked_mul(dim))
        .ok_or_else(|| format!("`{shown}` claims to hold {shape} {wanted}: too many"))?;
    let cut_off = |found: u64| {
        format!("`{shown}` is cut off: {shape} {wanted} take {size} bytes, it holds {found}")
    };
    if let Some(found) = length.map(|length| length.saturating_sub(header_size as u64))
        && found < size as u64
    {
        return Err(cut_off(found));
    }
    let mut bytes = Vec::new();
    // One byte more, to notice a file that is longer than it says.
    let result = file.take(size as u64 + 1).read_to_end(&mut bytes);
    match result {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(cut_off(bytes.len() as u64)),
        Err(e) => Err(format!("`{shown}` is damaged after {} bytes: {e}", bytes.len())),
        Ok(_) if bytes.len() < size => Err(cut_off(bytes.len() as u64)),
        Ok(_) if bytes.len() > size => {
            Err(format!("`{shown}` goes on after its {shape} {wanted} ({size} bytes)"))
        }
        Ok(_) => Ok((dims, bytes)),
    }
}
