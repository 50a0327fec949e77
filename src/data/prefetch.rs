//! Batches prepared ahead, on threads of their own.
//!
//! One thread reads records; several decode and transform, a batch each; the batches come out in
//! order. A [`Feed`] that is dropped ends its threads. What goes wrong on a thread comes out in place
//! of the batch, and again each time a batch is asked for.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use cortado_layers::{LayerError, Phase, RngKey};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::annotated::{self, Map};
use super::labels::Labels;
use super::order::Order;
use super::{Item, Record, Source, Transform};
use crate::files::PAUSES;
use crate::machine;

/// What a layer hands out at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Channels, height, width of every item.
    pub shape: [usize; 3],
    /// Items x C x H x W.
    pub data: Vec<f32>,
    /// What [`Labels`] says.
    pub labels: Vec<f32>,
}

/// How records become a batch.
#[derive(Clone)]
pub struct Recipe {
    /// Name of the layer: random numbers depend on it.
    pub name: String,
    /// Name of the layer's message, such as `data_param`: for errors.
    pub param: &'static str,
    /// Seed of the net.
    pub seed: u64,
    /// Phase of the net.
    pub phase: Phase,
    /// What happens to each item.
    pub transform: Transform,
    /// What the labels are.
    pub labels: Labels,
}

impl Recipe {
    /// Makes a batch of the records that are handed out after `position` others, in the memory of
    /// a batch that is not needed any more. The first item gives the shape.
    ///
    /// # Errors
    /// A record is damaged or does not fit: names it.
    pub fn make(
        &self,
        position: u64,
        records: Vec<Record>,
        old: Batch,
    ) -> Result<Batch, LayerError> {
        let Batch { mut data, mut labels, .. } = old;
        let count = records.len();
        labels.clear();
        let (mut shape, mut first, mut all) = ([0; 3], String::new(), Vec::new());
        for (i, record) in records.into_iter().enumerate() {
            let name = record.to_string();
            let source = || format!("{}.source", self.param);
            let color = self.transform.color();
            let about = |e: LayerError| LayerError { why: format!("{name}: {}", e.why), ..e };
            let damaged = |why| LayerError::field(source(), why);
            let key = RngKey { seed: self.seed, pass: position.wrapping_add(i as u64), replica: 0 };
            let mut rng = key.stream(&format!("{}/item", self.name));
            let (item, objects) = match &self.labels {
                Labels::Classes => {
                    let item = record.decode(color).map_err(damaged)?;
                    (self.transform.augmented(item, &mut rng).map_err(about)?, Vec::new())
                }
                Labels::Boxes(boxes) => {
                    let (item, objects) = boxes.decode(record, color).map_err(damaged)?;
                    let augmented = self.transform.augmented_with(boxes, item, objects, &mut rng);
                    augmented.map_err(about)?
                }
                Labels::Maps(maps) => {
                    let item = maps.item(record, color, self.phase, &mut rng, &mut labels);
                    (item.map_err(damaged)?, Vec::new())
                }
            };
            let output = self.transform.output(item.shape).map_err(about)?;
            if i == 0 {
                (shape, first) = (output, name.clone());
                data.resize(elements(count, shape, self.param).map_err(about)?, 0.0);
            }
            if output != shape {
                return Err(about(unequal(source(), &item, output, &first, shape)));
            }
            let size = shape.iter().product::<usize>();
            let out = &mut data[i * size..(i + 1) * size];
            let placed = self.transform.apply(&item, self.phase, &mut rng, out).map_err(about)?;
            match &self.labels {
                Labels::Classes => labels.push(item.label as f32),
                Labels::Boxes(boxes) => {
                    let mut objects = boxes.within(objects, &placed.part);
                    if placed.mirrored {
                        objects.iter_mut().for_each(|o| o.bbox = Map::MIRROR.of(&o.bbox));
                    }
                    all.push(objects);
                }
                Labels::Maps(_) => {
                    // The map follows its picture.
                    let ([_, oh, ow], [_, _, w], [top, left]) = (shape, item.shape, placed.at);
                    let map = labels.split_off(i * oh * ow);
                    for row in map.chunks_exact(w.max(1)).skip(top).take(oh) {
                        let row = &row[left..left + ow];
                        match placed.mirrored {
                            true => labels.extend(row.iter().rev()),
                            false => labels.extend(row),
                        }
                    }
                }
            }
        }
        if matches!(self.labels, Labels::Boxes(_)) {
            annotated::labels(&all, &mut labels);
        }
        Ok(Batch { shape, data, labels })
    }
}

/// Number of values in a batch.
fn elements(count: usize, [c, h, w]: [usize; 3], param: &str) -> Result<usize, LayerError> {
    let fits = |&values: &usize| values as u64 <= machine::memory() / 4;
    let values = cortado_layers::Shape::from([count, c, h, w]).checked_count();
    values.filter(fits).ok_or_else(|| {
        let why = format!("a batch of {count} items of {c}x{h}x{w} does not fit memory");
        LayerError::field(format!("{param}.batch_size"), why)
    })
}

fn unequal(
    field: String,
    item: &Item,
    output: [usize; 3],
    first: &str,
    shape: [usize; 3],
) -> LayerError {
    let show = |[c, h, w]: [usize; 3]| format!("{c}x{h}x{w}");
    let before = match item.shape == output {
        true => String::new(),
        false => format!(" (from {})", show(item.shape)),
    };
    let why = format!(
        "it comes out as {}{before}, the first of its batch, {first}, as {}",
        show(output),
        show(shape)
    );
    LayerError::field(field, why)
        .help("items of different sizes need batch_size 1, or a crop_size that fits them all")
}

