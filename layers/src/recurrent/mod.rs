//! `recurrent` layers.
