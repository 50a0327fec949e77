//! The loop.

use std::time::{Duration, Instant};

use cortado_kernels::kernels;

use super::update::Update;
use super::{Event, Request, Solver, SolverError, Watcher, shown};
use crate::net::{Net, threads};

/// Fills the inputs of a net.
pub type Feed<'a> = &'a mut dyn FnMut(&mut Net) -> Result<(), crate::Error>;

/// When the log was written last.
pub(super) struct Shown {
    iter: u64,
    at: Instant,
    /// How long the net had waited for data then.
    waited: Duration,
}

impl Shown {
    pub fn now(iter: u64, waited: Duration) -> Shown {
        Shown { iter, at: Instant::now(), waited }
    }
}

impl Solver {
    /// Trains until `max_iter`, or until asked to stop. Whether it ran to the end.
    pub fn solve(&mut self, watcher: &mut dyn Watcher) -> Result<bool, crate::Error> {
        watcher.event(&Event::Line(&format!("Solving {}", self.net.name())));
        watcher.event(&Event::Line(&format!("Learning Rate Policy: {}", self.param.lr_policy())));
        let remaining = self.max_iter().saturating_sub(self.iter);
        if remaining == 0 && self.iter > 0 {
            let (at, of) = (self.iter, self.max_iter());
            let line = format!("Nothing is left to train: iteration {at}, and `max_iter` is {of}");
            watcher.event(&Event::Line(&line));
        }
        let finished = match self.step(remaining, watcher) {
            Ok(finished) => finished,
            Err(error) => {
                self.save_work(watcher);
                return Err(error);
            }
        };
        let asked = std::mem::take(&mut self.asked);
        let at_end = self.param.snapshot_after_train();
        let wanted = (at_end || asked) && self.saved != Some(self.iter);
        if wanted {
            self.rewind()?;
        }
        if let Err(error) = self.check_weights() {
            self.save_work(watcher);
            return Err(error.into());
        }
        match wanted {
            true if at_end => self.snapshot(watcher)?,
            true => self.asked_snapshot(watcher)?,
            false => {}
        }
        if !finished {
            watcher.event(&Event::Line("Optimization stopped early."));
            return Ok(false);
        }
        self.begin();
        let losses = self.losses.clone();
        let display = self.param.display().max(0) as u64;
        if display > 0 && self.iter.is_multiple_of(display) {
            let loss = self.net.forward()?;
            self.smooth(loss as f32);
            let line = format!("Iteration {}, loss = {}", self.iter, shown(self.smoothed));
            watcher.event(&Event::Line(&line));
        }
        let interval = self.param.test_interval().max(0) as u64;
        if interval > 0 && self.iter.is_multiple_of(interval) {
            self.test_all(watcher)?;
        }
        if std::mem::take(&mut self.asked) && self.saved != Some(self.iter) {
            // As one written before the last display and test, which a resumed run does again.
            let best = self.best.clone();
            self.rewind()?;
            self.losses = losses;
            self.asked_snapshot(watcher)?;
            self.best = best;
        }
        self.began = None;
        watcher.event(&Event::Line("Optimization Done."));
        Ok(true)
    }

    /// Trains so many iterations. `false` when the watcher asked to stop before.
    pub fn step(&mut self, iters: u64, watcher: &mut dyn Watcher) -> Result<bool, crate::Error> {
        self.step_fed(iters, watcher, &mut |_| Ok(()))
    }

    /// Trains so many iterations; `feed` fills the inputs of the net before each forward pass.
    pub fn step_fed(
        &mut self,
        iters: u64,
        watcher: &mut dyn Watcher,
        feed: Feed<'_>,
    ) -> Result<bool, crate::Error> {
        let stop = self.iter + iters;
        let interval = self.param.test_interval().max(0) as u64;
        let display = self.param.display().max(0) as u64;
        if !std::mem::take(&mut self.resumed) {
            self.losses.clear();
            self.smoothed = 0.0;
        }
        self.shown_at = Shown::now(self.iter, self.net.waited());
        while self.iter < stop {
            match watcher.request() {
                Request::Stop => return Ok(false),
                Request::Snapshot => self.asked_snapshot(watcher)?,
                Request::Nothing if std::mem::take(&mut self.asked) => {
                    self.asked_snapshot(watcher)?;
                }
                Request::Nothing => {}
            }
            self.begin();
            let pool = self.net.pool().clone();
            self.net.store.clear_diffs_on(&pool);
            let due = interval > 0 && self.iter.is_multiple_of(interval);
            if due && (self.iter > 0 || self.param.test_initialization()) {
                let tested = self.test_all(watcher)?;
                if !tested || self.has_no_patience_left(watcher) {
                    return Ok(false);
                }
            }
            let showing = display > 0 && self.iter.is_multiple_of(display);
            let debug = showing && self.param.debug_info();
            let Some(loss) = self.passes(debug, watcher, feed)? else {
                self.rewind()?;
                return Ok(false);
            };
            self.smooth(loss);
            if showing {
                self.show(watcher);
            }
            let pending = self.probe();
            self.update(showing, watcher)?;
            self.tell_readings(pending, watcher);
            self.iter += 1;
            self.began = None;
            let done =
                Event::Iteration { done: self.iter, of: self.max_iter(), loss: self.smoothed };
            watcher.event(&done);
            let every = self.param.snapshot().max(0) as u64;
            if every > 0 && self.iter.is_multiple_of(every) {
                self.try_snapshot(watcher)?;
            }
        }
        Ok(true)
    }

