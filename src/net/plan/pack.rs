//! The weights of products: what rules folded into them, packed once and kept for as long as nothing
//! changes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use cortado_kernels::{ConvAlgo, ConvGeometry, Trans, kernels};
use cortado_layers::{PackCache, PackKey, Prim};

use super::graph::Item;
use super::step::{Form, Step, Weights, Work};
use super::tuned::Tuned;
use crate::net::Node;
use crate::net::params::{ParamId, ParamStore, Releasing};

/// How algorithms are chosen.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    /// None that loses a few bits.
    pub exact: bool,
    /// What was timed before.
    pub tuned: Option<&'a Tuned>,
    pub threads: usize,
}

impl Choice<'_> {
    fn of(self, g: &ConvGeometry) -> ConvAlgo {
        let timed = || self.tuned.map(|tuned| tuned.choice(g, self.threads));
        match self.exact {
            true => ConvAlgo::Direct,
            false => timed().unwrap_or_default().chosen(g),
        }
    }
}

/// Packs the weights of a net.
pub(super) struct Packer<'a> {
    pub nodes: &'a [Node],
    pub choose: Choice<'a>,
    pub store: &'a mut ParamStore,
    pub cache: &'a mut PackCache,
}

impl Packer<'_> {
    /// Gives the products among the steps their weights, the last in the store first: with `release`
    /// weights are given back as soon as they are packed, so that there is never a second copy of all.
    pub fn fill(self, steps: &mut [Step], products: &[(usize, Item)], release: bool) {
        let weights = |item: &Item| self.nodes[item.node].params[0];
        let mut order: Vec<usize> = (0..products.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(weights(&products[i].1)));
        let ids: Vec<ParamId> = products.iter().map(|(_, item)| weights(item)).collect();
        let gone = if release { self.only_packed(steps, &ids) } else { HashSet::new() };
        let mut releasing = self.store.releasing(gone);
        for i in order {
            let (at, item) = &products[i];
            releasing.down_to(ids[i] + 1);
            let blocked = !matches!(steps[*at].dsts[0].form, Form::Plain);
            let (nodes, choose) = (self.nodes, self.choose);
            let packing = Packing { nodes, choose, params: &releasing, cache: self.cache };
            if let Work::Product { prim, weights, bias } = &mut steps[*at].work {
                (*weights, *bias) = packing.product(item, prim, blocked);
            }
        }
        releasing.down_to(0);
    }

    /// Of these parameters those that nobody reads once they are packed.
    fn only_packed(&self, steps: &[Step], ids: &[ParamId]) -> HashSet<ParamId> {
        let mut read: HashSet<ParamId> = HashSet::new();
        let planned: HashSet<usize> = steps.iter().flat_map(|step| step.nodes.clone()).collect();
        for step in steps {
            if let Work::Layer(node) = step.work {
                read.extend(&self.nodes[node].params);
            }
        }
        for (_, node) in self.nodes.iter().enumerate().filter(|(i, _)| !planned.contains(i)) {
            read.extend(&node.params);
        }
        ids.iter().copied().filter(|id| !read.contains(id)).collect()
    }
}

/// Packs the weights of one product.
struct Packing<'a> {
    nodes: &'a [Node],
    choose: Choice<'a>,
    params: &'a Releasing<'a>,
    cache: &'a mut PackCache,
}

impl Packing<'_> {
    /// Weights and bias of a product, with all that was folded into them.
    fn product(self, item: &Item, prim: &Prim, blocked: bool) -> (Weights, Option<Vec<f32>>) {
        let Packing { nodes, choose, params, cache } = self;
        let node = &nodes[item.node];
        let (id, k) = (node.params[0], kernels());
        let bare = params.data(id);
        let bias = folded_bias(item, prim, bare, node.params.get(1).map(|&b| params.data(b)));
        let version = params.version(id);
        let key = |form| match fold(item) {
            None => (PackKey { owner: id, form }, version),
            Some(fold) => {
                let mut hasher = DefaultHasher::new();
                (id, version, fold).hash(&mut hasher);
                // A layer's own forms are under its parameters' numbers, these under the layer's.
                (PackKey { owner: item.node, form }, hasher.finish())
            }
        };
        let weights = match prim {
            Prim::Conv(g) if blocked => {
                let algo = choose.of(g);
                let folded = item.before.is_some() || item.after.is_some();
                let (key, version) = key(match (algo, folded) {
                    (ConvAlgo::Winograd, false) => "winograd",
                    (ConvAlgo::Winograd, true) => "folded winograd",
                    (_, false) => "direct",
                    (_, true) => "folded direct",
                });
                let packed = cache.shared(key, version, || {
                    let before = folded_weights(item, prim, bare, false);
                    let scale = item.after.as_ref().map(|after| &after.scale[..]);
                    k.pack_blocked(g, &before, scale, algo)
                });
                Weights::Blocked(packed, algo)
            }
            Prim::Conv(g) => {
                let (key, version) = key("folded conv");
                Weights::Plain(cache.shared(key, version, || {
                    let weights = folded_weights(item, prim, bare, true).into_owned();
                    let packed = k.pack_conv(g, &weights, ConvAlgo::Direct, false);
                    (weights, packed)
                }))
            }
            Prim::Gemm { n, k: inner, trans, .. } => {
                let folded = item.before.is_some() || item.after.is_some();
                let (key, version) = key(if folded { "folded fc" } else { "fc" });
                // W is n x k where the product takes it transposed.
                let trans = if *trans == Trans::Yes { Trans::No } else { Trans::Yes };
                Weights::Fc(cache.shared(key, version, || {
                    k.pack_fc(trans, *n, *inner, &folded_weights(item, prim, bare, true))
                }))
            }
            _ => {
                let (key, version) = key("folded deconv");
                let weights = || folded_weights(item, prim, bare, true).into_owned();
                Weights::Reversed(cache.shared(key, version, weights))
            }
        };
        (weights, bias)
    }
}

