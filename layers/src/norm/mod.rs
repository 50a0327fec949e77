//! `norm` layers.
