//! HDF5Output: writes what comes in to an HDF5 file.

use std::path::PathBuf;

use cortado_layers::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs,
    Reshape, SetUp, Shape,
};

use crate::hdf5::{self, Content};

/// The type `HDF5Output`.
pub static KIND: LayerKind = LayerKind::new("HDF5Output", build, &DOC)
    .bottoms(Arity::exactly(2))
    .tops(Arity::exactly(0))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None);

const FILE: &str = "hdf5_output_param.file_name";

static DOC: LayerDoc = LayerDoc {
    summary: "Keeps what comes in and writes it to an HDF5 file at the end.",
    params: &["hdf5_output_param"],
    bottoms: &["data: N x …", "label: N x …"],
    tops: &[],
    blobs: &[],
    forward: "rows of `data` and of `label` are added to those kept",
    backward: "",
    notes: "\
The rows of all passes stay in memory. They are written as the datasets `data` and `label` when the \
net is closed (`Net::close`: the end of `cortado train` and `cortado test`), where a failure is an \
error, or else when the net is dropped, where it is printed. A file that is there is replaced, whole \
or not at all. Blobs of fewer than four axes get axes of length 1 at the end, as in the original. The \
original writes in the first pass and stops the program in the second.",
    example: r#"layer { name: "out" type: "HDF5Output" bottom: "feature" bottom: "label"
  hdf5_output_param { file_name: "features.h5" } }"#,
    source: "Caffe: hdf5_output_layer.cpp",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.hdf5_output_param.clone().unwrap_or_default();
    if param.file_name().is_empty() {
        return Err(LayerError::field(FILE, "the file to write must be named"));
    }
    let (path, kept) = (PathBuf::from(param.file_name()), [Kept::default(), Kept::default()]);
    Ok(Box::new(Hdf5Output { path, kept, written: true }))
}

/// The rows of one bottom.
#[derive(Default)]
struct Kept {
    /// Of one row.
    shape: Shape,
    count: usize,
    rows: Vec<f32>,
}

struct Hdf5Output {
    path: PathBuf,
    kept: [Kept; 2],
    /// Whether the file holds all that was kept.
    written: bool,
}

impl Layer for Hdf5Output {
    fn setup(&mut self, _cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let shown = self.path.display();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if self.path.is_dir() {
            return Err(LayerError::field(
                FILE,
                format!("`{shown}` is a folder; a file is wanted"),
            ));
        }
        match folder {
            Some(folder) if !folder.is_dir() => {
                let why = format!(
                    "`{shown}` can't be written: there is no folder `{}`",
                    folder.display()
                );
                Err(LayerError::field(FILE, why))
            }
            _ => Ok(()),
        }
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let rows = [0, 1].map(|i| cx.bottoms[i].first().copied());
        if rows[0].is_none() || rows[0] != rows[1] {
            let why = format!(
                "data and label must have as many rows, they are {} and {}",
                cx.bottoms[0], cx.bottoms[1]
            );
            return Err(LayerError::bottom(1, why));
        }
        for (i, kept) in self.kept.iter().enumerate() {
            let row = &cx.bottoms[i][1..];
            if kept.count > 0 && kept.shape[..] != *row {
                let (was, is) = (&kept.shape, &cx.bottoms[i]);
                let why = format!("rows of {was} were kept, the bottom is {is} now");
                return Err(LayerError::bottom(i, why));
            }
        }
        Ok(())
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        for (i, kept) in self.kept.iter_mut().enumerate() {
            let bottom = cx.bottom(i);
            kept.shape = Shape::from(&bottom.shape[1..]);
            kept.count += bottom.shape[0];
            kept.rows.extend_from_slice(bottom.data);
        }
        self.written = false;
        Ok(())
    }

    fn backward(&mut self, _cx: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), LayerError> {
        if std::mem::replace(&mut self.written, true) {
            return Ok(());
        }
        let content = |i: usize, name: &str| {
            let kept = &self.kept[i];
            let mut dims = vec![kept.count];
            dims.extend(kept.shape.iter());
            dims.resize(dims.len().max(4), 1);
            (name.to_owned(), Content::Floats(Shape::from(dims), &kept.rows))
        };
        let contents = [content(0, "data"), content(1, "label")];
        hdf5::write(&self.path, &contents).map_err(|e| LayerError::field(FILE, e.to_string()))
    }
}

impl Drop for Hdf5Output {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            eprintln!("the rows of an HDF5Output layer are lost: {error}");
        }
    }
}
