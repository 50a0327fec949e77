//! Text files with the verdict of Google's parser: accepted ones with the message's bytes, refused
//! ones with its complaint.

mod common;

use std::path::{Path, PathBuf};

use cortado_proto::caffe::{NetParameter, SolverParameter};
use cortado_proto::{Source, text};
use prost::{Message, Name};

/// Refused by Google's parser, taken by ours: editors write byte order marks.
const TAKEN: [&str; 1] = ["bom"];

fn files(folder: &Path, end: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if let Some(stem) = name.strip_suffix(end) {
            found.push((stem.to_string(), path));
        }
    }
    found.sort();
    found
}

fn parse<M: Message + Name + Default>(path: &Path) -> Result<Vec<u8>, String> {
    let source = Source::from_bytes(path.display().to_string(), std::fs::read(path).unwrap());
    let parsed = text::parse_strict::<M>(&source).map_err(|e| e.to_string())?;
    Ok(parsed.message.encode_to_vec())
}

fn parse_case(name: &str, path: &Path) -> Result<Vec<u8>, String> {
    if name.starts_with("solver") {
        parse::<SolverParameter>(path)
    } else {
        parse::<NetParameter>(path)
    }
}

#[test]
fn accepted_files_give_the_golden_message() {
    for folder in common::golden("text") {
        let cases = files(&folder, ".binaryproto");
        assert!(cases.len() >= 40, "{} holds {} cases", folder.display(), cases.len());
        for (name, binary) in cases {
            let got = parse_case(&name, &folder.join(format!("{name}.prototxt")))
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            let want = std::fs::read(&binary).unwrap();
            // Golden bytes hold scalars unpacked as prost writes them, in number order.
            if name == "float_special" {
                let net = NetParameter::decode(want.as_slice()).unwrap();
                let ours = NetParameter::decode(got.as_slice()).unwrap();
                let pairs = net.layer[0].loss_weight.iter().zip(&ours.layer[0].loss_weight);
                assert!(pairs.clone().all(|(a, b)| a == b || a.is_nan() && b.is_nan()));
                assert_eq!(pairs.count(), 8);
            } else {
                assert_eq!(got, want, "{name}");
            }
        }
    }
}

#[test]
fn refused_files_are_refused_with_a_place() {
    for folder in common::golden("text") {
        let cases = files(&folder, ".reject.prototxt");
        assert!(cases.len() >= 36);
        for (name, path) in cases {
            let result = parse_case(&name, &path);
            if TAKEN.contains(&name.as_str()) {
                assert!(result.is_ok(), "{name}");
                continue;
            }
            let error = result.expect_err(&name);
            println!("{name}: {error}");
            assert!(error.contains(".reject.prototxt:"), "{name} has no place: {error}");
        }
    }
}
