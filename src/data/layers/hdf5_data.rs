//! HDF5Data: rows of the datasets of HDF5 files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cortado_layers::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp, Shape,
};

use crate::data::{Folder, Order};
use crate::files::read_lines;
use crate::hdf5::Reader;

/// The type `HDF5Data`.
pub static KIND: LayerKind = LayerKind::new("HDF5Data", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::at_least(1))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None);

const SOURCE: &str = "hdf5_data_param.source";

static DOC: LayerDoc = LayerDoc {
    summary: "Rows of the datasets of HDF5 files, one dataset per top.",
    params: &["hdf5_data_param"],
    bottoms: &[],
    tops: &["each: batch_size x the axes after the first of the dataset of the top's name"],
    blobs: &[],
    forward: "top[n] = row (position + n) of the dataset of the top's name; then position += N",
    backward: "",
    notes: "\
`source` is a text file that names HDF5 files, one a line; relative ones are looked for from the \
working directory, then beside it. The datasets of a file have the same number of rows; those of \
different files may have different numbers. Floats, doubles and whole numbers are read, as floats. \
One file at a time is in memory. The rows come in order, file after file, and start again after the \
last; a batch may run from one file into the next. With `shuffle: true` every pass has a new order of \
the files and of the rows in each, drawn from the seed. A `transform_param` is refused, as by the \
original.",
    example: r#"layer {
  name: "rows"
  type: "HDF5Data"
  top: "data"
  top: "label"
  hdf5_data_param { source: "train.txt" batch_size: 64 shuffle: true }
}"#,
    source: "Caffe: hdf5_data_layer.cpp",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.hdf5_data_param.clone().unwrap_or_default();
    if def.transform_param.is_some() {
        let why = "HDF5Data takes its rows as they are: `transform_param` can't be given";
        return Err(LayerError::field("transform_param", why));
    }
    if param.batch_size() == 0 {
        let why = "a batch holds at least one row, found batch_size 0 or none";
        return Err(LayerError::field("hdf5_data_param.batch_size", why));
    }
    Ok(Box::new(Hdf5Data {
        source: param.source().to_owned(),
        batch: param.batch_size() as usize,
        shuffle: param.shuffle(),
        folder: Folder::of(def),
        tops: def.top.clone(),
        rows: None,
        position: 0,
        waited: Duration::ZERO,
    }))
}

struct Hdf5Data {
    source: String,
    batch: usize,
    shuffle: bool,
    folder: Folder,
    tops: Vec<String>,
    rows: Option<Rows>,
    /// Rows handed out.
    position: u64,
    /// Time passes have taken for their rows.
    waited: Duration,
}

/// The rows of all files, in the order in which they are handed out.
struct Rows {
    name: String,
    seed: u64,
    shuffle: bool,
    files: Vec<PathBuf>,
    /// Of each file.
    counts: Vec<u64>,
    /// Of each top, without the first axis.
    shapes: Vec<Shape>,
    order: Order,
    /// The file in memory: its number, its datasets, the order of its rows.
    open: Option<(usize, Vec<Vec<f32>>, Order)>,
}

impl Layer for Hdf5Data {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let failed = |why: String| LayerError::field(SOURCE, why);
        let list = self.folder.find(SOURCE, &self.source)?;
        let files = files(&list, &self.folder)?;
        let mut rows = Rows {
            name: cx.name.to_owned(),
            seed: cx.seed,
            shuffle: self.shuffle,
            counts: Vec::new(),
            shapes: Vec::new(),
            order: Order::new(1, "", 0, false, 0),
            open: None,
            files,
        };
        for (i, file) in rows.files.iter().enumerate() {
            let (count, shapes) = measure(file, &self.tops).map_err(failed)?;
            if i == 0 {
                rows.shapes = shapes;
            } else if let Some(t) = (0..shapes.len()).find(|&t| shapes[t] != rows.shapes[t]) {
                let (name, first) = (&self.tops[t], rows.files[0].display());
                return Err(failed(format!(
                    "rows of `{name}` are {} in `{}` and {} in `{first}`",
                    shapes[t],
                    file.display(),
                    rows.shapes[t]
                )));
            }
            rows.counts.push(count);
        }
        rows.start(cx.seed);
        self.rows = Some(rows);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        for (top, row) in cx.tops.iter_mut().zip(self.rows.iter().flat_map(|rows| &rows.shapes)) {
            *top = Shape::from([&[self.batch], &row[..]].concat());
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let Some(rows) = &mut self.rows else {
            return Err(LayerError::layer("the layer was not set up"));
        };
        let start = Instant::now();
        for n in 0..self.batch {
            let (row, datasets) = rows.get(self.position + n as u64, &self.tops)?;
            for (top, data) in cx.tops.iter_mut().zip(datasets) {
                let size = top.data.len() / self.batch;
                let to = &mut top.data[n * size..(n + 1) * size];
                to.copy_from_slice(&data[row * size..(row + 1) * size]);
            }
        }
        self.position += self.batch as u64;
        self.waited += start.elapsed();
        Ok(())
    }

