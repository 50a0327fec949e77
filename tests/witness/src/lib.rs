//! An independent codec (tests only).
