//! The order of items: every pass over the data is a permutation, given by the seed alone.

use cortado::data::Order;
use cortado_layers::Phase;
use proptest::prelude::*;

use crate::files::{batches, folder, idx_layer, net, numbers, write_idx};

proptest! {
    #[test]
    fn every_epoch_is_a_permutation(records in 1u64..50, seed: u64, skip in 0u32..100) {
        let mut order = Order::new(records, "d", seed, true, 0);
        for epoch in 0..3 {
            let mut found: Vec<u64> =
                (0..records).map(|i| order.record(epoch * records + i)).collect();
            found.sort_unstable();
            prop_assert_eq!(found, (0..records).collect::<Vec<_>>());
        }
        let mut plain = Order::new(records, "d", seed, false, skip);
        let first = plain.record(0);
        prop_assert!(first < records);
        for at in 0..2 * records {
            prop_assert_eq!(plain.record(at), (first + at) % records);
        }
    }

    #[test]
    fn any_position_can_be_asked_for(records in 1u64..50, seed: u64, at in 0u64..1000) {
        let mut walked = Order::new(records, "d", seed, true, 0);
        let straight: Vec<u64> = (0..=at).map(|at| walked.record(at)).collect();
        let mut jumped = Order::new(records, "d", seed, true, 0);
        prop_assert_eq!(jumped.record(at), straight[at as usize]);
    }
}

#[test]
fn seed_layer_and_epoch_each_give_another_order() {
    let order = |name: &str, seed: u64, epoch: u64| -> Vec<u64> {
        let mut order = Order::new(40, name, seed, true, 0);
        (0..40).map(|i| order.record(epoch * 40 + i)).collect()
    };
    let all = [order("a", 1, 0), order("b", 1, 0), order("a", 2, 0), order("a", 1, 1)];
    for (i, one) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|other| other != one));
    }
    assert_eq!(order("a", 1, 0), order("a", 1, 0));
}

#[test]
fn a_random_skip_reaches_every_start() {
    let mut seen = [false; 6];
    for seed in 0..200 {
        seen[Order::new(100, "d", seed, false, 6).record(0) as usize] = true;
    }
    assert_eq!(seen, [true; 6]);
}

/// Batches run past the end of an epoch; depth and threads change nothing.
#[test]
fn shuffled_batches_do_not_depend_on_prefetching() {
    let folder = folder();
    write_idx(folder.path(), 23);
    let transform = "mirror: true crop_size: 2 scale: 0.5";
    let run = |prefetch: u32| {
        let param = format!("batch_size: 5 shuffle: true prefetch: {prefetch}");
        batches(&mut net(folder.path(), &idx_layer(&param, transform), Phase::Train, 9), 12)
    };
    let now = run(0);
    for prefetch in [1, 2, 4, 16] {
        assert_eq!(run(prefetch), now, "prefetch {prefetch}");
    }
}

#[test]
fn an_epoch_hands_out_every_item_once() {
    let folder = folder();
    write_idx(folder.path(), 20);
    let text = idx_layer("batch_size: 5 shuffle: true", "");
    let found = batches(&mut net(folder.path(), &text, Phase::Train, 3), 8);
    let epochs: Vec<Vec<u8>> =
        found.chunks(4).map(|epoch| epoch.iter().flat_map(numbers).collect()).collect();
    assert_ne!(epochs[0], epochs[1]);
    for mut epoch in epochs {
        epoch.sort_unstable();
        assert_eq!(epoch, (0..20).collect::<Vec<u8>>());
    }
}
