//! Files of weights looked into and changed.

use std::path::Path;

use cortado::tools::npy::{Array, read_npy, save_arrays, save_npy};
use cortado::tools::weights::{WeightBlob, arrays, average, diff, read, replace};
use safetensors::SafeTensors;

use crate::files::{folder, golden, write};

fn file(name: &str) -> std::path::PathBuf {
    golden("solver/sgd_decay_snap").join(name)
}

fn blobs(path: &Path) -> Vec<WeightBlob> {
    read(path).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn blobs_are_listed_with_their_statistics() {
    let found = blobs(&file("snap_iter_4.caffemodel"));
    assert!(found.len() >= 2);
    for blob in &found {
        assert_eq!(blob.shape.iter().product::<usize>(), blob.data.len());
        let s = blob.statistics();
        let count = blob.data.len() as f64;
        let mean = blob.data.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        assert!((s.mean - mean).abs() < 1e-9 && s.min <= s.max && s.not_finite == 0);
        assert!(blob.data.contains(&s.min) && blob.data.contains(&s.max));
    }
    let odd = WeightBlob { data: vec![f32::NAN, 3.0, 1.0, 0.0], ..found[0].clone() };
    let s = odd.statistics();
    assert_eq!((s.min, s.max, s.zeros, s.not_finite), (0.0, 3.0, 1, 1));
    assert!((s.mean - 4.0 / 3.0).abs() < 1e-12 && (s.std - (14.0f64 / 9.0).sqrt()).abs() < 1e-12);
}

#[test]
fn two_files_are_compared_blob_by_blob() {
    let first = blobs(&file("snap_iter_4.caffemodel"));
    assert!(diff(&first, &first, 0.0).is_empty());
    let mut second = first.clone();
    second[0].data[3] += 0.5;
    second[0].data[1] += 0.25;
    second[1].shape.push(1);
    let mut new = second.pop().expect("there are some");
    let last = new.name();
    new.layer = "new".to_owned();
    second.push(new);
    let told: Vec<String> = diff(&first, &second, 0.0).iter().map(ToString::to_string).collect();
    let name = first[0].name();
    assert_eq!(told[0], format!("{name} differs in 2 values, by up to 5e-1 (at 3)"));
    assert_eq!(told.len(), if first.len() == 2 { 3 } else { 4 }, "{told:?}");
    assert!(told.contains(&format!("{last} is in the first file only")), "{told:?}");
    assert!(
        told.contains(&"new/0 is in the second file only".to_owned())
            || told.contains(&"new/1 is in the second file only".to_owned()),
        "{told:?}"
    );
    assert_eq!(diff(&first, &second, 0.3).len(), told.len());
    let told: Vec<String> = diff(&first, &second, 0.3).iter().map(ToString::to_string).collect();
    assert_eq!(told[0], format!("{name} differs in 1 values, by up to 5e-1 (at 3)"));
}

#[test]
fn arrays_are_read_back_by_others() {
    let folder = folder();
    let found = arrays(blobs(&file("init.caffemodel")), None).unwrap_or_else(|e| panic!("{e}"));
    let path = folder.path().join("w.safetensors");
    save_arrays(&path, &found).unwrap_or_else(|e| panic!("{e}"));
    let bytes = std::fs::read(&path).expect("it was written");
    let file = SafeTensors::deserialize(&bytes).expect("it is one");
    for array in &found {
        let tensor = file.tensor(&array.name).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(tensor.shape(), array.shape);
        let values: Vec<u8> = array.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(tensor.data() == values);
    }
    // The archive: each member's name, size and check sum stand where the format puts them.
    let path = folder.path().join("w.npz");
    save_arrays(&path, &found).unwrap_or_else(|e| panic!("{e}"));
    let bytes = std::fs::read(&path).expect("it was written");
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
    let u16_at = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two"));
    let end = bytes.len() - 22;
    assert_eq!(
        (&bytes[end..end + 4], usize::from(u16_at(end + 10))),
        (&b"PK\x05\x06"[..], found.len())
    );
    let mut at = u32_at(end + 16) as usize;
    for array in &found {
        assert_eq!(&bytes[at..at + 4], b"PK\x01\x02");
        let (crc, size, name) = (u32_at(at + 16), u32_at(at + 24), usize::from(u16_at(at + 28)));
        let local = u32_at(at + 42) as usize;
        assert_eq!(bytes[at + 46..at + 46 + name], *format!("{}.npy", array.name).as_bytes());
        let start = local + 30 + name;
        let member = &bytes[start..start + size as usize];
        let mut sum = flate2::Crc::new();
        sum.update(member);
        assert_eq!(sum.sum(), crc);
        write(folder.path(), "member.npy", member);
        let read = read_npy(&folder.path().join("member.npy")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((read.shape, read.data), (array.shape.clone(), array.data.clone()));
        at += 46 + name;
    }
    let error = save_arrays(&folder.path().join("w.mat"), &found).expect_err("no such format");
    assert!(error.to_string().ends_with("w.mat` must end in .npz or .safetensors"), "{error}");
    let error =
        arrays(blobs(&self::file("init.caffemodel")), Some("nothing")).expect_err("no layer");
    assert!(error.to_string().starts_with("no layer `nothing` has weights"), "{error}");
}

#[test]
fn one_blob_is_replaced_and_the_rest_stays_byte_for_byte() {
    let folder = folder();
    let from = file("snap_iter_4.caffemodel");
    let before = blobs(&from);
    let blob = &before[1];
    let values: Vec<f32> = (0..blob.data.len()).map(|i| i as f32 - 0.5).collect();
    let npy = folder.path().join("v.npy");
    save_npy(&npy, &blob.shape, &values).unwrap_or_else(|e| panic!("{e}"));
    let array = read_npy(&npy).unwrap_or_else(|e| panic!("{e}"));
    let to = folder.path().join("new.caffemodel");
    replace(&from, &blob.layer, blob.index, &array, &to).unwrap_or_else(|e| panic!("{e}"));
    let after = blobs(&to);
    assert_eq!(after[1].data, values);
    assert_eq!(diff(&before, &after, 0.0).len(), 1);
    let (old, new) = (std::fs::read(&from).expect("ok"), std::fs::read(&to).expect("ok"));
    assert_eq!(old.len(), new.len());
    let changed = old.iter().zip(&new).filter(|(a, b)| a != b).count();
    assert!(changed > 0 && changed <= 4 * values.len(), "{changed}");
    let short = Array { data: vec![0.0], shape: vec![1], ..array.clone() };
    let error = replace(&from, &blob.layer, blob.index, &short, &to).expect_err("too few");
    let shape = cortado_layers::Shape::new(&blob.shape);
    assert_eq!(error.to_string(), format!("blob {} is {shape}, the values are 1", blob.name()));
    let error = replace(&from, &blob.layer, 9, &array, &to).expect_err("no such blob");
    assert!(error.to_string().ends_with("blobs, there is no 9"), "{error}");
    let error = replace(&from, "none", 0, &array, &to).expect_err("no such layer");
    assert!(error.to_string().ends_with("has no layer `none` with weights"), "{error}");
}

#[test]
fn the_mean_of_files_is_that_of_their_values() {
    let folder = folder();
    let paths = ["init.caffemodel", "snap_iter_4.caffemodel", "snap_iter_8.caffemodel"].map(file);
    let to = folder.path().join("mean.caffemodel");
    average(&paths.each_ref().map(|path| path.as_path()), &to).unwrap_or_else(|e| panic!("{e}"));
    let all = paths.each_ref().map(|path| blobs(path));
    for (i, found) in blobs(&to).iter().enumerate() {
        for (j, &value) in found.data.iter().enumerate() {
            let sum: f64 = all.iter().map(|blobs| f64::from(blobs[i].data[j])).sum();
            assert!((f64::from(value) - sum / 3.0).abs() < 1e-6);
        }
    }
    let other = golden("solver/sgd_bn_snap/init.caffemodel");
    let error = average(&[&paths[0], &other], &to).expect_err("another net").to_string();
    assert!(error.contains("are of different nets: "), "{error}");
}

/// A net of one layer `fc` as NVIDIA's fork writes it: its weights are half floats, given by their bits.
fn halves(bits: [u16; 3]) -> Vec<u8> {
    let raw: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let blob = [&[0x50, 2, 0x62, 6][..], &raw, &[0x3a, 3, 0x0a, 1, 3]].concat();
    let layer = [&b"\x0a\x02fc\x12\x0cInnerProduct\x3a"[..], &[blob.len() as u8], &blob].concat();
    [&[0xa2, 0x06, layer.len() as u8][..], &layer].concat()
}

#[test]
fn half_floats_are_replaced_and_averaged_as_half_floats() {
    let folder = folder();
    // 1, -2, 0.5 and 2, 2, 65504.
    write(folder.path(), "a.caffemodel", &halves([0x3c00, 0xc000, 0x3800]));
    write(folder.path(), "b.caffemodel", &halves([0x4000, 0x4000, 0x7bff]));
    let [a, b, to] =
        ["a", "b", "to"].map(|name| folder.path().join(name).with_extension("caffemodel"));
    assert_eq!(blobs(&a)[0].data, [1.0, -2.0, 0.5]);
    average(&[&a, &b], &to).unwrap_or_else(|e| panic!("{e}"));
    // 32752.25 is halfway to nothing: the nearest half float is 32752.
    assert_eq!(blobs(&to)[0].data, [1.5, 0.0, 32752.0]);
    let values = |data: [f32; 3]| Array { name: "v".into(), shape: vec![3], data: data.to_vec() };
    replace(&a, "fc", 0, &values([0.1, -0.25, 1e-3]), &to).unwrap_or_else(|e| panic!("{e}"));
    let found = &blobs(&to)[0].data;
    assert_eq!(found[1], -0.25);
    assert!((found[0] - 0.1).abs() < 1e-4 && (found[2] - 1e-3).abs() < 1e-6, "{found:?}");
    let same =
        std::fs::metadata(&a).expect("ok").len() == std::fs::metadata(&to).expect("ok").len();
    assert!(same, "the file keeps its form");
    let error = replace(&a, "fc", 0, &values([0.0, 1e5, 0.0]), &to).expect_err("too large");
    assert!(
        error.to_string().contains("holds half floats, up to 65504; 100000 is given"),
        "{error}"
    );
}

#[test]
fn arrays_that_are_none_are_told() {
    let folder = folder();
    let path = folder.path().join("v.npy");
    save_npy(&path, &[2, 3], &[1.0; 6]).unwrap_or_else(|e| panic!("{e}"));
    let whole = std::fs::read(&path).expect("it was written");
    assert_eq!((whole.len() - 24) % 64, 0);
    for length in 0..whole.len() {
        write(folder.path(), "v.npy", &whole[..length]);
        assert!(read_npy(&path).is_err(), "{length}");
    }
    let text = String::from_utf8_lossy(&whole[..whole.len() - 24]).into_owned();
    for (from, to, wanted) in [
        ("<f4", "<i4", "holds values of type <i4; <f4 and <f8 are read"),
        ("False", "True ", "holds its axes in Fortran's order; C's is wanted"),
        ("(2, 3)", "(2, 4)", "has the shape (2,4) and 24 bytes of values"),
        ("(2, 3)", "(2,-3)", "has the shape (2,-3)"),
    ] {
        let at = text.find(from).expect("it is there");
        // Behind the magic, which is no text.
        let at = at - (text.len() - (whole.len() - 24));
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        write(folder.path(), "v.npy", &bytes);
        let error = read_npy(&path).expect_err(to).to_string();
        assert_eq!(error, format!("`{}` {wanted}", path.display()));
    }
}

#[test]
fn weights_cut_off_anywhere_are_told() {
    let folder = folder();
    let whole = std::fs::read(file("snap_iter_4.caffemodel")).expect("it ships");
    for length in (0..whole.len()).step_by(7) {
        write(folder.path(), "cut.caffemodel", &whole[..length]);
        if let Ok(found) = read(&folder.path().join("cut.caffemodel")) {
            // Cut between two layers.
            assert!(
                found.len() < blobs(&file("snap_iter_4.caffemodel")).len()
                    || length + 64 > whole.len()
            );
        }
    }
}

#[test]
fn files_with_a_checksum_keep_a_right_one() {
    let folder = folder();
    let text = r#"
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 2 weight_filler { type: "gaussian" } } }"#;
    let net = crate::files::net(folder.path(), text, cortado_layers::Phase::Test, 1);
    let (from, to) = (folder.path().join("a.caffemodel"), folder.path().join("b.caffemodel"));
    net.save(&from).unwrap_or_else(|e| panic!("{e}"));
    let bytes = std::fs::read(&from).expect("it was written");
    assert_eq!(cortado_proto::wire::check_seal(&bytes).map_err(|e| e.to_string()), Ok(true));
    let array = Array { name: String::new(), shape: vec![2], data: vec![4.0, -5.0] };
    replace(&from, "ip", 1, &array, &to).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(blobs(&to)[1].data, [4.0, -5.0]);
    average(&[&from, &to], &to).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(blobs(&to)[1].data, [2.0, -2.5]);
}
