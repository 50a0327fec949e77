//! Random nets, planned and layer by layer.

use std::fmt::Write;

use proptest::prelude::*;

use super::agree;

/// A blob of a net under construction.
#[derive(Clone, Debug)]
struct Blob {
    name: String,
    c: usize,
    h: usize,
    w: usize,
}

/// A net that grows from a list of numbers, so that a failing one shrinks.
pub struct Grown {
    pub text: String,
    blobs: Vec<Blob>,
}

impl Grown {
    pub fn new(n: usize, c: usize, h: usize, w: usize) -> Grown {
        let text = format!(
            "layer {{ name: \"data\" type: \"Input\" top: \"data\" \
             input_param {{ shape {{ dim: {n} dim: {c} dim: {h} dim: {w} }} }} }}\n"
        );
        Grown { text, blobs: vec![Blob { name: "data".into(), c, h, w }] }
    }

    /// A net that trains: grown by these steps, every other a normalised convolution, with a loss at its
    /// end.
    pub fn training((n, c, h, w): (usize, usize, usize, usize), steps: &[[usize; 4]]) -> String {
        let mut grown = Grown::new(n, c, h, w);
        for &step in steps {
            match step {
                [what, which, a, b] if what % 2 == 0 => grown.normalised([which, a, b]),
                step => grown.grow(step),
            }
        }
        let last = grown.blobs.last().map_or("data", |blob| &blob.name);
        let tail = format!(
            "layer {{ name: \"ip\" type: \"InnerProduct\" bottom: \"{last}\" top: \"ip\" \
             inner_product_param {{ num_output: 3 }} }}\n\
             layer {{ name: \"wanted\" type: \"Input\" top: \"wanted\" \
             input_param {{ shape {{ dim: {n} dim: 3 }} }} }}\n\
             layer {{ name: \"loss\" type: \"EuclideanLoss\" bottom: \"ip\" bottom: \"wanted\" \
             top: \"loss\" }}\n"
        );
        grown.text + &tail
    }

    /// A convolution whose result is normalised, scaled and perhaps rectified, all in place.
    pub fn normalised(&mut self, [which, c, relu]: [usize; 3]) {
        let at = self.blobs.len() - 1 - which % self.blobs.len().min(3);
        let x = self.blobs[at].clone();
        let fresh = format!("b{}", self.text.lines().count());
        let top = Blob { name: fresh.clone(), c: 3 + c % 6, ..x.clone() };
        let param = format!(
            "convolution_param {{ num_output: {} kernel_size: 3 pad: 1 bias_term: false }}",
            top.c
        );
        self.layer("Convolution", &[&x.name], top.clone(), &param);
        self.layer("BatchNorm", &[&fresh], top.clone(), "");
        self.layer("Scale", &[&fresh], top.clone(), "scale_param { bias_term: true }");
        if relu % 3 != 0 {
            self.layer("ReLU", &[&fresh], top, "");
        }
    }

    fn layer(&mut self, type_name: &str, bottoms: &[&str], top: Blob, param: &str) {
        let bottoms: String = bottoms.iter().fold(String::new(), |mut list, name| {
            write!(list, " bottom: \"{name}\"").unwrap();
            list
        });
        let name = format!("l{}", self.text.lines().count());
        writeln!(
            self.text,
            "layer {{ name: \"{name}\" type: \"{type_name}\"{bottoms} top: \"{}\" {param} }}",
            top.name
        )
        .unwrap();
        match self.blobs.iter_mut().find(|blob| blob.name == top.name) {
            Some(blob) => *blob = top,
            None => self.blobs.push(top),
        }
    }

