//! The list of layer types: every one of the original, each with recorded values or tests of its own.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::{ROOT, none};

/// All types that the original registers.
const ORIGINAL: &str = "AbsVal Accuracy ArgMax BNLL BatchNorm BatchReindex Bias Clip Concat \
    ContrastiveLoss Convolution Crop Data Deconvolution Dropout DummyData ELU Eltwise Embed \
    EuclideanLoss Exp Filter Flatten HDF5Data HDF5Output HingeLoss Im2col ImageData InfogainLoss \
    InnerProduct Input LRN LSTM LSTMUnit Log MVN MemoryData MultinomialLogisticLoss PReLU Parameter \
    Pooling Power Python RNN ReLU Reduction Reshape SPP Scale Sigmoid SigmoidCrossEntropyLoss Silence \
    Slice Softmax SoftmaxWithLoss Split Swish TanH Threshold Tile WindowData";

#[test]
fn every_type_of_the_original_is_known() {
    let registry = cortado::registry();
    let missing = ORIGINAL.split_whitespace().filter(|name| registry.get(name).is_none());
    // Some data layers sit behind features.
    let missing: Vec<String> = missing.map(str::to_owned).collect();
    if cfg!(all(feature = "hdf5", feature = "images", feature = "lmdb")) {
        none(missing);
    }
}

/// Adds every `type: "X"` of the files with this ending, folder by folder.
fn types_in(folder: &Path, ending: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            types_in(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let quoted = text.split("type:").skip(1).filter_map(|rest| rest.split('"').nth(1));
            // Within a Rust string the quotes have backslashes.
            found.extend(quoted.map(|name| name.trim_end_matches('\\').to_owned()));
        }
    }
}

#[test]
fn every_type_has_recorded_values_or_tests() {
    let mut tested = BTreeSet::new();
    types_in(&Path::new(ROOT).join("tests/golden"), ".prototxt", &mut tested);
    types_in(&Path::new(ROOT).join("tests/data"), ".rs", &mut tested);
    types_in(&Path::new(ROOT).join("tests/suite"), ".rs", &mut tested);
    types_in(&Path::new(ROOT).join("layers/tests"), ".rs", &mut tested);
    let registry = cortado::registry();
    let untested =
        registry.kinds().map(|kind| kind.type_name).filter(|name| !tested.contains(*name));
    none(untested.map(str::to_owned).collect());
}
