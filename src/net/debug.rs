//! What `debug_info` shows: the mean magnitude of every blob, parameter and diff, in the lines that
//! the original prints.

use cortado_kernels::kernels;

use super::{DiffTo, Net, shown};

fn mean_magnitude(values: &[f32]) -> f64 {
    kernels().asum(values) / values.len().max(1) as f64
}

impl Net {
    fn say(&mut self, lines: Vec<String>) {
        if let Some(sink) = &mut self.debug {
            lines.iter().for_each(|line| sink(line));
        }
    }

    pub(super) fn debug_forward(&mut self, i: usize) {
        let node = &self.nodes[i];
        let layer = node.def.name();
        let mut lines = Vec::new();
        for &b in &node.tops {
            let blob = &self.blobs[b];
            let data = mean_magnitude(&self.storages[blob.storage].data);
            let name = &blob.name;
            lines.push(format!(
                "    [Forward] Layer {layer}, top blob {name} data: {}",
                shown(data)
            ));
        }
        for (j, &id) in node.params.iter().enumerate() {
            let data = mean_magnitude(self.store.data(id));
            lines
                .push(format!("    [Forward] Layer {layer}, param blob {j} data: {}", shown(data)));
        }
        self.say(lines);
    }

    pub(super) fn debug_backward(&mut self, i: usize) {
        let node = &self.nodes[i];
        let layer = node.def.name();
        let mut lines = Vec::new();
        for (j, &b) in node.bottoms.iter().enumerate() {
            if node.diff_to[j] == DiffTo::Nobody {
                continue;
            }
            let blob = &self.blobs[b];
            let diff = mean_magnitude(&self.storages[blob.storage].diff);
            let name = &blob.name;
            lines.push(format!(
                "    [Backward] Layer {layer}, bottom blob {name} diff: {}",
                shown(diff)
            ));
        }
        for (&p, _) in node.weights.iter().zip(&node.weight_grads).filter(|(_, wanted)| **wanted) {
            let diff = mean_magnitude(self.store.diff(node.params[p]));
            lines.push(format!(
                "    [Backward] Layer {layer}, param blob {p} diff: {}",
                shown(diff)
            ));
        }
        self.say(lines);
    }

    /// After the whole backward pass: the norms of all parameters together.
    pub(super) fn debug_params(&mut self) {
        let (mut l1, mut l2) = ([0.0; 2], [0.0; 2]);
        for id in 0..self.store.params().len() {
            for (i, values) in [self.store.data(id), self.store.diff(id)].into_iter().enumerate() {
                l1[i] += kernels().asum(values);
                l2[i] += kernels().sum_sq(values);
            }
        }
        let pair = |[data, diff]: [f64; 2]| format!("({}, {})", shown(data), shown(diff));
        let (l1, l2) = (pair(l1), pair(l2.map(f64::sqrt)));
        self.say(vec![format!(
            "    [Backward] All net params (data, diff): L1 norm = {l1}; L2 norm = {l2}"
        )]);
    }
}
