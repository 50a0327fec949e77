//! Who makes and who reads what, by names alone: nothing is built.

use std::collections::HashMap;

use cortado_proto::caffe::LayerParameter;

/// One value of a name; a name that is written in place has several, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Index of the layer that makes it.
    pub maker: usize,
    /// Which of its tops.
    pub top: usize,
    /// Indices of the layers that read it, as often as they do.
    pub readers: Vec<usize>,
}

/// The values of a list of layers.
#[derive(Clone, Debug, Default)]
pub struct Wiring {
    /// In the order in which they are made.
    pub values: Vec<Value>,
    /// For each layer the values that it reads; `None` for a name that nobody above makes.
    pub bottoms: Vec<Vec<Option<usize>>>,
    /// For each layer the values that it makes.
    pub tops: Vec<Vec<usize>>,
}

impl Wiring {
    /// Of layers in the order in which they run.
    pub fn of<'a>(layers: impl Iterator<Item = &'a LayerParameter>) -> Wiring {
        let mut wiring = Wiring::default();
        let mut last: HashMap<&str, usize> = HashMap::new();
        for (i, layer) in layers.enumerate() {
            let read: Vec<Option<usize>> =
                layer.bottom.iter().map(|name| last.get(name.as_str()).copied()).collect();
            for &value in read.iter().flatten() {
                wiring.values[value].readers.push(i);
            }
            wiring.bottoms.push(read);
            let first = wiring.values.len();
            for (top, name) in layer.top.iter().enumerate() {
                last.insert(name, wiring.values.len());
                wiring.values.push(Value { maker: i, top, readers: Vec::new() });
            }
            wiring.tops.push((first..wiring.values.len()).collect());
        }
        wiring
    }

    /// The value behind a layer's only bottom.
    pub fn only_bottom(&self, layer: usize) -> Option<&Value> {
        match self.bottoms[layer][..] {
            [Some(value)] => Some(&self.values[value]),
            _ => None,
        }
    }

    /// The value that is a layer's only top.
    pub fn only_top(&self, layer: usize) -> Option<&Value> {
        match self.tops[layer][..] {
            [value] => Some(&self.values[value]),
            _ => None,
        }
    }
}
