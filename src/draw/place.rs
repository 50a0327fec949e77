//! Positions: sizes of boxes from their texts, heights of ranks, ways of lines.

use super::columns::{self, Column};
use super::order::{Item, Ranks};
use super::text::{shape, shortened, width};
use super::{Graph, Node, relax};

pub const HEAD: f64 = 12.0;
pub const SMALL: f64 = 10.5;
pub const LINE: f64 = 15.0;
pub const PAD: f64 = 9.0;
/// Height of the tab under a box that tells the shape of its blob.
pub const TAB: f64 = 16.0;
/// Height of a tag over a box that names a bottom no line leads to.
pub const TAG: f64 = 18.0;
/// Room for arrows beside tags.
const ENTRY: f64 = 24.0;
const RANK_GAP: f64 = 30.0;
const GAP: f64 = 22.0;
const MARGIN: f64 = 24.0;
const LANE_HALF: f64 = 3.0;
/// Names are shortened to so many characters.
const LONGEST: usize = 44;

/// Where a box is: left, top (of the box itself), width, height without tabs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// A picture in numbers.
#[derive(Debug, Default)]
pub struct Layout {
    /// Size of the picture.
    pub width: f64,
    /// Size of the picture.
    pub height: f64,
    /// Per box of the graph; tags stand above, tabs below.
    pub boxes: Vec<Rect>,
    /// Per line of the graph, its path in SVG's words.
    pub edges: Vec<String>,
    /// Lines without arrow that lead from the foot of a column to the head of the next.
    pub turns: Vec<String>,
}

/// Texts of a box: the bold head, and the lines below it.
pub fn texts(node: &Node) -> (String, Vec<String>) {
    let mut lines = Vec::with_capacity(node.lines.len());
    for (i, line) in node.lines.iter().enumerate() {
        let mut told = line.type_name.clone();
        if !line.detail.is_empty() {
            told += &format!(" {}", line.detail);
        }
        if i > 0 {
            told += &format!("  {}", shortened(&line.name, LONGEST));
        }
        lines.push(told);
    }
    let head = node.lines.first().map(|line| shortened(&line.name, LONGEST));
    (head.unwrap_or_default(), lines)
}

/// What the tab of a blob says: its shape; its name too where the box has several.
pub fn tab(node: &Node, top: usize) -> String {
    let top_ = &node.tops[top];
    let dims = top_.shape.as_ref().map_or("?".to_owned(), |s| shape(s));
    let name = shortened(&top_.name, LONGEST / 2);
    if node.tops.len() > 1 { format!("{name} {dims}") } else { dims }
}

pub fn tab_width(node: &Node, top: usize) -> f64 {
    width(&tab(node, top), SMALL, false) + 10.0
}

/// How far the tags over a box reach from its left edge.
fn tags_width(node: &Node) -> f64 {
    node.named.iter().map(|n| width(&shortened(n, LONGEST), SMALL, false) + 16.0).sum()
}

fn size(node: &Node) -> (f64, f64) {
    let (head, lines) = texts(node);
    let weight = node.weight();
    let gap = if weight.is_empty() { 0.0 } else { 12.0 };
    let first = width(&head, HEAD, true) + gap + width(&weight, SMALL, false);
    let widest = lines.iter().map(|l| width(l, SMALL, false)).fold(first, f64::max);
    let tabs: f64 = (0..node.tops.len()).map(|top| tab_width(node, top) + 6.0).sum();
    // Beside the tags lines come in.
    let tags = tags_width(node) + if node.named.is_empty() { 0.0 } else { ENTRY };
    let wide = (widest + 2.0 * PAD).max(tabs).max(tags);
    (wide.max(60.0), LINE * (1 + lines.len()) as f64 + 9.0)
}

