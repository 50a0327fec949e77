//! Algorithms that were timed on this machine, instead of the rules that are built in.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use cortado_kernels::{
    AlignedVec, BlockedMut, BlockedRef, ConvAlgo, ConvGeometry, Epilogue, Source, kernels,
};
use cortado_layers::Prim;

use super::layout::MAX_HALO;
use super::step::{Step, Weights, Work};
use crate::files::read_lines;
use crate::net::{Net, threads};

/// What was the fastest for each shape of convolution; other shapes go by the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tuned {
    /// By instruction set, threads and geometry: `winograd` or `direct`.
    choices: BTreeMap<String, String>,
}

/// What was measured of a convolution.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Its layer.
    pub layer: String,
    /// Milliseconds, product by product.
    pub direct: f64,
    /// Milliseconds by Winograd's algorithm.
    pub winograd: f64,
    /// Whether the faster one is what the rules say as well.
    pub as_by_rule: bool,
}

impl Tuned {
    /// Reads what [`Tuned::write`] has written.
    pub fn read(path: &Path) -> Result<Tuned, String> {
        let shown = path.display();
        let text = read_lines(path).map_err(|e| format!("can't read `{shown}`: {e}"))?;
        serde_json::from_str(&text).map_err(|e| {
            let line = e.line();
            format!("`{shown}` holds no choices of `cortado tune`: line {line} is none of it")
        })
    }

    /// Writes the choices as JSON, added to those that the file holds already.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut all = if path.exists() { Tuned::read(path)? } else { Tuned::default() };
        all.choices.extend(self.choices.clone());
        let text = serde_json::to_string_pretty(&all).map_err(|e| e.to_string())?;
        cortado_proto::wire::write_file(path, |out| out.write_all(text.as_bytes()))
            .map_err(|e| e.to_string())
    }

    /// Number of choices.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.choices.len()
    }

    pub(super) fn choice(&self, g: &ConvGeometry, threads: usize) -> ConvAlgo {
        match self.choices.get(&key(g, threads)).map(String::as_str) {
            Some("winograd") => ConvAlgo::Winograd,
            Some("direct") => ConvAlgo::Direct,
            _ => ConvAlgo::Auto,
        }
    }
}

fn key(g: &ConvGeometry, threads: usize) -> String {
    let axes: Vec<String> = (g.windows.iter())
        .map(|w| format!("{}k{}s{}p{}d{}", w.input, w.kernel, w.stride, w.pad, w.dilation))
        .collect();
    let (isa, axes) = (kernels().isa(), axes.join("x"));
    format!("{isa} {threads} threads: n{} ic{} oc{} g{} {axes}", g.n, g.ic, g.oc, g.groups)
}

impl Net {
    /// Times, for every convolution of the plan that can be done in several ways, each of them: the
    /// fastest of `rounds` tries.
    pub fn tune(&mut self, rounds: usize) -> (Tuned, Vec<Timing>) {
        let (mut tuned, mut timings) = (Tuned::default(), Vec::new());
        if !self.ready_plan() {
            return (tuned, timings);
        }
        let pool = self.pool.clone();
        let threads = pool.current_num_threads();
        let steps = self.plan.iter().flat_map(|plan| &plan.steps);
        let parts = |step: &Step| match &step.work {
            Work::Images(images, _) => images.steps.clone(),
            _ => vec![step.clone()],
        };
        for step in steps.flat_map(parts) {
            let Work::Product { prim: Prim::Conv(g), weights: Weights::Blocked(..), .. } =
                &step.work
            else {
                continue;
            };
            // As the weights are packed: for the whole batch.
            let whole = ConvGeometry { n: self.batch_of(&step).unwrap_or(g.n), ..g.clone() };
            let both = [ConvAlgo::Direct, ConvAlgo::Winograd].map(|algo| algo.chosen(&whole));
            if both[0] == both[1] || tuned.choices.contains_key(&key(&whole, threads)) {
                continue;
            }
            let of = |algo| threads::pass(&pool, || time(&whole, algo, rounds));
            let (direct, winograd) = (of(ConvAlgo::Direct), of(ConvAlgo::Winograd));
            let best = if winograd < direct { ConvAlgo::Winograd } else { ConvAlgo::Direct };
            let name = if winograd < direct { "winograd" } else { "direct" };
            tuned.choices.insert(key(&whole, threads), name.to_owned());
            timings.push(Timing {
                layer: self.nodes[step.nodes[0]].def.name().to_owned(),
                direct,
                winograd,
                as_by_rule: ConvAlgo::Auto.chosen(&whole) == best,
            });
        }
        (tuned, timings)
    }

    /// Images of the whole batch at a convolution.
    fn batch_of(&self, step: &Step) -> Option<usize> {
        let node = &self.nodes[*step.nodes.first()?];
        self.blobs[*node.bottoms.first()?].shape.first().copied()
    }
}

/// Milliseconds of a convolution.
fn time(g: &ConvGeometry, algo: ConvAlgo, rounds: usize) -> f64 {
    let (k, [down, across]) = (kernels(), [&g.windows[0], &g.windows[1]]);
    let halo = down.pad.max(across.pad).min(MAX_HALO);
    let blocked = |c, h, w, halo| cortado_kernels::Blocked { n: g.n, c, h, w, halo };
    let from = blocked(g.ic, down.input, across.input, halo);
    let to = blocked(g.oc, down.output, across.output, 0);
    let (src, mut dst) = (AlignedVec::zeros(from.len()), AlignedVec::zeros(to.len()));
    let packed = k.pack_blocked(g, &vec![0.5; g.weight_len()], None, algo);
    let once = |_| {
        let start = Instant::now();
        let source = Source::Blocked(BlockedRef::new(&src, from));
        k.conv_blocked(g, source, &packed, Epilogue::default(), BlockedMut::new(&mut dst, to));
        start.elapsed().as_secs_f64() * 1e3
    };
    // The first finds cold memory.
    (0..=rounds).map(once).skip(1).fold(f64::INFINITY, f64::min)
}
