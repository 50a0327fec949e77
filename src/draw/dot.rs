//! The graph in Graphviz's language, for those who have it.

use super::Graph;
use super::place::texts;
use super::text::shape;

/// A string between quotes.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}

/// The text of the graph.
pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&graph.name));
    out +=
        "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#eef3fa\", fontname=\"sans\"];\n";
    for (i, node) in graph.nodes.iter().enumerate() {
        let (head, lines) = texts(node);
        let mut label = head;
        for line in lines {
            label += &format!("\n{line}");
        }
        if node.params() > 0 {
            label += &format!("\n{} parameters", node.weight());
        }
        out += &format!("  n{i} [label={}];\n", quoted(&label));
    }
    for edge in &graph.edges {
        let top = &graph.nodes[edge.from].tops[edge.top];
        let dims = top.shape.as_ref().map(|s| shape(s)).unwrap_or_default();
        let label = quoted(&format!("{} {dims}", top.name));
        out += &format!("  n{} -> n{} [label={label}];\n", edge.from, edge.to);
    }
    out + "}\n"
}
