//! ImageData: lists of pictures, order, mistakes.

use std::path::Path;

use cortado_layers::Phase;

use crate::files::{batches, folder, golden, net, try_net, write};

fn layer(param: &str) -> String {
    let root = format!("{}/", golden("data/images").display());
    format!(
        "layer {{ name: \"d\" type: \"ImageData\" top: \"data\" top: \"label\" \
         image_data_param {{ source: \"list.txt\" root_folder: {root:?} {param} }} }}"
    )
}

fn labels(folder: &Path, param: &str, passes: usize) -> Vec<f32> {
    let mut net = net(folder, &layer(param), Phase::Train, 1);
    batches(&mut net, passes).into_iter().flat_map(|(_, labels)| labels).collect()
}

#[test]
fn pictures_come_in_order_or_shuffled_for_every_pass() {
    let folder = folder();
    write(folder.path(), "list.txt", b"im1.png 1\r\nsub/im2.png 2\n\nim3.png -3\n");
    let wanted = [1.0, 2.0, -3.0, 1.0, 2.0, -3.0];
    // A batch may be larger than the list, as in the original.
    assert_eq!(labels(folder.path(), "batch_size: 6", 1), wanted);
    assert_eq!(labels(folder.path(), "batch_size: 2", 3), wanted);
    let found = labels(folder.path(), "batch_size: 3 shuffle: true", 10);
    for epoch in found.chunks(3) {
        let mut epoch = epoch.to_vec();
        epoch.sort_by(f32::total_cmp);
        assert_eq!(epoch, [-3.0, 1.0, 2.0]);
    }
    assert!(found.chunks(3).any(|epoch| epoch != &wanted[..3]));
}

/// A list that ends with a whole line can't be told from a shorter one; any other end is an error.
#[test]
fn a_list_cut_off_anywhere_is_told_or_gives_its_first_lines() {
    let whole = "im1.png 1\nsub/im2.png 2\nim3.png 3\n";
    for length in 0..whole.len() {
        let folder = folder();
        let rest = &whole[..length];
        write(folder.path(), "list.txt", rest.as_bytes());
        let read = try_net(folder.path(), &layer("batch_size: 1"), Phase::Train, 1);
        let lines: Vec<f32> = rest.lines().zip([1.0, 2.0, 3.0]).map(|(_, label)| label).collect();
        let ends_whole =
            rest.lines().last().is_some_and(|line| line.contains(" ") && !line.ends_with(' '));
        match read {
            Err(why) => {
                assert!(!ends_whole, "{rest:?}: {why}");
                assert!(why.contains("list.txt"), "{rest:?}: {why}");
            }
            Ok(mut net) => {
                assert!(ends_whole, "{rest:?} was taken");
                let passes = batches(&mut net, lines.len());
                let found: Vec<f32> = passes.into_iter().flat_map(|(_, labels)| labels).collect();
                assert_eq!(found, lines, "{rest:?}");
            }
        }
    }
}

#[test]
fn a_path_may_hold_spaces() {
    let folder = folder();
    let picture = std::fs::read(golden("data/images/im1.png")).expect("it is there");
    write(folder.path(), "a b.png", &picture);
    write(folder.path(), "list.txt", b"a b.png 7\n");
    let text = layer("batch_size: 1");
    let root = text.find("root_folder").expect("it is given");
    let end = text.find(" batch_size").expect("it is given");
    let text = [&text[..root], &text[end..]].concat();
    let found = batches(&mut net(folder.path(), &text, Phase::Test, 1), 1);
    assert_eq!(found[0].1, [7.0]);
}

#[test]
fn mistakes_are_named() {
    let folder = folder();
    let refused = |list: &str, param: &str, wanted: &str| {
        write(folder.path(), "list.txt", list.as_bytes());
        let made = try_net(folder.path(), &layer(param), Phase::Train, 1);
        let run = made.and_then(|mut net| net.forward().map(drop).map_err(|e| e.to_string()));
        let error = run.expect_err(wanted);
        assert!(error.contains(wanted), "wanted {wanted}\n{error}");
    };
    let one = "im1.png 1\n";
    refused(one, "batch_size: 0", "a batch holds at least one picture, found 0");
    refused(one, "new_height: 5", "new_height and new_width go together, found 5 and 0");
    refused("", "", "names no pictures");
    refused("im1.png\n", "", "has `im1.png` on line 1; a path, a space and a whole number");
    refused("im1.png 1\nim1.png 2.5\n", "", "on line 2");
    refused("none.png 1\n", "", "there is no");
    // The second picture is missing: its batch fails, not the net.
    refused("im1.png 1\nnone.png 1\n", "batch_size: 2", "none.png");
    write(folder.path(), "text.png", b"no picture");
    let root = format!("root_folder: {:?}", format!("{}/", golden("data/images").display()));
    let text = layer("").replace(&root, "");
    write(folder.path(), "list.txt", b"text.png 1");
    let error = try_net(folder.path(), &text, Phase::Train, 1).map(|_| ()).expect_err("no picture");
    assert!(error.contains("record 0 (key `text.png`): it is no picture"), "{error}");
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let folder = folder();
    let picture = std::fs::read(golden("data/images/im1.png")).expect("it is there");
    let at = |name: &str| folder.path().join("set").join(name);
    // What is hidden is no class.
    for name in ["dog", "cat/more", "eel", ".git"] {
        std::fs::create_dir_all(at(name)).expect("a temporary folder can be written");
    }
    let text = |param: &str| {
        format!(
            "layer {{ name: \"d\" type: \"ImageFolder\" top: \"data\" top: \"label\" \
             image_data_param {{ source: \"set\" batch_size: 4 {param} }} }}"
        )
    };
    let error = |wanted: &str| {
        let error = try_net(folder.path(), &text(""), Phase::Train, 1).err().expect(wanted);
        assert!(error.contains(wanted), "{wanted}: {error}");
    };
    write(&at("cat"), "b.PNG", &picture);
    write(&at("cat/more"), "a.png", &picture);
    write(&at("dog"), "a.png", &picture);
    write(&at("dog"), "notes.txt", b"no picture");
    write(&at(""), "readme.md", b"no class");
    error("eel` holds no pictures (.jpg, .jpeg, .png)");
    write(&at("eel"), "x.png", &picture);
    let found = batches(&mut net(folder.path(), &text(""), Phase::Train, 1), 1);
    assert_eq!(found[0].1, [0.0, 0.0, 1.0, 2.0]);
    assert_eq!(found[0].0.len(), 4 * 3 * 9 * 11);
    let mut net =
        net(folder.path(), &text("shuffle: true new_height: 5 new_width: 5"), Phase::Train, 1);
    for (data, mut labels) in batches(&mut net, 5) {
        labels.sort_by(f32::total_cmp);
        assert_eq!((data.len(), &labels[..]), (4 * 3 * 5 * 5, &[0.0, 0.0, 1.0, 2.0][..]));
    }
    std::fs::remove_dir_all(at("")).expect("it can be removed");
    std::fs::create_dir(at("")).expect("it can be made");
    error("holds no folders, one per class; it is empty");
}
