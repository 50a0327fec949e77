//! Weights in the form the kernels like best, made on demand and kept until the weight changes.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// Whose weights, in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackKey {
    /// Number of the parameter in its store, or of whatever else the form belongs to.
    pub owner: usize,
    /// Name of the form, chosen by who asks.
    pub form: &'static str,
}

/// The packed weights of a net. Owned by the net, survives reshape.
#[derive(Default)]
pub struct PackCache {
    entries: HashMap<PackKey, (u64, Arc<dyn Any + Send + Sync>)>,
}

impl PackCache {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entry of a key, made by `pack` unless one of this version is there.
    pub fn shared<T: Any + Send + Sync>(
        &mut self,
        key: PackKey,
        version: u64,
        pack: impl FnOnce() -> T,
    ) -> Arc<T> {
        let found = self.entries.get(&key).filter(|(at, _)| *at == version);
        if let Some(packed) = found.and_then(|(_, packed)| packed.clone().downcast().ok()) {
            return packed;
        }
        let packed = Arc::new(pack());
        self.entries.insert(key, (version, packed.clone()));
        packed
    }
}

/// A layer's access to the cache, for its own weights.
pub struct Packs<'a> {
    cache: &'a mut PackCache,
    /// For each weight of the layer: its number and version.
    weights: &'a [(usize, u64)],
}

impl<'a> Packs<'a> {
    /// Access for a layer whose weights have these numbers and versions.
    pub fn new(cache: &'a mut PackCache, weights: &'a [(usize, u64)]) -> Packs<'a> {
        Packs { cache, weights }
    }

    /// Weight `i` in `form`, made by `pack` unless an up-to-date one is there.
    pub fn get<T: Any + Send + Sync>(
        &mut self,
        i: usize,
        form: &'static str,
        pack: impl FnOnce() -> T,
    ) -> Arc<T> {
        let (owner, version) = self.weights[i];
        self.cache.shared(PackKey { owner, form }, version, pack)
    }
}
