//! From definitions to a net: kinds, wiring, layers, shapes, parameters. Collects every mistake.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cortado_layers::{
    Layer, LayerDef, LayerKind, PackCache, ParamKind, ParamRequest, Phase, Registry, Reshape,
    RngKey, SetUp, Shape,
};
use cortado_proto::caffe::ParamSpec;
use cortado_proto::caffe::param_spec::DimCheckMode;
use cortado_proto::def::NetDef;
use cortado_proto::{Diagnostic, ErrorKind, Origin, schema};

use super::splits::{Wired, splits};
use super::{
    Blob, BlobId, Net, NetError, NetErrorKind, NetErrors, NetOptions, Node, Param, ParamId,
    ParamStore, Short,
};

/// Name of the tops that losses get without asking.
const AUTOMATIC: &str = "(automatic)";

impl Net {
    /// Builds a net on parameters that may exist already, by layer name and blob index: how a test
    /// net uses the weights of the net that trains.
    pub fn build_on(
        mut def: NetDef,
        options: &NetOptions,
        store: ParamStore,
    ) -> Result<Net, NetErrors> {
        let mut notes = std::mem::take(&mut def.notes);
        let upgraded = cortado_proto::upgrade::net(&mut def).map_err(NetErrors::from_proto)?;
        notes.extend(upgraded.into_iter().map(|what| Diagnostic::note(what, None)));
        let state = options.state.clone().and(def.param.state.as_ref());
        let errors = super::filter::filter(&mut def, &state);
        let source = def.source.as_ref().map(|source| source.name.clone());
        let param = def.param;
        let wired = splits(def.layers);
        let mut builder = Builder::new(options, store, notes, errors);
        for layer in wired {
            builder.add(layer);
        }
        let Builder { store, notes, errors, blobs, nodes, by_name, .. } = builder;
        NetErrors::check(errors)?;
        let named = |blob: &Blob| blob.name != AUTOMATIC && blob.readers.is_empty();
        let mut outputs: Vec<BlobId> = (0..blobs.len()).filter(|&id| named(&blobs[id])).collect();
        outputs.sort_by(|&a, &b| blobs[a].name.cmp(&blobs[b].name));
        let inputs = nodes.iter().filter(|n| n.kind.fed).flat_map(|n| n.tops.clone()).collect();
        let mut net = Net {
            name: param.name().to_owned(),
            source,
            state,
            seed: options.seed,
            nodes,
            blobs,
            storages: Vec::new(),
            by_name,
            inputs,
            outputs,
            kept: BTreeSet::new(),
            filled: 0,
            planning: options.plan,
            exact: options.exact,
            plan: None,
            store,
            scratch: Vec::new(),
            cache: PackCache::default(),
            seeds: HashMap::new(),
            passes: 0,
            pool: options.pool.clone(),
            notes,
            debug: None,
        };
        net.check(options.gradients, param.force_backward())?;
        net.limit_memory(options.max_memory)?;
        net.reshape()?;
        Ok(net)
    }

    fn limit_memory(&self, limit: u64) -> Result<(), NetErrors> {
        let mut largest: HashMap<usize, &Blob> = HashMap::new();
        for blob in &self.blobs {
            largest.entry(blob.storage).or_insert(blob);
        }
        let bytes = |blob: &Blob| {
            let copies = if self.storages[blob.storage].has_diff { 2 } else { 1 };
            blob.shape.checked_count().map_or(u64::MAX, |n| copies * 4 * n as u64)
        };
        let total = largest.values().fold(0u64, |sum, blob| sum.saturating_add(bytes(blob)));
        if total <= limit {
            return Ok(());
        }
        let Some(blob) = largest.values().max_by_key(|blob| bytes(blob)) else { return Ok(()) };
        let why = format!(
            "the blobs of this net take {} MiB, over the limit of {} MiB; the largest is `{}`, {}",
            total >> 20,
            limit >> 20,
            blob.name,
            blob.shape
        );
        Err(NetError::at(&self.nodes[blob.maker].def, None, NetErrorKind::Size(why)).into())
    }
}

pub(crate) struct Builder<'a> {
    options: &'a NetOptions,
    store: ParamStore,
    pub notes: Vec<Diagnostic>,
    pub errors: Vec<NetError>,
    pub blobs: Vec<Blob>,
    pub nodes: Vec<Node>,
    /// Parameters get no values: nobody will run the net.
    pub shapes_only: bool,
    /// The last blob of each name; `None` where its maker failed, so that one mistake is told once.
    latest: HashMap<String, Option<BlobId>>,
    by_name: BTreeMap<String, Vec<BlobId>>,
    param_bytes: u64,
}

