//! Layers as they are seen from outside.

use cortado_layers::{LayerDef, LayerKind, Shape};

use super::{BlobId, DiffTo, Net, Node, ParamId};

/// What there is to know of a layer.
#[derive(Clone, Copy)]
pub struct LayerInfo<'a> {
    net: &'a Net,
    /// Its position.
    pub index: usize,
}

impl<'a> LayerInfo<'a> {
    pub(super) fn new(net: &'a Net, index: usize) -> LayerInfo<'a> {
        LayerInfo { net, index }
    }

    fn node(&self) -> &'a Node {
        &self.net.nodes[self.index]
    }

    /// Its definition.
    pub fn def(&self) -> &'a LayerDef {
        &self.node().def
    }

    /// Its kind.
    pub fn kind(&self) -> &'static LayerKind {
        self.node().kind
    }

    /// Name.
    pub fn name(&self) -> &'a str {
        self.node().def.name()
    }

    /// Names and shapes of the bottoms.
    pub fn bottoms(&self) -> impl Iterator<Item = (&'a str, &'a Shape)> + use<'a> {
        let net = self.net;
        self.node().bottoms.iter().map(move |&b| (net.blobs[b].name.as_str(), &net.blobs[b].shape))
    }

    /// Whether it hands out items one after the other, from files.
    pub fn reads_data(&self) -> bool {
        self.node().layer.position().is_some()
    }

    /// Names and shapes of the tops.
    pub fn tops(&self) -> impl Iterator<Item = (&'a str, &'a Shape)> + use<'a> {
        let net = self.net;
        self.node().tops.iter().map(move |&b| (net.blobs[b].name.as_str(), &net.blobs[b].shape))
    }

    /// Weights of the tops in the loss.
    pub fn loss_weights(&self) -> impl Iterator<Item = f32> + use<'a> {
        let net = self.net;
        self.node().tops.iter().map(move |&b| net.blobs[b].loss_weight)
    }

    /// Parameters in blob order, with the shapes the layer sees.
    pub fn params(&self) -> impl Iterator<Item = (ParamId, &'a Shape)> + use<'a> {
        let node = self.node();
        node.params.iter().copied().zip(&node.param_shapes)
    }

    /// Multiply-adds of one forward pass, for the types that declare them.
    pub fn macs(&self) -> u64 {
        let Some(macs) = self.node().kind.macs else { return 0 };
        let shapes = |ids: &[BlobId]| -> Vec<Shape> {
            ids.iter().map(|&b| self.net.blobs[b].shape.clone()).collect()
        };
        let node = self.node();
        macs(&shapes(&node.bottoms), &shapes(&node.tops), &node.param_shapes)
    }

    /// Multiply-adds of one backward pass: as many as forward for the weights, and as many again for
    /// the bottoms, where they are wanted.
    pub fn backward_macs(&self) -> u64 {
        let node = self.node();
        let to_bottoms = node.diff_to.iter().any(|to| !matches!(to, DiffTo::Nobody));
        let to_weights = node.weight_grads.contains(&true);
        let passes = u64::from(to_bottoms) + u64::from(to_weights);
        if node.backward { passes * self.macs() } else { 0 }
    }

    /// Bytes of bottoms, tops and parameters, each once: what a forward pass moves at least.
    pub fn bytes(&self) -> u64 {
        let blobs = self.bottoms().chain(self.tops()).map(|(_, shape)| shape.count());
        let params = self.params().map(|(_, shape)| shape.count());
        (blobs.chain(params).sum::<usize>() * size_of::<f32>()) as u64
    }

    /// Whether the tops are the bottom's memory under other names.
    pub fn is_alias(&self) -> bool {
        self.node().alias
    }

    /// Whether a top lies in its bottom's memory.
    pub fn in_place(&self) -> bool {
        self.node().in_place.contains(&true)
    }

    /// Whether backward runs.
    pub fn needs_backward(&self) -> bool {
        self.node().backward
    }
}
