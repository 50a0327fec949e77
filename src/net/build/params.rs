//! The parameters of a layer: those it shares by name or has in another net already, else new ones,
//! preloaded or filled.

use cortado_layers::{LayerDef, ParamKind, ParamRequest, RngKey};
use cortado_proto::Diagnostic;
use cortado_proto::caffe::ParamSpec;
use cortado_proto::caffe::param_spec::DimCheckMode;

use super::Builder;
use crate::net::{NetError, NetErrorKind, Node, Param, ParamId, weights};

impl Builder<'_> {
    /// Finds or makes the parameters a layer asked for.
    pub(super) fn params(
        &mut self,
        def: &mut LayerDef,
        requests: &[ParamRequest],
    ) -> Result<Vec<ParamId>, Vec<NetError>> {
        let mut found = Vec::new();
        if def.param.param.len() > requests.len() {
            let why = format!(
                "{} `param` blocks are given, the layer has {} parameters",
                def.param.param.len(),
                requests.len()
            );
            let field = format!("param[{}]", requests.len());
            found.push(NetError::at(def, Some(&field), NetErrorKind::Param(why)));
            return Err(found);
        }
        let preloaded = std::mem::take(&mut def.param.blobs);
        if !preloaded.is_empty() && preloaded.len() != requests.len() {
            let (given, wanted) = (preloaded.len(), requests.len());
            let why = format!("{given} `blobs` are given, the layer has {wanted} parameters");
            found.push(NetError::at(def, Some("blobs[0]"), NetErrorKind::Param(why)));
            return Err(found);
        }
        let twin = self.twin(def, !requests.is_empty());
        let mut ids = Vec::with_capacity(requests.len());
        for (i, request) in requests.iter().enumerate() {
            let spec = def.param.param.get(i).cloned().unwrap_or_default();
            let made = match self.existing(def, (twin, i), request, &spec) {
                Ok(Some(id)) => Ok(id),
                Ok(None) => self.fresh(def, (twin, i), request, &spec, preloaded.get(i)),
                Err(error) => Err(error),
            };
            match made {
                Ok(id) if ids.contains(&id) => {
                    let why = format!("`{}` is shared twice inside one layer", spec.name());
                    let field = format!("param[{i}].name");
                    found.push(NetError::at(def, Some(&field), NetErrorKind::Param(why)));
                }
                Ok(id) => ids.push(id),
                Err(error) => found.push(error),
            }
        }
        if found.is_empty() { Ok(ids) } else { Err(found) }
    }

    /// How many layers with parameters this net has under the same name already. They share nothing by
    /// that: as in the original, only names of parameters do.
    fn twin(&mut self, def: &LayerDef, has_params: bool) -> usize {
        let same = |node: &&Node| !node.params.is_empty() && node.def.name() == def.name();
        let before = self.nodes.iter().filter(same).count();
        if has_params && before > 0 {
            let why = format!(
                "another layer is named `{}`: files of weights tell the two by their order alone",
                def.name()
            );
            let layer = format!("layer `{}` ({})", def.name(), def.r#type());
            let span = def.place.span_of(Some("name"));
            self.notes.push(Diagnostic::warning(why, span).with_label(layer));
        }
        before
    }

    /// A parameter made before: by this layer in another net, or by another layer under this name.
    fn existing(
        &mut self,
        def: &LayerDef,
        (twin, i): (usize, usize),
        request: &ParamRequest,
        spec: &ParamSpec,
    ) -> Result<Option<ParamId>, NetError> {
        let key = (def.name().to_owned(), twin, i);
        let named = Some(spec.name()).filter(|name| !name.is_empty());
        let by_name = named.and_then(|name| self.store.by_name.get(name).copied());
        let Some(id) = self.store.by_layer.get(&key).copied().or(by_name) else { return Ok(None) };
        let param = &self.store.params()[id];
        let permissive = spec.share_mode() == DimCheckMode::Permissive;
        let fits = match permissive {
            true => param.shape.count() == request.shape.count(),
            false => param.shape == request.shape,
        };
        if !fits || param.kind != request.kind {
            let (owner, index) = &param.owner;
            let field = format!("param[{i}]");
            let why = format!(
                "parameter {i} of `{}` is {}, but the one it shares, parameter {index} of `{owner}`, is {}",
                def.name(),
                request.shape,
                param.shape
            );
            let mut error = NetError::at(def, Some(&field), NetErrorKind::Param(why));
            if !permissive && param.shape.count() == request.shape.count() {
                error = error.note("share_mode: PERMISSIVE shares parameters of equal count");
            }
            return Err(error);
        }
        // What other nets say of it is theirs.
        if by_name == Some(id) && id >= self.others {
            self.agree(def, i, id, spec)?;
        }
        self.store.by_layer.insert(key, id);
        Ok(Some(id))
    }

    /// All who share a parameter and give lr_mult or decay_mult must give the same.
    fn agree(
        &mut self,
        def: &LayerDef,
        i: usize,
        id: ParamId,
        spec: &ParamSpec,
    ) -> Result<(), NetError> {
        let param = self.store.param_mut(id);
        let owner = param.owner.0.clone();
        let clash = |field: &str, there: f32, here: f32| {
            let why =
                format!("`{owner}` shares this parameter with {field} {there}, here it is {here}");
            NetError::at(def, Some(&format!("param[{i}].{field}")), NetErrorKind::Param(why))
        };
        if let Some(here) = spec.lr_mult {
            if param.given.0 && param.lr_mult != here {
                return Err(clash("lr_mult", param.lr_mult, here));
            }
            (param.lr_mult, param.given.0) = (here, true);
        }
        if let Some(here) = spec.decay_mult {
            if param.given.1 && param.decay_mult != here {
                return Err(clash("decay_mult", param.decay_mult, here));
            }
            (param.decay_mult, param.given.1) = (here, true);
        }
        Ok(())
    }

    fn fresh(
        &mut self,
        def: &LayerDef,
        (twin, i): (usize, usize),
        request: &ParamRequest,
        spec: &ParamSpec,
        preloaded: Option<&cortado_proto::caffe::BlobProto>,
    ) -> Result<ParamId, NetError> {
        let learned = request.kind == ParamKind::Weight;
        if !learned && spec.lr_mult.is_some_and(|lr| lr != 0.0) {
            let field = format!("param[{i}].lr_mult");
            let why =
                format!("lr_mult {} is taken as 0: statistics are never learned", spec.lr_mult());
            let layer = format!("layer `{}` ({})", def.name(), def.r#type());
            self.notes
                .push(Diagnostic::warning(why, def.place.span_of(Some(&field))).with_label(layer));
        }
        // Fillers are looked at without values too; those that want a certain shape at small ones.
        let shaped = !cheap(request) && request.shape.count() <= 1 << 16;
        let count = request.shape.count();
        let held = if self.shapes_only && !shaped { 0 } else { count };
        let mut values = Vec::new();
        values
            .try_reserve_exact(held)
            .and_then(|()| self.store.reserve(request.kind, held))
            .map_err(|_| {
                let why = format!(
                    "the machine has no memory left for parameter {i} of this layer, {}",
                    request.shape
                );
                NetError::at(def, None, NetErrorKind::Size(why))
            })?;
        values.resize(held, 0.0);
        match preloaded {
            Some(_) if self.shapes_only => {}
            Some(blob) => {
                let at = |why: String| {
                    NetError::at(def, Some(&format!("blobs[{i}]")), NetErrorKind::Param(why))
                };
                let shape = weights::shape_of(blob).map_err(at)?;
                if shape != request.shape {
                    return Err(at(format!(
                        "the blob is {shape}, the layer wants {}",
                        request.shape
                    )));
                }
                weights::values_of(blob, &mut values).map_err(at)?;
            }
            None if self.shapes_only && values.len() < count && !cheap(request) => {}
            None => {
                let key = RngKey::at_start(self.options.seed);
                let twin = if twin == 0 { String::new() } else { format!("#{twin}") };
                let mut rng = key.stream(&format!("{}{twin}/{i}", def.name()));
                let filled = request.fill(&mut values, &mut rng);
                filled.map_err(|e| NetError::from_layer(def, e))?;
            }
        }
        let owner = (def.name().to_owned(), i);
        let id = self.store.add(
            Param {
                kind: request.kind,
                range: 0..0,
                shape: request.shape.clone(),
                owner,
                lr_mult: if learned { spec.lr_mult() } else { 0.0 },
                decay_mult: if learned { spec.decay_mult() } else { 0.0 },
                given: (spec.lr_mult.is_some(), spec.decay_mult.is_some()),
                unscaled: preloaded.is_none() && request.filler.r#type() == "lsuv",
                version: 0,
            },
            values,
        );
        self.store.by_layer.insert((def.name().to_owned(), twin, i), id);
        if !spec.name().is_empty() {
            self.store.by_name.insert(spec.name().to_owned(), id);
        }
        Ok(id)
    }
}

/// Whether a filler takes memory of any size.
fn cheap(request: &ParamRequest) -> bool {
    !["bilinear", "lsuv", "orthonormal", "positive_unitball"].contains(&request.filler.r#type())
}
