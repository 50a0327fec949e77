//! The targets as the fuzzer calls them: those that `tests/hostile` replays, each input within a second.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[path = "../../tests/hostile/targets.rs"]
mod targets;

/// Most that one input may take. It is processor time: the machine may have other work.
const LONGEST: Duration = Duration::from_secs(1);

/// Runs the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets::TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    let before = processor_time();
    target(bytes);
    let took = processor_time() - before;
    assert!(took < LONGEST, "took {took:?} of processor time");
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
