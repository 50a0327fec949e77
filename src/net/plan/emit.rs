//! From items to steps: where every operand lies, and the reorders between the layouts.

use std::collections::HashMap;

use cortado_kernels::Blocked;
use cortado_layers::Prim;
use smallvec::smallvec;

use super::graph::{Graph, Item};
use super::layout::Layouts;
use super::rules::concat;
use super::step::{Buffer, Form, Place, Step, Weights, Work};
use crate::net::{BlobId, Short};

/// Channels up to which a convolution reads row-major planes as fast as blocks.
const PLANES: usize = 16;

/// The places where a value lies.
#[derive(Clone, Default)]
struct Lies {
    plain: Option<Place>,
    blocked: Option<Place>,
}

/// The steps of a plan under construction.
pub(super) struct Emitter<'a> {
    graph: &'a Graph<'a>,
    layouts: &'a Layouts,
    pub steps: Vec<Step>,
    pub buffers: Vec<Buffer>,
    /// Steps that want weights packed, with their items.
    pub products: Vec<(usize, Item)>,
    lies: HashMap<BlobId, Lies>,
    /// The places of values that are made inside a concatenation.
    inside: HashMap<BlobId, Place>,
}

impl<'a> Emitter<'a> {
    pub fn new(graph: &'a Graph<'a>, layouts: &'a Layouts) -> Emitter<'a> {
        let (steps, buffers, products) = (Vec::new(), Vec::new(), Vec::new());
        let (lies, inside) = (HashMap::new(), HashMap::new());
        Emitter { graph, layouts, steps, buffers, products, lies, inside }
    }

    /// Emits all steps.
    pub fn run(&mut self) {
        for (at, item) in self.graph.items() {
            if let Some(Prim::Concat { .. }) = item.prim
                && self.layouts.blocked[at]
            {
                self.make_room(at, item);
            }
        }
        for (at, item) in self.graph.items() {
            match self.layouts.blocked[at] {
                true => self.blocked_item(at, item),
                false => self.plain_item(item),
            }
            for &top in &item.tops {
                // Asked for, but made in blocks.
                if self.graph.home(top).is_some() {
                    self.plain(top);
                }
            }
        }
    }

    fn buffer(&mut self, len: usize, halo: Option<Blocked>, storage: Option<usize>) -> usize {
        self.buffers.push(Buffer { len, halo, storage });
        self.buffers.len() - 1
    }

    /// A new place for a value in row-major order: the net's memory if somebody asks for it.
    fn new_plain(&mut self, blob: BlobId) -> Place {
        let (value, storage) = (self.graph.value(blob), self.graph.home(blob));
        let shape = self.graph.shape(value).clone();
        let buffer = self.buffer(shape.count(), None, storage);
        let place = Place { buffer, form: Form::Plain, c_offset: 0, shape };
        self.lies.entry(value).or_default().plain = Some(place.clone());
        place
    }

    /// A new place for a value in blocks. The planner asks only for blobs of four axes.
    fn new_blocked(&mut self, blob: BlobId) -> Place {
        let value = self.graph.value(blob);
        let of = self.layouts.of(self.graph, value).expect("chosen for four axes only");
        let place = match (self.inside.get(&value), Form::blocked(of)) {
            (Some(place), _) => place.clone(),
            (None, form @ Form::Both(_)) => Place { form, ..self.new_plain(value) },
            (None, form) => {
                let buffer = self.buffer(of.len(), (of.halo > 0).then_some(of), None);
                let shape = self.graph.shape(value).clone();
                Place { buffer, form, c_offset: 0, shape }
            }
        };
        self.lies.entry(value).or_default().blocked = Some(place.clone());
        place
    }

    /// Where a blob can be read in row-major order.
    fn plain(&mut self, blob: BlobId) -> Place {
        let lies = self.lies.entry(self.graph.value(blob)).or_default().clone();
        let found = match (lies.plain, lies.blocked) {
            (Some(plain), _) => plain,
            (None, Some(blocked)) => {
                let plain = self.new_plain(blob);
                self.reorder(Work::ToPlain, blocked, plain.clone());
                plain
            }
            // What is fed.
            (None, None) => self.new_plain(blob),
        };
        Place { shape: self.graph.shape(blob).clone(), ..found }
    }

    /// Where a blob of the shape of its value can be read in blocks.
    fn blocked(&mut self, blob: BlobId) -> Place {
        let value = self.graph.value(blob);
        if let Some(blocked) = self.lies.get(&value).and_then(|lies| lies.blocked.clone()) {
            return blocked;
        }
        let plain = self.plain(value);
        let of = self.layouts.of(self.graph, value).expect("chosen for four axes only");
        if let form @ Form::Both(_) = Form::blocked(of) {
            let place = Place { form, ..plain };
            self.lies.entry(value).or_default().blocked = Some(place.clone());
            return place;
        }
        let blocked = self.new_blocked(value);
        self.reorder(Work::ToBlocked, plain, blocked.clone());
        blocked
    }

    fn reorder(&mut self, work: Work, from: Place, to: Place) {
        self.steps.push(Step {
            nodes: Vec::new(),
            work,
            srcs: smallvec![from],
            add: None,
            act: None,
            dsts: smallvec![to],
            rules: Vec::new(),
        });
    }

    fn push(&mut self, item: &Item, work: Work, srcs: Short<Place>, dsts: Short<Place>) {
        let add = item.add.map(|blob| match dsts[0].form {
            Form::Plain => self.plain(blob),
            _ => self.blocked(blob),
        });
        if let Work::Product { .. } = work {
            self.products.push((self.steps.len(), item.clone()));
        }
        let (nodes, act, rules) = (item.nodes.clone(), item.act.clone(), item.rules.clone());
        self.steps.push(Step { nodes, work, srcs, add, act, dsts, rules });
    }

    fn blocked_item(&mut self, at: usize, item: &Item) {
        let work = match &item.prim {
            Some(Prim::Concat { .. }) => return self.concat(at, item),
            Some(prim @ Prim::Conv(_)) => unpacked(prim),
            Some(prim) => Work::Prim(prim.clone()),
            None => return,
        };
        let srcs = item.bottoms.iter().map(|&bottom| match &item.prim {
            Some(Prim::Conv(g)) if self.reads_planes(bottom, g.ic) => self.plain(bottom),
            _ => self.blocked(bottom),
        });
        let srcs = srcs.collect();
        let dst = self.new_blocked(item.tops[0]);
        self.push(item, work, srcs, smallvec![dst]);
    }

    /// Whether a convolution reads its bottom in row-major order.
    fn reads_planes(&self, bottom: BlobId, channels: usize) -> bool {
        let lies = self.lies.get(&self.graph.value(bottom));
        let in_blocks = lies.is_some_and(|lies| lies.blocked.is_some());
        let alone = self.graph.readers(bottom).len() == 1;
        !self.graph.as_made(bottom) || !in_blocks && (channels <= PLANES || alone)
    }

    /// Makes room for a concatenation in blocks before its parts are made.
    fn make_room(&mut self, at: usize, item: &Item) {
        let Some(offsets) = concat::offsets(self.graph, &item.bottoms) else { return };
        let whole = self.new_blocked(item.tops[0]);
        let form = Form::Blocked(whole.form.as_blocked().expect("made in blocks"));
        for (j, (&bottom, c_offset)) in item.bottoms.iter().zip(offsets).enumerate() {
            if self.layouts.inside[at][j] {
                let shape = self.graph.shape(bottom).clone();
                let place = Place { buffer: whole.buffer, form, c_offset, shape };
                self.inside.insert(self.graph.value(bottom), place);
            }
        }
    }

    /// Copies the parts of a concatenation in blocks that were not made inside.
    fn concat(&mut self, at: usize, item: &Item) {
        let Some(offsets) = concat::offsets(self.graph, &item.bottoms) else { return };
        let whole = self.blocked(item.tops[0]);
        let form = Form::Blocked(whole.form.as_blocked().expect("made in blocks"));
        let (mut srcs, mut dsts) = (Short::new(), Short::new());
        for (j, (&bottom, c_offset)) in item.bottoms.iter().zip(offsets).enumerate() {
            if !self.layouts.inside[at][j] {
                srcs.push(self.blocked(bottom));
                dsts.push(Place { form, c_offset, ..whole.clone() });
            }
        }
        let mut item = item.clone();
        if srcs.len() < item.bottoms.len() {
            item.rules.push(concat::NAME);
        }
        if dsts.is_empty() {
            dsts.push(whole);
        }
        self.push(&item, Work::Copy, srcs, dsts);
    }

    fn plain_item(&mut self, item: &Item) {
        let joined = item.nodes.len() > 1;
        let work = match &item.prim {
            Some(prim @ Prim::Gemm { .. }) => unpacked(prim),
            Some(prim @ (Prim::Conv(_) | Prim::Deconv(_))) if joined => unpacked(prim),
            Some(prim) if joined => Work::Prim(prim.clone()),
            Some(Prim::Alias) => Work::Copy,
            _ => Work::Layer(item.node),
        };
        let mut srcs: Short<Place> = item.bottoms.iter().map(|&b| self.plain(b)).collect();
        let dsts: Short<Place> = item.tops.iter().map(|&b| self.new_plain(b)).collect();
        if matches!(work, Work::Copy) {
            srcs = (0..dsts.len()).map(|_| srcs[0].clone()).collect();
        }
        self.push(item, work, srcs, dsts);
    }
}

/// A product whose weights are packed when all steps are there.
fn unpacked(prim: &Prim) -> Work {
    Work::Product { prim: prim.clone(), weights: Weights::Unpacked, bias: None }
}
