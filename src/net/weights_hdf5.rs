//! Trained weights in HDF5, as the original's `ToHDF5` lays them out: `/data/<layer>/<i>`, of shared
//! parameters only the owner's.

use std::path::Path;

use cortado_proto::Diagnostic;
use cortado_proto::wire::{Disk, RealDisk};

use super::weights::{Fit, fit_of};
use super::{CopyOptions, CopyReport, Net, Node, WeightsError};
use crate::hdf5::{self, Content, Reader};

/// A group of the file that holds datasets: a layer's name, and how many.
type Found = (String, usize);

impl Net {
    pub(super) fn copy_from_hdf5(
        &mut self,
        path: &Path,
        options: CopyOptions,
    ) -> Result<CopyReport, WeightsError> {
        let unreadable = |why: String| WeightsError::File(Diagnostic::error(why, None));
        let reader = Reader::open(path).map_err(unreadable)?;
        // Files not written by the original put the layers at the root.
        let base = if reader.has_group("data") { "data" } else { "" };
        let mut layers = Vec::new();
        find_layers(&reader, base, "", &mut layers).map_err(unreadable)?;
        let state = base.is_empty() && reader.has_group("history");
        if state || layers.iter().all(|(_, blobs)| *blobs == 0) {
            let state = if state { "; it is a solver's state" } else { "" };
            return Err(unreadable(format!("`{}` holds no weights{state}", path.display())));
        }
        let (mut report, mut mismatches) = (CopyReport::default(), Vec::new());
        let mut wanted = Vec::new();
        for (name, blobs) in layers {
            match self.node_for(&name, 0) {
                None if blobs == 0 => {}
                None => report.skipped.push(name),
                Some(i) => {
                    let node = &self.nodes[i];
                    let before = mismatches.len();
                    let found = self.fit_hdf5(&reader, base, node, blobs, &mut mismatches);
                    let (found, fit) = found.map_err(unreadable)?;
                    if mismatches.len() > before {
                        let note = format!("    = rename layer `{name}` to keep its start values");
                        mismatches.push(note);
                        report.mismatched.push(name);
                        continue;
                    }
                    wanted.extend(found);
                    if fit == Fit::Reshaped {
                        report.reshaped.push(name.clone());
                    }
                    if !node.params.is_empty() {
                        report.copied.push(name);
                    }
                }
            }
        }
        if !options.skip_mismatch {
            self.expect_none(mismatches, path)?;
        }
        // Into memory of our own first: a damaged file changes nothing.
        let mut values = Vec::new();
        for (id, dataset) in wanted {
            values.push((id, reader.read(&dataset).map_err(unreadable)?.1));
        }
        Ok(self.take(values, report))
    }

    /// Which parameter of a node comes from which dataset; says what does not fit.
    fn fit_hdf5(
        &self,
        reader: &Reader,
        base: &str,
        node: &Node,
        blobs: usize,
        mismatches: &mut Vec<String>,
    ) -> Result<(Vec<(usize, String)>, Fit), String> {
        let (name, type_name) = (node.def.name(), node.def.r#type());
        if blobs > node.params.len() {
            mismatches.push(format!(
                "  layer `{name}` ({type_name}) has {} parameters, the file's layer has {blobs}",
                node.params.len()
            ));
            return Ok((Vec::new(), Fit::Not));
        }
        let mut fit = Fit::Same;
        let mut wanted = Vec::new();
        for (i, (&id, shape)) in node.params.iter().zip(&node.param_shapes).enumerate() {
            let dataset = join(base, &join(name, &i.to_string()));
            if !reader.has(&dataset) {
                if self.owns(node, i) {
                    let what = format!("  layer `{name}` ({type_name}) parameter {i} of {shape}");
                    mismatches.push(format!("{what} is not in the file"));
                }
                continue;
            }
            let found = reader.shape(&dataset)?;
            match fit_of(shape, &found, found.len() == 4) {
                Fit::Not => mismatches.push(format!(
                    "  layer `{name}` ({type_name}) parameter {i} is {shape}, the file's is {found}"
                )),
                found => {
                    wanted.push((id, dataset));
                    fit = if found == Fit::Reshaped { found } else { fit };
                }
            }
        }
        Ok((wanted, fit))
    }

    /// Whether a node made its parameter `i`, rather than sharing one.
    fn owns(&self, node: &Node, i: usize) -> bool {
        let (layer, index) = &self.store.params()[node.params[i]].owner;
        (layer.as_str(), *index) == (node.def.name(), i)
    }

    /// Writes the weights as a `.caffemodel.h5`, whole or not at all.
    pub fn save_hdf5(&self, path: impl AsRef<Path>) -> Result<(), cortado_proto::Error> {
        self.save_hdf5_on(&RealDisk, path.as_ref(), false).map(|_| ())
    }

    /// The same on any disk, and with the gradients of the weights in `/diff` if asked for. Gives the
    /// checksum of the file.
    pub(crate) fn save_hdf5_on(
        &self,
        disk: &dyn Disk,
        path: &Path,
        diffs: bool,
    ) -> Result<u32, cortado_proto::Error> {
        self.not_deployed(path)?;
        hdf5::write_on(disk, path, &self.contents(diffs))
    }

    /// What two layers would write to the same place, by their names.
    pub(crate) fn hdf5_collision(&self) -> Option<String> {
        hdf5::collision(&self.contents(false)).map(str::to_owned)
    }

    fn contents(&self, diffs: bool) -> Vec<(String, Content<'_>)> {
        let mut contents = vec![("data".to_owned(), Content::Group)];
        for node in &self.nodes {
            let group = join("data", node.def.name());
            for (i, (&id, shape)) in node.params.iter().zip(&node.param_shapes).enumerate() {
                if self.owns(node, i) {
                    let values = Content::Floats(shape.clone(), self.store.data(id));
                    contents.push((join(&group, &i.to_string()), values));
                    let diff = self.store.diff(id);
                    if diffs && !diff.is_empty() {
                        let group = join("diff", node.def.name());
                        let values = Content::Floats(shape.clone(), diff);
                        contents.push((join(&group, &i.to_string()), values));
                    }
                }
            }
            contents.push((group, Content::Group));
        }
        contents
    }
}

fn join(group: &str, name: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{group}/{name}") }
}

/// All groups below `base`: a layer's name may hold slashes, which are groups within groups here.
fn find_layers(
    reader: &Reader,
    base: &str,
    name: &str,
    found: &mut Vec<Found>,
) -> Result<(), String> {
    const DEEP: usize = 32;
    /// No group takes less room in a file, in bytes.
    const SMALLEST: u64 = 16;
    let (groups, datasets) = reader.names(&join_layer(base, name))?;
    if !name.is_empty() {
        found.push((name.to_owned(), datasets.len()));
    }
    if name.matches('/').count() > DEEP {
        return Err(format!("groups are nested more than {DEEP} deep at `{name}`"));
    }
    if found.len() as u64 > reader.size() / SMALLEST {
        return Err(format!("groups lie in each other at `{name}`"));
    }
    groups.iter().try_for_each(|group| find_layers(reader, base, &join(name, group), found))
}

fn join_layer(base: &str, name: &str) -> String {
    if name.is_empty() { base.to_owned() } else { join(base, name) }
}
