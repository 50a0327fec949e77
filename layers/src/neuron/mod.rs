//! `neuron` layers.
