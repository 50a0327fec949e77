//! Layer types that the forks of Caffe add: where an unknown type comes from.

/// Type → the fork, or the projects whose forks have it.
const TYPES: &[(&str, &str)] = &[
    ("APL", "ducha-aiki's fork"),
    ("Accum", "FlowNet2"),
    ("AnnotatedData", "SSD"),
    ("Axpy", "SENet"),
    ("BN", "the forks of SegNet, PSPNet and ducha-aiki, which mean different layers by it"),
    ("BoxAnnotatorOHEM", "R-FCN"),
    ("BoxData", "Intel's fork"),
    ("CPMData", "OpenPose"),
    ("CReLU", "PVANet"),
    ("ConvolutionDepthwise", "the MobileNet forks"),
    ("Correlation", "FlowNet2"),
    ("Covariance", "ducha-aiki's fork"),
    ("DataAugmentation", "FlowNet2"),
    ("DenseImageData", "SegNet"),
    ("DepthwiseConvolution", "the MobileNet forks"),
    ("DetectNetTransformation", "NVIDIA's fork"),
    ("DetectionEvaluate", "SSD"),
    ("DetectionOutput", "SSD"),
    ("EltwiseAffine", "ducha-aiki's fork"),
    ("EuclideanLossWithIndex", "ducha-aiki's fork"),
    ("EvalDetection", "Intel's fork (YOLO)"),
    ("FlowWarp", "FlowNet2"),
    ("GatedMaxAve", "ducha-aiki's fork"),
    ("HashingLoss", "HashNet"),
    ("ImResize", "OpenPose"),
    ("ImageLocData", "ducha-aiki's fork"),
    ("Interp", "DeepLab and PSPNet"),
    ("L1Loss", "NVIDIA's fork"),
    ("Local", "ducha-aiki's fork"),
    ("Lstm", "the CTPN and OCR forks"),
    ("MKLBatchNorm", "Intel's fork"),
    ("MarginInnerProduct", "SphereFace"),
    ("MaskPooling", "MNC"),
    ("MaskResize", "MNC"),
    ("Mish", "the YOLOv4 forks"),
    ("MnActivation", "Intel's fork"),
    ("MultiBoxLoss", "SSD"),
    ("Nms", "OpenPose"),
    ("Normalize", "SSD"),
    ("PSROIPooling", "R-FCN"),
    ("PairwiseLoss", "HashNet"),
    ("Permute", "SSD"),
    ("PoolingND", "the forks for volumes"),
    ("PriorBox", "SSD"),
    ("Proposal", "Faster R-CNN"),
    ("ROIAlign", "the Mask R-CNN forks"),
    ("ROIPooling", "Fast R-CNN"),
    ("ROIWarping", "MNC"),
    ("RReLU", "ducha-aiki's fork"),
    ("ReLU6", "the MobileNet forks"),
    ("Region", "the YOLO forks"),
    ("RegionLoss", "Intel's fork (YOLO)"),
    ("Reorg", "the YOLO forks"),
    ("Reverse", "the CTPN and OCR forks"),
    ("ScaleTanH", "HashNet"),
    ("ShuffleChannel", "ShuffleNet"),
    ("SmoothL1Loss", "Fast R-CNN"),
    ("SmoothL1LossOHEM", "R-FCN"),
    ("SoftmaxWithLossOHEM", "R-FCN"),
    ("SpatialDropout", "Intel's fork"),
    ("TRT", "NVIDIA's fork"),
    ("Transformer", "ducha-aiki's fork (spatial transformer networks)"),
    ("Transpose", "the CTPN and OCR forks"),
    ("TreepoolKernel1L", "ducha-aiki's fork"),
    ("TreepoolMaxAve", "ducha-aiki's fork"),
    ("TripletLoss", "ducha-aiki's fork"),
    ("Upsample", "SegNet, and the YOLO forks under the same name"),
    ("VideoData", "SSD"),
    ("YoloDetectionOutput", "the YOLO forks"),
    ("Yolov3DetectionOutput", "the YOLO forks"),
];

/// Where a layer type comes from that the original does not have.
pub fn fork_of(type_name: &str) -> Option<&'static str> {
    let at = TYPES.binary_search_by_key(&type_name, |(name, _)| name);
    at.ok().map(|i| TYPES[i].1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_sorted_and_finds_its_ends() {
        assert!(super::TYPES.is_sorted_by_key(|(name, _)| name));
        assert!(
            super::fork_of("APL").is_some() && super::fork_of("Yolov3DetectionOutput").is_some()
        );
        assert_eq!(super::fork_of("Convolution"), None);
    }
}
