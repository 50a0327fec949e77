//! A layer type, declared as data: what the net must know before it builds one.

use std::fmt;

use crate::{Layer, LayerDef, LayerDoc, LayerError, LowerCx, Prim, Shape};

/// How many bottoms or tops a type takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    /// At least this many.
    pub min: usize,
    /// At most this many.
    pub max: usize,
}

impl Arity {
    /// Exactly `n`.
    pub const fn exactly(n: usize) -> Arity {
        Arity { min: n, max: n }
    }

    /// From `min` to `max`, both included.
    pub const fn between(min: usize, max: usize) -> Arity {
        Arity { min, max }
    }

    /// `n` or more.
    pub const fn at_least(n: usize) -> Arity {
        Arity { min: n, max: usize::MAX }
    }

    /// Whether `n` is allowed.
    pub const fn allows(&self, n: usize) -> bool {
        self.min <= n && n <= self.max
    }
}

impl fmt::Display for Arity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Arity { min, max } if min == max => write!(f, "{min}"),
            Arity { min, max: usize::MAX } => write!(f, "{min} or more"),
            Arity { min, max } if max == min + 1 => write!(f, "{min} or {max}"),
            Arity { min, max } => write!(f, "{min} to {max}"),
        }
    }
}

/// Which values the backward pass reads; what it does not read may be overwritten in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The data of the bottoms.
    pub bottom: bool,
    /// The data of the tops.
    pub top: bool,
}

impl Needs {
    /// Neither bottoms nor tops.
    pub const NOTHING: Needs = Needs { bottom: false, top: false };
    /// The bottoms' data.
    pub const BOTTOM: Needs = Needs { bottom: true, top: false };
    /// The tops' data.
    pub const TOP: Needs = Needs { bottom: false, top: true };
    /// Both.
    pub const BOTH: Needs = Needs { bottom: true, top: true };
}

/// Which bottoms can receive a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GradBottoms {
    /// Every one.
    All,
    /// None: there is no backward pass.
    None,
    /// Those of these indices (labels and indices take none).
    Only(&'static [usize]),
    /// Every one but the last.
    AllButLast,
}

impl GradBottoms {
    /// Whether the bottom `index` of so many can receive a gradient.
    pub fn allows(&self, index: usize, bottoms: usize) -> bool {
        match self {
            GradBottoms::All => true,
            GradBottoms::None => false,
            GradBottoms::Only(list) => list.contains(&index),
            GradBottoms::AllButLast => index + 1 < bottoms,
        }
    }
}

/// When the top is the bottom's memory under another name (or shape), so that nothing is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alias {
    /// Never.
    Never,
    /// Every top is bottom 0.
    Always,
    /// When there is one bottom and one top.
    OneToOne,
}

/// In which layouts a type's passes can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layouts {
    /// Only row-major NCHW.
    NchwOnly,
    /// Any, element by element.
    Elementwise,
    /// NCHW and channel-blocked.
    Blocked,
}

/// Makes a layer from its definition.
pub type Build = fn(&LayerDef) -> Result<Box<dyn Layer>, LayerError>;

/// Multiply-adds from the shapes of bottoms, tops and parameters.
pub type Macs = fn(&[Shape], &[Shape], &[Shape]) -> u64;

/// What a layer means where it stands; `None` where it has to run as it is.
pub type Lower = fn(&LowerCx<'_>) -> Option<Prim>;

/// One layer type. Made by [`LayerKind::new`] and the `const` methods that follow it:
///
/// ```ignore
/// pub static KIND: LayerKind = LayerKind::new("ReLU", build, &DOC).in_place().needs(needs);
/// ```
#[non_exhaustive]
pub struct LayerKind {
    /// The `type` string of the prototxt.
    pub type_name: &'static str,
    /// Makes one.
    pub build: Build,
    /// Its reference page.
    pub doc: &'static LayerDoc,
    /// How many bottoms (1 unless declared).
    pub bottoms: Arity,
    /// How many tops (1 unless declared).
    pub tops: Arity,
    /// As many tops as bottoms.
    pub pairs: bool,
    /// Whether top i may be the memory of bottom i.
    pub in_place: bool,
    /// What backward reads. Said cautiously (both) unless declared.
    pub needs: fn(&LayerDef) -> Needs,
    /// Which bottoms can receive a gradient.
    pub grads: GradBottoms,
    /// Whether a gradient that the other bottoms can't receive ends there, as in the original, and is
    /// no mistake of the net.
    pub ends_gradients: bool,
    /// Whether top 0 is a loss: weight 1 unless the file says otherwise.
    pub loss: bool,
    /// Whether missing tops are added without a name (losses).
    pub auto_tops: bool,
    /// When tops are the memory of bottom 0.
    pub alias: Alias,
    /// Whether the net's user writes the tops: its inputs.
    pub fed: bool,
    /// Whether the shapes of the tops depend on values, so that the net asks `measure` each time.
    pub dynamic: bool,
    /// Layouts its passes understand.
    pub layouts: Layouts,
    /// Parameter blocks outside our schema that `build` reads by `LayerDef::extension`.
    pub extensions: &'static [&'static str],
    /// What it means, for the planner of inference; a type without a meaning runs as it is.
    pub lower: Option<Lower>,
    /// Multiply-adds of a forward pass, for types whose work they measure.
    pub macs: Option<Macs>,
    /// Which dialect of Caffe the type comes from.
    pub dialect: &'static str,
}

