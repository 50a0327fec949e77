//! Every kind of file that is read, cut off at every length or at random ones: never a panic, never
//! less than the whole taken for it. `CORTADO_HOSTILE` tries so many lengths of each file.

use std::fs;
use std::path::Path;

use cortado::data::{Color, MeanPicture, image};
use cortado_layers::Phase;

use crate::files::{batches, folder, golden, gzip, idx_bytes, idx_layer, try_net, write};

/// Lengths tried in the ordinary test run.
const LENGTHS: usize = 60;

type Read = fn(&Path) -> Result<Vec<f32>, String>;

/// The values of some passes of a net.
fn passes(folder: &Path, text: &str) -> Result<Vec<f32>, String> {
    let mut net = try_net(folder, text, Phase::Test, 1)?;
    net.forward().map_err(|e| e.to_string())?;
    Ok(batches(&mut net, 1)
        .into_iter()
        .flat_map(|(data, labels)| [data, labels].concat())
        .collect())
}

fn picture(folder: &Path) -> Result<Vec<f32>, String> {
    let bytes = fs::read(folder.join("file")).map_err(|e| e.to_string())?;
    let picture = image::decode(&bytes, Color::Bgr)?;
    Ok(picture.data.iter().map(|&value| value.into()).collect())
}

fn mean(folder: &Path) -> Result<Vec<f32>, String> {
    MeanPicture::read(&folder.join("file")).map(|mean| mean.data)
}

fn idx(folder: &Path) -> Result<Vec<f32>, String> {
    passes(
        folder,
        &idx_layer("label_source: \"labels\" batch_size: 4", "").replace("\"images\"", "\"file\""),
    )
}

fn hdf5(folder: &Path) -> Result<Vec<f32>, String> {
    write(folder, "list", b"file");
    passes(
        folder,
        "layer { name: \"d\" type: \"HDF5Data\" top: \"data\" top: \"label\" \
         hdf5_data_param { source: \"list\" batch_size: 2 } }",
    )
}

fn windows(folder: &Path) -> Result<Vec<f32>, String> {
    passes(
        folder,
        "layer { name: \"d\" type: \"WindowData\" top: \"data\" top: \"label\" \
         window_data_param { source: \"file\" batch_size: 2 fg_fraction: 0.5 } transform_param { crop_size: 4 } }",
    )
}

fn weights(folder: &Path) -> Result<Vec<f32>, String> {
    let blobs = cortado::tools::weights::read(&folder.join("file")).map_err(|e| e.to_string())?;
    Ok(blobs.into_iter().flat_map(|blob| blob.data).collect())
}

#[test]
fn files_cut_off_anywhere_are_told_or_whole() {
    let read = |name: &str| fs::read(golden(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let png = read("data/images/im1.png");
    let decoded = image::decode(&png, Color::Bgr).unwrap_or_else(|e| panic!("{e}"));
    let jpeg = image::encode(&decoded, "jpg").unwrap_or_else(|e| panic!("{e}"));
    let images = idx_bytes(&[4, 2, 3], &[7; 24]);
    let list = "# 0\npicture.png\n3 9 11\n2\n1 0.9 1 1 5 5\n2 0.1 2 2 6 6\n";
    let model = {
        let mut folders = vec![golden("")];
        loop {
            let next = folders.pop().unwrap_or_else(|| panic!("no weights"));
            if next.is_dir() {
                folders
                    .extend(fs::read_dir(next).into_iter().flatten().flatten().map(|e| e.path()));
            } else if next.extension().is_some_and(|ending| ending == "caffemodel") {
                break fs::read(next).unwrap_or_default();
            }
        }
    };
    let cases: [(&str, Vec<u8>, Read); 8] = [
        ("PNG", png.clone(), picture),
        ("JPEG", jpeg, picture),
        ("mean", read("data/mean.binaryproto"), mean),
        ("IDX", images.clone(), idx),
        ("IDX, gzipped", gzip(&images), idx),
        ("HDF5", read("data/a.h5"), hdf5),
        // The last number of a text may lose digits unnoticed: it has one.
        ("windows", list.as_bytes().to_vec(), windows),
        ("caffemodel", model, weights),
    ];
    let tries = std::env::var("CORTADO_HOSTILE").ok().and_then(|text| text.parse().ok());
    let mut failures = Vec::new();
    for (what, whole, act) in cases {
        let folder = folder();
        write(folder.path(), "labels", &idx_bytes(&[4], &[1, 2, 3, 4]));
        write(folder.path(), "picture.png", &png);
        write(folder.path(), "file", &whole);
        let wanted = act(folder.path()).unwrap_or_else(|e| panic!("{what}: {e}"));
        let step = 1 + whole.len() / tries.unwrap_or(LENGTHS);
        let lengths =
            (0..whole.len()).step_by(step).chain(whole.len().saturating_sub(12)..whole.len());
        for length in lengths {
            write(folder.path(), "file", &whole[..length]);
            let found = std::panic::catch_unwind(|| act(folder.path()));
            match found {
                Ok(Err(why)) if !why.is_empty() => {}
                Ok(Ok(found)) if found == wanted => {}
                Ok(Err(_)) => failures.push(format!("{what} at {length}: says nothing")),
                Ok(Ok(_)) => {
                    failures.push(format!("{what} at {length} of {}: taken for whole", whole.len()))
                }
                Err(_) => failures.push(format!("{what} at {length}: panics")),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
