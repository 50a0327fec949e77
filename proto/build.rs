//! `caffe.proto` becomes Rust structs and a descriptor set, with no `protoc` on the machine.

use std::error::Error;
use std::path::PathBuf;

use prost::Message;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=caffe.proto");
    println!("cargo:rerun-if-changed=build.rs");
    let set = protox::compile(["caffe.proto"], ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("caffe.dialects"), dialects(&set))?;
    // Comments stay in the schema file: rustdoc would take them for documentation of the wrong item.
    let mut plain = set;
    for file in &mut plain.file {
        file.source_code_info = None;
    }
    std::fs::write(out.join("caffe.descriptors"), plain.encode_to_vec())?;
    prost_build::Config::new().enable_type_names().out_dir(&out).compile_fds(plain)?;
    Ok(())
}

/// A line `Message.field dialects` for every field whose comment behind it (`// ssd, intel (41 there)`)
/// names the forks it comes from.
fn dialects(set: &FileDescriptorSet) -> String {
    let mut lines = String::new();
    for file in &set.file {
        let comments = file.source_code_info.iter().flat_map(|info| &info.location);
        for location in comments.filter(|location| location.trailing_comments.is_some()) {
            // [4, message, (3, nested)*, 2, field]: the field numbers of the descriptor itself.
            let [4, first, path @ .., 2, field] = &location.path[..] else { continue };
            if path.chunks(2).any(|nested| nested[0] != 3) {
                continue;
            }
            let mut message = &file.message_type[*first as usize];
            let mut name = message.name().to_owned();
            for nested in path.chunks_exact(2) {
                message = &message.nested_type[nested[1] as usize];
                name = format!("{name}.{}", message.name());
            }
            let field = message.field[*field as usize].name();
            let comment = location.trailing_comments().split(['(', ':']).next().unwrap_or_default();
            lines += &format!("{name}.{field} {}\n", comment.trim());
        }
    }
    lines
}