fn needs_both(_: &LayerDef) -> Needs {
    Needs::BOTH
}

impl LayerKind {
    /// A type with one bottom, one top, a gradient, not in place.
    pub const fn new(type_name: &'static str, build: Build, doc: &'static LayerDoc) -> LayerKind {
        LayerKind {
            type_name,
            build,
            doc,
            bottoms: Arity::exactly(1),
            tops: Arity::exactly(1),
            pairs: false,
            in_place: false,
            needs: needs_both,
            grads: GradBottoms::All,
            ends_gradients: false,
            loss: false,
            auto_tops: false,
            alias: Alias::Never,
            fed: false,
            dynamic: false,
            layouts: Layouts::NchwOnly,
            extensions: &[],
            lower: None,
            macs: None,
            dialect: "caffe",
        }
    }

    /// Takes so many bottoms.
    pub const fn bottoms(mut self, arity: Arity) -> LayerKind {
        self.bottoms = arity;
        self
    }

    /// Takes so many tops.
    pub const fn tops(mut self, arity: Arity) -> LayerKind {
        self.tops = arity;
        self
    }

    /// Takes as many tops as bottoms, at least one.
    pub const fn pairs(mut self) -> LayerKind {
        self.bottoms = Arity::at_least(1);
        self.tops = Arity::at_least(1);
        self.pairs = true;
        self
    }

    /// May run in place.
    pub const fn in_place(mut self) -> LayerKind {
        self.in_place = true;
        self
    }

    /// Backward reads what this function says.
    pub const fn needs(mut self, needs: fn(&LayerDef) -> Needs) -> LayerKind {
        self.needs = needs;
        self
    }

    /// Only these bottoms can receive a gradient.
    pub const fn grads(mut self, grads: GradBottoms) -> LayerKind {
        self.grads = grads;
        self
    }

    /// Something learned may stand behind bottoms that receive no gradient: they say where or how large.
    pub const fn ends_gradients(mut self) -> LayerKind {
        self.ends_gradients = true;
        self
    }

    /// Top 0 is a loss of weight 1, added when the file names none; up to `tops` tops.
    pub const fn loss(mut self) -> LayerKind {
        self.loss = true;
        self.auto_tops = true;
        self
    }

    /// Tops are the memory of bottom 0.
    pub const fn alias(mut self, alias: Alias) -> LayerKind {
        self.alias = alias;
        self
    }

    /// The net's user writes the tops.
    pub const fn fed(mut self) -> LayerKind {
        self.fed = true;
        self
    }

    /// Top shapes depend on values.
    pub const fn dynamic(mut self) -> LayerKind {
        self.dynamic = true;
        self
    }

    /// Whether a layer with so many bottoms and tops computes nothing.
    pub fn is_alias(&self, bottoms: usize, tops: usize) -> bool {
        match self.alias {
            Alias::Never => false,
            Alias::Always => true,
            Alias::OneToOne => bottoms == 1 && tops == 1,
        }
    }

    /// Its passes understand these layouts.
    pub const fn layouts(mut self, layouts: Layouts) -> LayerKind {
        self.layouts = layouts;
        self
    }

    /// Reads these parameter blocks that the schema does not know.
    pub const fn extensions(mut self, names: &'static [&'static str]) -> LayerKind {
        self.extensions = names;
        self
    }

    /// Means what this function says.
    pub const fn lower(mut self, lower: Lower) -> LayerKind {
        self.lower = Some(lower);
        self
    }

    /// A forward pass takes so many multiply-adds.
    pub const fn macs(mut self, macs: Macs) -> LayerKind {
        self.macs = Some(macs);
        self
    }

    /// Comes from this dialect.
    pub const fn dialect(mut self, dialect: &'static str) -> LayerKind {
        self.dialect = dialect;
        self
    }
}

impl fmt::Debug for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LayerKind({})", self.type_name)
    }
}
