//! `common` layers.
