//! Writes the residual networks of `models/`: the ImageNet nets of 50, 101 and 152 layers and the
//! CIFAR-10 nets of 6n+2 layers (He, Zhang, Ren, Sun: "Deep Residual Learning for Image
//! Recognition", 2015, arXiv 1512.03385, table 1 and section 4.2).
//!
//! Layer and blob names of the ImageNet nets are those of the authors' published deploy files, so
//! trained weights load by name.
//!
//! ```text
//! cargo run --example generate_resnet -- 50 deploy > models/resnet50/deploy.prototxt
//! cargo run --example generate_resnet -- 50 train  > models/resnet50/train_val.prototxt
//! cargo run --example generate_resnet -- 20 train  > models/resnet20_cifar/train_test.prototxt
//! ```

use std::process::ExitCode;

/// Which file of a network is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum File {
    /// An Input layer of one image, the trunk with fixed BatchNorm statistics, class probabilities.
    Deploy,
    /// Data layers of both phases, the trunk with fillers, the loss and accuracies.
    Train,
}

/// The text of one network definition; `None` for a depth that is neither 50, 101, 152 nor 6n+2
/// with n in 1..=26 (a block is named by a letter).
pub fn prototxt(depth: u32, file: File) -> Option<String> {
    let imagenet = matches!(depth, 50 | 101 | 152);
    let statistics: &[&str] = match file {
        File::Deploy => &["batch_norm_param { use_global_stats: true }"],
        // Absent: those of the batch in TRAIN, of the past in TEST.
        File::Train if imagenet => &[],
        // Tests come every few hundred iterations and shall see the weights of the moment.
        File::Train => &["batch_norm_param { moving_average_fraction: 0.95 }"],
    };
    let mut net = Writer { text: String::new(), file, statistics };
    match depth {
        50 => net.imagenet(50, [3, 4, 6, 3]),
        101 => net.imagenet(101, [3, 4, 23, 3]),
        152 => net.imagenet(152, [3, 8, 36, 3]),
        8..=158 if depth % 6 == 2 => net.cifar(depth, (depth - 2) / 6),
        _ => return None,
    }
    Some(net.text)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [depth, "deploy"] => depth.parse().ok().and_then(|d| prototxt(d, File::Deploy)),
        [depth, "train"] => depth.parse().ok().and_then(|d| prototxt(d, File::Train)),
        _ => None,
    };
    match text {
        Some(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("usage: generate_resnet <50|101|152 or 20|32|44|56 (6n+2)> <deploy|train>");
            ExitCode::FAILURE
        }
    }
}

/// A convolution's numbers; what differs from a square kernel without bias is said where it does.
#[derive(Clone, Copy)]
struct Conv {
    outputs: u32,
    kernel: u32,
    stride: u32,
    bias: bool,
}

impl Conv {
    fn new(outputs: u32, kernel: u32, stride: u32) -> Self {
        Conv { outputs, kernel, stride, bias: false }
    }
}

struct Writer {
    text: String,
    file: File,
    /// The parameters of every BatchNorm.
    statistics: &'static [&'static str],
}

impl Writer {
    /// 7x7 convolution, four stages of bottleneck blocks, 1000 classes.
    fn imagenet(&mut self, depth: u32, stages: [u32; 4]) {
        self.head(&format!("ResNet-{depth}"), depth);
        match self.file {
            File::Deploy => self.input(224),
            File::Train => self.imagenet_data(depth),
        }
        // The published net of 50 layers keeps a bias here, which its BatchNorm makes redundant.
        self.conv_bn(
            ["conv1", "bn_conv1", "scale_conv1"],
            "data",
            Conv { bias: depth == 50, ..Conv::new(64, 7, 2) },
        );
        self.relu("conv1");
        // 112 → 56 without padding: pooling rounds up.
        self.layer(
            "pool1",
            "Pooling",
            &["conv1"],
            &["pool1"],
            &["pooling_param { pool: MAX kernel_size: 3 stride: 2 }"],
        );
        let mut bottom = "pool1".to_string();
        for (stage, blocks) in (2..).zip(stages) {
            let width = 64 << (stage - 2);
            for block in 0..blocks {
                let name = imagenet_block(depth, stage, block);
                let stride = if block == 0 && stage > 2 { 2 } else { 1 };
                bottom = self.bottleneck(&bottom, &name, width, stride, block == 0);
            }
        }
        self.layer(
            "pool5",
            "Pooling",
            &[&bottom],
            &["pool5"],
            &["pooling_param { pool: AVE kernel_size: 7 stride: 1 }"],
        );
        self.classes("pool5", 1000, &[1, 5]);
    }

