//! From definitions to a net: kinds, wiring, layers, shapes, parameters. Collects every mistake.

mod params;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cortado_layers::{
    At, Layer, LayerDef, LayerError, LayerKind, MAX_AXES, PackCache, ParamKind, Phase, Registry,
    Reshape, SetUp, Shape,
};
use cortado_proto::def::NetDef;
use cortado_proto::{Diagnostic, ErrorKind, Origin, schema};

use super::splits::{Wired, splits};
use super::{
    Blob, BlobId, Net, NetError, NetErrorKind, NetErrors, NetOptions, Node, ParamStore, Pulse,
    Short,
};

/// Name of the tops that losses get without asking.
const AUTOMATIC: &str = "(automatic)";

/// `12 MiB`, or `3 KiB`.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        mib => format!("{mib} MiB"),
    }
}

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
        notes.extend(super::unused::of_net(&def));
        let source = def.source.as_ref().map(|source| source.name.clone());
        let param = def.param;
        let wired = splits(def.layers);
        let mut builder = Builder::new(options, store, notes, errors);
        for layer in wired {
            builder.add(layer);
        }
        let Builder { mut store, notes, errors, blobs, nodes, by_name, .. } = builder;
        NetErrors::check(errors)?;
        store.built();
        let named = |blob: &Blob| blob.name != AUTOMATIC && blob.readers.is_empty();
        let mut outputs: Vec<BlobId> = (0..blobs.len()).filter(|&id| named(&blobs[id])).collect();
        outputs.sort_by(|&a, &b| blobs[a].name.cmp(&blobs[b].name));
        let inputs = nodes.iter().filter(|n| n.kind.fed).flat_map(|n| n.tops.clone()).collect();
        let named = |node: &Node| (node.def.name().to_owned(), node.def.r#type().to_owned());
        let pulse = Pulse::of(nodes.iter().map(named));
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
            fused: Vec::new(),
            parts: Vec::new(),
            planning: options.plan,
            exact: options.exact,
            tuned: options.tuned.clone(),
            plan: None,
            store,
            scratch: Vec::new(),
            cache: PackCache::default(),
            seeds: HashMap::new(),
            passes: 0,
            pool: options.pool.clone(),
            notes,
            debug: None,
            trace: None,
            pulse,
            max_memory: options.max_memory,
            recomputes: options.checkpoint_activations,
            lent: Default::default(),
            held: BTreeSet::new(),
            fired: None,
            shown: Vec::new(),
        };
        net.limit_each(options.max_memory)?;
        net.check(options.gradients, param.force_backward())?;
        net.lend();
        net.limit_memory(options.max_memory)?;
        net.reshape()?;
        Ok(net)
    }

    /// Refuses a layer with which so many bytes beside blobs are too much.
    pub(super) fn limit_kept(&self, i: usize, bytes: u64) -> Result<(), NetError> {
        if bytes <= self.max_memory {
            return Ok(());
        }
        let (wanted, limit) = (size(bytes), size(self.max_memory));
        let why = format!(
            "up to this layer, {wanted} are kept for backward or needed beside, over the limit of {limit}"
        );
        Err(NetError::at(&self.nodes[i].def, None, NetErrorKind::Size(why)))
    }

    /// Before memory is assigned: blobs too large alone.
    fn limit_each(&self, limit: u64) -> Result<(), NetErrors> {
        let bytes = |blob: &Blob| blob.shape.checked_count().map_or(u64::MAX, |n| 4 * n as u64);
        self.limit_total(self.blobs.iter().map(bytes).max().unwrap_or(0), limit)
    }

    pub(super) fn limit_memory(&self, limit: u64) -> Result<(), NetErrors> {
        self.limit_total(self.blob_bytes(), limit)
    }

    fn limit_total(&self, total: u64, limit: u64) -> Result<(), NetErrors> {
        if total <= limit {
            return Ok(());
        }
        let count = |blob: &&Blob| blob.shape.checked_count();
        let Some(blob) = self.blobs.iter().rev().max_by_key(count) else { return Ok(()) };
        let why = format!(
            "the blobs of this net take {}, over the limit of {}; the largest is `{}`, {}",
            size(total),
            size(limit),
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
    /// How many parameters belong to nets built before.
    others: usize,
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
            others: store.params().len(),
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
            Some(kind) => {
                self.unclaimed(&def, kind, &mut found);
                let (refused, warnings) = super::unused::of_layer(&def, kind);
                found.extend(refused);
                self.notes.extend(warnings);
            }
        }
        let bottoms = self.bottoms(&def, &mut found);
        self.check_tops(&def, &in_place, &mut found);
        let Some(kind) = kind else { return Err(found) };
        let tops = if kind.auto_tops { def.top.len().max(kind.tops.min) } else { def.top.len() };
        arity(&def, kind, tops, &mut found);
        let Some(bottoms) = bottoms.filter(|_| found.is_empty()) else { return Err(found) };

        let at = |def: &LayerDef, error| vec![self.with_chains(def, error, &bottoms)];
        let mut layer = (kind.build)(&def).map_err(|e| at(&def, e))?;
        let shapes: Vec<Shape> = bottoms.iter().map(|&b| self.blobs[b].shape.clone()).collect();
        let phase = layer_phase(&def, self.options.state.phase);
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
        if let Some(shape) = top_shapes.iter().find(|s| s.len() > MAX_AXES) {
            let why = format!("a blob has at most {MAX_AXES} axes, a top here {}", shape.len());
            return Err(vec![NetError::at(&def, None, NetErrorKind::Size(why))]);
        }
        self.param_bytes = param_shapes
            .iter()
            .fold(self.param_bytes, |sum, shape| sum.saturating_add(8 * shape.count() as u64));
        if self.param_bytes > self.options.max_memory {
            let why = format!(
                "the parameters up to this layer ({}) take {}, over the limit of {}",
                param_shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", "),
                size(self.param_bytes),
                size(self.options.max_memory)
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

    /// What a layer found; where it is about shapes, with those that led to it.
    fn with_chains(&self, def: &LayerDef, error: LayerError, bottoms: &[BlobId]) -> NetError {
        let about = |(i, id): &(usize, &BlobId)| {
            error.at == At::Bottom(*i) || error.why.contains(&self.blobs[**id].shape.to_string())
        };
        let chains = bottoms.iter().enumerate().filter(about).filter_map(|(_, &id)| self.chain(id));
        let chains: Vec<String> = chains.collect();
        let found = NetError::from_layer(def, error);
        chains.into_iter().fold(found, NetError::note)
    }

    /// The blobs from which a blob's shape comes, up to the last few; those of equal shape left out.
    fn chain(&self, mut id: BlobId) -> Option<String> {
        const LONGEST: usize = 5;
        let mut links = Vec::new();
        loop {
            let blob = &self.blobs[id];
            let maker = &self.nodes[blob.maker];
            let from = maker.bottoms.first().copied();
            let changes = from.is_none_or(|from| self.blobs[from].shape != blob.shape);
            if changes || links.is_empty() {
                let link = format!("`{}` {} ({})", blob.name, blob.shape, maker.def.r#type());
                // A copy of what comes next says nothing.
                if !matches!(maker.def.place.origin(), Origin::Split(_)) {
                    links.push(link);
                }
            }
            match from {
                Some(_) if links.len() == LONGEST => {
                    links.push("…".to_owned());
                    break;
                }
                Some(from) => id = from,
                None => break,
            }
        }
        links.reverse();
        (links.len() > 1).then(|| format!("shapes on the way: {}", links.join(" → ")))
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
}

/// The phase of a layer: what it says itself, else the net's.
pub(super) fn layer_phase(def: &LayerDef, net: Phase) -> Phase {
    def.phase.map_or(net, |_| super::phase_of(def.phase()))
}

/// The shapes of the tops; what depends on who needs a gradient is asked again later.
fn first_shapes(
    layer: &mut dyn Layer,
    phase: Phase,
    bottoms: &[Shape],
    tops: usize,
    params: &[Shape],
) -> Result<Vec<Shape>, LayerError> {
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
        Some(fork) => error
            .note(format!("it comes from {}", fork.origin))
            .note(format!("it would need {}", fork.needs)),
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
