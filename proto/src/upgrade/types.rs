//! Names of layer types: V1's enum and V0's words → today's strings.

use crate::caffe::v1_layer_parameter::LayerType;

/// Today's string for a number of V1's enum; `NONE` is the empty string.
pub(crate) fn type_of_v1(number: i32) -> Option<&'static str> {
    use LayerType::*;
    Some(match LayerType::try_from(number).ok()? {
        None => "",
        Absval => "AbsVal",
        Accuracy => "Accuracy",
        Argmax => "ArgMax",
        Bnll => "BNLL",
        Concat => "Concat",
        ContrastiveLoss => "ContrastiveLoss",
        Convolution => "Convolution",
        Data => "Data",
        Deconvolution => "Deconvolution",
        Dropout => "Dropout",
        DummyData => "DummyData",
        Eltwise => "Eltwise",
        EuclideanLoss => "EuclideanLoss",
        Exp => "Exp",
        Flatten => "Flatten",
        Hdf5Data => "HDF5Data",
        Hdf5Output => "HDF5Output",
        HingeLoss => "HingeLoss",
        Im2col => "Im2col",
        ImageData => "ImageData",
        InfogainLoss => "InfogainLoss",
        InnerProduct => "InnerProduct",
        Lrn => "LRN",
        MemoryData => "MemoryData",
        MultinomialLogisticLoss => "MultinomialLogisticLoss",
        Mvn => "MVN",
        Pooling => "Pooling",
        Power => "Power",
        Relu => "ReLU",
        Sigmoid => "Sigmoid",
        SigmoidCrossEntropyLoss => "SigmoidCrossEntropyLoss",
        Silence => "Silence",
        Slice => "Slice",
        Softmax => "Softmax",
        SoftmaxLoss => "SoftmaxWithLoss",
        Split => "Split",
        Tanh => "TanH",
        Threshold => "Threshold",
        WindowData => "WindowData",
    })
}