/// The records of a layer, batch after batch.
pub struct Reader {
    /// Where they lie.
    pub source: Box<dyn Source>,
    /// Which comes when.
    pub order: Order,
    /// How many make a batch.
    pub batch: usize,
    /// How many were handed out before.
    pub position: u64,
}

impl Reader {
    /// The next batch's records, and how many were handed out before them.
    fn next(&mut self) -> (u64, Result<Vec<Record>, LayerError>) {
        let position = self.position;
        let items = position..position.saturating_add(self.batch as u64);
        let numbers: Vec<u64> = items.map(|at| self.order.record(at)).collect();
        self.position = position.saturating_add(self.batch as u64);
        let mut records = self.source.read(&numbers);
        // A disk of the network comes and goes.
        for pause in PAUSES {
            if records.is_err() {
                std::thread::sleep(pause);
                records = self.source.read(&numbers);
            }
        }
        (position, records)
    }
}

type Made = Result<Batch, LayerError>;

struct Job {
    position: u64,
    records: Vec<Record>,
    done: Sender<Made>,
}

/// Prepares batches.
pub enum Feed {
    /// When they are asked for.
    Now(Reader, Arc<Recipe>, Batch),
    /// Ahead.
    Ahead(Ahead),
}

/// Threads that work ahead.
pub struct Ahead {
    /// A receiver for each batch begun, in order. `None` once the threads are to end.
    batches: Option<Receiver<Receiver<Made>>>,
    spare: Sender<Batch>,
    reader: Option<JoinHandle<Reader>>,
    workers: Vec<JoinHandle<()>>,
    failed: Option<LayerError>,
}

impl Feed {
    /// A feed that keeps `depth` batches ready; with 0 it has no threads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(reader: Reader, recipe: Arc<Recipe>, depth: usize) -> Result<Feed, LayerError> {
        if depth == 0 {
            return Ok(Feed::Now(reader, recipe, Batch::default()));
        }
        let no_thread = |e: std::io::Error| LayerError::layer(format!("can't start a thread: {e}"));
        // The reader holds one more that it can't hand on yet.
        let (queue, batches) = bounded(depth - 1);
        let (jobs, work) = unbounded::<Job>();
        let (spare, old) = unbounded::<Batch>();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut workers = Vec::new();
        let name = format!("{} data", recipe.name);
        for _ in 0..cores.min(depth) {
            let (work, old, recipe) = (work.clone(), old.clone(), recipe.clone());
            let run = move || {
                for Job { position, records, done } in work {
                    let memory = old.try_recv().unwrap_or_default();
                    // Nobody waits any more when the feed is being dropped.
                    let _ = done.send(recipe.make(position, records, memory));
                }
            };
            workers.push(Builder::new().name(name.clone()).spawn(run).map_err(no_thread)?);
        }
        let name = format!("{} reader", recipe.name);
        let run = move || read_ahead(reader, &queue, &jobs);
        let reader = Some(Builder::new().name(name).spawn(run).map_err(no_thread)?);
        Ok(Feed::Ahead(Ahead { batches: Some(batches), spare, reader, workers, failed: None }))
    }

    /// The next batch.
    ///
    /// # Errors
    /// It could not be made; the feed stays at this error.
    pub fn take(&mut self) -> Result<Batch, LayerError> {
        match self {
            Feed::Now(reader, recipe, old) => {
                let before = reader.position;
                let (position, records) = reader.next();
                let made = records.and_then(|r| recipe.make(position, r, std::mem::take(old)));
                if made.is_err() {
                    reader.position = before;
                }
                made
            }
            Feed::Ahead(ahead) => ahead.take(),
        }
    }

    /// Gives back the memory of a batch.
    pub fn recycle(&mut self, batch: Batch) {
        match self {
            Feed::Now(.., old) => *old = batch,
            Feed::Ahead(ahead) => {
                // When no worker is left, the memory is not needed.
                let _ = ahead.spare.send(batch);
            }
        }
    }

    /// Ends the threads. Gives back the source, unless its thread broke down.
    pub fn stop(self) -> Option<Box<dyn Source>> {
        match self {
            Feed::Now(reader, ..) => Some(reader.source),
            Feed::Ahead(mut ahead) => ahead.end().map(|reader| reader.source),
        }
    }
}

/// Reads batch after batch until nobody takes them any more, or one fails.
fn read_ahead(mut reader: Reader, queue: &Sender<Receiver<Made>>, jobs: &Sender<Job>) -> Reader {
    loop {
        let (position, records) = reader.next();
        let (done, made) = bounded(1);
        let failed = records.is_err();
        match records {
            Ok(records) => {
                // The workers live as long as this sender.
                let _ = jobs.send(Job { position, records, done });
            }
            Err(e) => {
                let _ = done.send(Err(e));
            }
        }
        if queue.send(made).is_err() || failed {
            return reader;
        }
    }
}

impl Ahead {
    fn take(&mut self) -> Made {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let broken = || LayerError::layer("a thread that prepares the data broke down");
        let batches = self.batches.as_ref().ok_or_else(broken)?;
        // A thread that panics drops its end of the channel.
        let made = match batches.recv().map(|made| made.recv()) {
            Ok(Ok(made)) => made,
            _ => Err(broken()),
        };
        if let Err(error) = &made {
            self.failed = Some(error.clone());
        }
        made
    }

    fn end(&mut self) -> Option<Reader> {
        // The reader can't hand on the next batch; when it ends, the workers have no more jobs.
        self.batches = None;
        let reader = self.reader.take().and_then(|thread| thread.join().ok());
        for worker in self.workers.drain(..) {
            // A worker that broke down has been reported in place of its batch.
            let _ = worker.join();
        }
        reader
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.end();
    }
}
