//! A page around the picture.

use super::Graph;
use super::text::{count, escaped};

/// The text of the page. It loads nothing from elsewhere.
pub fn html(graph: &Graph) -> String {
    let layers: usize = graph.nodes.iter().map(|node| node.lines.len()).sum();
    let params: usize = graph.nodes.iter().map(|node| node.params()).sum();
    let name = if graph.name.is_empty() { "net" } else { &graph.name };
    let name = escaped(name);
    format!(
        r##"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{name}</title>
<style>
body {{ margin: 0; font-family: sans-serif; background: #f4f4f2; color: #222; }}
header {{ padding: 10px 24px; background: #fff; border-bottom: 1px solid #ccc; }}
h1 {{ display: inline; font-size: 18px; margin-right: 12px; }}
main {{ overflow: auto; padding: 16px; }}
svg {{ background: #fff; box-shadow: 0 0 4px #bbb; }}
.layer:hover .box {{ stroke-width: 3; }}
path:hover {{ stroke: #c33; stroke-width: 2.5; }}
</style>
</head>
<body>
<header><h1>{name}</h1>{layers} layers in {} boxes, {} parameters</header>
<main>
{}</main>
</body>
</html>
"##,
        graph.nodes.len(),
        count(params),
        graph.to_svg()
    )
}
