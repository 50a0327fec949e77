//! One reader per top: a top that several layers read (a loss weight counts as a reader) gets a
//! `Split` layer, with the names that the original writes into logs and weight files.

use std::collections::HashMap;

use cortado_layers::LayerDef;
use cortado_proto::Origin;
use cortado_proto::caffe::LayerParameter;

/// A layer on its way into the net.
pub(crate) struct Wired {
    pub def: LayerDef,
    /// For each top, whether the file names it as it names the bottom of the same index.
    pub in_place: Vec<bool>,
}

/// Name of the split of top `top` (of index `index`) of `layer`.
pub(crate) fn split_name(layer: &str, top: &str, index: usize) -> String {
    format!("{top}_{layer}_{index}_split")
}

/// Inserts the splits.
pub(crate) fn splits(layers: Vec<LayerDef>) -> Vec<Wired> {
    // Who made each blob last, and for each top (layer, index): how many readers.
    let mut maker: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut readers: HashMap<(usize, usize), usize> = HashMap::new();
    let mut source: Vec<Vec<Option<(usize, usize)>>> = Vec::with_capacity(layers.len());
    for (i, layer) in layers.iter().enumerate() {
        let from: Vec<_> = layer.bottom.iter().map(|b| maker.get(b.as_str()).copied()).collect();
        for top in from.iter().flatten() {
            *readers.entry(*top).or_default() += 1;
        }
        source.push(from);
        for (j, top) in layer.top.iter().enumerate() {
            maker.insert(top, (i, j));
            if weight_of(layer, j) != 0.0 {
                *readers.entry((i, j)).or_default() += 1;
            }
        }
    }
    let mut next: HashMap<(usize, usize), usize> = HashMap::new();
    let mut wired = Vec::with_capacity(layers.len());
    let tops: Vec<Vec<String>> = layers.iter().map(|layer| layer.top.clone()).collect();
    let names: Vec<String> = layers.iter().map(|layer| layer.name().to_owned()).collect();
    for (i, mut def) in layers.into_iter().enumerate() {
        let in_place = (0..def.top.len()).map(|j| def.bottom.get(j) == def.top.get(j)).collect();
        for (j, from) in source[i].iter().enumerate() {
            let Some(from) = *from else { continue };
            if readers[&from] > 1 {
                let (layer, top) = from;
                let index = next.entry(from).or_default();
                let split = split_name(&names[layer], &tops[layer][top], top);
                def.bottom[j] = format!("{split}_{index}");
                *index += 1;
            }
        }
        let split: Vec<(usize, usize)> = (0..def.top.len())
            .filter_map(|j| readers.get(&(i, j)).filter(|&&n| n > 1).map(|&n| (j, n)))
            .collect();
        let inserted: Vec<Wired> = split
            .into_iter()
            .map(|(j, count)| {
                let weight = weight_of(&def, j);
                if weight != 0.0 {
                    def.loss_weight[j] = 0.0;
                    *next.entry((i, j)).or_default() += 1;
                }
                split_layer(&def, j, count, weight)
            })
            .collect();
        wired.push(Wired { def, in_place });
        wired.extend(inserted);
    }
    wired
}

fn weight_of(layer: &LayerDef, top: usize) -> f32 {
    layer.loss_weight.get(top).copied().unwrap_or(0.0)
}

fn split_layer(def: &LayerDef, top: usize, count: usize, weight: f32) -> Wired {
    let blob = &def.top[top];
    let name = split_name(def.name(), blob, top);
    let mut param = LayerParameter {
        name: Some(name.clone()),
        r#type: Some("Split".to_owned()),
        bottom: vec![blob.clone()],
        top: (0..count).map(|k| format!("{name}_{k}")).collect(),
        ..LayerParameter::default()
    };
    if weight != 0.0 {
        param.loss_weight = vec![0.0; count];
        param.loss_weight[0] = weight;
    }
    let place = def.place.derived(Origin::Split(blob.clone()));
    Wired { def: LayerDef { param, place, extensions: Vec::new() }, in_place: vec![false; count] }
}
