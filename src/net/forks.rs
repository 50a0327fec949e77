//! Layer types of Caffe's forks that are not here: where an unknown type comes from, and what it would
//! take to run it.

/// A type of a fork.
#[derive(Clone, Copy, Debug)]
pub struct Fork {
    /// The `type` string.
    pub type_name: &'static str,
    /// The fork, or the projects whose forks have it.
    pub origin: &'static str,
    /// What a net with it would need.
    pub needs: &'static str,
}

const fn fork(type_name: &'static str, origin: &'static str, needs: &'static str) -> Fork {
    Fork { type_name, origin, needs }
}

const BODIES: &str = "OpenPose";
const FLOW: &str = "FlowNet2";
const DUCHA: &str = "ducha-aiki's fork";
const FACES: &str = "a fork for face alignment";
const INTEL: &str = "Intel's fork";
const NVIDIA: &str = "NVIDIA's fork";

/// Sorted by type.
const TYPES: &[Fork] = &[
    fork("Accum", FLOW, "a running sum over passes"),
    fork("BoxData", INTEL, "a reader of pictures with YOLO's boxes"),
    fork("CPMData", BODIES, "a reader of pictures with body joints, which draws maps of the parts"),
    fork("CTCLoss", "the OCR forks", "a loss over all alignments of a sequence with its labels"),
    fork("Correlation", FLOW, "products of two feature maps at all small displacements"),
    fork("Covariance", DUCHA, "the covariance of channels"),
    fork("DataAugmentation", FLOW, "random changes of pictures, told to later layers"),
    fork(
        "DeformableConvolution",
        "Deformable R-FCN",
        "a convolution that reads at learned offsets",
    ),
    fork(
        "DetectNetTransformation",
        NVIDIA,
        "boxes turned into a grid of coverage, with augmentation",
    ),
    fork("EuclideanLossWithIndex", DUCHA, "a distance of chosen elements"),
    fork("FlowWarp", FLOW, "a picture read at places that a flow gives"),
    fork("ImResize", BODIES, "bicubic resizing to the size of the picture"),
    fork("ImageFloatData", FACES, "a reader of pictures with lists of numbers"),
    fork("ImageLocData", DUCHA, "a reader of pictures with one place each"),
    fork("MCWINDOW_DATA", "a fork for salient objects", "a reader of windows with masks"),
    fork("MKLBatchNorm", INTEL, "`BatchNorm` in its place: the two compute the same"),
    fork("MnActivation", INTEL, "several machines"),
    fork("Nms", BODIES, "the peaks of maps"),
    fork("Noise", FACES, "random numbers added to a blob"),
    fork(
        "RegionLoss",
        INTEL,
        "YOLO's loss of boxes, whose labels each fork lays out in its own way",
    ),
    fork("TRT", NVIDIA, "TensorRT, which is closed"),
    fork("Transformer", DUCHA, "a spatial transformer"),
    fork("TripletLoss", DUCHA, "a loss of triples"),
    fork("VideoData", "SSD", "a reader of films and cameras"),
    fork("WeightEuclideanLoss", FACES, "a distance with weights per landmark"),
];

/// What is known of a layer type that is not here.
pub fn fork_of(type_name: &str) -> Option<&'static Fork> {
    let at = TYPES.binary_search_by_key(&type_name, |fork| fork.type_name);
    at.ok().map(|i| &TYPES[i])
}

#[cfg(test)]
mod tests {
    use super::{TYPES, fork_of};

    #[test]
    fn the_table_is_sorted_and_finds_its_ends() {
        assert!(TYPES.is_sorted_by_key(|fork| fork.type_name));
        assert!(fork_of("Accum").is_some() && fork_of("WeightEuclideanLoss").is_some());
        assert!(fork_of("Convolution").is_none());
    }

    #[test]
    fn no_type_of_the_table_is_here() {
        let registry = crate::registry();
        assert!(TYPES.iter().all(|fork| registry.get(fork.type_name).is_none()));
    }
}
