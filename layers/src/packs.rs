//! Weights in the form the kernels like best, made on demand and kept until the weight changes.

use std::any::Any;
use std::collections::HashMap;

/// Which parameter, in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackKey {
    /// Number of the parameter in its store.
    pub param: usize,
    /// Name of the form, chosen by the layer that asks.
    pub form: &'static str,
}

/// The packed weights of a net. Owned by the net, survives reshape.
#[derive(Default)]
pub struct PackCache {
    entries: HashMap<PackKey, (u64, Box<dyn Any + Send>)>,
}

impl PackCache {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
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
    pub fn get<T: Any + Send>(
        &mut self,
        i: usize,
        form: &'static str,
        pack: impl FnOnce() -> T,
    ) -> &T {
        let (param, version) = self.weights[i];
        let key = PackKey { param, form };
        let fresh = matches!(self.cache.entries.get(&key),
            Some((at, packed)) if *at == version && packed.is::<T>());
        if !fresh {
            self.cache.entries.insert(key, (version, Box::new(pack())));
        }
        self.cache.entries[&key].1.downcast_ref().expect("the entry was checked or made as a T")
    }
}
