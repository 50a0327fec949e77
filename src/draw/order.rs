//! Ranks, and the order within each: every blob leads downwards; what spans several ranks passes
//! through a lane in each, one lane per blob. The order is that with the fewest crossings found by
//! sweeps over the medians.

use super::Graph;

/// What stands in a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// A box, by its number.
    Node(usize),
    /// A lane of a blob: the box that makes it, and which of its tops.
    Lane(usize, usize),
}

/// Items in ranks, with the neighbours above and below of each.
#[derive(Debug, Default)]
pub struct Ranks {
    /// All items.
    pub items: Vec<Item>,
    /// Rank of each item.
    pub rank: Vec<usize>,
    /// Indices of items, rank by rank, from left to right.
    pub rows: Vec<Vec<usize>>,
    /// Items above that an item hangs on, and those below that hang on it.
    pub above: Vec<Vec<usize>>,
    pub below: Vec<Vec<usize>>,
    /// For each edge of the graph the items it passes through, from its maker to its reader.
    pub paths: Vec<Vec<usize>>,
}

/// Sweeps in search of fewer crossings.
const SWEEPS: usize = 16;

/// Ranks by the longest way from a source; sources stand just above their first reader.
fn rank_of(graph: &Graph) -> Vec<usize> {
    let mut rank = vec![0; graph.nodes.len()];
    let mut edges = graph.edges.clone();
    edges.sort_by_key(|edge| edge.to);
    for edge in &edges {
        rank[edge.to] = rank[edge.to].max(rank[edge.from] + 1);
    }
    for node in 0..rank.len() {
        let fed = edges.iter().any(|edge| edge.to == node);
        let first = edges.iter().filter(|e| e.from == node).map(|e| rank[e.to]).min();
        if let (false, Some(first)) = (fed, first) {
            rank[node] = first - 1;
        }
    }
    rank
}

impl Ranks {
    /// Ranks and order of a graph, with the lanes that long edges need.
    pub fn of(graph: &Graph) -> Ranks {
        let mut ranks = Ranks { rank: rank_of(graph), ..Ranks::default() };
        ranks.items = (0..graph.nodes.len()).map(Item::Node).collect();
        ranks.lanes(graph);
        let count = ranks.rank.iter().max().map_or(0, |most| most + 1);
        ranks.rows = vec![Vec::new(); count];
        ranks.first_order();
        ranks.sort_by_medians();
        ranks
    }

    fn link(&mut self, from: usize, to: usize) {
        let len = self.items.len();
        self.above.resize(len, Vec::new());
        self.below.resize(len, Vec::new());
        if !self.below[from].contains(&to) {
            self.below[from].push(to);
            self.above[to].push(from);
        }
    }

    fn lanes(&mut self, graph: &Graph) {
        let len = self.items.len();
        self.above.resize(len, Vec::new());
        self.below.resize(len, Vec::new());
        let mut made: std::collections::HashMap<(usize, usize, usize), usize> = Default::default();
        for edge in &graph.edges {
            let mut path = vec![edge.from];
            for rank in self.rank[edge.from] + 1..self.rank[edge.to] {
                let lane = *made.entry((edge.from, edge.top, rank)).or_insert_with(|| {
                    self.items.push(Item::Lane(edge.from, edge.top));
                    self.rank.push(rank);
                    self.items.len() - 1
                });
                path.push(lane);
            }
            path.push(edge.to);
            path.windows(2).for_each(|step| self.link(step[0], step[1]));
            self.paths.push(path);
        }
    }

    /// Depth first from the sources: what hangs together stands together.
    fn first_order(&mut self) {
        let mut seen = vec![false; self.items.len()];
        for start in 0..self.items.len() {
            let mut stack = vec![start];
            while let Some(item) = stack.pop() {
                if std::mem::replace(&mut seen[item], true) {
                    continue;
                }
                self.rows[self.rank[item]].push(item);
                stack.extend(self.below[item].iter().rev().filter(|&&next| !seen[next]));
            }
        }
    }

    fn positions(&self) -> Vec<usize> {
        let mut position = vec![0; self.items.len()];
        for row in &self.rows {
            row.iter().enumerate().for_each(|(i, &item)| position[item] = i);
        }
        position
    }

    /// Pairs of edges between a rank and the next that cross.
    fn crossings(&self) -> usize {
        let position = self.positions();
        let mut crossings = 0;
        for row in &self.rows {
            let mut seen: Vec<usize> = Vec::new();
            for &item in row {
                let mut ends: Vec<usize> = self.below[item].iter().map(|&b| position[b]).collect();
                ends.sort_unstable();
                for &end in &ends {
                    crossings += seen.len() - seen.partition_point(|&other| other <= end);
                }
                for end in ends {
                    let at = seen.partition_point(|&other| other <= end);
                    seen.insert(at, end);
                }
            }
        }
        crossings
    }

    fn sort_by_medians(&mut self) {
        let (mut best, mut fewest) = (self.rows.clone(), self.crossings());
        for sweep in 0..SWEEPS {
            if fewest == 0 {
                break;
            }
            let down = sweep % 2 == 0;
            let count = self.rows.len();
            for step in 0..count {
                let rank = if down { step } else { count - 1 - step };
                let position = self.positions();
                let near = if down { &self.above } else { &self.below };
                let mut row = std::mem::take(&mut self.rows[rank]);
                let key = |&item: &usize| -> f64 {
                    let mut at: Vec<f64> = near[item].iter().map(|&n| position[n] as f64).collect();
                    match at.len() {
                        0 => position[item] as f64,
                        n => {
                            at.sort_by(f64::total_cmp);
                            (at[(n - 1) / 2] + at[n / 2]) / 2.0
                        }
                    }
                };
                row.sort_by(|a, b| key(a).total_cmp(&key(b)));
                self.rows[rank] = row;
            }
            let crossings = self.crossings();
            if crossings < fewest {
                (best, fewest) = (self.rows.clone(), crossings);
            }
        }
        self.rows = best;
    }
}
