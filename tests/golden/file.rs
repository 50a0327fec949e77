//! Reads the arrays of a case.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use cortado_layers::Shape;
use safetensors::{Dtype, SafeTensors};

/// The arrays and strings of a safetensors file.
pub struct Arrays {
    pub strings: HashMap<String, String>,
    pub arrays: BTreeMap<String, (Shape, Vec<f32>)>,
}

impl Arrays {
    pub fn read(path: &Path) -> Result<Arrays, String> {
        let fail = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
        let bytes = std::fs::read(path).map_err(|e| fail(&e))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| fail(&e))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| fail(&e))?;
        let mut arrays = BTreeMap::new();
        for (name, tensor) in tensors.tensors() {
            if tensor.dtype() != Dtype::F32 {
                return Err(fail(&format!("{name} is not f32")));
            }
            let floats = tensor.data().chunks_exact(4);
            let values = floats.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            arrays.insert(name, (Shape::new(tensor.shape()), values));
        }
        Ok(Arrays { strings: header.metadata().clone().unwrap_or_default(), arrays })
    }

    pub fn string(&self, key: &str) -> &str {
        self.strings.get(key).map_or("", String::as_str)
    }

    /// The arrays whose name begins with `prefix/`, by the rest of the name.
    pub fn under<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Shape, &'a [f32])> + 'a {
        self.arrays.iter().filter_map(move |(name, (shape, values))| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('/')?;
            Some((rest, shape, values.as_slice()))
        })
    }
}

/// `layer/index`, where the layer's name may hold slashes.
pub fn param_name(rest: &str) -> Option<(&str, usize)> {
    let (layer, index) = rest.rsplit_once('/')?;
    Some((layer, index.parse().ok()?))
}
