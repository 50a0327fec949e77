//! Algorithms that were timed instead of chosen by rule.

use std::sync::Arc;

use cortado::net::{NetOptions, Tuned};

use super::{net, options, outputs, same};

const NET: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 32 dim: 14 dim: 14 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 48 kernel_size: 3 pad: 1 } }
layer { name: "c2" type: "Convolution" bottom: "c1" top: "c2" convolution_param { num_output: 16 kernel_size: 1 } }
"#;

/// A file with a choice for every key that `key` changes.
fn changed(tuned: &Tuned, to: &str) -> Arc<Tuned> {
    let text = serde_json::to_string(tuned).unwrap();
    let text = text.replace("\"direct\"", to).replace("\"winograd\"", to);
    Arc::new(serde_json::from_str(&text).unwrap())
}

#[test]
fn a_choice_decides_the_algorithm_of_its_shape_alone() {
    let (tuned, timings) = net(NET, &options(true)).tune(1);
    assert_eq!((tuned.len(), timings.len()), (1, 1));
    assert_eq!(timings[0].layer, "c1");
    assert!(timings[0].direct > 0.0 && timings[0].winograd > 0.0);
    let mut wanted = net(NET, &options(false));
    wanted.forward().unwrap();
    for name in ["direct", "winograd"] {
        let tuned = Some(changed(&tuned, &format!("\"{name}\"")));
        let mut net = net(NET, &NetOptions { tuned, ..options(true) });
        let steps = net.plan_steps().unwrap();
        let of = |layer: &str| steps.iter().find(|step| step.layers == [layer]).unwrap().algorithm;
        assert_eq!((of("c1"), of("c2")), (name, "direct"));
        net.forward().unwrap();
        same(&outputs(&net)[0].2, &outputs(&wanted)[0].2, name);
    }
}

#[test]
fn choices_are_added_to_those_of_a_file_and_other_files_are_refused() {
    let folder = std::env::temp_dir().join(format!("cortado-tuned-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("tuned.json");
    let (tuned, _) = net(NET, &options(true)).tune(1);
    let (other, _) = net(&NET.replace("dim: 14", "dim: 20"), &options(true)).tune(1);
    tuned.write(&path).unwrap();
    other.write(&path).unwrap();
    assert_eq!(Tuned::read(&path).unwrap().len(), 2);
    std::fs::write(&path, "{}").unwrap();
    let told = Tuned::read(&path).unwrap_err();
    assert!(told.contains("holds no choices of `cortado tune`"), "{told}");
    std::fs::remove_dir_all(&folder).unwrap();
}
