//! Layers of nets that find objects.

mod anchors;
pub mod box_annotator_ohem;
pub(crate) mod boxes;
pub mod detection_evaluate;
pub mod detection_output;
pub mod eval_detection;
pub mod multibox_loss;
mod multibox_match;
pub mod prior_box;
pub mod proposal;
pub mod psroi_pooling;
pub mod region;
pub mod roi_align;
pub mod roi_pooling;
pub mod roi_warping;
mod rois;
mod yolo;
pub mod yolo_detection_output;
pub mod yolov3_detection_output;