/// The bits of what is folded into the weights.
fn fold(item: &Item) -> Option<Vec<u32>> {
    let maps = [&item.before, &item.after];
    let scales = maps.iter().map(|map| map.as_ref().map_or(&[][..], |map| &map.scale));
    let bits: Vec<u32> = scales.flatten().map(|scale| scale.to_bits()).collect();
    (!bits.is_empty()).then_some(bits)
}

/// Output and input channel of each weight.
fn channels(prim: &Prim, inputs: usize) -> impl Fn(usize) -> (usize, usize) + '_ {
    move |at| match prim {
        Prim::Conv(g) => {
            let (taps, per) = (g.kernel_len(), g.ic / g.groups);
            let o = at / (per * taps);
            (o, o / (g.oc / g.groups) * per + at / taps % per)
        }
        Prim::Deconv(g) => {
            let (taps, per) = (g.kernel_len(), g.ic / g.groups);
            let i = at / (per * taps);
            (i / (g.oc / g.groups) * per + at / taps % per, i)
        }
        Prim::Gemm { k, trans: Trans::Yes, .. } => (at / k, at % k / (k / inputs)),
        Prim::Gemm { n, k, .. } => (at % n, at / n / (k / inputs)),
        _ => (0, 0),
    }
}

/// The weights with what was folded into them; the map after the product only if `after`.
fn folded_weights<'a>(item: &Item, prim: &Prim, weights: &'a [f32], after: bool) -> Cow<'a, [f32]> {
    let (before, after) = (item.before.as_ref(), item.after.as_ref().filter(|_| after));
    if before.is_none() && after.is_none() {
        return Cow::Borrowed(weights);
    }
    let of = channels(prim, before.map_or(1, |before| before.scale.len()));
    let factor = |at: usize| {
        let (o, i) = of(at);
        before.map_or(1.0, |map| map.scale[i]) * after.map_or(1.0, |map| map.scale[o])
    };
    weights.iter().enumerate().map(|(at, weight)| weight * factor(at)).collect()
}

/// The bias with what was folded into it: (b + Σ W · shift before) · scale + shift.
fn folded_bias(
    item: &Item,
    prim: &Prim,
    weights: &[f32],
    bias: Option<&[f32]>,
) -> Option<Vec<f32>> {
    let outputs = match prim {
        Prim::Conv(g) => g.oc,
        Prim::Deconv(g) => g.ic,
        Prim::Gemm { n, .. } => *n,
        _ => 0,
    };
    if bias.is_none() && item.before.is_none() && item.after.is_none() {
        return None;
    }
    let mut sums: Vec<f64> = match bias {
        Some(bias) => bias.iter().map(|&b| b.into()).collect(),
        None => vec![0.0; outputs],
    };
    if let Some(before) = item.before.as_ref().filter(|map| map.shift.iter().any(|&s| s != 0.0)) {
        let of = channels(prim, before.shift.len());
        for (at, &weight) in weights.iter().enumerate() {
            let (o, i) = of(at);
            sums[o] += f64::from(weight) * f64::from(before.shift[i]);
        }
    }
    let done = |(o, sum): (usize, f64)| match &item.after {
        Some(after) => (sum * f64::from(after.scale[o]) + f64::from(after.shift[o])) as f32,
        None => sum as f32,
    };
    Some(sums.into_iter().enumerate().map(done).collect())
}
