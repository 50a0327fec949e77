//! Batches prepared ahead: failing and breaking sources, and the end of the threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cortado::data::db::Payload;
use cortado::data::labels::Labels;
use cortado::data::prefetch::{Batch, Feed, Reader, Recipe};
use cortado::data::{Item, Order, Pixels, Record, Source, Transform};
use cortado_layers::{LayerError, Phase};

/// What a source does when it comes to a certain record.
#[derive(Clone, Copy)]
enum Then {
    Fails,
    Panics,
    HoldsNonsense,
    GoesOn,
}

/// Records of one value, their own number.
struct Numbers {
    bad: u64,
    then: Then,
    alive: Arc<AtomicUsize>,
}

impl Source for Numbers {
    fn records(&self) -> u64 {
        1000
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        let record = |&index: &u64| {
            let pixels = Pixels::F32(vec![index as f32]);
            let mut payload = Payload::Item(Item { shape: [1, 1, 1], pixels, label: 0 });
            match self.then {
                _ if index != self.bad => {}
                Then::Fails => return Err(LayerError::layer("the disk is gone")),
                Then::Panics => panic!("on purpose"),
                Then::HoldsNonsense => payload = Payload::Datum(vec![0xff]),
                Then::GoesOn => {}
            }
            Ok(Record { index, key: Vec::new(), payload })
        };
        numbers.iter().map(record).collect()
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

fn feed(bad: u64, then: Then, depth: usize, alive: &Arc<AtomicUsize>) -> Feed {
    alive.fetch_add(1, Ordering::SeqCst);
    let source = Box::new(Numbers { bad, then, alive: alive.clone() });
    let order = Order::new(1000, "d", 1, false, 0);
    let reader = Reader { source, order, batch: 10, position: 0 };
    let transform = Transform::default();
    let recipe = Recipe {
        name: "d".to_owned(),
        param: "data_param",
        seed: 1,
        phase: Phase::Train,
        transform,
        labels: Labels::Classes,
    };
    Feed::start(reader, Arc::new(recipe), depth).unwrap_or_else(|e| panic!("{e}"))
}

fn take(feed: &mut Feed) -> Result<Vec<f32>, LayerError> {
    let batch: Batch = feed.take()?;
    let data = batch.data.clone();
    feed.recycle(batch);
    Ok(data)
}

#[test]
fn an_error_comes_after_the_batches_before_it_and_stays() {
    for depth in [0, 1, 4] {
        for (then, wanted) in [
            (Then::Fails, "the disk is gone"),
            (Then::HoldsNonsense, "record 35: it is no Datum message"),
        ] {
            let alive = Arc::default();
            let mut feed = feed(35, then, depth, &alive);
            for first in [0.0, 10.0, 20.0] {
                assert_eq!(take(&mut feed).map(|data| data[0]).ok(), Some(first));
            }
            for _ in 0..3 {
                let error = take(&mut feed).expect_err("record 35 is bad");
                assert!(error.why.contains(wanted), "depth {depth}: {error}");
            }
            assert!(feed.stop().is_some());
            assert_eq!(alive.load(Ordering::SeqCst), 0);
        }
    }
}

/// Fails the first time that each batch is asked for.
struct Unsteady(Numbers, u64);

impl Source for Unsteady {
    fn records(&self) -> u64 {
        self.0.records()
    }

    fn read(&mut self, numbers: &[u64]) -> Result<Vec<Record>, LayerError> {
        if numbers[0] >= self.1 {
            self.1 = numbers[0] + 1;
            return Err(LayerError::layer("the disk is gone for a moment"));
        }
        self.0.read(numbers)
    }
}

#[test]
fn a_read_that_fails_for_a_moment_is_tried_again() {
    let alive = Arc::new(AtomicUsize::new(1));
    let numbers = Numbers { bad: 0, then: Then::GoesOn, alive: alive.clone() };
    let order = Order::new(1000, "d", 1, false, 0);
    let reader = Reader { source: Box::new(Unsteady(numbers, 0)), order, batch: 10, position: 0 };
    let recipe = Recipe {
        name: "d".to_owned(),
        param: "data_param",
        seed: 1,
        phase: Phase::Train,
        transform: Transform::default(),
        labels: Labels::Classes,
    };
    let mut feed = Feed::start(reader, Arc::new(recipe), 2).unwrap_or_else(|e| panic!("{e}"));
    for first in [0.0, 10.0, 20.0] {
        assert_eq!(take(&mut feed).map(|data| data[0]).ok(), Some(first));
    }
}

#[test]
fn a_thread_that_breaks_down_is_an_error_and_no_hang() {
    for depth in [1, 4] {
        let alive = Arc::default();
        let mut feed = feed(15, Then::Panics, depth, &alive);
        assert!(take(&mut feed).is_ok());
        for _ in 0..2 {
            let error = take(&mut feed).expect_err("the source breaks down at record 15");
            assert!(error.why.contains("broke down"), "{error}");
        }
        assert!(feed.stop().is_none());
    }
}

#[test]
fn dropping_a_feed_ends_its_threads() {
    for taken in [0, 1, 50] {
        let alive = Arc::default();
        let mut feed = feed(0, Then::GoesOn, 4, &alive);
        for i in 0..taken {
            assert_eq!(take(&mut feed).map(|data| data[0]).ok(), Some((i * 10 % 1000) as f32));
        }
        let start = Instant::now();
        drop(feed);
        assert_eq!(alive.load(Ordering::SeqCst), 0, "the source goes with its thread");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
