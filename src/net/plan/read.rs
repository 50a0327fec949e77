//! Blobs that a planned pass has left no value of, made when they are asked for.

use cortado_layers::{Layout, View};

use crate::net::lifetimes::Place;
use crate::net::{Net, NetError, NetErrorKind, Node, threads};

impl Net {
    /// Data of a blob after a forward pass, planned or not: the last value of its name. A value that
    /// the plan folded away is computed layer by layer from what the sources gave in that pass; name
    /// blobs that are read after every pass in [`Net::keep`], which costs less.
    ///
    /// # Errors
    /// There is no such blob, a layer fails, the source's own value is gone, or (in training) other
    /// blobs have its memory: [`Net::hold`] prevents that.
    pub fn read(&mut self, name: &str) -> Result<View<'_>, NetError> {
        let Some(&id) = self.by_name.get(name).and_then(|ids| ids.last()) else {
            return Err(self.no_blob(name));
        };
        let lent = self.lent.lends(Place::Data(self.blobs[id].storage));
        if lent && self.storages[self.blobs[id].storage].data.is_empty() {
            return Err(lent_away(name, &self.nodes[self.blobs[id].maker]));
        }
        if self.blob(name).is_none() && self.blocked(id).is_some() {
            self.shown = self.planes(id, &self.storages[self.blobs[id].storage].data);
            let shape = &self.blobs[id].shape;
            return Ok(View { shape, layout: Layout::Nchw, data: &self.shown });
        }
        if self.blob(name).is_none() {
            self.recompute(name, self.blobs[id].maker + 1)?;
        }
        self.blob(name).ok_or_else(|| gone(name, &self.nodes[self.blobs[id].maker]))
    }

    /// Diff of a blob after a backward pass: that of the first value of its name. `None` when backward
    /// writes none, and in training where others have its memory.
    pub fn read_diff(&mut self, name: &str) -> Option<View<'_>> {
        let &id = self.by_name.get(name)?.first()?;
        if self.blocked(id).is_none() {
            return self.diff(name);
        }
        let storage = &self.storages[self.blobs[id].storage];
        let shape = &self.blobs[id].shape;
        if !storage.has_diff || storage.diff.len() != shape.count() {
            return None;
        }
        self.shown = self.planes(id, &storage.diff);
        Some(View { shape, layout: Layout::Nchw, data: &self.shown })
    }

    /// Runs the layers before `end` once more, all but the sources, which would give other data.
    fn recompute(&mut self, name: &str, end: usize) -> Result<(), NetError> {
        for node in self.nodes[..end].iter().filter(|node| node.bottoms.is_empty()) {
            if !node.tops.iter().all(|&top| self.is_whole(top)) {
                return Err(gone(name, node));
            }
        }
        for blob in self.blobs.iter().filter(|blob| blob.maker < end) {
            self.storages[blob.storage].data.resize(blob.shape.count(), 0.0);
        }
        let scratch = self.nodes[..end].iter().map(|node| node.scratch).max().unwrap_or(0);
        self.scratch.resize(self.scratch.len().max(scratch), 0.0);
        let passes = self.passes;
        self.passes = passes.saturating_sub(1);
        let pool = self.pool.clone();
        let run = threads::pass(&pool, || {
            let others = (0..end).filter(|&i| !self.nodes[i].bottoms.is_empty());
            others
                .collect::<Vec<_>>()
                .into_iter()
                .try_for_each(|i| self.run_layers(i..i + 1).map(drop))
        });
        self.passes = passes;
        self.filled = self.filled.max(end);
        run
    }

    /// Whether the memory of a blob holds its value, which no layer in place has overwritten.
    fn is_whole(&self, id: usize) -> bool {
        let blob = &self.blobs[id];
        let overwrites = |other: &crate::net::Blob| {
            other.storage == blob.storage
                && other.maker > blob.maker
                && !self.nodes[other.maker].alias
        };
        self.storages[blob.storage].data.len() == blob.shape.count()
            && !self.blobs.iter().any(overwrites)
    }
}

fn lent_away(name: &str, maker: &Node) -> NetError {
    let why = format!(
        "blob `{name}` is gone: in training, what nobody reads any more gives its memory on"
    );
    NetError::at(&maker.def, None, NetErrorKind::Rule(why))
        .note("name the blob in `hold` before the pass, or run the net with `plan: false`")
}

fn gone(name: &str, source: &Node) -> NetError {
    let why = format!(
        "blob `{name}` can't be made after this pass: what `{}` gave is gone",
        source.def.name()
    );
    NetError::at(&source.def, None, NetErrorKind::Rule(why))
        .note("name the blob in `keep` before the pass, or run the net with `plan: false`")
}
