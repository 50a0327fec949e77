//! A source of data that goes on at a position hands out what an unbroken run does.

use cortado::net::Net;
use cortado_layers::Phase;

use crate::files::{batches, folder, idx_layer, net, write_idx};

type Batches = Vec<(Vec<f32>, Vec<f32>)>;

/// A run of 10 batches; a run broken off after `at` and taken up by another net.
fn broken_and_unbroken(text: &str, at: usize, prefetch_more: usize) -> (Batches, Batches) {
    let folder = folder();
    write_idx(folder.path(), 17);
    let make = |seed| -> Net { net(folder.path(), text, Phase::Train, seed) };
    let unbroken = batches(&mut make(5), 10);
    let mut first = make(5);
    let mut broken = batches(&mut first, at);
    let positions = first.positions();
    assert_eq!(positions, [("d".to_owned(), 4 * at as u64)]);
    let mut second = make(5);
    batches(&mut second, prefetch_more);
    second.seek(&positions).unwrap_or_else(|e| panic!("{e}"));
    broken.extend(batches(&mut second, 10 - at));
    (broken, unbroken)
}

#[test]
fn a_run_that_is_taken_up_equals_an_unbroken_one() {
    let random = "mirror: true crop_size: 2 pad: 1";
    for param in ["", "shuffle: true", "rand_skip: 9", "shuffle: true prefetch: 0", "prefetch: 1"] {
        let text = idx_layer(&format!("batch_size: 4 {param}"), random);
        // 4: inside the first epoch; 5: past its end.
        for (at, prefetch_more) in [(0, 3), (1, 0), (4, 0), (5, 2)] {
            let (broken, unbroken) = broken_and_unbroken(&text, at, prefetch_more);
            assert_eq!(broken, unbroken, "{param}, broken off after {at}");
        }
    }
}

#[test]
fn one_net_can_go_back_to_its_start() {
    let folder = folder();
    write_idx(folder.path(), 17);
    let text = idx_layer("batch_size: 4 shuffle: true", "mirror: true");
    let mut net = net(folder.path(), &text, Phase::Train, 5);
    let first = batches(&mut net, 6);
    net.seek(&[("d".to_owned(), 0)]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(batches(&mut net, 6), first);
}

#[test]
fn the_time_that_passes_wait_for_data_is_counted() {
    let folder = folder();
    write_idx(folder.path(), 17);
    let text = idx_layer("batch_size: 4 prefetch: 0", "");
    let mut net = net(folder.path(), &text, Phase::Train, 5);
    assert_eq!((net.waited().as_nanos(), net.batch_size()), (0, 4));
    let start = std::time::Instant::now();
    batches(&mut net, 3);
    let all = start.elapsed();
    let after = net.waited();
    // Nothing is prepared ahead: a pass waits while its batch is made.
    assert!(after.as_nanos() > 0 && after <= all, "{after:?} of {all:?}");
    batches(&mut net, 3);
    assert!(net.waited() > after);
}