    /// The forward and backward passes of one iteration. The mean loss; none where the watcher asked to
    /// stop between two of them.
    fn passes(
        &mut self,
        debug: bool,
        watcher: &mut dyn Watcher,
        feed: Feed<'_>,
    ) -> Result<Option<f32>, crate::Error> {
        let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
        if debug {
            let sink = lines.clone();
            self.net.debug = Some(Box::new(move |line| {
                if let Ok(mut lines) = sink.lock() {
                    lines.push(line.to_owned());
                }
            }));
        }
        let size = self.param.iter_size().max(1);
        self.look_ahead();
        let result = self.sum_of_passes(size, watcher, feed);
        self.net.debug = None;
        if let Ok(lines) = lines.lock() {
            lines.iter().for_each(|line| watcher.event(&Event::Line(line)));
        }
        let Some(loss) = result? else { return Ok(None) };
        self.look(watcher);
        Ok(Some(loss / size as f32))
    }

    fn sum_of_passes(
        &mut self,
        size: i32,
        watcher: &mut dyn Watcher,
        feed: Feed<'_>,
    ) -> Result<Option<f32>, crate::Error> {
        let mut sum = 0f32;
        for pass in 0..size {
            // Before the first it has just been asked.
            let request = if pass == 0 { Request::Nothing } else { watcher.request() };
            match request {
                Request::Stop => return Ok(None),
                Request::Snapshot => self.asked = true,
                Request::Nothing => {}
            }
            feed(&mut self.net)?;
            let from = self.guards.non_finite.then(|| self.net.mark());
            let loss = self.net.forward()?;
            sum += loss as f32;
            self.net.backward()?;
            if let Some(from) = from {
                self.check_finite(loss, &from)?;
            }
        }
        Ok(Some(sum))
    }

    /// The loss averaged over `average_loss` iterations, from the start of this run on.
    fn smooth(&mut self, loss: f32) {
        let window = self.param.average_loss().max(1) as usize;
        self.losses.push_back(loss);
        if self.losses.len() > window {
            self.losses.pop_front();
        }
        let sum: f64 = self.losses.iter().map(|&loss| f64::from(loss)).sum();
        self.smoothed = sum / self.losses.len() as f64;
    }

    /// The lines of a displayed iteration.
    fn show(&mut self, watcher: &mut dyn Watcher) {
        let (rate, throughput) = self.rate_since(&self.shown_at);
        if let Some(line) = throughput {
            watcher.event(&Event::Line(&line));
        }
        watcher.event(&Event::Line(&format!(
            "Iteration {} ({rate}), loss = {}",
            self.iter,
            shown(self.smoothed)
        )));
        self.shown_at = Shown::now(self.iter, self.net.waited());
        let mut index = 0;
        for name in self.net.outputs() {
            let Some(blob) = self.net.blob(name) else { continue };
            let weight = self.net.loss_weight(name);
            for &value in blob.data {
                let loss = loss_suffix(weight, f64::from(value));
                let line = format!(
                    "    Train net output #{index}: {name} = {}{loss}",
                    shown(value.into())
                );
                watcher.event(&Event::Line(&line));
                index += 1;
            }
        }
    }

    /// `12.5 iter/s, 8s/100 iters`, word for word the original's: programs read it. What we tell beside it
    /// has a line of its own: `    1600 images/s, 0.2% waiting for data`.
    fn rate_since(&self, last: &Shown) -> (String, Option<String>) {
        let seconds = last.at.elapsed().as_secs_f64();
        let iters = (self.iter - last.iter) as f64;
        let per_second = |count: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        let display = self.param.display();
        let rate =
            format!("{} iter/s, {}s/{display} iters", shown(per_second(iters)), shown(seconds));
        let throughput = (iters > 0.0).then(|| {
            let images = self.net.batch_size() as f64 * f64::from(self.param.iter_size().max(1));
            let waited = self.net.waited().saturating_sub(last.waited).as_secs_f64();
            format!(
                "    {} images/s, {:.1}% waiting for data",
                shown(per_second(iters * images)),
                100.0 * per_second(waited)
            )
        });
        (rate, throughput)
    }

    fn update(&mut self, showing: bool, watcher: &mut dyn Watcher) -> Result<(), SolverError> {
        let rate = self.policy.rate(&self.param, self.iter, self.smoothed as f32, &mut self.pace);
        if showing {
            let line = format!("Iteration {}, lr = {}", self.iter, shown(rate.into()));
            watcher.event(&Event::Line(&line));
        }
        let update = Update {
            k: kernels(),
            param: &self.param,
            rule: self.rule,
            regularization: self.regularization,
            rate,
            iter: self.iter,
        };
        let pool = self.net.pool().clone();
        let (store, history) = (&mut self.net.store, &mut self.history);
        let clip = threads::pass(&pool, || {
            let clip = update.clip(store);
            let factor = clip.map_or(1.0, |(_, factor)| factor as f32);
            update.apply(store, history, factor);
            clip
        });
        if let Some((norm, factor)) = clip {
            let limit = f64::from(self.param.clip_gradients());
            watcher.event(&Event::Line(&format!(
                "Gradient clipping: scaling down gradients (L2 norm {} > {}) by scale factor {}",
                shown(norm),
                shown(limit),
                shown(factor)
            )));
        }
        Ok(())
    }
}

/// ` (* 1 = 2.3 loss)` behind an output that counts as loss.
pub(super) fn loss_suffix(weight: f32, value: f64) -> String {
    if weight == 0.0 {
        return String::new();
    }
    format!(" (* {} = {} loss)", shown(weight.into()), shown(f64::from(weight) * value))
}
