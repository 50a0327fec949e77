//! Data: batches of items from a database.

use std::sync::Arc;

use cortado_layers::{
    Arity, Backward, Forward, GradBottoms, Layer, LayerDef, LayerDoc, LayerError, LayerKind,
    Measure, Needs, Reshape, SetUp, Shape,
};
use cortado_proto::caffe::DataParameter;

use crate::data::db::{self, Source};
use crate::data::prefetch::{Batch, Feed, Reader, Recipe};
use crate::data::{Color, Folder, Order, Transform};

/// The type `Data`.
pub static KIND: LayerKind = LayerKind::new("Data", build, &DOC)
    .bottoms(Arity::exactly(0))
    .tops(Arity::between(1, 2))
    .needs(|_| Needs::NOTHING)
    .grads(GradBottoms::None)
    .dynamic();

static DOC: LayerDoc = LayerDoc {
    summary: "Batches of items and their labels from an LMDB database or a pair of IDX files.",
    params: &["data_param", "transform_param"],
    bottoms: &[],
    tops: &["data: N x C x H x W, the items after `transform_param`", "label (may be left out): N"],
    blobs: &[],
    forward: "top[n] = transform(item at position + n); then position += N",
    backward: "",
    notes: "\
The items come in the order of the database's keys and start again after the last; a batch may run \
past the end. With `shuffle: true` (ours) every pass over the data has a new order, drawn from the \
seed. `rand_skip` starts after a number of items drawn from the seed. What a batch holds depends only \
on the seed, the layer's name and the number of items handed out before: not on threads, not on \
`prefetch`. A snapshot keeps that number, so that training goes on with the item that was due.

`backend: LMDB` names a folder that holds data.mdb with `Datum` messages, raw or encoded (JPEG, \
PNG). `backend: IDX` (ours) names MNIST's file of images, plain or gzipped; the labels lie beside it, \
or where `label_source` says. `LEVELDB`, the original's default, can't be read yet. A relative \
`source` is looked for from the working directory, as the original does, then beside the prototxt.

`transform_param`: (pixel - mean) * scale, with `mean_value` once or once per channel, or a \
`mean_file` of the size before cropping; `crop_size` cuts at random in TRAIN and from the middle in \
TEST; `mirror` flips every other picture at random, in TEST as well, as the original does; \
`force_color` and `force_gray` decode encoded pictures to 3 or 1 channels; `pad` (ours) puts zeros \
around the picture, after the mean was subtracted and before it is cropped. Colours come as blue, \
green, red.

The shape of the tops follows the first item of each batch; the items of one batch must come out \
alike, so that databases of mixed sizes need `batch_size: 1` or a crop. `batch_size` must not \
exceed the number of items (the original repeats items silently). `prefetch` batches (4) are \
prepared ahead on threads of their own; 0 prepares each when it is due.",
    example: r#"layer {
  name: "mnist"
  type: "Data"
  top: "data"
  top: "label"
  include { phase: TRAIN }
  transform_param { scale: 0.00390625 }
  data_param { source: "mnist_train_lmdb" batch_size: 64 backend: LMDB }
}"#,
    source: "Caffe: data_layer.cpp, data_transformer.cpp",
};

fn build(def: &LayerDef) -> Result<Box<dyn Layer>, LayerError> {
    let param = def.data_param.clone().unwrap_or_default();
    if param.batch_size() == 0 {
        let why = "a batch holds at least one item, found batch_size 0 or none";
        return Err(LayerError::field("data_param.batch_size", why));
    }
    if param.source().is_empty() {
        return Err(LayerError::field("data_param.source", "the database must be named"));
    }
    let mut transform = Transform::new(&def.transform_param.clone().unwrap_or_default())?;
    if param.force_encoded_color() {
        transform = transform.with_color(Color::Bgr);
    }
    let folder = Folder::of(def);
    Ok(Box::new(DataLayer { param, folder, transform, opened: None, position: 0 }))
}

struct DataLayer {
    param: DataParameter,
    folder: Folder,
    transform: Transform,
    opened: Option<Opened>,
    /// Items handed out.
    position: u64,
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
}

