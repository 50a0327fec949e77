//! The same `caffe.proto`, compiled by another parser into another crate's messages.

fn main() {
    println!("cargo:rerun-if-changed=../../proto/caffe.proto");
    protobuf_codegen::Codegen::new()
        .pure()
        .includes(["../../proto"])
        .input("../../proto/caffe.proto")
        // No reflection: it would triple what has to be compiled.
        .customize(protobuf_codegen::Customize::default().lite_runtime(true))
        .cargo_out_dir("witness")
        .run_from_script();
}
