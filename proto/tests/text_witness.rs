//! Our text parser against prost-reflect's, on every network file there is, and text printed and read
//! again.

mod common;

use std::path::Path;

use cortado_proto::caffe::{NetParameter, SolverParameter};
use cortado_proto::{ErrorKind, Source, schema, text};
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage};

fn witness<M: Message + Name + Default>(pool: &DescriptorPool, source: &str) -> Option<M> {
    let descriptor = pool.get_message_by_name(&M::full_name()).unwrap();
    let message = DynamicMessage::parse_text_format(descriptor, source).ok()?;
    Some(M::decode(message.encode_to_vec().as_slice()).unwrap())
}

/// It takes enum numbers that no value has and does not ask for required fields; Google's parser does.
fn beyond_the_witness(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnknownEnumValue { .. } | ErrorKind::MissingField { .. })
}

/// Whether the witness and ours took the file.
fn compare<M: Message + Name + Default>(pool: &DescriptorPool, path: &Path) -> (bool, bool) {
    let source = Source::from_bytes(path.display().to_string(), std::fs::read(path).unwrap());
    let ours = text::parse_strict::<M>(&source);
    let theirs: Option<M> = witness(pool, source.text());
    if let Some(theirs) = &theirs {
        let ours = match &ours {
            Ok(ours) => &ours.message,
            Err(e) if e.iter().all(|e| beyond_the_witness(&e.kind)) => return (false, false),
            Err(e) => panic!("only the witness takes {}:\n{e}", path.display()),
        };
        // As text, not a number is one value.
        assert_eq!(text::print(ours), text::print(theirs), "{}", path.display());
    }
    if let Ok(ours) = &ours {
        let printed = text::print(&ours.message);
        let again = text::parse_strict::<M>(&Source::new("printed", printed.clone())).unwrap();
        assert_eq!(text::print(&again.message), printed, "{}", path.display());
        if !printed.contains(": nan") {
            assert_eq!(again.message.encode_to_vec(), ours.message.encode_to_vec());
        }
    }
    (theirs.is_some(), ours.is_ok())
}

#[test]
fn agrees_with_an_independent_parser_on_every_file() {
    let pool = DescriptorPool::decode(schema::DESCRIPTORS).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = common::files(&here.join("../tests/golden/text"), ".prototxt");
    for part in ["golden", "corpus", "data/models"] {
        files.extend(common::shared(part).map_or(Vec::new(), |f| common::files(&f, ".prototxt")));
    }
    let (mut taken, mut only_ours) = (0, Vec::new());
    for path in &files {
        let name = path.file_name().unwrap().to_string_lossy();
        let solver = name.contains("solver") && !name.contains("net");
        let (theirs, ours) = if solver {
            compare::<SolverParameter>(&pool, path)
        } else {
            compare::<NetParameter>(&pool, path)
        };
        taken += usize::from(theirs);
        if ours && !theirs {
            only_ours.push(name.into_owned());
        }
    }
    println!("{taken} of {} files taken by both; only by ours: {only_ours:?}", files.len());
    assert!(taken >= 38, "{taken} files compared");
}