    /// 3x3 convolution, three stages of n basic blocks at 32, 16 and 8 pixels, 10 classes.
    fn cifar(&mut self, depth: u32, n: u32) {
        self.head(&format!("ResNet-{depth} for CIFAR-10"), depth);
        match self.file {
            File::Deploy => self.input(32),
            File::Train => self.cifar_data(),
        }
        self.conv_bn(["conv1", "bn_conv1", "scale_conv1"], "data", Conv::new(16, 3, 1));
        self.relu("conv1");
        let mut bottom = "conv1".to_string();
        for stage in 2..5 {
            let width = 16 << (stage - 2);
            for block in 0..n {
                let stride = if block == 0 && stage > 2 { 2 } else { 1 };
                bottom = self.basic(&bottom, &format!("{stage}{}", letter(block)), width, stride);
            }
        }
        self.layer(
            "pool5",
            "Pooling",
            &[&bottom],
            &["pool5"],
            &["pooling_param { pool: AVE global_pooling: true }"],
        );
        self.classes("pool5", 10, &[1]);
    }

    /// 1x1, 3x3, 1x1 (four times the width) and the shortcut, projected in a stage's first block.
    /// As published, the stride stands in the first 1x1. Returns the block's top.
    fn bottleneck(&mut self, x: &str, name: &str, width: u32, stride: u32, first: bool) -> String {
        let shortcut = if first {
            self.branch(x, name, "branch1", Conv::new(4 * width, 1, stride))
        } else {
            x.to_string()
        };
        let a = self.branch(x, name, "branch2a", Conv::new(width, 1, stride));
        self.relu(&a);
        let b = self.branch(&a, name, "branch2b", Conv::new(width, 3, 1));
        self.relu(&b);
        let c = self.branch(&b, name, "branch2c", Conv::new(4 * width, 1, 1));
        self.sum(name, &shortcut, &c)
    }

    /// 3x3, 3x3 and the shortcut. Where the size halves, the shortcut has no weights (option A):
    /// every second pixel, and as many channels of zeros as there are channels.
    fn basic(&mut self, x: &str, name: &str, width: u32, stride: u32) -> String {
        let shortcut = if stride > 1 {
            let [pixels, zeros, both] =
                ["pixels", "zeros", "branch1"].map(|part| format!("res{name}_{part}"));
            self.layer(
                &pixels,
                "Pooling",
                &[x],
                &[&pixels],
                &["pooling_param { pool: AVE kernel_size: 1 stride: 2 round_mode: FLOOR }"],
            );
            self.layer(&zeros, "Power", &[&pixels], &[&zeros], &["power_param { scale: 0 }"]);
            self.layer(&both, "Concat", &[&pixels, &zeros], &[&both], &[]);
            both
        } else {
            x.to_string()
        };
        let a = self.branch(x, name, "branch2a", Conv::new(width, 3, stride));
        self.relu(&a);
        let b = self.branch(&a, name, "branch2b", Conv::new(width, 3, 1));
        self.sum(name, &shortcut, &b)
    }

    /// Convolution, BatchNorm and Scale of one branch of a block; returns their blob.
    fn branch(&mut self, bottom: &str, block: &str, branch: &str, conv: Conv) -> String {
        let names = ["res", "bn", "scale"].map(|kind| format!("{kind}{block}_{branch}"));
        self.conv_bn(names.each_ref().map(String::as_str), bottom, conv);
        let [blob, ..] = names;
        blob
    }

    fn conv_bn(&mut self, [conv, bn, scale]: [&str; 3], bottom: &str, c: Conv) {
        let mut param = format!("num_output: {} kernel_size: {}", c.outputs, c.kernel);
        if c.kernel > 1 {
            param += &format!(" pad: {}", c.kernel / 2);
        }
        if c.stride > 1 {
            param += &format!(" stride: {}", c.stride);
        }
        if !c.bias {
            param += " bias_term: false";
        }
        param += self.filler();
        let param = format!("convolution_param {{ {param} }}");
        self.layer(conv, "Convolution", &[bottom], &[conv], &[&param]);
        self.layer(bn, "BatchNorm", &[conv], &[conv], self.statistics);
        self.layer(scale, "Scale", &[conv], &[conv], &["scale_param { bias_term: true }"]);
    }

    fn relu(&mut self, blob: &str) {
        self.layer(&format!("{blob}_relu"), "ReLU", &[blob], &[blob], &[]);
    }

    /// The sum that ends a block, and its ReLU; returns the block's top.
    fn sum(&mut self, block: &str, shortcut: &str, residual: &str) -> String {
        let top = format!("res{block}");
        self.layer(&top, "Eltwise", &[shortcut, residual], &[&top], &[]);
        self.relu(&top);
        top
    }