impl DataLayer {
    fn batch_size(&self) -> usize {
        self.param.batch_size() as usize
    }

    fn opened(&mut self) -> Result<&mut Opened, LayerError> {
        self.opened.as_mut().ok_or_else(|| LayerError::layer("the data layer was not set up"))
    }

    fn order(&self, records: u64, opened: &Opened) -> Order {
        let (shuffle, skip) = (self.param.shuffle(), self.param.rand_skip());
        Order::new(records, &opened.recipe.name, opened.recipe.seed, shuffle, skip)
    }

    /// The next batch, made ready if it is not.
    fn ready(&mut self) -> Result<&mut Opened, LayerError> {
        let mut opened =
            self.opened.take().ok_or_else(|| LayerError::layer("the data layer was not set up"))?;
        let result = self.make_ready(&mut opened);
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
                None => db::open(&self.param, &self.folder)?,
            };
            let order = self.order(source.records(), opened);
            let (batch, position) = (self.batch_size(), self.position);
            let reader = Reader { source, order, batch, position };
            let depth = self.param.prefetch() as usize;
            opened.feed = Some(Feed::start(reader, opened.recipe.clone(), depth)?);
        }
        if let Some(feed) = &mut opened.feed {
            let batch = feed.take()?;
            opened.shape = batch.shape;
            opened.ready = Some(batch);
        }
        Ok(())
    }

    fn top_shapes(&self, [c, h, w]: [usize; 3], tops: usize) -> Vec<Shape> {
        let n = self.batch_size();
        [Shape::from([n, c, h, w]), Shape::from([n])].into_iter().take(tops).collect()
    }
}

impl Layer for DataLayer {
    fn setup(&mut self, cx: &mut SetUp<'_>) -> Result<(), LayerError> {
        let mut transform = self.transform.clone();
        transform.load(&self.folder)?;
        let mut source = db::open(&self.param, &self.folder)?;
        let records = source.records();
        if self.batch_size() as u64 > records {
            let why = format!(
                "a batch of {} items is larger than the data set: `{}` holds {records}",
                self.batch_size(),
                self.param.source()
            );
            return Err(LayerError::field("data_param.batch_size", why)
                .help(format!("give a batch_size of {records} or less")));
        }
        let recipe = Recipe { name: cx.name.to_owned(), seed: cx.seed, phase: cx.phase, transform };
        let mut opened = Opened {
            recipe: Arc::new(recipe),
            source: None,
            feed: None,
            ready: None,
            shape: [0; 3],
        };
        let first = self.order(records, &opened).record(self.position);
        let first = source.read(&[first])?;
        opened.shape = opened.recipe.make(self.position, first, Batch::default())?.shape;
        opened.source = Some(source);
        self.opened = Some(opened);
        Ok(())
    }

    fn reshape(&mut self, cx: &mut Reshape<'_>) -> Result<(), LayerError> {
        let shape = self.opened()?.shape;
        let shapes = self.top_shapes(shape, cx.tops.len());
        cx.tops.iter_mut().zip(shapes).for_each(|(top, shape)| *top = shape);
        Ok(())
    }

    fn measure(&mut self, _cx: &mut Measure<'_>) -> Result<Vec<Shape>, LayerError> {
        let shape = self.ready()?.shape;
        Ok(self.top_shapes(shape, 2))
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
        self.position += u64::from(self.param.batch_size());
        Ok(())
    }

    fn backward(&mut self, _cx: &mut Backward<'_>) -> Result<(), LayerError> {
        Ok(())
    }

    fn position(&self) -> Option<u64> {
        Some(self.position)
    }

    fn seek(&mut self, seed: u64, position: u64) -> Result<(), LayerError> {
        self.position = position;
        if let Some(opened) = &mut self.opened {
            opened.recipe = Arc::new(Recipe { seed, ..Recipe::clone(&opened.recipe) });
            opened.ready = None;
            if let Some(feed) = opened.feed.take() {
                opened.source = feed.stop();
            }
        }
        Ok(())
    }
}