    fn backward(&mut self, _cx: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn position(&self) -> Option<u64> {
        Some(self.position)
    }

    fn waited(&self) -> Duration {
        self.waited
    }

    fn seek(&mut self, seed: u64, position: u64) -> Result<(), LayerError> {
        self.position = position;
        if let Some(rows) = &mut self.rows {
            rows.start(seed);
        }
        Ok(())
    }
}

impl Rows {
    fn start(&mut self, seed: u64) {
        let name = format!("{}/files", self.name);
        self.order = Order::new(self.files.len() as u64, &name, seed, self.shuffle, 0);
        (self.seed, self.open) = (seed, None);
    }

    /// The row that is handed out after `position` others, and the datasets it is a row of.
    fn get(&mut self, position: u64, tops: &[String]) -> Result<(usize, &[Vec<f32>]), LayerError> {
        let total: u64 = self.counts.iter().sum();
        let (epoch, mut at) = (position / total, position % total);
        let files = self.files.len() as u64;
        let mut place = epoch * files;
        let file = loop {
            let file = self.order.record(place) as usize;
            if at < self.counts[file] {
                break file;
            }
            at -= self.counts[file];
            place += 1;
        };
        if self.open.as_ref().is_none_or(|(open, ..)| *open != file) {
            self.open = None;
            let datasets = self.load(file, tops).map_err(|why| LayerError::field(SOURCE, why))?;
            let name = format!("{}/rows/{file}", self.name);
            let order = Order::new(self.counts[file], &name, self.seed, self.shuffle, 0);
            self.open = Some((file, datasets, order));
        }
        match &mut self.open {
            Some((_, datasets, order)) => {
                Ok((order.record(epoch * self.counts[file] + at) as usize, datasets))
            }
            None => Err(LayerError::layer("no file is open")),
        }
    }

    fn load(&self, file: usize, tops: &[String]) -> Result<Vec<Vec<f32>>, String> {
        let path = &self.files[file];
        let reader = Reader::open(path)?;
        let mut datasets = Vec::new();
        for (top, row) in tops.iter().zip(&self.shapes) {
            let (shape, values) = reader.read(top)?;
            if shape.first().map(|&n| n as u64) != Some(self.counts[file]) || shape[1..] != row[..]
            {
                return Err(format!("`{}` has changed since it was first read", path.display()));
            }
            datasets.push(values);
        }
        Ok(datasets)
    }
}

/// Number of rows of a file, and the shape of a row of each top.
fn measure(file: &Path, tops: &[String]) -> Result<(u64, Vec<Shape>), String> {
    let reader = Reader::open(file)?;
    let shown = file.display();
    let (mut count, mut shapes) = (None, Vec::new());
    for top in tops {
        let shape = reader.shape(top)?;
        let Some((&rows, row)) = shape.split_first() else {
            return Err(format!("dataset `{top}` of `{shown}` is one number; rows are wanted"));
        };
        if rows == 0 {
            return Err(format!("dataset `{top}` of `{shown}` has no rows"));
        }
        let first = *count.get_or_insert(rows);
        if rows != first {
            let (one, first_top) = (&tops[0], first);
            return Err(format!(
                "`{shown}` has {first_top} rows of `{one}` and {rows} of `{top}`; as many are wanted"
            ));
        }
        shapes.push(Shape::from(row));
    }
    Ok((count.unwrap_or(0) as u64, shapes))
}

/// The files that a list names.
fn files(list: &Path, folder: &Folder) -> Result<Vec<PathBuf>, LayerError> {
    let shown = list.display();
    let failed = |why: String| LayerError::field(SOURCE, why);
    if crate::hdf5::is_hdf5(list) {
        let why =
            format!("`{shown}` is an HDF5 file itself; a text file that names some is wanted");
        return Err(failed(why));
    }
    let text = read_lines(list).map_err(|e| failed(format!("can't read `{shown}`: {e}")))?;
    let beside = Folder::new(list.parent().unwrap_or(Path::new("")));
    let find = |name: &str| {
        let found = folder.find(SOURCE, name).or_else(|_| beside.find(SOURCE, name));
        found.map_err(|e| LayerError { why: format!("`{shown}` names `{name}`: {}", e.why), ..e })
    };
    let mut files = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match find(line) {
            Ok(file) => files.push(file),
            // The original takes every word as a name.
            Err(_) if line.contains(char::is_whitespace) => {
                for name in line.split_whitespace() {
                    files.push(find(name)?);
                }
            }
            Err(error) => return Err(error),
        }
    }
    if files.is_empty() { Err(failed(format!("`{shown}` names no files"))) } else { Ok(files) }
}
