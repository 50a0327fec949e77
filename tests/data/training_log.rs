//! Logs of trainings as tables.

use cortado::tools::TrainingLog;

use crate::files::{folder, write};

/// As the original's program writes it.
const ORIGINAL: &str = "\
Log file created at: 2026/12/31 23:59:50
I1231 23:59:50.000000   512 solver.cpp:48] Initializing solver from parameters:
base_lr: 0.01
I1231 23:59:58.000000   512 solver.cpp:279] Solving LeNet
I1231 23:59:58.000001   512 solver.cpp:280] Learning Rate Policy: inv
I1231 23:59:58.500000   512 solver.cpp:337] Iteration 0, Testing net (#0)
I1231 23:59:59.000000   512 solver.cpp:404]     Test net output #0: accuracy = 0.0625
I1231 23:59:59.000000   512 solver.cpp:404]     Test net output #1: loss = 2.5 (* 1 = 2.5 loss)
I0101 00:00:00.250000   512 solver.cpp:228] Iteration 0 (-nan iter/s, 0.1s/100 iters), loss = 2.4
I0101 00:00:00.250000   512 solver.cpp:244]     Train net output #0: loss = 2.4 (* 1 = 2.4 loss)
I0101 00:00:00.250000   512 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0101 00:00:02.500000   512 solver.cpp:228] Iteration 100 (50 iter/s, 2s/100 iters), loss = 0.2
I0101 00:00:02.500000   512 solver.cpp:244]     Train net output #0: loss = 2e-05 (* 1 = 2e-05 loss)
I0101 00:00:02.500000   512 sgd_solver.cpp:106] Iteration 100, lr = 0.00992565
I0101 00:00:03.000000   512 solver.cpp:317] Iteration 200, loss = 0.1
I0101 00:00:03.000000   512 solver.cpp:337] Iteration 200, Testing net (#0)
I0101 00:00:04.000000   512 solver.cpp:404]     Test net output #0: accuracy = 0.9375
I0101 00:00:04.000000   512 solver.cpp:404]     Test net output #1: loss = nan (* 1 = nan loss)
I0101 00:00:04.000000   512 solver.cpp:322] Optimization Done.
";

#[test]
fn a_log_of_the_original_becomes_its_tables() {
    let log = TrainingLog::parse(ORIGINAL, 2027).unwrap_or_else(|e| panic!("{e}"));
    // The learning rate of a row is the one told before it; that of the first row is mended.
    assert_eq!(
        log.train.csv(','),
        "NumIters,Seconds,LearningRate,loss\r\n0.0,2.25,0.01,2.4\r\n100.0,4.5,0.01,2e-05\r\n"
    );
    assert_eq!(
        log.test.csv(','),
        "NumIters,Seconds,LearningRate,accuracy,loss\r\n\
         0.0,1.0,0.00992565,0.0625,2.5\r\n200.0,6.0,0.00992565,0.9375,nan\r\n"
    );
    assert!(log.test.csv('\t').starts_with("NumIters\tSeconds\tLearningRate\taccuracy\tloss\r\n"));
}

#[test]
fn a_log_of_this_program_becomes_the_same_tables() {
    let ours = ORIGINAL
        .replace(
            "Iteration 100 (50 iter/s, 2s/100 iters)",
            // As they were until the end of November 2026.
            "Iteration 100 (50 iter/s, 2s/100 iters, 3200 images/s, 0.1% waiting for data)",
        )
        .replace("solver.cpp:228]", "cortado.rs:1]")
        .replace("I1231", "I20261231")
        .replace("I0101", "I20270101");
    let wanted = TrainingLog::parse(ORIGINAL, 2027).unwrap_or_else(|e| panic!("{e}"));
    let found = TrainingLog::parse(&ours, 2027).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(found.train.csv(','), wanted.train.csv(','));
    assert_eq!(found.test.csv(','), wanted.test.csv(','));
}

#[test]
fn tables_stand_beside_each_other_under_the_name_of_the_log() {
    let folder = folder();
    write(folder.path(), "train.log", ORIGINAL.as_bytes());
    let path = folder.path().join("train.log");
    let written = TrainingLog::convert(&path, folder.path(), ',').unwrap_or_else(|e| panic!("{e}"));
    let names = ["train.log.train", "train.log.test"].map(|name| (folder.path().join(name), 2));
    assert_eq!(written, names);
    assert!(names.iter().all(|(path, _)| path.is_file()));
}

#[test]
fn a_file_that_is_no_log_is_told_and_logs_cut_off_anywhere_are_read() {
    let folder = folder();
    write(folder.path(), "x.log", b"I1231 23:59:58.000000 512 solver.cpp:279] Solving\n\xff\xfe");
    let path = folder.path().join("x.log");
    let error = TrainingLog::convert(&path, folder.path(), ',').expect_err("it has no rows");
    let wanted = format!(
        "`{}` holds no `Train net output` and no `Test net output`: is it the log of a training?",
        path.display()
    );
    assert_eq!(error.to_string(), wanted);
    let whole = TrainingLog::parse(ORIGINAL, 2027).unwrap_or_else(|e| panic!("{e}"));
    for length in 0..ORIGINAL.len() {
        if let Ok(log) = TrainingLog::parse(&ORIGINAL[..length], 2027) {
            assert!(log.train.rows.len() <= whole.train.rows.len());
        }
    }
}
