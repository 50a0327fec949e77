//! ImageFolder: batches of pictures that lie in a folder per class. An extension.

use std::path::{Path, PathBuf};

use cortado_layers::{Arity, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind, Needs};

use super::image_data::{SOURCE, of_pictures};
use crate::data::paths::holds;

/// The type `ImageFolder`.
pub static KIND: LayerKind = LayerKind::new("ImageFolder", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::exactly(2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic();

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of pictures from a folder that holds a folder per class (ours).",
    params: &["image_data_param", "transform_param"],
    bottoms: &[],
    tops: &["data: N x C x H x W, the pictures after `transform_param`", "label: N"],
    blobs: &[],
    forward: "top[n] = transform(picture at position + n); then position += N",
    backward: "",
    notes: "\
`source` names the folder. The folders in it are the classes: the first in the order of their names is \
class 0. What lies in them, folders within included, is taken when its name ends in .jpg, .jpeg or .png. The \
order is that of classes and names; say `shuffle: true` to train. All other fields are those of \
`ImageData`.",
    example: r#"layer {
  name: "pictures"
  type: "ImageFolder"
  top: "data"
  top: "label"
  transform_param { mirror: true crop_size: 224 mean_value: 104 mean_value: 117 mean_value: 123 }
  image_data_param { source: "pictures/train" batch_size: 32 shuffle: true new_height: 256 new_width: 256 }
}"#,
    source: "cortado",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    of_pictures(def, |param, folder| {
        let path = folder.find(SOURCE, param.source())?;
        classes(&path).map_err(|why| LayerError::field(SOURCE, why))
    })
}

/// Every picture with the number of its class.
fn classes(folder: &Path) -> Result<Vec<(String, i32)>, String> {
    if !folder.is_dir() {
        return Err(format!(
            "`{}` is a file; a folder with a folder per class is wanted",
            folder.display()
        ));
    }
    let mut found = Vec::new();
    let names = inside(folder)?.into_iter().filter(|path| path.is_dir());
    for (label, class) in names.enumerate() {
        let before = found.len();
        let label = i32::try_from(label).map_err(|_| "there are too many classes".to_owned())?;
        pictures(&class, label, &mut found)?;
        if found.len() == before {
            return Err(format!("`{}` holds no pictures (.jpg, .jpeg, .png)", class.display()));
        }
    }
    match found.is_empty() {
        true => Err(format!(
            "`{}` holds no folders, one per class; it {}",
            folder.display(),
            holds(folder)
        )),
        false => Ok(found),
    }
}

fn pictures(folder: &Path, label: i32, found: &mut Vec<(String, i32)>) -> Result<(), String> {
    for path in inside(folder)? {
        if path.is_dir() {
            // A link to a folder above has no end.
            if !path.is_symlink() {
                pictures(&path, label, found)?;
            }
            continue;
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        if matches!(ending.as_deref(), Some("jpg" | "jpeg" | "png")) {
            let name = path
                .to_str()
                .ok_or_else(|| format!("the name of `{}` is no UTF-8", path.display()))?;
            found.push((name.to_owned(), label));
        }
    }
    Ok(())
}

/// What a folder holds, in the order of names; what is hidden (`.git`, `._a.jpg`) is left out.
fn inside(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |e: std::io::Error| format!("can't read the folder `{}`: {e}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}