    /// The classifier, and what its scores are used for.
    fn classes(&mut self, bottom: &str, classes: u32, top_k: &[u32]) {
        let fc = format!("fc{classes}");
        let param = format!("inner_product_param {{ num_output: {classes}{} }}", self.filler());
        self.layer(&fc, "InnerProduct", &[bottom], &[&fc], &[&param]);
        if self.file == File::Deploy {
            self.layer("prob", "Softmax", &[&fc], &["prob"], &[]);
            return;
        }
        self.layer("loss", "SoftmaxWithLoss", &[&fc, "label"], &["loss"], &[]);
        for k in top_k {
            let name =
                if top_k.len() == 1 { "accuracy".into() } else { format!("accuracy_top{k}") };
            let param = format!("accuracy_param {{ top_k: {k} }}");
            let mut params = vec!["include { phase: TEST }"];
            if *k > 1 {
                params.push(&param);
            }
            self.layer(&name, "Accuracy", &[&fc, "label"], &[&name], &params);
        }
    }

    fn filler(&self) -> &'static str {
        match self.file {
            File::Deploy => "",
            File::Train => " weight_filler { type: \"msra\" }",
        }
    }

    fn head(&mut self, name: &str, depth: u32) {
        let file = if self.file == File::Deploy { "deploy" } else { "train" };
        self.text = format!(
            "# Written by `cargo run --example generate_resnet -- {depth} {file}`; change it there.\n\
             name: \"{name}\"\n"
        );
    }

    fn input(&mut self, side: u32) {
        let param = format!("input_param {{ shape {{ dim: 1 dim: 3 dim: {side} dim: {side} }} }}");
        self.layer("data", "Input", &[], &["data"], &[&param]);
    }

    /// Means in the order of the channels, which convert-cifar writes red first.
    fn imagenet_data(&mut self, depth: u32) {
        for (phase, set, batch, mirror) in
            [("TRAIN", "train", 16, " mirror: true"), ("TEST", "val", 10, "")]
        {
            let mean = "mean_value: 104 mean_value: 117 mean_value: 123";
            let transform = format!("crop_size: 224{mirror} {mean}");
            let source = format!("models/resnet{depth}/data/ilsvrc12_{set}_lmdb");
            self.data(phase, &transform, &source, batch);
        }
    }

    /// Means in the order of the channels, which convert-cifar writes red first. Padding and mirroring belong to TRAIN.
    fn cifar_data(&mut self) {
        for (phase, set, batch, augment) in [
            ("TRAIN", "train", 128, "pad: 4 crop_size: 32 mirror: true "),
            ("TEST", "test", 100, ""),
        ] {
            let transform =
                format!("{augment}mean_value: 125.3 mean_value: 123.0 mean_value: 113.9");
            let source = format!("data/cifar10/cifar10_{set}_lmdb");
            self.data(phase, &transform, &source, batch);
        }
    }

    fn data(&mut self, phase: &str, transform: &str, source: &str, batch: u32) {
        let include = format!("include {{ phase: {phase} }}");
        let transform = format!("transform_param {{ {transform} }}");
        let shuffle = if phase == "TRAIN" { " shuffle: true" } else { "" };
        let param = format!(
            "data_param {{ source: \"{source}\" backend: LMDB batch_size: {batch}{shuffle} }}"
        );
        self.layer("data", "Data", &[], &["data", "label"], &[&include, &transform, &param]);
    }

    fn layer(&mut self, name: &str, kind: &str, bottoms: &[&str], tops: &[&str], lines: &[&str]) {
        let mut put = |line: String| {
            self.text += &line;
            self.text.push('\n');
        };
        put("layer {".into());
        put(format!("  name: \"{name}\""));
        put(format!("  type: \"{kind}\""));
        bottoms.iter().for_each(|blob| put(format!("  bottom: \"{blob}\"")));
        tops.iter().for_each(|blob| put(format!("  top: \"{blob}\"")));
        lines.iter().for_each(|line| put(format!("  {line}")));
        put("}".into());
    }
}

/// `2a`, `2b`, …; the deeper nets number the long stages: `3a`, `3b1`, `3b2`, ….
fn imagenet_block(depth: u32, stage: u32, block: u32) -> String {
    let numbered = depth > 50 && (stage == 3 || stage == 4);
    if numbered && block > 0 {
        format!("{stage}b{block}")
    } else {
        format!("{stage}{}", letter(block))
    }
}

fn letter(block: u32) -> char {
    char::from(b'a' + block as u8)
}