/// Middle of a tab, from the left edge of its box.
pub fn port(node: &Node, wide: f64, top: usize) -> f64 {
    let widths: Vec<f64> = (0..node.tops.len()).map(|t| tab_width(node, t)).collect();
    let free = (wide - widths.iter().sum::<f64>()) / (widths.len() + 1) as f64;
    let before: f64 = widths[..top].iter().map(|w| w + free).sum();
    free + before + widths[top] / 2.0
}

/// Heights that belong to a box beside its own: tags above, tab below.
pub fn around(node: &Node) -> (f64, f64) {
    let tag = if node.named.is_empty() { 0.0 } else { TAG };
    (tag, if node.tops.is_empty() { 0.0 } else { TAB })
}

/// Places all boxes and lines of a graph.
pub fn place(graph: &Graph) -> Layout {
    let near = columns::without_far_inputs(graph);
    let graph = &near;
    let ranks = Ranks::of(graph);
    let sizes: Vec<(f64, f64)> = graph.nodes.iter().map(size).collect();
    let half: Vec<f64> = ranks
        .items
        .iter()
        .map(|item| match item {
            Item::Node(n) => sizes[*n].0 / 2.0,
            Item::Lane(..) => LANE_HALF,
        })
        .collect();
    let x = relax::centres(&ranks, &half, GAP);
    let row_height = |row: &Vec<usize>| -> f64 {
        let whole = |&i: &usize| match ranks.items[i] {
            Item::Node(n) => {
                let (above, below) = around(&graph.nodes[n]);
                above + sizes[n].1 + below
            }
            Item::Lane(..) => 0.0,
        };
        row.iter().map(whole).fold(0.0, f64::max)
    };
    let heights: Vec<f64> = ranks.rows.iter().map(row_height).collect();
    let columns = columns::columns(graph, &ranks, &x, &half, &heights, RANK_GAP);
    let mut layout = Layout::default();
    // Per rank: its column, and where it begins.
    let mut column_of = vec![0; ranks.rows.len()];
    let mut y = vec![0.0; ranks.rows.len()];
    for (c, column) in columns.iter().enumerate() {
        let mut at = MARGIN + if c > 0 { RANK_GAP } else { 0.0 };
        for rank in column.ranks.clone() {
            (column_of[rank], y[rank]) = (c, at);
            at += heights[rank] + RANK_GAP;
        }
        layout.height = layout.height.max(at - RANK_GAP + MARGIN);
    }
    let shift = shifts(&columns);
    let last = columns.len().saturating_sub(1);
    layout.width = shift.get(last).map_or(0.0, |s| s + columns[last].right) + MARGIN;
    let at = |item: usize| x[item] + shift[column_of[ranks.rank[item]]];
    layout.boxes = sizes
        .iter()
        .enumerate()
        .map(|(n, &(w, h))| {
            let above = around(&graph.nodes[n]).0;
            Rect { x: at(n) - w / 2.0, y: y[ranks.rank[n]] + above, w, h }
        })
        .collect();
    let ways = Ways { graph, ranks: &ranks, boxes: &layout.boxes, y: &y, heights: &heights };
    layout.edges = ways
        .graph
        .edges
        .iter()
        .zip(&ranks.paths)
        .map(|(edge, path)| ways.way(edge.top, path, &at, &column_of, &columns, &shift))
        .collect();
    layout.turns = columns
        .windows(2)
        .enumerate()
        .filter_map(|(c, pair)| ways.turn(&pair[0], &pair[1], c, &shift))
        .collect();
    layout
}

/// What is added to the places of each column.
fn shifts(columns: &[Column]) -> Vec<f64> {
    let mut left = MARGIN;
    let mut shifts = Vec::with_capacity(columns.len());
    for column in columns {
        shifts.push(left - column.left);
        left += column.right - column.left + 3.0 * GAP;
    }
    shifts
}

struct Ways<'a> {
    graph: &'a Graph,
    ranks: &'a Ranks,
    boxes: &'a [Rect],
    y: &'a [f64],
    heights: &'a [f64],
}

