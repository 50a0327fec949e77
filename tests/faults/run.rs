//! A small training that has everything a state must cover: shuffled and mirrored data read ahead,
//! dropout, BatchNorm, a shown loss over several iterations, test nets, the best weights.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use cortado::solver::{Solver, SolverOptions, newest_snapshot};
use cortado_proto::SolverDef;
use tempfile::TempDir;

/// Iterations of the run, and between two snapshots.
pub const ITERS: u64 = 60;
pub const EVERY: u64 = 5;

pub const NET: &str = r#"
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.00390625 mirror: true }
  data_param { backend: IDX source: "images" label_source: "labels" batch_size: 4 shuffle: true } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.00390625 mirror: true }
  data_param { backend: IDX source: "images" label_source: "labels" batch_size: 5 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "label" top: "acc" include { phase: TEST } }
"#;

/// A folder with net, solver and data of the run.
pub fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
    write(folder.path(), ITERS, "");
    folder
}

/// The same in a folder that is there.
pub fn write(folder: &Path, iters: u64, more: &str) {
    let solver = format!(
        "net: \"net.prototxt\" type: \"AdamW\" momentum: 0.9 base_lr: 0.01 weight_decay: 0.01 \
         lr_policy: \"plateau\" gamma: 0.5 plateau_winsize: 8 plateau_winsize: 8 warmup_iter: 4 \
         max_iter: {iters} iter_size: 2 display: 3 average_loss: 5 snapshot: {EVERY} keep_last: 3 \
         keep_best: \"acc\" test_iter: 2 test_interval: 6 snapshot_prefix: \"run\" random_seed: 7 {more}\n"
    );
    let pixels: Vec<u8> =
        (0..17 * 36u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let labels: Vec<u8> = (0..17u8).map(|i| i % 3).collect();
    let idx = |dims: &[u32], content: &[u8]| {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
        [bytes, content.to_vec()].concat()
    };
    for (name, bytes) in [
        ("net.prototxt", NET.as_bytes().to_vec()),
        ("solver.prototxt", solver.into_bytes()),
        ("images", idx(&[17, 6, 6], &pixels)),
        ("labels", idx(&[17], &labels)),
    ] {
        fs::write(folder.join(name), bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

/// The command that trains, going on from the newest snapshot.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cortado"));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command.args(["train", "--solver", "solver.prototxt", "--snapshot", "auto", "--threads", "1"]);
    command
}

pub fn spawn(folder: &Path) -> Child {
    let mut command = command(folder);
    command.stderr(Stdio::null()).spawn().unwrap_or_else(|e| panic!("can't start: {e}"))
}

pub fn output(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap_or_else(|e| panic!("can't start: {e}"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, told)
}

/// Trains to the end; what was printed.
pub fn finish(folder: &Path) -> String {
    let (output, told) = output(&mut command(folder));
    assert!(output.status.success(), "{told}");
    told
}

/// Contents of the files that a run leaves.
pub type Left = Vec<Option<Vec<u8>>>;

pub fn left(folder: &Path, iters: u64) -> Left {
    let last = [format!("run_iter_{iters}.caffemodel"), format!("run_iter_{iters}.solverstate")];
    let names = last.into_iter().chain(["run_best.caffemodel".to_owned()]);
    names.map(|name| fs::read(folder.join(name)).ok()).collect()
}

/// What the unbroken run leaves.
pub fn unbroken() -> &'static Left {
    static LEFT: OnceLock<Left> = OnceLock::new();
    LEFT.get_or_init(|| {
        let folder = folder();
        finish(folder.path());
        let left = left(folder.path(), ITERS);
        assert!(left.iter().all(Option::is_some), "the unbroken run leaves all its files");
        left
    })
}

/// Holds the files that a run left against the unbroken one's.
pub fn assert_same(folder: &Path, what: &str) {
    let (found, wanted) = (left(folder, ITERS), unbroken());
    let same: Vec<bool> = found.iter().zip(wanted).map(|(a, b)| a == b).collect();
    assert!(same == [true; 3], "{what}: weights, state, best are the unbroken run's: {same:?}");
}

/// The iteration of the newest snapshot; all that can be seen are whole.
pub fn newest(folder: &Path) -> Option<u64> {
    let (newest, damaged) = newest_snapshot(&folder.join("run"));
    assert!(damaged.is_empty(), "damaged: {damaged:?}");
    newest.map(|path| iteration(&path))
}

pub fn iteration(path: &Path) -> u64 {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let number = name.strip_prefix("run_iter_").and_then(|n| n.parse().ok());
    number.unwrap_or_else(|| panic!("{} is no snapshot", path.display()))
}

/// The states among these files that stand without their weights.
pub fn without_weights(files: &[PathBuf]) -> Vec<PathBuf> {
    let is_state = |path: &&PathBuf| path.extension().is_some_and(|end| end == "solverstate");
    let lacks = |path: &&PathBuf| !files.contains(&path.with_extension("caffemodel"));
    files.iter().filter(is_state).filter(lacks).cloned().collect()
}

/// A solver of the run inside this process, with snapshots in `folder`.
pub fn solver(data: &Path, folder: &Path, iters: u64, options: &SolverOptions) -> Solver {
    let path = data.join("solver.prototxt");
    let mut def = SolverDef::read(&path).unwrap_or_else(|e| panic!("{e}"));
    let text = fs::read_to_string(data.join("net.prototxt")).unwrap_or_default();
    let text = ["images", "labels"].iter().fold(text, |text, name| {
        let whole = data.join(name).display().to_string();
        text.replace(&format!("\"{name}\""), &format!("{whole:?}"))
    });
    let net: PathBuf = data.join("whole.prototxt");
    fs::write(&net, text).unwrap_or_else(|e| panic!("{e}"));
    def.param.net = Some(net.display().to_string());
    def.param.max_iter = Some(iters as i32);
    def.param.snapshot_prefix = Some(folder.join("run").display().to_string());
    Solver::build(def, options).unwrap_or_else(|e| panic!("{e}"))
}

/// Numbers from a seed.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit.max(1)
    }
}
