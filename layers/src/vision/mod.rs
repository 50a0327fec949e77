//! `vision` layers.
