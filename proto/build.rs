//! `caffe.proto` becomes Rust structs and a descriptor set, with no `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=caffe.proto");
    println!("cargo:rerun-if-changed=build.rs");
    let set = protox::compile(["caffe.proto"], ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // Comments stay in the schema file: rustdoc would take them for documentation of the wrong item.
    let mut plain = set;
    for file in &mut plain.file {
        file.source_code_info = None;
    }
    std::fs::write(out.join("caffe.descriptors"), plain.encode_to_vec())?;
    prost_build::Config::new().enable_type_names().out_dir(&out).compile_fds(plain)?;
    Ok(())
}
