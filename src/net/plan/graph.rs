//! The net while it is planned: items (layers and what they mean), wired by values.
//!
//! A blob is a name, a value is what is computed: blobs that are the same value under several names
//! (or shapes) are joined. Items stand in the order in which they run; a rule that joins two puts
//! the result where the later one stood, so that whatever it reads is there.

use cortado_layers::{Act, Affine, Prim, Shape};

use crate::net::{Blob, BlobId, Short};

/// One or more layers that run as one.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The layer whose parameters it uses.
    pub node: usize,
    /// All layers, first to last.
    pub nodes: Vec<usize>,
    /// What is computed; `None` runs the layer as it is.
    pub prim: Option<Prim>,
    pub bottoms: Short<BlobId>,
    pub tops: Short<BlobId>,
    /// What is done to the input of a product.
    pub before: Option<Affine>,
    /// What is done to its result.
    pub after: Option<Affine>,
    /// A blob added to the result.
    pub add: Option<BlobId>,
    /// The last thing done to the result.
    pub act: Option<Act>,
    /// The rules that made it.
    pub rules: Vec<&'static str>,
}

impl Item {
    /// Whether it is a product with weights to which nothing but an affine map was done.
    pub fn is_bare_product(&self) -> bool {
        let product =
            matches!(self.prim, Some(Prim::Conv(_) | Prim::Deconv(_) | Prim::Gemm { .. }));
        product && self.add.is_none() && self.act.is_none()
    }

    /// Everything it reads.
    pub fn reads(&self) -> impl Iterator<Item = BlobId> + '_ {
        self.bottoms.iter().copied().chain(self.add)
    }

    /// This item, then `next`: the layers and rules of both.
    pub fn then(mut self, next: &Item, rule: &'static str) -> Item {
        self.nodes.extend(&next.nodes);
        self.nodes.sort_unstable();
        self.tops.clone_from(&next.tops);
        self.rules.extend(&next.rules);
        self.rules.push(rule);
        self
    }
}

/// What the wiring says of a blob.
#[derive(Clone, Debug, Default)]
struct Wire {
    /// The blob that this one is another name of.
    same_as: Option<BlobId>,
    /// Item that makes the value; none for what is fed.
    maker: Option<usize>,
    /// Items that read the value, once per place.
    readers: Short<usize>,
    /// The net's memory in which the value must be found after the pass.
    home: Option<usize>,
}

/// The items of a net.
pub(super) struct Graph<'a> {
    blobs: &'a [Blob],
    items: Vec<Option<Item>>,
    wires: Vec<Wire>,
}

impl<'a> Graph<'a> {
    pub fn new(blobs: &'a [Blob]) -> Graph<'a> {
        Graph { blobs, items: Vec::new(), wires: vec![Wire::default(); blobs.len()] }
    }

    /// Number of places for items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The item at a place, unless it was joined with a later one.
    pub fn item(&self, at: usize) -> Option<&Item> {
        self.items[at].as_ref()
    }

    /// The items that are left, with their places.
    pub fn items(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.items.iter().enumerate().filter_map(|(at, item)| Some((at, item.as_ref()?)))
    }

    pub fn shape(&self, blob: BlobId) -> &'a Shape {
        &self.blobs[blob].shape
    }

    /// The value of a blob, named by its first blob.
    pub fn value(&self, mut blob: BlobId) -> BlobId {
        while let Some(first) = self.wires[blob].same_as {
            blob = first;
        }
        blob
    }

    /// Whether a blob has the shape in which its value was made.
    pub fn as_made(&self, blob: BlobId) -> bool {
        self.shape(blob) == self.shape(self.value(blob))
    }

    pub fn maker(&self, blob: BlobId) -> Option<usize> {
        self.wires[self.value(blob)].maker
    }

    pub fn readers(&self, blob: BlobId) -> &[usize] {
        &self.wires[self.value(blob)].readers
    }

    pub fn home(&self, blob: BlobId) -> Option<usize> {
        self.wires[self.value(blob)].home
    }

    /// Somebody asks for a blob: its value must be found in `storage`. Before any item is added.
    pub fn keep(&mut self, blob: BlobId, storage: usize) {
        self.wires[blob].home = Some(storage);
    }

    /// Adds an item behind all others.
    pub fn push(&mut self, item: Item) {
        self.items.push(None);
        self.put(self.items.len() - 1, item);
    }

    /// Takes an item out, with its wires.
    pub fn take(&mut self, at: usize) -> Option<Item> {
        let item = self.items[at].take()?;
        for blob in item.reads() {
            let value = self.value(blob);
            self.wires[value].readers.retain(|reader| *reader != at);
        }
        for &blob in &item.tops {
            self.wires[blob].maker = None;
        }
        Some(item)
    }

    /// Puts an item into an empty place.
    pub fn put(&mut self, at: usize, item: Item) {
        for blob in item.reads() {
            let value = self.value(blob);
            self.wires[value].readers.push(at);
        }
        for &blob in &item.tops {
            self.wires[blob].maker = Some(at);
        }
        self.items[at] = Some(item);
    }

    /// Makes `blob`, made by nobody, another name of `of`. Refused where both must be found in
    /// memories of their own.
    pub fn join(&mut self, blob: BlobId, of: BlobId) -> bool {
        let value = self.value(of);
        let wire = self.wires[blob].clone();
        let home = match (self.wires[value].home, wire.home) {
            (Some(a), Some(b)) if a != b => return false,
            (a, b) => a.or(b),
        };
        self.wires[value].home = home;
        self.wires[value].readers.extend(wire.readers);
        self.wires[blob] = Wire { same_as: Some(value), ..Wire::default() };
        true
    }

    /// The condition of all rules that join a reader with the item that makes what it reads: nobody
    /// else reads the value or asks for it. Gives the maker's place.
    pub fn sole_maker(&self, blob: BlobId) -> Option<usize> {
        let wire = &self.wires[self.value(blob)];
        let alone = wire.readers.len() == 1 && wire.home.is_none() && self.as_made(blob);
        let maker = wire.maker.filter(|_| alone)?;
        self.item(maker)?.tops.len().eq(&1).then_some(maker)
    }
}
