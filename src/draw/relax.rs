//! Horizontal places: each item is drawn to the median of its neighbours; within a rank the places that
//! keep order and distance and lie nearest to those wishes are found exactly (by pooling neighbours that
//! would overlap). Chains of boxes and lanes are then straightened.

use super::order::{Item, Ranks};

/// Rounds of wishes over all ranks.
const ROUNDS: usize = 60;
/// How much a box insists on its place, and a lane.
const BOX: f64 = 8.0;
const LANE: f64 = 0.02;

/// The centre of every item, given the half widths and the gap between items.
pub fn centres(ranks: &Ranks, half: &[f64], gap: f64) -> Vec<f64> {
    let mut x = vec![0.0; ranks.items.len()];
    for row in &ranks.rows {
        let wide: f64 = row.iter().map(|&i| 2.0 * half[i] + gap).sum();
        let mut at = -wide / 2.0;
        for &item in row {
            x[item] = at + half[item];
            at += 2.0 * half[item] + gap;
        }
    }
    let count = ranks.rows.len();
    for round in 0..ROUNDS {
        for step in 0..count {
            let rank = if round % 2 == 0 { step } else { count - 1 - step };
            let row = &ranks.rows[rank];
            let wish = |&item: &usize| -> f64 {
                let near = match (round + 2 > ROUNDS / 2, round % 2 == 0) {
                    (true, _) => [&ranks.above[item][..], &ranks.below[item][..]].concat(),
                    (false, true) => ranks.above[item].clone(),
                    (false, false) => ranks.below[item].clone(),
                };
                median(near.iter().map(|&n| (x[n], pull(ranks, item, n))), x[item])
            };
            let wishes: Vec<f64> = row.iter().map(wish).collect();
            settle(ranks, row, &wishes, half, gap, &mut x);
        }
    }
    for _ in 0..3 {
        straighten(ranks, half, gap, &mut x);
    }
    x
}

/// How strongly a neighbour draws: boxes in line with boxes, lanes with lanes.
fn pull(ranks: &Ranks, item: usize, near: usize) -> f64 {
    let lane = |i: usize| matches!(ranks.items[i], Item::Lane(..));
    match (lane(item), lane(near)) {
        (false, false) => 3.0,
        (true, true) => 4.0,
        _ => 1.0,
    }
}

/// The middle of weighted values; between two where both are.
fn median(values: impl Iterator<Item = (f64, f64)>, otherwise: f64) -> f64 {
    let mut values: Vec<(f64, f64)> = values.collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half: f64 = values.iter().map(|v| v.1).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for (i, &(value, weight)) in values.iter().enumerate() {
        sum += weight;
        if sum > half {
            return value;
        }
        if sum == half {
            let next = values.get(i + 1).map_or(value, |v| v.0);
            return (value + next) / 2.0;
        }
    }
    otherwise
}

/// The places of a row nearest to the wishes.
fn settle(ranks: &Ranks, row: &[usize], wishes: &[f64], half: &[f64], gap: f64, x: &mut [f64]) {
    // In places measured from those of a row packed tightly, order and distance mean: not decreasing.
    let mut packed = 0.0;
    let mut offsets = Vec::with_capacity(row.len());
    // Value, weight and number of items of each pool.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (i, &item) in row.iter().enumerate() {
        if i > 0 {
            packed += half[row[i - 1]] + gap + half[item];
        }
        offsets.push(packed);
        let weight = if matches!(ranks.items[item], Item::Node(_)) { BOX } else { LANE };
        pools.push((wishes[i] - packed, weight, 1));
        while let [.., (v0, w0, n0), (v1, w1, n1)] = pools[..] {
            if v0 <= v1 {
                break;
            }
            pools.truncate(pools.len() - 2);
            pools.push(((v0 * w0 + v1 * w1) / (w0 + w1), w0 + w1, n0 + n1));
        }
    }
    let values = pools.iter().flat_map(|&(value, _, n)| std::iter::repeat_n(value, n));
    for ((&item, value), offset) in row.iter().zip(values).zip(offsets) {
        x[item] = value + offset;
    }
}

/// What goes on below an item in the same line: of a lane the next part of it, of a box the only box, if
/// that has no other above it.
fn follower(ranks: &Ranks, item: usize) -> Option<usize> {
    let lane = |item: usize| matches!(ranks.items[item], Item::Lane(..));
    let sole = |near: &[usize]| {
        let mut boxes = near.iter().copied().filter(|&n| !lane(n));
        boxes.next().filter(|_| boxes.next().is_none())
    };
    if lane(item) {
        return ranks.below[item].iter().copied().find(|&below| lane(below));
    }
    sole(&ranks.below[item]).filter(|&below| sole(&ranks.above[below]) == Some(item))
}

/// Boxes of a chain, and lanes of one blob, take the same place over as many ranks as there is room for;
/// boxes first.
fn straighten(ranks: &Ranks, half: &[f64], gap: f64, x: &mut [f64]) {
    let position = {
        let mut position = vec![0; ranks.items.len()];
        for row in &ranks.rows {
            row.iter().enumerate().for_each(|(i, &item)| position[item] = i);
        }
        position
    };
    let room = |item: usize, x: &[f64]| -> (f64, f64) {
        let (row, at) = (&ranks.rows[ranks.rank[item]], position[item]);
        let left = at.checked_sub(1).map(|i| row[i]);
        let low = left.map_or(f64::MIN, |l| x[l] + half[l] + gap + half[item]);
        let high = row.get(at + 1).map_or(f64::MAX, |&r| x[r] - half[r] - gap - half[item]);
        (low, high)
    };
    let followers: Vec<Option<usize>> =
        (0..ranks.items.len()).map(|item| follower(ranks, item)).collect();
    let mut led = vec![false; ranks.items.len()];
    followers.iter().flatten().for_each(|&item| led[item] = true);
    let mut starts: Vec<usize> = (0..led.len()).filter(|&item| !led[item]).collect();
    starts.sort_by_key(|&item| matches!(ranks.items[item], Item::Lane(..)));
    for start in starts {
        let mut chain = vec![start];
        while let Some(next) = chain.last().and_then(|&item| followers[item]) {
            chain.push(next);
        }
        let mut from = 0;
        while from < chain.len() {
            let (mut low, mut high) = (f64::MIN, f64::MAX);
            let mut to = from;
            while to < chain.len() {
                let (l, h) = room(chain[to], x);
                if low.max(l) > high.min(h) {
                    break;
                }
                (low, high) = (low.max(l), high.min(h));
                to += 1;
            }
            if to == from {
                from += 1;
                continue;
            }
            let mut wished: Vec<f64> = chain[from..to].iter().map(|&i| x[i]).collect();
            wished.sort_by(f64::total_cmp);
            let place = wished[wished.len() / 2].clamp(low, high);
            chain[from..to].iter().for_each(|&i| x[i] = place);
            from = to;
        }
    }
}
