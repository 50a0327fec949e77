//! Testing: the mean of every output over `test_iter` batches; of detections, the mean average precision.

use super::precision::{AP_VERSIONS, ApVersion, Detections, ROW};
use super::step::loss_suffix;
use super::{Event, Request, Solver, Watcher, shown};
use crate::net::Net;

impl Solver {
    /// Runs every test net, and keeps the weights that `keep_best` finds best. `false` when the
    /// watcher asked to stop before.
    pub fn test_all(&mut self, watcher: &mut dyn Watcher) -> Result<bool, crate::Error> {
        for net in 0..self.test_nets.len() {
            let Some(outputs) = self.run_test(net, watcher)? else { return Ok(false) };
            self.judge(net, &outputs, watcher);
        }
        Ok(true)
    }

    /// Runs one test net. Name and mean of every element of its outputs; none where the watcher asked
    /// to stop before.
    pub fn test(
        &mut self,
        index: usize,
        watcher: &mut dyn Watcher,
    ) -> Result<Vec<(String, f64)>, crate::Error> {
        Ok(self.run_test(index, watcher)?.unwrap_or_default())
    }

    /// The same; `None` where the watcher asked to stop before.
    fn run_test(
        &mut self,
        index: usize,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<Vec<(String, f64)>>, crate::Error> {
        let iter = self.iter;
        let batches = self.param.test_iter.get(index).copied().unwrap_or(0).max(0) as u64;
        let asked = &mut false;
        let with_loss = self.param.test_compute_loss();
        watcher.event(&Event::Line(&format!("Iteration {iter}, Testing net (#{index})")));
        let mut loss = 0.0;
        let detection = self.param.eval_type() == DETECTION;
        let run = |net: &mut Net| -> Result<Option<Sums>, crate::Error> {
            let mut sums = Sums { detection, ..Sums::default() };
            for batch in 0..batches {
                match watcher.request() {
                    Request::Stop => return Ok(None),
                    Request::Snapshot => *asked = true,
                    Request::Nothing => {}
                }
                loss += net.forward()?;
                sums.add(net);
                watcher.event(&Event::Testing { net: index, done: batch + 1, of: batches });
            }
            Ok(Some(sums))
        };
        let sums = self.with_test_net(index, run).unwrap_or(Ok(None))?;
        self.asked |= *asked;
        let Some(sums) = sums else { return Ok(None) };
        if with_loss {
            let mean = loss / batches.max(1) as f64;
            watcher.event(&Event::Line(&format!("Test loss: {}", shown(mean))));
        }
        let version = AP_VERSIONS.iter().find(|(name, _)| *name == self.param.ap_version());
        let version = version.map_or(ApVersion::Integral, |(_, version)| *version);
        let of_output = |(name, told): (String, Told)| match told {
            Told::Elements(means) => means.values().map(|mean| (name.clone(), mean)).collect(),
            Told::Detections(detections) => {
                let precisions = detections.precisions(version);
                for (label, precision) in &precisions {
                    if self.param.show_per_class_result() {
                        let line = format!("class{label}: {}", shown(*precision));
                        watcher.event(&Event::Line(&line));
                    }
                }
                let sum: f64 = precisions.iter().map(|(_, precision)| precision).sum();
                vec![(name, sum / precisions.len().max(1) as f64)]
            }
        };
        let means: Vec<(String, f64)> = sums.outputs.into_iter().flat_map(of_output).collect();
        for (i, (name, mean)) in means.iter().enumerate() {
            let suffix = loss_suffix(self.test_nets[index].loss_weight(name), *mean);
            let line = format!("    Test net output #{i}: {name} = {}{suffix}", shown(*mean));
            watcher.event(&Event::Line(&line));
        }
        watcher.event(&Event::Tested { net: index, iter, outputs: &means });
        Ok(Some(means))
    }
}

/// The `eval_type` of nets that end in DetectionEvaluate.
pub(super) const DETECTION: &str = "detection";

/// The means of an output's elements over several batches. An output may change its size: each mean is
/// over the batches that had the element.
#[derive(Clone, Debug, Default)]
pub struct Means(Vec<(f64, u64)>);

impl Means {
    /// Adds a batch.
    pub fn add(&mut self, values: &[f32]) {
        self.0.resize(self.0.len().max(values.len()), (0.0, 0));
        for ((sum, batches), &value) in self.0.iter_mut().zip(values) {
            *sum += f64::from(value);
            *batches += 1;
        }
    }

    /// The mean of each element.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|&(sum, batches)| sum / batches as f64)
    }
}

/// What a test net's outputs have told so far.
#[derive(Default)]
struct Sums {
    detection: bool,
    outputs: Vec<(String, Told)>,
}

enum Told {
    /// The means of its elements.
    Elements(Means),
    /// Detections, held against true boxes.
    Detections(Detections),
}

impl Sums {
    fn add(&mut self, net: &Net) {
        let names = net.outputs();
        let blobs = names.iter().filter_map(|&name| Some((name, net.blob(name)?)));
        for (i, (name, blob)) in blobs.enumerate() {
            if i == self.outputs.len() {
                let told = match self.detection && blob.shape.last() == Some(&ROW) {
                    true => Told::Detections(Detections::default()),
                    false => Told::Elements(Means::default()),
                };
                self.outputs.push((name.to_owned(), told));
            }
            match &mut self.outputs[i].1 {
                Told::Elements(means) => means.add(blob.data),
                Told::Detections(detections) => detections.add(blob.data),
            }
        }
    }
}
