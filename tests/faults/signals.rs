//! Every signal that a program can get, in the middle of a run.

use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::run::{assert_same, finish, folder, newest, spawn, unbroken};

/// What becomes of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It goes on to its end.
    GoesOn,
    /// It stops in order, with a snapshot, and reports success.
    Stops,
    /// It ends at once.
    Dies,
}

const SIGNALS: [(Signal, Fate); 18] = [
    (Signal::HUP, Fate::GoesOn),
    (Signal::USR1, Fate::GoesOn),
    (Signal::PIPE, Fate::GoesOn),
    (Signal::XFSZ, Fate::GoesOn),
    (Signal::CHILD, Fate::GoesOn),
    (Signal::WINCH, Fate::GoesOn),
    (Signal::URG, Fate::GoesOn),
    (Signal::INT, Fate::Stops),
    (Signal::TERM, Fate::Stops),
    (Signal::XCPU, Fate::Stops),
    (Signal::QUIT, Fate::Dies),
    (Signal::ILL, Fate::Dies),
    (Signal::ABORT, Fate::Dies),
    (Signal::FPE, Fate::Dies),
    (Signal::USR2, Fate::Dies),
    (Signal::ALARM, Fate::Dies),
    (Signal::VTALARM, Fate::Dies),
    (Signal::KILL, Fate::Dies),
];

/// A run that gets signals, all at once, in its middle.
fn struck(folder: &Path, signals: &[Signal]) -> ExitStatus {
    let mut child = spawn(folder);
    let start = Instant::now();
    // Long before the end, and after the first snapshot.
    while newest(folder).is_none() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let id = Pid::from_child(&child);
    for part in [&[Signal::STOP], signals, &[Signal::CONT]].concat() {
        // A run that has ended already is told by its status.
        let _ = kill_process(id, part);
    }
    child.wait().unwrap_or_else(|e| panic!("{e}"))
}

/// As `timeout` and job managers send them.
#[test]
fn signals_that_come_together_are_one() {
    let folder = folder();
    let status = struck(folder.path(), &[Signal::TERM, Signal::INT]);
    assert!(status.success(), "{status}");
    finish(folder.path());
    assert_same(folder.path(), "two signals");
}

#[test]
fn no_signal_loses_work() {
    unbroken();
    for (signal, fate) in SIGNALS {
        let folder = folder();
        let status = struck(folder.path(), &[signal]);
        let found = match (status.success(), newest(folder.path())) {
            (true, Some(crate::run::ITERS)) => Fate::GoesOn,
            (true, _) => Fate::Stops,
            (false, _) => Fate::Dies,
        };
        assert!(found == fate || found == Fate::GoesOn, "{signal:?}: {status}, wanted {fate:?}");
        assert!(newest(folder.path()).is_some(), "{signal:?}");
        finish(folder.path());
        assert_same(folder.path(), &format!("{signal:?}"));
    }
}
