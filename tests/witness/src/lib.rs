//! The messages of `caffe.proto` as rust-protobuf sees them. Nothing of the product uses this: its
//! tests encode and decode with both codecs and look for a difference.

#[allow(missing_docs, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/witness/mod.rs"));
}

pub use generated::caffe;
