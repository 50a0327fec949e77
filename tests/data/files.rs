//! Nets and files for the tests of this room.

use std::io::Write;
use std::path::{Path, PathBuf};

use cortado::net::{Net, NetOptions};
use cortado_layers::Phase;
use cortado_proto::{NetDef, Source};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The golden files that ship with the project.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// An empty folder that goes when the value goes.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("the system has a folder for temporary files")
}

/// Builds the net of a text that stands as `net.prototxt` in `folder`.
pub fn try_net(folder: &Path, text: &str, phase: Phase, seed: u64) -> Result<Net, String> {
    let source = Source::new(folder.join("net.prototxt").display().to_string(), text);
    let def = NetDef::from_text(&source).map_err(|e| e.to_string())?;
    let options = NetOptions { seed, ..NetOptions::new(phase) };
    Net::build(def, &options).map_err(|e| e.to_string())
}

/// The same for a text that is right.
pub fn net(folder: &Path, text: &str, phase: Phase, seed: u64) -> Net {
    try_net(folder, text, phase, seed).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// `data` and `label` after so many forward passes.
pub fn batches(net: &mut Net, passes: usize) -> Vec<(Vec<f32>, Vec<f32>)> {
    let pass = |_| {
        net.forward().unwrap_or_else(|e| panic!("{e}"));
        let values = |name: &str| net.blob(name).map(|blob| blob.data.to_vec()).unwrap_or_default();
        (values("data"), values("label"))
    };
    (0..passes).map(pass).collect()
}

/// The bytes of an IDX file.
pub fn idx_bytes(dims: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(content);
    bytes
}

/// The same bytes, gzipped.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

/// `count` images of 2x3 in a pair of IDX files: image i holds the values i, label i % 10.
pub fn write_idx(folder: &Path, count: u8) {
    let images: Vec<u8> = (0..count).flat_map(|i| [i; 6]).collect();
    let labels: Vec<u8> = (0..count).map(|i| i % 10).collect();
    write(folder, "images", &idx_bytes(&[count.into(), 2, 3], &images));
    write(folder, "labels", &idx_bytes(&[count.into()], &labels));
}

/// Writes a file.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).expect("a temporary folder can be written");
}

/// A Data layer over the pair that [`write_idx`] writes.
pub fn idx_layer(data_param: &str, transform_param: &str) -> String {
    format!(
        "layer {{ name: \"d\" type: \"Data\" top: \"data\" top: \"label\" \
         data_param {{ source: \"images\" backend: IDX {data_param} }} \
         transform_param {{ {transform_param} }} }}"
    )
}

/// Which images a batch holds, by their first pixels.
pub fn numbers(batch: &(Vec<f32>, Vec<f32>)) -> Vec<u8> {
    batch.0.chunks_exact(6).map(|image| image[0] as u8).collect()
}
