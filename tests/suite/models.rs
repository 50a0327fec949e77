//! The networks that ship: they build, with the sizes their readmes name.

use std::path::Path;

use cortado::net::{Net, NetOptions};
use cortado_layers::{ParamKind, Phase};
use cortado_proto::NetDef;

use crate::support::{ROOT, none};

/// Learned parameters and multiply-adds.
fn sizes(net: &Net) -> (usize, u64) {
    let learned = net.store.params().iter().filter(|p| p.kind == ParamKind::Weight);
    (learned.map(|p| p.shape.count()).sum(), net.layers().map(|layer| layer.macs()).sum())
}

#[test]
fn deploy_nets_have_the_published_sizes() {
    let table = [
        ("lenet", 431_080, 2_293_000),
        ("mnist_mlp_bn", 100_310, 99_400),
        ("cifar10_quick", 145_578, 12_354_176),
        ("cifar10_full", 89_578, 12_298_240),
        ("resnet20_cifar", 269_722, 40_551_040),
        ("resnet50", 25_557_096, 3_857_973_248),
        ("resnet101", 44_549_160, 7_570_194_432),
        ("resnet152", 60_192_808, 11_282_415_616),
    ];
    let mut failures = Vec::new();
    for (name, params, macs) in table {
        let path = Path::new(ROOT).join("models").join(name).join("deploy.prototxt");
        let found = Net::from_file(&path, &NetOptions::new(Phase::Test)).map(|net| sizes(&net));
        match found {
            Ok(found) if found == (params, macs) => {}
            Ok(found) => failures.push(format!("{name}: {found:?}, wanted {:?}", (params, macs))),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    none(failures);
}

#[test]
fn the_layers_of_resnet_50_are_named_as_in_the_published_weights() {
    let path = Path::new(ROOT).join("models/resnet50/deploy.prototxt");
    let def = NetDef::read(&path).unwrap_or_else(|e| panic!("{e}"));
    let names: Vec<&str> = def.layers.iter().map(|layer| layer.name()).collect();
    for name in [
        "conv1",
        "bn_conv1",
        "scale_conv1",
        "res2a_branch1",
        "bn2a_branch2b",
        "scale5c_branch2c",
        "fc1000",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}
