//! Log lines on stderr in glog's format, which the scripts around Caffe parse, and the progress bar
//! that stands below them on a terminal.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use cortado_proto::printable;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Zoned;

/// The bar that lines are printed above of.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// `I1122 19:13:44.828763   512 cortado.rs:1] text`
pub fn line(text: &str) {
    for text in text.lines() {
        let now = Zoned::now().strftime("%m%d %H:%M:%S%.6f").to_string();
        plain(&format!("I{now} {:5} cortado.rs:1] {text}", std::process::id()));
    }
}

/// A line as it is, but for what would move a terminal's cursor.
pub fn plain(text: &str) {
    let text = printable(text);
    let bar = BAR.lock().ok().and_then(|bar| bar.clone());
    // When stderr is gone there is nobody left to tell.
    let write = || drop(writeln!(std::io::stderr(), "{text}"));
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// A progress bar on stderr if that is a terminal; it goes away when dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar of `of` steps.
    pub fn new(of: u64, what: &str) -> Progress {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(8),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(of), target);
        let template = "{prefix} [{bar:32}] {pos}/{len} {per_sec} eta {eta} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        if let Ok(mut shown) = BAR.lock() {
            *shown = Some(bar.clone());
        }
        Progress(bar)
    }

    /// So many steps are done; starts the rate there when it is the first word.
    pub fn set(&self, done: u64, message: String) {
        self.0.set_position(done);
        self.0.set_message(message);
    }

    /// So many steps of so many are done.
    pub fn set_of(&self, done: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.0.set_length(of);
        }
        self.0.set_position(done);
    }

    /// The run begins after so many steps.
    pub fn start_at(&self, done: u64) {
        self.0.set_position(done);
        self.0.reset_eta();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        if let Ok(mut shown) = BAR.lock() {
            *shown = None;
        }
    }
}
