//! Hostile input on stable: the corpora that fuzzing has collected, good files of every kind and what was
//! found, and damaged forms of these two, against the targets of the fuzzer.
//!
//! `CORTADO_HOSTILE=1000 cargo test --release --test hostile` tries so many damages of each file;
//! `CORTADO_HOSTILE_OF=lmdb,hdf5` names the targets.

mod targets;

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use targets::{TARGETS, Target};

/// Damages tried of each file in the ordinary test run.
const DAMAGES: u64 = 6;
/// Longest that one input may take, in a debug build; processor time, where the machine tells it.
const LONGEST: Duration = Duration::from_secs(8);
/// Files beyond this are not tried.
const LARGEST: u64 = 64 << 10;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// What fuzzing led to (`fuzz/collect.sh`), with the names it has there.
fn collected(target: &str) -> Vec<(String, Vec<u8>)> {
    let path = root().join(format!("hostile/collected/{target}.tar.gz"));
    let read = || -> std::io::Result<Vec<(String, Vec<u8>)>> {
        let mut found = Vec::new();
        for entry in tar::Archive::new(GzDecoder::new(File::open(&path)?)).entries()? {
            let (mut entry, mut bytes) = (entry?, Vec::new());
            if entry.header().entry_type().is_file() {
                entry.read_to_end(&mut bytes)?;
                found.push((entry.path()?.display().to_string(), bytes));
            }
        }
        Ok(found)
    };
    read().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The inputs that broke a target once, and good files of its kind.
fn inputs(target: &str) -> Vec<PathBuf> {
    let mut found = files(&root().join("hostile/corpus").join(target), &[""]);
    let golden = |folders: &[&str], endings: &[&str]| -> Vec<PathBuf> {
        let of = |folder: &&str| files(&root().join("golden").join(folder), endings);
        folders.iter().flat_map(of).collect()
    };
    found.extend(match target {
        "caffemodel" => golden(&["solver", "upgrade"], &[".caffemodel"]),
        "codec" => golden(&["solver", "text"], &[".caffemodel", ".solverstate", ".binaryproto"]),
        "hdf5" => golden(&["solver", "data"], &[".h5"]),
        "image" => golden(&["data/images"], &[".png", ".jpg"]),
        "lmdb" => golden(&["data"], &[".mdb"]),
        "mean" => golden(&["data"], &["mean.binaryproto"]),
        "net" => golden(&["layers", "solver"], &[".prototxt"]),
        "solverstate" => golden(&["solver"], &[".solverstate", ".solverstate.h5"]),
        "text" | "text_codec" => golden(&["text", "solver"], &[".prototxt"]),
        _ => Vec::new(),
    });
    found
}

fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending))
            && entry.metadata().is_ok_and(|about| about.len() <= LARGEST)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}

/// A damaged form of a file.
fn damaged(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            2 => drop(bytes.splice(at..at, [0xff; 9].into_iter().take(1 + numbers.below(9)))),
            3 => {
                let end = (at + numbers.below(64)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                bytes.splice(to..to, part);
            }
            4 => drop(bytes.drain(at..(at + numbers.below(16)).min(bytes.len()))),
            _ => drop(bytes.splice(at..at, numbers.below(usize::MAX).to_string().into_bytes())),
        }
    }
    bytes
}

/// Processor time of this program so far, as Linux tells it: in hundredths of a second.
fn processor_time() -> Option<Duration> {
    let about = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = about.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis(10 * ticks.sum::<Option<u64>>()?))
}

/// Runs a target on an input. What went wrong.
fn attempt(name: &str, target: Target, origin: &str, bytes: &[u8]) -> Option<String> {
    let (start, processor) = (Instant::now(), processor_time());
    let calm = catch_unwind(AssertUnwindSafe(|| target(bytes))).is_ok();
    let took = match (processor, processor_time()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed(),
    };
    if calm && took < LONGEST {
        return None;
    }
    let file = format!("cortado-{name}-{}", origin.replace(['/', ' '], "_"));
    let kept = std::env::temp_dir().join(file);
    let _ = std::fs::write(&kept, bytes);
    let what = if calm { format!("took {took:?}") } else { "panics".to_owned() };
    Some(format!("{name}: {origin} {what}; kept as {}", kept.display()))
}

/// Runs a target on all its inputs and their damages. How many, and what went wrong.
fn replay(name: &str, target: Target, damages: u64) -> (usize, Vec<String>) {
    let (mut tried, mut failures) = (0, Vec::new());
    for (origin, bytes) in collected(name) {
        tried += 1;
        failures.extend(attempt(name, target, &origin, &bytes));
    }
    for path in inputs(name) {
        let good = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let about = path.strip_prefix(root()).unwrap_or(&path).display();
        let mut numbers = Numbers(good.len() as u64);
        for round in 0..=damages {
            let bytes = if round == 0 { good.clone() } else { damaged(&good, &mut numbers) };
            tried += 1;
            failures.extend(attempt(name, target, &format!("{about} {round}"), &bytes));
        }
    }
    (tried, failures)
}

#[test]
fn no_input_breaks_a_reader() {
    // More than any limit allows: asking for it ends the test.
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let before = getrlimit(Resource::As);
        let limit = Rlimit { current: Some(12 << 30), ..before };
        setrlimit(Resource::As, limit).unwrap_or_else(|e| panic!("{e}"));
    }
    let damages = std::env::var("CORTADO_HOSTILE").ok().and_then(|text| text.parse().ok());
    let damages = damages.unwrap_or(DAMAGES);
    let only = std::env::var("CORTADO_HOSTILE_OF").ok();
    let wanted = |name: &str| only.as_ref().is_none_or(|list| list.split(',').any(|of| of == name));
    let mut failures = Vec::new();
    assert!(TARGETS.iter().any(|(name, _)| wanted(name)), "there is no target {only:?}");
    for (name, target) in TARGETS.into_iter().filter(|(name, _)| wanted(name)) {
        let (tried, failed) = replay(name, target, damages);
        println!("{name}: {tried} inputs");
        assert!(tried > damages as usize, "there are no inputs for {name}");
        failures.extend(failed);
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}
