//! Head of the crate.
