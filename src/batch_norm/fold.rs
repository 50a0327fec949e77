//! Folding: an affine map per channel disappears into the weights of the layer before or behind it,
//! where that gives the same outputs.

use std::collections::HashSet;

use cortado_proto::text::{Edits, quoted};
use serde::Serialize;

use super::affine::{affine, is_affine};
use super::product::Product;
use super::trained::{Blob, Trained, TrainedLayer};
use crate::net::Wiring;

/// A layer that went into another.
#[derive(Clone, Debug, Serialize)]
pub struct Fold {
    /// Name.
    pub layer: String,
    /// Type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The layer that does its work now.
    pub into: String,
    /// `after` or `before` that layer it stood.
    pub stood: &'static str,
}

/// A layer that stays, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// Name.
    pub layer: String,
    /// Type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Why.
    pub why: String,
}

/// A folded net.
#[derive(Debug)]
pub struct Folded {
    /// Its text.
    pub text: String,
    /// Its parameters, by layer name.
    pub blobs: std::collections::HashMap<String, Vec<Blob>>,
    /// What was folded.
    pub folds: Vec<Fold>,
    /// What was not.
    pub kept: Vec<Kept>,
}

/// Folds all layers of a net that can be.
pub fn fold(net: &Trained) -> Folded {
    let mut folding = Folding {
        layers: net.layers.clone(),
        gone: HashSet::new(),
        renamed: HashSet::new(),
        biased: HashSet::new(),
        folds: Vec::new(),
    };
    let affine_at = |folding: &Folding, i: usize| {
        is_affine(folding.layers[i].def.r#type()) && !folding.gone.contains(&i)
    };
    let mut whys: Vec<Vec<String>> = Vec::new();
    let mut folds = usize::MAX;
    // Until nothing changes: the reasons are those of the net as it is at the end.
    while folds != folding.folds.len() {
        folds = folding.folds.len();
        whys = vec![Vec::new(); net.layers.len()];
        // Into real weights first; a BatchNorm that finds none into its Scale, which may then go on.
        for (side, scales) in
            [("after", false), ("before", true), ("after", true), ("before", false)]
        {
            for (i, whys) in whys.iter_mut().enumerate() {
                if !affine_at(&folding, i) {
                    continue;
                }
                let done = match side {
                    "after" => folding.after(i, scales),
                    _ => folding.before(i, scales),
                };
                // No reason: this round was for products of the other kind.
                if let Err(why) = done
                    && !(why.is_empty() || whys.contains(&why))
                {
                    whys.push(why);
                }
            }
        }
    }
    let kept = (0..net.layers.len()).filter(|&i| affine_at(&folding, i)).map(|i| Kept {
        layer: folding.layers[i].def.name().to_owned(),
        type_name: folding.layers[i].def.r#type().to_owned(),
        why: whys[i].join("; "),
    });
    let kept = kept.collect();
    folding.written(net, kept)
}

struct Folding {
    layers: Vec<TrainedLayer>,
    gone: HashSet<usize>,
    /// Layers whose bottom or top has another name now.
    renamed: HashSet<usize>,
    /// Layers that have a bias now.
    biased: HashSet<usize>,
    folds: Vec<Fold>,
}

impl Folding {
    /// Wiring of the layers that are there; those gone count as if they had no bottoms and tops.
    fn wiring(&self) -> Wiring {
        let nothing = Default::default();
        let layers = self.layers.iter().enumerate();
        Wiring::of(
            layers.map(|(i, l)| if self.gone.contains(&i) { &nothing } else { &l.def.param }),
        )
    }

    /// Folds layer `i` into the one that makes its bottom.
    fn after(&mut self, i: usize, scales: bool) -> Result<(), String> {
        let map = affine(&self.layers[i])?;
        let wiring = self.wiring();
        let Some(value) = wiring.only_bottom(i) else {
            return Err("its bottom is made by no layer".to_owned());
        };
        let maker = value.maker;
        let product = Product::of(&self.layers[maker])?;
        if (product == Product::Scale) != scales {
            return Err(String::new());
        }
        if self.layers[maker].def.convolution_param.as_ref().is_some_and(|p| p.relu()) {
            return Err(format!("a ReLU is part of `{}`", self.layers[maker].def.name()));
        }
        if let Some(&other) = value.readers.iter().find(|&&reader| reader != i) {
            let (bottom, other) = (&self.layers[i].def.bottom[0], self.layers[other].def.name());
            return Err(format!("its bottom `{bottom}` is read by `{other}` too"));
        }
        let top = self.layers[i].def.top[0].clone();
        let old = self.layers[maker].def.top[0].clone();
        if top != old
            && let Some(between) = self.uses(&top, maker, i)
        {
            return Err(format!("`{between}` uses the name `{top}` in between"));
        }
        if !product.after(&mut self.layers[maker], &map) {
            return Err(format!("`{}` has no weights", self.layers[maker].def.name()));
        }
        if top != old {
            self.layers[maker].def.top[0] = top;
            self.renamed.insert(maker);
        }
        self.done(i, maker, "after");
        Ok(())
    }

    /// Folds layer `i` into the one that reads its top.
    fn before(&mut self, i: usize, scales: bool) -> Result<(), String> {
        let map = affine(&self.layers[i])?;
        let wiring = self.wiring();
        let Some(value) = wiring.only_top(i) else {
            return Err("it has several tops".to_owned());
        };
        let reader = match value.readers[..] {
            [] => return Err("its top is an output of the net".to_owned()),
            [reader] => reader,
            [first, second, ..] => {
                let (a, b) = (self.layers[first].def.name(), self.layers[second].def.name());
                return Err(format!("its top is read by `{a}` and `{b}`"));
            }
        };
        let product = Product::of(&self.layers[reader])?;
        let name = self.layers[reader].def.name().to_owned();
        if (product == Product::Scale) != scales {
            return Err(String::new());
        }
        if map.shift.iter().any(|&shift| shift != 0.0)
            && let Some(why) = cannot_shift(&self.layers[reader], product)
        {
            return Err(format!("`{name}` {why}"));
        }
        let (bottom, top) = (self.layers[i].def.bottom[0].clone(), &self.layers[i].def.top[0]);
        if bottom != *top {
            let again = (i + 1..reader)
                .find(|&j| !self.gone.contains(&j) && self.layers[j].def.top.contains(&bottom));
            if let Some(j) = again {
                let between = self.layers[j].def.name();
                return Err(format!("`{between}` writes `{bottom}` anew in between"));
            }
            self.layers[reader].def.bottom[0] = bottom;
            self.renamed.insert(reader);
        }
        product.before(&mut self.layers[reader], &map);
        self.done(i, reader, "before");
        Ok(())
    }

    /// A layer between two that reads or writes a name.
    fn uses(&self, name: &str, from: usize, to: usize) -> Option<&str> {
        let mut between = (from + 1..to).filter(|j| !self.gone.contains(j));
        let named = |names: &[String]| names.iter().any(|n| n == name);
        let found = between.find(|&j| {
            let def = &self.layers[j].def;
            named(&def.bottom) || named(&def.top)
        });
        found.map(|j| self.layers[j].def.name())
    }

    fn done(&mut self, i: usize, into: usize, stood: &'static str) {
        self.gone.insert(i);
        self.biased.insert(into);
        let (layer, into) = (&self.layers[i].def, &self.layers[into].def);
        self.folds.push(Fold {
            layer: layer.name().to_owned(),
            type_name: layer.r#type().to_owned(),
            into: into.name().to_owned(),
            stood,
        });
    }

    /// The text with what was done, and the parameters.
    fn written(mut self, net: &Trained, kept: Vec<Kept>) -> Folded {
        let mut edits = Edits::new(&net.source);
        net.others.iter().for_each(|place| edits.remove(place.field));
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let place = layer.def.place.clone();
            if self.gone.contains(&i) {
                place.field("").iter().for_each(|place| edits.remove(place.field));
                continue;
            }
            if self.renamed.contains(&i) {
                let names = [("bottom", &layer.def.bottom[0]), ("top", &layer.def.top[0])];
                names.iter().for_each(|(field, name)| {
                    edits.set(&place, &format!("{field}[0]"), &quoted(name));
                });
            }
            if self.biased.contains(&i)
                && let Ok(product) = Product::of(layer)
            {
                let field = product.bias_field();
                if place.field(field).is_some() || !product.biased_unless_told() {
                    edits.set(&place, field, "true");
                }
            }
        }
        let there = self.layers.iter().enumerate().filter(|(i, _)| !self.gone.contains(i));
        let blobs = there.map(|(_, l)| (l.def.name().to_owned(), l.blobs.clone())).collect();
        Folded { text: edits.apply(), blobs, folds: self.folds, kept }
    }
}

/// Why a shift of the bottom does not come out as one of each channel of the top.
fn cannot_shift(layer: &TrainedLayer, product: Product) -> Option<&'static str> {
    let p = layer.def.convolution_param.as_ref()?;
    let pads = p.pad.iter().any(|&pad| pad > 0) || p.pad_h() > 0 || p.pad_w() > 0;
    match product {
        Product::Convolution if pads => Some("pads with zeros, which it would have shifted"),
        Product::Deconvolution => {
            Some("(Deconvolution) would spread a shift unevenly: by place, other weights count")
        }
        _ => None,
    }
}
