//! Two codecs, one schema: what one writes the other reads, and both say the same.

use std::path::{Path, PathBuf};

use cortado_proto::schema::{Count, Kind, Message, schema};
use cortado_proto::{caffe as ours, text};
use cortado_witness::caffe as theirs;
use proptest::prelude::*;

/// Both codecs read `bytes`; each reads what the other writes; nothing changes on the way.
fn agree<O: prost::Message + prost::Name + Default, T: protobuf::Message>(
    bytes: &[u8],
    what: &str,
) {
    let a = O::decode(bytes).unwrap_or_else(|e| panic!("{what}: ours: {e}"));
    let b = T::parse_from_bytes(bytes).unwrap_or_else(|e| panic!("{what}: theirs: {e}"));
    let (a_bytes, b_bytes) = (a.encode_to_vec(), b.write_to_bytes().unwrap());
    let crossed = O::decode(b_bytes.as_slice()).unwrap();
    assert_eq!(crossed.encode_to_vec(), a_bytes, "{what}");
    // As text, not a number equals itself.
    assert_eq!(text::print(&crossed), text::print(&a), "{what}");
    assert_eq!(T::parse_from_bytes(&a_bytes).unwrap().write_to_bytes().unwrap(), b_bytes, "{what}");
}

fn binaries() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared =
        std::env::var("CORTADO_SHARED").map_or(here.join("../../../shared"), PathBuf::from);
    let mut folders = vec![here.join("../golden/text")];
    if shared.is_dir() {
        folders.extend(["golden/upgrade", "golden/solver"].map(|part| shared.join(part)));
    } else {
        eprintln!("skipped: {} is not there", shared.display());
    }
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn golden_messages() {
    let mut compared = 0;
    for path in binaries() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        if name.ends_with(".solverstate") {
            agree::<ours::SolverState, theirs::SolverState>(&bytes, &name);
        } else if name.ends_with(".binaryproto") && name.starts_with("solver") {
            agree::<ours::SolverParameter, theirs::SolverParameter>(&bytes, &name);
        } else if name.ends_with(".binaryproto") || name.ends_with(".caffemodel") {
            agree::<ours::NetParameter, theirs::NetParameter>(&bytes, &name);
        } else {
            continue;
        }
        compared += 1;
    }
    assert!(compared >= 42, "{compared} files");
}

/// A stream of numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Wire bytes of a random message of this type: any field with one chance in `sparse`.
fn random(message: &Message, sparse: u64, numbers: &mut Numbers) -> Vec<u8> {
    let mut out = Vec::new();
    for f in &message.fields {
        if f.count != Count::Required && numbers.below(sparse) != 0 {
            continue;
        }
        let times = if f.count == Count::Repeated { 1 + numbers.below(3) } else { 1 };
        for _ in 0..times {
            let n = numbers.next();
            let wire = match f.kind {
                Kind::Double => 1,
                Kind::Float => 5,
                Kind::String | Kind::Bytes | Kind::Message(_) => 2,
                _ => 0,
            };
            varint(u64::from(f.number) << 3 | wire, &mut out);
            match f.kind {
                Kind::Double => out.extend(f64::from((n >> 40) as i32 - 1000).to_le_bytes()),
                Kind::Float => out.extend((((n >> 40) as f32) * 0.37 - 99.0).to_le_bytes()),
                Kind::Int32 => varint((n as i32 >> (n % 32)) as i64 as u64, &mut out),
                Kind::Int64 | Kind::Uint64 => varint(n >> (n % 64), &mut out),
                Kind::Uint32 => varint(u64::from(n as u32), &mut out),
                Kind::Bool => varint(n & 1, &mut out),
                Kind::Enum(e) => {
                    let values = &schema().enums[e].values;
                    varint(values[n as usize % values.len()].1 as i64 as u64, &mut out);
                }
                Kind::String | Kind::Bytes => {
                    let text = format!("é{:x}", n >> (n % 60));
                    varint(text.len() as u64, &mut out);
                    out.extend(text.bytes());
                }
                Kind::Message(inner) => {
                    let inner = random(&schema().messages[inner], sparse, numbers);
                    varint(inner.len() as u64, &mut out);
                    out.extend(inner);
                }
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_messages(seed in any::<u64>(), sparse in 2u64..12) {
        let mut numbers = Numbers(seed);
        let mut of = |name: &str| random(schema().message(name).unwrap(), sparse, &mut numbers);
        agree::<ours::LayerParameter, theirs::LayerParameter>(&of("LayerParameter"), "layer");
        agree::<ours::V1LayerParameter, theirs::V1LayerParameter>(&of("V1LayerParameter"), "V1");
        agree::<ours::SolverParameter, theirs::SolverParameter>(&of("SolverParameter"), "solver");
        agree::<ours::SolverState, theirs::SolverState>(&of("SolverState"), "state");
        agree::<ours::Datum, theirs::Datum>(&of("Datum"), "datum");
        agree::<ours::AnnotatedDatum, theirs::AnnotatedDatum>(&of("AnnotatedDatum"), "annotated");
    }
}
