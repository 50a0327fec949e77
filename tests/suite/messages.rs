//! What a user reads after typical mistakes, word for word. `messages.txt` holds the cases: a file, and
//! all that is told of it. `CORTADO_BLESS=1` writes what is told now into it, to be read and judged.

use std::fmt::Write;

use cortado::net::{Assumed, Net, NetOptions, default_shapes};
use cortado_layers::Phase;
use cortado_proto::{FileKind, NetDef, SolverDef, Source};

use crate::support::{ROOT, none};

/// Between a case's file and what is told of it, and in front of each case.
const TOLD: &str = "-----";
const CASE: &str = "=====";

fn told(text: &str) -> String {
    let name = "it.prototxt";
    let source = Source::new(name, text);
    if FileKind::of(&source) == FileKind::Solver {
        let mut def = match SolverDef::from_text(&source) {
            Ok(def) => def,
            Err(errors) => {
                let told: Vec<_> = errors.iter().map(|e| e.diagnostic().to_string()).collect();
                return told.join("\n");
            }
        };
        let notes: Vec<String> = def.notes.iter().map(ToString::to_string).collect();
        return match cortado::solver::examine(&mut def) {
            Ok(()) => notes.join("\n"),
            Err(cortado::Error::Proto(errors)) => errors.first().diagnostic().to_string(),
            Err(error) => error.to_string().replace("\n\n", "\n"),
        };
    }
    let (def, errors) = NetDef::examine(&source);
    let mut told: Vec<String> = errors.iter().map(|e| e.diagnostic().to_string()).collect();
    if let (Some(def), true) = (def, told.is_empty()) {
        let data = |layer: &_| default_shapes(layer, &Assumed::default());
        let outline = Net::outline(def, &NetOptions::new(Phase::Train), &data);
        told.extend(outline.notes.iter().map(ToString::to_string));
        told.extend(outline.errors.iter().map(ToString::to_string));
    }
    told.join("\n")
}

#[test]
fn typical_mistakes_are_told_word_for_word() {
    let path = format!("{ROOT}/tests/suite/messages.txt");
    let file = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (mut failures, mut blessed, mut count) = (Vec::new(), String::new(), 0);
    for case in file.split(&format!("{CASE} ")).skip(1) {
        let (title, rest) = case.split_once('\n').unwrap_or((case, ""));
        let (text, wanted) = rest.split_once(&format!("{TOLD}\n")).unwrap_or((rest, ""));
        let found = told(text);
        count += 1;
        if found.trim_end() != wanted.trim_end() {
            failures.push(format!("{title}: told\n{found}\nbut wanted\n{wanted}"));
        }
        let _ = write!(blessed, "{CASE} {title}\n{text}{TOLD}\n{}\n", found.trim_end());
    }
    assert!(count >= 80, "{count} cases");
    if std::env::var_os("CORTADO_BLESS").is_some() {
        std::fs::write(&path, blessed).unwrap_or_else(|e| panic!("{path}: {e}"));
        return;
    }
    none(failures);
}