    pub fn grow(&mut self, [what, which, a, b]: [usize; 4]) {
        // Late blobs first, so that chains form.
        let at = self.blobs.len() - 1 - which % self.blobs.len().min(3);
        let x = self.blobs[at].clone();
        let fresh = format!("b{}", self.text.lines().count());
        let in_place = b % 3 != 0 && x.name != "data";
        let same =
            Blob { name: if in_place { x.name.clone() } else { fresh.clone() }, ..x.clone() };
        let bottom = [&*x.name];
        match what % 14 {
            0..4 => {
                let kernel = [1, 3, 3, 2][a % 4].min(x.h).min(x.w);
                let (pad, stride) = ((b % 2).min(kernel - 1), 1 + a / 4 % 2);
                let group = if x.c.is_multiple_of(4) && b.is_multiple_of(5) {
                    [2, 4, x.c][a % 3]
                } else {
                    1
                };
                let c = [8, 16, 32, 20, 48][a % 5].max(group).next_multiple_of(group);
                let size = |s: usize| (s + 2 * pad - kernel) / stride + 1;
                let top = Blob { name: fresh, c, h: size(x.h), w: size(x.w) };
                let param = format!(
                    "convolution_param {{ num_output: {c} kernel_size: {kernel} pad: {pad} \
                     stride: {stride} group: {group} bias_term: {} }}",
                    a % 2 == 0
                );
                self.layer("Convolution", &bottom, top, &param);
            }
            4 => self.layer("BatchNorm", &bottom, same, ""),
            5 => self.layer("Scale", &bottom, same, "scale_param { bias_term: true }"),
            6 => {
                let acts = [
                    ("ReLU", ""),
                    ("PReLU", ""),
                    ("Sigmoid", ""),
                    ("ELU", ""),
                    ("Clip", "clip_param { min: -0.2 max: 0.7 }"),
                    ("TanH", ""),
                    ("ReLU", "relu_param { negative_slope: 0.1 }"),
                ];
                let (act, param) = acts[a % acts.len()];
                self.layer(act, &bottom, same, param);
            }
            7 => {
                let kernel = (2 + a % 2).min(x.h).min(x.w);
                let pool = if b % 2 == 0 { "MAX" } else { "AVE" };
                // A stride beyond the kernel would make windows over nothing.
                let stride = kernel.min(2);
                let size = |s: usize| (s - kernel).div_ceil(stride) + 1;
                let top = Blob { name: fresh, c: x.c, h: size(x.h), w: size(x.w) };
                let param = format!(
                    "pooling_param {{ pool: {pool} kernel_size: {kernel} stride: {stride} }}"
                );
                self.layer("Pooling", &bottom, top, &param);
            }
            8 => self.layer("LRN", &bottom, Blob { name: fresh, ..x.clone() }, ""),
            9 => self.layer("Dropout", &bottom, same, ""),
            10 => self.layer("Power", &bottom, same, "power_param { scale: 0.7 shift: 0.1 }"),
            11 => {
                let alike = |blob: &&Blob| (blob.c, blob.h, blob.w) == (x.c, x.h, x.w);
                let others: Vec<&Blob> = self.blobs.iter().filter(alike).collect();
                let other = others[a % others.len()].name.clone();
                let param = [
                    "",
                    "",
                    "eltwise_param { coeff: 0.5 coeff: -1 }",
                    "eltwise_param { operation: MAX }",
                    "eltwise_param { operation: PROD }",
                ][b % 5];
                let top = Blob { name: fresh.clone(), ..x.clone() };
                self.layer("Eltwise", &[&x.name, &other], top.clone(), param);
                if param.contains("PROD") {
                    // Powers of powers grow beyond all numbers.
                    self.layer("TanH", &[&fresh], top, "");
                }
            }
            12 => {
                let alike = |blob: &&Blob| (blob.h, blob.w) == (x.h, x.w);
                let others: Vec<&Blob> = self.blobs.iter().filter(alike).collect();
                let other = others[a % others.len()].clone();
                let top = Blob { name: fresh, c: x.c + other.c, ..x.clone() };
                self.layer("Concat", &[&x.name, &other.name], top, "");
            }
            _ => {
                let top = Blob { name: fresh, c: 6, h: 2 * x.h, w: 2 * x.w };
                let param = "convolution_param { num_output: 6 kernel_size: 4 stride: 2 pad: 1 }";
                if x.h * x.w < 200 {
                    self.layer("Deconvolution", &bottom, top, param);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn planned_nets_give_what_their_layers_give(
        n in 1usize..3,
        c in prop_oneof![Just(1usize), Just(3), Just(16), Just(20)],
        (h, w) in (3usize..12, 3usize..12),
        steps in proptest::collection::vec(proptest::array::uniform4(0usize..840), 1..16),
        with_ip in any::<bool>(),
    ) {
        let mut grown = Grown::new(n, c, h, w);
        steps.into_iter().for_each(|step| grown.grow(step));
        if with_ip {
            let x = grown.blobs.last().unwrap().name.clone();
            let top = Blob { name: "ip".into(), c: 5, h: 1, w: 1 };
            grown.layer("InnerProduct", &[&x], top, "inner_product_param { num_output: 5 }");
        }
        if grown.text.lines().count() > 1 {
            agree(&grown.text);
        }
    }
}
