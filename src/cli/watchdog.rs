//! Says when a run stands still: a layer, mostly one that waits for data, has been at work too long.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cortado::net::Pulse;

use super::log;

/// Watches until it is dropped.
pub struct Watchdog {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Watches nets; says so when none of their layers begins for `patience`, then after twice as long,
    /// and so on. With a patience of zero it does not watch.
    pub fn start(pulses: Vec<Arc<Pulse>>, patience: Duration) -> Watchdog {
        if patience.is_zero() {
            return Watchdog { end: None, thread: None };
        }
        let (end, ended) = channel();
        let watch = move || {
            let beats = || pulses.iter().map(|pulse| pulse.beats()).sum::<u64>();
            let (mut last, mut since, mut wait) = (beats(), Instant::now(), patience);
            let look = (patience / 4).min(Duration::from_secs(1));
            while ended.recv_timeout(look) == Err(RecvTimeoutError::Timeout) {
                let now = beats();
                let layer = pulses.iter().find_map(|pulse| pulse.layer());
                let Some((name, type_name)) = layer.filter(|_| now == last) else {
                    (last, since, wait) = (now, Instant::now(), patience);
                    continue;
                };
                if since.elapsed() >= wait {
                    wait *= 2;
                    log::line(&format!(
                        "warning: layer `{name}` ({type_name}) has been at work for {} s: does its data \
                         still come? (`--stall-seconds` sets when this is said, 0 never)",
                        since.elapsed().as_secs()
                    ));
                }
            }
        };
        // Without a thread nobody watches; the run itself does not suffer.
        let thread = std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch).ok();
        Watchdog { end: Some(end), thread }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
