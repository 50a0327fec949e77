//! Testing: the mean of every output over `test_iter` batches.

use super::step::loss_suffix;
use super::{Event, Request, Solver, Watcher, shown};
use crate::net::Net;

impl Solver {
    /// Runs every test net, and keeps the weights that `keep_best` finds best. `false` when the
    /// watcher asked to stop before.
    pub fn test_all(&mut self, watcher: &mut dyn Watcher) -> Result<bool, crate::Error> {
        for net in 0..self.test_nets.len() {
            let outputs = self.test(net, watcher)?;
            if outputs.is_empty() && watcher.request() == Request::Stop {
                return Ok(false);
            }
            self.judge(net, &outputs, watcher);
        }
        Ok(true)
    }

    /// Runs one test net. Name and mean of every element of its outputs.
    pub fn test(
        &mut self,
        index: usize,
        watcher: &mut dyn Watcher,
    ) -> Result<Vec<(String, f64)>, crate::Error> {
        let iter = self.iter;
        let batches = self.param.test_iter.get(index).copied().unwrap_or(0).max(0) as u64;
        let asked = &mut false;
        let with_loss = self.param.test_compute_loss();
        watcher.event(&Event::Line(&format!("Iteration {iter}, Testing net (#{index})")));
        let mut loss = 0.0;
        let run = |net: &mut Net| -> Result<Vec<(String, f64)>, crate::Error> {
            let mut means: Vec<(String, f64)> = Vec::new();
            for batch in 0..batches {
                match watcher.request() {
                    Request::Stop => return Ok(Vec::new()),
                    Request::Snapshot => *asked = true,
                    Request::Nothing => {}
                }
                loss += net.forward()?;
                accumulate(net, &mut means);
                watcher.event(&Event::Testing { net: index, done: batch + 1, of: batches });
            }
            means.iter_mut().for_each(|(_, sum)| *sum /= batches.max(1) as f64);
            Ok(means)
        };
        let means = self.with_test_net(index, run).unwrap_or(Ok(Vec::new()))?;
        self.asked |= *asked;
        if with_loss {
            let mean = loss / batches.max(1) as f64;
            watcher.event(&Event::Line(&format!("Test loss: {}", shown(mean))));
        }
        for (i, (name, mean)) in means.iter().enumerate() {
            let suffix = loss_suffix(self.test_nets[index].loss_weight(name), *mean);
            let line = format!("    Test net output #{i}: {name} = {}{suffix}", shown(*mean));
            watcher.event(&Event::Line(&line));
        }
        watcher.event(&Event::Tested { net: index, iter, outputs: &means });
        Ok(means)
    }
}

/// Adds every element of the net's outputs to the sums.
pub(crate) fn accumulate(net: &Net, sums: &mut Vec<(String, f64)>) {
    let first = sums.is_empty();
    let mut index = 0;
    for name in net.outputs() {
        let Some(blob) = net.blob(name) else { continue };
        for &value in blob.data {
            match first {
                true => sums.push((name.to_owned(), value.into())),
                false => {
                    if let Some((_, sum)) = sums.get_mut(index) {
                        *sum += f64::from(value);
                    }
                }
            }
            index += 1;
        }
    }
}
