//! What the layers that hand out items share: batches prepared ahead, shapes that follow the items,
//! a position to go on from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cortado_layers::{Backward, Forward, Layer, LayerError, Measure, Reshape, SetUp, Shape};

use crate::data::db::Source;
use crate::data::labels::Labels;
use crate::data::prefetch::{Batch, Feed, Reader, Recipe};
use crate::data::{Folder, Order, Transform};

/// All batches that are prepared ahead are in memory.
const MOST_AHEAD: u32 = 4096;

/// Opens the items of a layer; its name and the seed are for sources that draw.
pub(super) type Open = dyn Fn(&str, u64) -> Result<Box<dyn Source>, LayerError> + Send;

/// What a layer of items is made from.
pub(super) struct Plan {
    /// Name of its message, such as `data_param`.
    pub param: &'static str,
    /// What the message's `source` says.
    pub source: String,
    /// Items of a batch.
    pub batch: u32,
    /// Whether a batch may hold more items than there are.
    pub repeats: bool,
    /// Batches prepared ahead.
    pub prefetch: u32,
    /// A new order for every pass over the items.
    pub shuffle: bool,
    /// Starts after a number of items drawn below this.
    pub rand_skip: u32,
    /// What happens to each item.
    pub transform: Transform,
    /// What their labels are.
    pub labels: Labels,
    /// Where files are looked for.
    pub folder: Folder,
    /// Opens the items.
    pub open: Box<Open>,
}

/// A layer of items.
pub(super) struct Batches {
    plan: Plan,
    opened: Option<Opened>,
    /// Items handed out.
    position: u64,
    /// Time passes have waited.
    waited: Duration,
}

/// What is known from set-up on.
struct Opened {
    recipe: Arc<Recipe>,
    /// Here until the feed has it.
    source: Option<Box<dyn Source>>,
    /// From the first forward on.
    feed: Option<Feed>,
    /// Measured, not yet handed out.
    ready: Option<Batch>,
    /// Channels, height, width of the last batch (or of the first item).
    shape: [usize; 3],
    /// Number of its labels.
    labels: usize,
}

impl Batches {
    pub fn new(plan: Plan) -> Batches {
        Batches { plan, opened: None, position: 0, waited: Duration::ZERO }
    }

    fn batch_size(&self) -> usize {
        self.plan.batch as usize
    }

    fn opened(&mut self) -> Result<&mut Opened, LayerError> {
        self.opened.as_mut().ok_or_else(|| LayerError::layer("the data layer was not set up"))
    }

    fn order(&self, records: u64, opened: &Opened) -> Order {
        let (shuffle, skip) = (self.plan.shuffle, self.plan.rand_skip);
        Order::new(records, &opened.recipe.name, opened.recipe.seed, shuffle, skip)
    }

    /// The next batch, made ready if it is not.
    fn ready(&mut self) -> Result<&mut Opened, LayerError> {
        let mut opened =
            self.opened.take().ok_or_else(|| LayerError::layer("the data layer was not set up"))?;
        let start = Instant::now();
        let result = self.make_ready(&mut opened);
        self.waited += start.elapsed();
        let opened = self.opened.insert(opened);
        result.map(|()| opened)
    }

    fn make_ready(&self, opened: &mut Opened) -> Result<(), LayerError> {
        if opened.ready.is_some() {
            return Ok(());
        }
        if opened.feed.is_none() {
            let source = match opened.source.take() {
                Some(source) => source,
                None => (self.plan.open)(&opened.recipe.name, opened.recipe.seed)?,
            };
            let order = self.order(source.records(), opened);
            let (batch, position) = (self.batch_size(), self.position);
            let reader = Reader { source, order, batch, position };
            let depth = self.plan.prefetch as usize;
            opened.feed = Some(Feed::start(reader, opened.recipe.clone(), depth)?);
        }
        if let Some(feed) = &mut opened.feed {
            let batch = feed.take()?;
            (opened.shape, opened.labels) = (batch.shape, batch.labels.len());
            opened.ready = Some(batch);
        }
        Ok(())
    }