impl Ways<'_> {
    /// Middle of the lower edge of a tab.
    fn start(&self, node: usize, top: usize) -> (f64, f64) {
        let rect = self.boxes[node];
        let below = around(&self.graph.nodes[node]).1;
        (rect.x + port(&self.graph.nodes[node], rect.w, top), rect.y + rect.h + below)
    }

    /// Where a line enters a box, right of its tags: lines of several blobs side by side, in the order they come from.
    fn end(&self, node: usize, from: usize, at: &dyn Fn(usize) -> f64) -> (f64, f64) {
        let rect = self.boxes[node];
        let mut feeders = self.ranks.above[node].clone();
        feeders.sort_by(|&a, &b| at(a).total_cmp(&at(b)));
        let index = feeders.iter().position(|&f| f == from).unwrap_or(0);
        let tags = tags_width(&self.graph.nodes[node]);
        let room = ((rect.w - tags) * 0.7).min(40.0 * (feeders.len() - 1) as f64);
        let part = match feeders.len() {
            0 | 1 => 0.0,
            n => room * (index as f64 / (n - 1) as f64 - 0.5),
        };
        (rect.x + (rect.w + tags) / 2.0 + part, rect.y)
    }

    fn way(
        &self,
        top: usize,
        path: &[usize],
        at: &dyn Fn(usize) -> f64,
        column_of: &[usize],
        columns: &[Column],
        shift: &[f64],
    ) -> String {
        let rank = |i: usize| self.ranks.rank[path[i]];
        let mut here = self.start(path[0], top);
        let foot = self.y[rank(0)] + self.heights[rank(0)];
        let column = column_of[rank(1)];
        let mut way = match columns[column].enters {
            // It turned into a new column already.
            Some(enters) if column != column_of[rank(0)] => {
                here = (enters + shift[column], self.y[rank(1)] - RANK_GAP);
                format!("M{:.1} {:.1}", here.0, here.1)
            }
            _ => format!("M{:.1} {:.1}V{foot:.1}", here.0, here.1),
        };
        here.1 = here.1.max(self.y[rank(1)] - RANK_GAP);
        for i in 1..path.len() {
            let last = i + 1 == path.len();
            let to = match last {
                true => self.end(path[i], path[i - 1], at),
                false => (at(path[i]), self.y[rank(i)]),
            };
            let middle = (here.1 + self.y[rank(i)]) / 2.0;
            let (x, y) = to;
            match (here.0 - x).abs() < 0.5 {
                true => way += &format!("V{y:.1}"),
                false => {
                    way += &format!("C{:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}", here.0)
                }
            }
            here = to;
            if !last {
                here.1 = self.y[rank(i)] + self.heights[rank(i)];
                way += &format!("V{:.1}", here.1);
            }
        }
        way
    }

    /// From the foot of a column to the head of the next.
    fn turn(&self, column: &Column, next: &Column, c: usize, shift: &[f64]) -> Option<String> {
        let enters = next.enters? + shift[c + 1];
        let last = column.ranks.end - 1;
        let Item::Node(node) = self.ranks.items[*self.ranks.rows[last].first()?] else {
            return None;
        };
        let (x, y) = self.start(node, 0);
        let (foot, head) = (y + RANK_GAP / 2.0, self.y[next.ranks.start] - RANK_GAP);
        let gutter = column.right + shift[c] + 1.5 * GAP;
        let r = 8.0;
        Some(format!(
            "M{x:.1} {y:.1}V{:.1}Q{x:.1} {foot:.1} {:.1} {foot:.1}H{:.1}Q{gutter:.1} {foot:.1} {gutter:.1} {:.1}V{:.1}Q{gutter:.1} {:.1} {:.1} {:.1}H{:.1}Q{enters:.1} {:.1} {enters:.1} {head:.1}",
            foot - r,
            x + r,
            gutter - r,
            foot - r,
            head,
            head - r,
            gutter + r,
            head - r,
            enters - r,
            head - r,
        ))
    }
}
