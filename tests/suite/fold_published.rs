//! Published nets folded by the command, and what was written held against what a second codec reads and
//! against the formula. Weights and statistics are noise of the usual sizes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cortado::batch_norm::{Given, Trained};
use cortado_proto::schema;
use cortado_witness::caffe as theirs;
use prost_reflect::{DescriptorPool, DynamicMessage};
use protobuf::Message;
use serde_json::Value;

use crate::support::{ROOT, cortado, none, stderr};

const LIMIT: f64 = 1e-4;

/// In the folder of published nets; those behind the line are for the full run.
const SMALL: [&str; 3] = [
    "shicai+MobileNet-Caffe/mobilenet_deploy.prototxt",
    "farmingyard+ShuffleNet/shufflenet_1x_g3_deploy.prototxt",
    "cvjena+cnn-models/ResNet_preact/ResNet10_cvgj/deploy.prototxt",
];
const LARGE: [&str; 9] = [
    "KaimingHe+deep-residual-networks/prototxt/ResNet-50-deploy.prototxt",
    "KaimingHe+deep-residual-networks/prototxt/ResNet-101-deploy.prototxt",
    "KaimingHe+deep-residual-networks/prototxt/ResNet-152-deploy.prototxt",
    "shicai+MobileNet-Caffe/mobilenet_v2_deploy.prototxt",
    "cvjena+cnn-models/ResNet_preact/ResNet50_cvgj/deploy.prototxt",
    "shicai+SENet-Caffe/se_resnet_50_v1_deploy.prototxt",
    "SnailTyan+caffe-model-zoo/BN-GoogLeNet/deploy.prototxt",
    "SnailTyan+caffe-model-zoo/Inception-v3/deploy.prototxt",
    "shicai+DenseNet-Caffe/DenseNet_121.prototxt",
];