    fn top_shapes(&self, [c, h, w]: [usize; 3], labels: usize, tops: usize) -> Vec<Shape> {
        let n = self.batch_size();
        let labels = self.plan.labels.shape(n, [c, h, w], labels);
        [Shape::from([n, c, h, w]), labels].into_iter().take(tops).collect()
    }
}

impl Layer for Batches {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        if self.plan.prefetch > MOST_AHEAD {
            let why = format!(
                "up to {MOST_AHEAD} batches are prepared ahead, found {}",
                self.plan.prefetch
            );
            return Err(LayerError::field(format!("{}.prefetch", self.plan.param), why));
        }
        let mut transform = self.plan.transform.clone();
        transform.load(&self.plan.folder)?;
        let mut source = (self.plan.open)(cx.name, cx.seed)?;
        let records = source.records();
        if self.batch_size() as u64 > records && !self.plan.repeats {
            let why = format!(
                "a batch of {} items is larger than the data set: `{}` holds {records}",
                self.batch_size(),
                self.plan.source
            );
            return Err(LayerError::field(format!("{}.batch_size", self.plan.param), why)
                .help(format!("give a batch_size of {records} or less")));
        }
        let (name, param) = (cx.name.to_owned(), self.plan.param);
        let labels = self.plan.labels.clone();
        let recipe = Recipe { name, param, seed: cx.seed, phase: cx.phase, transform, labels };
        let mut opened = Opened {
            recipe: Arc::new(recipe),
            source: None,
            feed: None,
            ready: None,
            shape: [0; 3],
            labels: 0,
        };
        let first = self.order(records, &opened).record(self.position);
        let first = source.read(&[first])?;
        let first = opened.recipe.make(self.position, first, Batch::default())?;
        (opened.shape, opened.labels) = (first.shape, first.labels.len());
        opened.source = Some(source);
        self.opened = Some(opened);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let opened = self.opened()?;
        let (shape, labels) = (opened.shape, opened.labels);
        let shapes = self.top_shapes(shape, labels, cx.tops.len());
        cx.tops.iter_mut().zip(shapes).for_each(|(top, shape)| *top = shape);
        Ok(())
    }

    fn measure(&mut self, _cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        let ready = self.ready()?;
        let (shape, labels) = (ready.shape, ready.labels);
        Ok(self.top_shapes(shape, labels, 2))
    }

    fn forward(&mut self, cx: &mut Forward<'_>) -> Result<(), LayerError> {
        let opened = self.ready()?;
        if let (Some(batch), Some(feed)) = (opened.ready.take(), &mut opened.feed) {
            for (top, values) in cx.tops.iter_mut().zip([&batch.data, &batch.labels]) {
                if top.data.len() != values.len() {
                    return Err(LayerError::layer("the tops were not measured before this pass"));
                }
                top.data.copy_from_slice(values);
            }
            feed.recycle(batch);
        }
        self.position += u64::from(self.plan.batch);
        Ok(())
    }

    fn backward(&mut self, _cx: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn position(&self) -> Option<u64> {
        Some(self.position)
    }

    fn waited(&self) -> Duration {
        self.waited
    }

    fn seek(&mut self, seed: u64, position: u64) -> Result<(), LayerError> {
        self.position = position;
        if let Some(opened) = &mut self.opened {
            let same = opened.recipe.seed == seed;
            opened.recipe = Arc::new(Recipe { seed, ..Recipe::clone(&opened.recipe) });
            opened.ready = None;
            if let Some(feed) = opened.feed.take() {
                opened.source = feed.stop();
            }
            if !same {
                // A source that draws depends on the seed: it is opened anew.
                opened.source = None;
            }
        }
        Ok(())
    }
}
