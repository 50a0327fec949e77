//! `loss` layers.
