//! Curves of tables: told by what is in them, and never written over what is read.

use std::path::Path;

use crate::support::{cortado_in, none, stderr};

const LOG: &str = "I1122 19:13:44.828763   512 solver.cpp:1] Iteration 0, loss = 2.3\n\
                   I1122 19:13:44.828763   512 solver.cpp:1]     Train net output #0: l = 2.3\n\
                   I1122 19:13:44.828763   512 solver.cpp:1] Iteration 10, loss = 1.3\n";

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn tables_are_told_by_their_heading_whatever_they_are_called() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    write(folder.path(), "t.log", LOG);
    let output = cortado_in(folder.path(), &["parse-log", "t.log", "."]);
    assert!(output.status.success(), "{}", stderr(&output));
    write(folder.path(), "t.txt", "iteration,loss\r\n0,2.5\r\n10,1.5\r\n");
    write(folder.path(), "heading", "NumIters,Seconds,LearningRate,loss\n");
    write(folder.path(), "empty.csv", "");
    write(folder.path(), "gpus.log", &format!("I1122 19:13:44.828763 512 c] GPUs 0, 1\n{LOG}"));
    write(folder.path(), "words", "nothing, or hardly anything\n");
    let table = [
        ("t.log.train", Some(0), "curves written"),
        ("t.txt", Some(0), "1 curves written"),
        ("gpus.log", Some(0), "2 curves written"),
        ("heading", Some(1), "`heading` is a table without values"),
        ("empty.csv", Some(1), "`empty.csv` is a table without values"),
        ("words", Some(1), "has no line of training"),
    ];
    let mut failures = Vec::new();
    for (file, code, wanted) in table {
        let output = cortado_in(folder.path(), &["plot", file, "-o", "out.svg"]);
        if output.status.code() != code || !stderr(&output).contains(wanted) {
            failures.push(format!("{file}: {}", stderr(&output)));
        }
    }
    none(failures);
}

#[test]
fn a_table_is_not_overwritten_with_its_own_curves() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let text = "iteration,loss\n0,2.5\n10,1.5\n";
    write(folder.path(), "t.csv", text);
    write(folder.path(), "t.log", LOG);
    std::os::unix::fs::symlink("t.csv", folder.path().join("link.csv"))
        .unwrap_or_else(|e| panic!("{e}"));
    let mut failures = Vec::new();
    for (from, to) in [("t.csv", "t.csv"), ("./t.csv", "link.csv"), ("link.csv", "t.csv")] {
        let output = cortado_in(folder.path(), &["plot", "t.log", from, "-o", to]);
        let kept = std::fs::read_to_string(folder.path().join("t.csv")).unwrap_or_default() == text;
        let told = stderr(&output);
        let is_refused = told.contains("it is read by this command; name another file");
        if output.status.code() != Some(1) || !is_refused || !kept {
            failures.push(format!("{from} {to}: {told}"));
        }
    }
    none(failures);
}