impl<'a> Builder<'a> {
    pub fn new(
        options: &'a NetOptions,
        store: ParamStore,
        notes: Vec<Diagnostic>,
        errors: Vec<NetError>,
    ) -> Builder<'a> {
        Builder {
            options,
            store,
            notes,
            errors,
            blobs: Vec::new(),
            nodes: Vec::new(),
            shapes_only: false,
            latest: HashMap::new(),
            by_name: BTreeMap::new(),
            param_bytes: 0,
        }
    }

    /// Adds a layer, or notes what is wrong with it; its tops exist in either case.
    pub fn add(&mut self, wired: Wired) {
        let tops = wired.def.top.clone();
        if let Err(found) = self.try_add(wired) {
            self.errors.extend(found);
            for top in tops {
                self.latest.entry(top).or_insert(None);
            }
        }
    }

    fn try_add(&mut self, wired: Wired) -> Result<(), Vec<NetError>> {
        let Wired { mut def, in_place } = wired;
        let registry = &self.options.registry;
        let mut found = Vec::new();
        let kind = registry.get(def.r#type());
        match kind {
            None => found.push(unknown_type(&def, registry)),
            Some(kind) => self.unclaimed(&def, kind, &mut found),
        }
        let bottoms = self.bottoms(&def, &mut found);
        self.check_tops(&def, &in_place, &mut found);
        let Some(kind) = kind else { return Err(found) };
        let tops = if kind.auto_tops { def.top.len().max(kind.tops.min) } else { def.top.len() };
        arity(&def, kind, tops, &mut found);
        let Some(bottoms) = bottoms.filter(|_| found.is_empty()) else { return Err(found) };

        let at = |def: &LayerDef, error| vec![NetError::from_layer(def, error)];
        let mut layer = (kind.build)(&def).map_err(|e| at(&def, e))?;
        let shapes: Vec<Shape> = bottoms.iter().map(|&b| self.blobs[b].shape.clone()).collect();
        let phase = self.options.state.phase;
        let seed = self.options.seed;
        let mut setup =
            SetUp { phase, name: def.name(), seed, bottoms: &shapes, tops, params: Vec::new() };
        layer.setup(&mut setup).map_err(|e| at(&def, e))?;
        let requests = setup.params;
        let param_shapes: Vec<Shape> = requests.iter().map(|r| r.shape.clone()).collect();
        let top_shapes = first_shapes(layer.as_mut(), phase, &shapes, tops, &param_shapes)
            .map_err(|e| at(&def, e))?;
        let too_large =
            top_shapes.iter().chain(&param_shapes).find(|s| s.checked_count().is_none());
        if let Some(shape) = too_large {
            let why = format!("a blob of {shape} is too large for this machine");
            return Err(vec![NetError::at(&def, None, NetErrorKind::Size(why))]);
        }
        self.param_bytes = param_shapes
            .iter()
            .fold(self.param_bytes, |sum, shape| sum.saturating_add(8 * shape.count() as u64));
        if self.param_bytes > self.options.max_memory {
            let why = format!(
                "the parameters up to this layer ({}) take {} MiB, over the limit of {} MiB",
                param_shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", "),
                self.param_bytes >> 20,
                self.options.max_memory >> 20
            );
            return Err(vec![NetError::at(&def, None, NetErrorKind::Size(why))]);
        }
        let params = self.params(&mut def, &requests)?;

        let inserted = matches!(def.place.origin(), Origin::Split(_));
        let node = self.nodes.len();
        for (j, &bottom) in bottoms.iter().enumerate() {
            self.blobs[bottom].readers.push((node, j));
        }
        let tops = top_shapes
            .into_iter()
            .enumerate()
            .map(|(j, shape)| self.top(&def, kind, node, j, shape))
            .collect();
        let of_kind = |wanted| {
            requests.iter().enumerate().filter(move |(_, r)| r.kind == wanted).map(|(i, _)| i)
        };
        self.nodes.push(Node {
            alias: inserted || kind.is_alias(bottoms.len(), in_place.len()),
            kind,
            layer,
            bottoms,
            tops,
            in_place,
            weights: of_kind(ParamKind::Weight).collect(),
            state: of_kind(ParamKind::State).collect(),
            params,
            param_shapes,
            backward: false,
            diff_to: Vec::new(),
            weight_grads: Vec::new(),
            spare: Vec::new(),
            saved: Vec::new(),
            scratch: 0,
            def,
        });
        Ok(())
    }

    /// Parameter blocks of the file that neither the schema nor the type knows: a mistake where a
    /// known block looks like it, else a fork's.
    fn unclaimed(&mut self, def: &LayerDef, kind: &LayerKind, found: &mut Vec<NetError>) {
        for error in def.unclaimed(kind.extensions) {
            let claimed = match &error.kind {
                ErrorKind::UnknownField { field, .. } => {
                    schema::similar(field, kind.extensions.iter().copied())
                }
                _ => Vec::new(),
            };
            if error.notes.is_empty() && claimed.is_empty() {
                let what = format!("{}: it has no effect", error.kind);
                let label = format!("layer `{}` ({})", def.name(), def.r#type());
                let warning = Diagnostic::warning(what, error.place.clone());
                self.notes.push(warning.with_label(label));
            } else {
                let unknown = NetErrorKind::UnknownBlock(error.kind.to_string());
                found.push(NetError::at(def, None, unknown).told_at(&error).similar(claimed));
            }
        }
    }

    /// `None` when a maker failed (told already) or a bottom is unknown (told here).
    fn bottoms(&self, def: &LayerDef, found: &mut Vec<NetError>) -> Option<Vec<BlobId>> {
        let mut bottoms = Some(Vec::with_capacity(def.bottom.len()));
        for (i, name) in def.bottom.iter().enumerate() {
            match self.latest.get(name) {
                Some(Some(id)) => bottoms.iter_mut().for_each(|list| list.push(*id)),
                Some(None) => bottoms = None,
                None => {
                    let kind = NetErrorKind::UnknownBottom(name.clone());
                    let names = self.latest.keys().map(String::as_str);
                    let similar = schema::similar(name, names);
                    found.push(
                        NetError::at(def, Some(&format!("bottom[{i}]")), kind).similar(similar),
                    );
                    bottoms = None;
                }
            }
        }
        bottoms
    }

    fn check_tops(&self, def: &LayerDef, in_place: &[bool], found: &mut Vec<NetError>) {
        for (j, name) in def.top.iter().enumerate() {
            let twice = def.top[..j].contains(name);
            let made = self.latest.get(name).filter(|_| !in_place[j] || twice);
            if made.is_none() && !twice {
                continue;
            }
            let first = match made.copied().flatten() {
                Some(id) if !twice => self.nodes[self.blobs[id].maker].def.name().to_owned(),
                _ => def.name().to_owned(),
            };
            let kind = NetErrorKind::TopMadeTwice { blob: name.clone(), first };
            let note = "give one of them another name, or name it as the bottom of the same index \
                        to run in place";
            found.push(NetError::at(def, Some(&format!("top[{j}]")), kind).note(note));
        }
    }

    fn top(
        &mut self,
        def: &LayerDef,
        kind: &LayerKind,
        maker: usize,
        j: usize,
        shape: Shape,
    ) -> BlobId {
        let id = self.blobs.len();
        let given = def.loss_weight.get(j).copied();
        let loss_weight = given.unwrap_or(if kind.loss && j == 0 { 1.0 } else { 0.0 });
        let name = def.top.get(j).cloned();
        if let Some(name) = &name {
            self.latest.insert(name.clone(), Some(id));
            self.by_name.entry(name.clone()).or_default().push(id);
        }
        self.blobs.push(Blob {
            name: name.unwrap_or_else(|| AUTOMATIC.to_owned()),
            shape,
            storage: usize::MAX,
            loss_weight,
            maker,
            readers: Short::new(),
        });
        id
    }

    /// Finds or makes the parameters a layer asked for.
    fn params(
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
        let mut ids = Vec::with_capacity(requests.len());
        for (i, request) in requests.iter().enumerate() {
            let spec = def.param.param.get(i).cloned().unwrap_or_default();
            let made = match self.existing(def, i, request, &spec) {
                Ok(Some(id)) => Ok(id),
                Ok(None) => self.fresh(def, i, request, &spec, preloaded.get(i)),
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

    /// A parameter made before: by this layer in another net, or by another layer under this name.
    fn existing(
        &mut self,
        def: &LayerDef,
        i: usize,
        request: &ParamRequest,
        spec: &ParamSpec,
    ) -> Result<Option<ParamId>, NetError> {
        let key = (def.name().to_owned(), i);
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
        if by_name == Some(id) && param.owner != key {
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
        i: usize,
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
        let mut values = vec![0.0; if self.shapes_only && !shaped { 0 } else { count }];
        match preloaded {
            Some(_) if self.shapes_only => {}
            Some(blob) => {
                let at = |why: String| {
                    NetError::at(def, Some(&format!("blobs[{i}]")), NetErrorKind::Param(why))
                };
                let shape = super::weights::shape_of(blob).map_err(at)?;
                if shape != request.shape {
                    return Err(at(format!(
                        "the blob is {shape}, the layer wants {}",
                        request.shape
                    )));
                }
                super::weights::values_of(blob, &mut values).map_err(at)?;
            }
            None if self.shapes_only && values.len() < count && !cheap(request) => {}
            None => {
                let key = RngKey::at_start(self.options.seed);
                let mut rng = key.stream(&format!("{}/{i}", def.name()));
                let filled = request.fill(&mut values, &mut rng);
                filled.map_err(|e| NetError::from_layer(def, e))?;
            }
        }
        let key = (def.name().to_owned(), i);
        let id = self.store.add(
            Param {
                kind: request.kind,
                range: 0..0,
                shape: request.shape.clone(),
                owner: key.clone(),
                lr_mult: if learned { spec.lr_mult() } else { 0.0 },
                decay_mult: if learned { spec.decay_mult() } else { 0.0 },
                given: (spec.lr_mult.is_some(), spec.decay_mult.is_some()),
                unscaled: preloaded.is_none() && request.filler.r#type() == "lsuv",
                version: 0,
            },
            values,
        );
        self.store.by_layer.insert(key, id);
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

/// The shapes of the tops; what depends on who needs a gradient is asked again later.
fn first_shapes(
    layer: &mut dyn Layer,
    phase: Phase,
    bottoms: &[Shape],
    tops: usize,
    params: &[Shape],
) -> Result<Vec<Shape>, cortado_layers::LayerError> {
    let mut shapes = vec![Shape::default(); tops];
    layer.reshape(&mut Reshape {
        phase,
        backward: false,
        bottoms,
        tops: &mut shapes,
        in_place: &vec![false; tops],
        params,
        saved: Vec::new(),
        scratch: 0,
    })?;
    Ok(shapes)
}

pub(crate) fn unknown_type(def: &LayerDef, registry: &Registry) -> NetError {
    let name = def.r#type();
    if name.is_empty() {
        let why = "`type` must be given, as in `type: \"Convolution\"`".to_owned();
        return NetError::at(def, None, NetErrorKind::Rule(why));
    }
    let field = if def.param.r#type.is_some() { Some("type") } else { None };
    let names = registry.kinds().map(|kind| kind.type_name);
    let similar = schema::similar(name, names);
    let error = NetError::at(def, field, NetErrorKind::UnknownType(name.to_owned()));
    match super::forks::fork_of(name) {
        Some(fork) => error.note(format!("it comes from {fork}")),
        None => error.similar(similar),
    }
}

fn arity(def: &LayerDef, kind: &LayerKind, tops: usize, found: &mut Vec<NetError>) {
    let mut say = |why: String, field: String| {
        found.push(NetError::at(def, Some(&field), NetErrorKind::Arity(why)));
    };
    let type_name = kind.type_name;
    let bottoms = def.bottom.len();
    let bottoms_s = |n: usize| if n == 1 { "bottom" } else { "bottoms" };
    if !kind.bottoms.allows(bottoms) {
        let why = format!(
            "{type_name} takes {} {}, found {bottoms}",
            kind.bottoms,
            bottoms_s(kind.bottoms.max)
        );
        say(why, format!("bottom[{}]", bottoms.saturating_sub(1)));
    }
    if !kind.tops.allows(tops) {
        let s = if kind.tops.max == 1 { "top" } else { "tops" };
        let why = format!("{type_name} makes {} {s}, found {tops}", kind.tops);
        say(why, format!("top[{}]", tops.saturating_sub(1)));
    }
    if kind.pairs && bottoms != tops {
        let why = format!("{type_name} makes one top per bottom, found {bottoms} and {tops}");
        say(why, "top[0]".to_owned());
    }
    let weights = def.loss_weight.len();
    if weights != 0 && weights != def.top.len() && weights != tops {
        let why = format!(
            "`loss_weight` is given once per top or not at all: {tops} tops, {weights} weights"
        );
        say(why, "loss_weight[0]".to_owned());
    }
    let propagate = def.propagate_down.len();
    if propagate != 0 && propagate != bottoms {
        let why = format!(
            "`propagate_down` is given once per bottom or not at all: {bottoms} bottoms, {propagate} entries"
        );
        say(why, "propagate_down[0]".to_owned());
    }
}
