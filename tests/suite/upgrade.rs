//! Files of the wrong kind, given to the commands that rewrite nets and solvers.

use crate::support::{cortado_in, none, stderr};

#[test]
fn solvers_and_nets_that_were_mixed_up_are_told_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let files = [
        ("net.prototxt", r#"layer { name: "r" type: "ReLU" bottom: "x" top: "y" }"#),
        ("solver.prototxt", "net: \"net.prototxt\"\nbase_lr: 0.1\nmax_iter: 3\n"),
        ("empty.prototxt", "# nothing yet\n"),
    ];
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap_or_else(|e| panic!("{e}"));
    }
    let is_solver = "error: `solver.prototxt` is a solver; its net is `net.prototxt`";
    let is_net = "it is a net, and a solver is wanted";
    let is_empty = "error: `empty.prototxt` holds no layers";
    let table = [
        ("upgrade-net", "solver.prototxt", is_solver),
        ("convert-bn", "solver.prototxt", is_solver),
        ("upgrade-solver", "net.prototxt", is_net),
        ("upgrade-net", "empty.prototxt", is_empty),
        ("convert-bn", "empty.prototxt", is_empty),
    ];
    let mut failures = Vec::new();
    for (command, file, wanted) in table {
        let output = cortado_in(folder.path(), &[command, file, "new.prototxt"]);
        let told = stderr(&output);
        let is_written = folder.path().join("new.prototxt").exists();
        let once = told.matches("error: ").count() == 1 && told.contains(wanted);
        if output.status.code() != Some(1) || !once || is_written {
            failures.push(format!("{command} {file}: {told}"));
        }
    }
    none(failures);
}