#[test]
fn published_nets_fold_and_a_second_codec_reads_them() {
    let shared =
        std::env::var_os("CORTADO_SHARED").map_or(Path::new(ROOT).join("../shared"), PathBuf::from);
    let corpus = shared.join("corpus/prototxt");
    let mut nets = vec![Path::new(ROOT).join("models/resnet20_cifar/deploy.prototxt")];
    if corpus.is_dir() {
        nets.extend(SMALL.map(|net| corpus.join(net)));
        if std::env::var_os("CORTADO_LARGE").is_some() {
            nets.extend(LARGE.map(|net| corpus.join(net)));
        }
    }
    println!("| net | layers | folded | stay | largest relative error |\n|---|---|---|---|---|");
    let mut failures = Vec::new();
    for net in nets {
        let name = net.strip_prefix(&corpus).unwrap_or(&net).display().to_string();
        match folded(&net) {
            Ok(row) => println!("| {name} | {row} |"),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    none(failures);
}

/// Folds a net with weights of noise by the command; its row of the table.
fn folded(net: &Path) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let at = |name: &str| folder.path().join(name);
    let (made_up, _) = Trained::read(net, &[], &Given::nothing()).map_err(|e| e.to_string())?;
    made_up.save(&at("old.caffemodel")).map_err(|e| e.to_string())?;
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let output = cortado(&[
        "fold",
        &net.to_string_lossy(),
        &path(at("old.caffemodel")),
        "-o",
        &path(at("new.prototxt")),
        &path(at("new.caffemodel")),
        "--json",
    ]);
    if !output.status.success() {
        return Err(stderr(&output));
    }
    let told: Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let list = |field: &str| told[field].as_array().cloned().unwrap_or_default();
    let errors = list("outputs").into_iter().map(|o| o["relative"].as_f64());
    let worst = errors.map(|e| e.unwrap_or(f64::INFINITY)).fold(0.0, f64::max);
    let (folds, kept) = (list("folded"), list("kept"));
    if !(worst < LIMIT) || list("outputs").is_empty() || folds.is_empty() {
        return Err(format!("{} folded, error {worst:e}", folds.len()));
    }
    if let Some(mute) = kept.iter().find(|k| k["why"].as_str().is_none_or(str::is_empty)) {
        return Err(format!("{mute} stays without a reason"));
    }
    by_formula(&at("old.caffemodel"), &at("new.caffemodel"), &folds)?;
    let text = std::fs::read_to_string(at("new.prototxt")).map_err(|e| e.to_string())?;
    let pool = DescriptorPool::decode(schema::DESCRIPTORS).map_err(|e| e.to_string())?;
    let descriptor = pool.get_message_by_name("caffe.NetParameter").ok_or("no such message")?;
    let message =
        DynamicMessage::parse_text_format(descriptor, &text).map_err(|e| e.to_string())?;
    let bytes = prost::Message::encode_to_vec(&message);
    let theirs = theirs::NetParameter::parse_from_bytes(&bytes).map_err(|e| e.to_string())?;
    let gone = |name: &str| folds.iter().any(|fold| fold["layer"] == name);
    if let Some(layer) = theirs.layer.iter().find(|layer| gone(layer.name())) {
        return Err(format!("`{}` is still there", layer.name()));
    }
    let layers = &told["layers"];
    let (before, after) = (&layers[0], &layers[1]);
    Ok(format!("{before} → {after} | {} | {} | {worst:.1e}", folds.len(), kept.len()))
}

type Blobs = HashMap<String, Vec<Vec<f32>>>;

fn read(path: &Path) -> Result<(theirs::NetParameter, Blobs), String> {
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let net = theirs::NetParameter::parse_from_bytes(&bytes).map_err(|e| e.to_string())?;
    let blobs = net
        .layer
        .iter()
        .map(|l| (l.name().to_owned(), l.blobs.iter().map(|b| b.data.clone()).collect()))
        .collect();
    Ok((net, blobs))
}

/// Weights into which only layers behind them were folded, worked out anew from the old file.
fn by_formula(old: &Path, new: &Path, folds: &[Value]) -> Result<(), String> {
    let (net, old) = read(old)?;
    let (_, new) = read(new)?;
    let eps: HashMap<&str, f64> =
        net.layer.iter().map(|l| (l.name(), f64::from(l.batch_norm_param.eps()))).collect();
    let into = |fold: &Value| fold["into"].as_str().unwrap_or_default().to_owned();
    let mut held = 0;
    for layer in net.layer.iter().filter(|layer| layer.type_() == "Convolution") {
        let name = layer.name();
        let mine: Vec<&Value> = folds.iter().filter(|fold| into(fold) == name).collect();
        if mine.is_empty() || mine.iter().any(|fold| fold["stood"] != "after") {
            continue;
        }
        let (was, is) = (&old[name], &new[name]);
        let channels = layer.convolution_param.num_output() as usize;
        let mut scale = vec![1.0; channels];
        let mut bias: Vec<f64> = match was.get(1) {
            Some(bias) => bias.iter().map(|&b| f64::from(b)).collect(),
            None => vec![0.0; channels],
        };
        for fold in mine {
            let name = fold["layer"].as_str().unwrap_or_default();
            let blob = |i: usize, c: usize| old[name].get(i).map_or(0.0, |b| f64::from(b[c]));
            for c in 0..channels {
                let (a, b) = match fold["type"].as_str() {
                    Some("BatchNorm") => {
                        let factor = blob(2, 0);
                        let a = 1.0 / (blob(1, c) / factor + eps[name]).sqrt();
                        (a, -a * blob(0, c) / factor)
                    }
                    Some("Scale") => (blob(0, c), blob(1, c)),
                    _ => (1.0, blob(0, c)),
                };
                (scale[c], bias[c]) = (scale[c] * a, bias[c] * a + b);
            }
        }
        let row = was[0].len() / channels;
        let near = |found: f32, wanted: f64| {
            (f64::from(found) - wanted).abs() <= 1e-6 * wanted.abs() + 1e-7
        };
        let weights = was[0].iter().zip(&is[0]).enumerate();
        let wrong = weights.filter(|(i, (w, n))| !near(**n, f64::from(**w) * scale[i / row]));
        let biases = is[1].iter().zip(&bias).filter(|(found, wanted)| !near(**found, **wanted));
        let wrong = wrong.count() + biases.count();
        if wrong > 0 || is[0].len() != was[0].len() || is[1].len() != channels {
            return Err(format!("`{name}`: {wrong} numbers are not by the formula"));
        }
        held += 1;
    }
    if held == 0 {
        return Err("no convolution took in what stood behind it".to_owned());
    }
    Ok(())
}
