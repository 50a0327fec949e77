//! SIGKILL at random moments.

use std::time::{Duration, Instant};

use crate::run::{ITERS, Numbers, assert_same, finish, folder, newest, spawn, unbroken, write};

/// Kills in the ordinary test run; `CORTADO_KILLS` says otherwise.
const KILLS: u64 = 12;

#[test]
fn kills_at_random_moments_lose_nothing() {
    let number = |name: &str, else_: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(else_)
    };
    let (wanted, seed) = (number("CORTADO_KILLS", KILLS), number("CORTADO_SEED", 1));
    unbroken();
    // How long a run takes here, with the start of the program.
    let began = Instant::now();
    finish(folder().path());
    let whole = began.elapsed().as_micros() as u64;
    let mut numbers = Numbers(seed);
    // Within the time in which a run that goes on is mostly not done.
    let mut within = whole;
    let (mut kills, mut runs) = (0, 0);
    while kills < wanted {
        let folder = folder();
        let (mut reached, mut broken) = (None, 0);
        loop {
            let mut child = spawn(folder.path());
            std::thread::sleep(Duration::from_micros(numbers.below(within)));
            if let Ok(Some(status)) = child.try_wait() {
                assert!(status.success(), "{status}");
                within = (within * 3 / 4).max(1000);
                break;
            }
            within = (within * 11 / 10).min(whole);
            child.kill().unwrap_or_else(|e| panic!("{e}"));
            let status = child.wait().unwrap_or_else(|e| panic!("{e}"));
            if status.success() {
                break;
            }
            (kills, broken) = (kills + 1, broken + 1);
            let found = newest(folder.path());
            assert!(found >= reached, "snapshot {reached:?} was lost: {found:?} is the newest");
            reached = found;
            if kills >= wanted {
                finish(folder.path());
                break;
            }
        }
        assert_same(folder.path(), &format!("seed {seed}, {broken} kills"));
        runs += 1;
    }
    println!(
        "{kills} kills in {runs} runs of {ITERS} iterations (seed {seed}): none lost, all the same"
    );
}

#[test]
fn what_killed_runs_wrote_aside_is_cleared() {
    let folder = folder();
    for name in ["run_iter_5.caffemodel.99.part", "run_best.caffemodel.99.part", "other.part"] {
        std::fs::write(folder.path().join(name), b"half").unwrap_or_else(|e| panic!("{e}"));
    }
    write(folder.path(), ITERS, "");
    finish(folder.path());
    let left = std::fs::read_dir(folder.path()).into_iter().flatten().flatten();
    let left: Vec<_> = left.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    let parts: Vec<_> = left.iter().filter(|name| name.ends_with(".part")).collect();
    assert_eq!(parts, ["other.part"], "{left:?}");
    assert!(!left.contains(&"run.cortado-lock".to_owned()));
    // The last three, and the best.
    let states = left.iter().filter(|name| name.ends_with(".solverstate")).count();
    assert_eq!(states, 3, "{left:?}");
    assert_same(folder.path(), "after the leftovers");
}
