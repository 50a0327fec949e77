//! The picture as SVG.

use std::fmt::Write;

use super::place::{HEAD, LINE, Layout, PAD, SMALL, TAB, TAG, around, port, tab, tab_width, texts};
use super::text::{FONTS, escaped, shape, shortened, width};
use super::{Graph, Look};

/// Fill and border of a box.
fn colours(look: Look) -> (&'static str, &'static str) {
    match look {
        Look::Data => ("#e8f1e4", "#7aa267"),
        Look::Weights => ("#dfeaf7", "#5b8bc4"),
        Look::Pool => ("#fbe6de", "#d0785a"),
        Look::Norm => ("#efe7f6", "#9775ba"),
        Look::Act => ("#fdf3d5", "#c9a23c"),
        Look::Join => ("#e3f3f3", "#4f9d9d"),
        Look::Shape => ("#f0f0ee", "#8d8d85"),
        Look::Loss => ("#fae3ea", "#c5607f"),
        Look::Other => ("#ffffff", "#8d8d85"),
    }
}

/// The text of the picture.
pub fn svg(graph: &Graph, layout: &Layout) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = draw(graph, layout, &mut out);
    out
}

fn draw(graph: &Graph, layout: &Layout, out: &mut String) -> std::fmt::Result {
    let (w, h) = (layout.width.ceil(), layout.height.ceil());
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" font-family="{FONTS}" font-size="{SMALL}">
<title>{}</title>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6.5" markerHeight="6.5" orient="auto"><path d="M0 0L8 4L0 8L1.8 4z" fill="#555"/></marker></defs>
<rect width="{w}" height="{h}" fill="#ffffff"/>
<g fill="none" stroke="#777" stroke-width="1.3">"##,
        escaped(&graph.name)
    )?;
    for turn in &layout.turns {
        writeln!(out, r#"<path d="{turn}"/>"#)?;
    }
    let near = super::columns::without_far_inputs(graph);
    for (edge, way) in near.edges.iter().zip(&layout.edges) {
        let top = &near.nodes[edge.from].tops[edge.top];
        let dims = top.shape.as_ref().map(|s| shape(s)).unwrap_or_default();
        writeln!(
            out,
            r#"<path d="{way}" marker-end="url(#arrow)"><title>{} {dims}</title></path>"#,
            escaped(&top.name)
        )?;
    }
    out.push_str("</g>\n");
    for (node, rect) in near.nodes.iter().zip(&layout.boxes) {
        let (fill, border) = colours(node.look);
        let (x, y) = (rect.x, rect.y);
        writeln!(out, r#"<g class="layer"><title>{}</title>"#, escaped(&node.told()))?;
        let tags: Vec<String> = node.named.iter().map(|name| shortened(name, 44)).collect();
        let mut at = x + 4.0;
        for tag in &tags {
            let wide = width(tag, SMALL, false) + 10.0;
            let top = y - around(node).0;
            writeln!(
                out,
                r##"<rect x="{at:.1}" y="{top:.1}" width="{wide:.1}" height="{}" rx="7" fill="#ffffff" stroke="#7aa267" stroke-dasharray="3 2"/><text x="{:.1}" y="{:.1}" fill="#4a6b3b">{}</text>"##,
                TAG - 3.0,
                at + 5.0,
                top + 11.5,
                escaped(tag)
            )?;
            at += wide + 6.0;
        }
        for top in 0..node.tops.len() {
            let wide = tab_width(node, top);
            let left = x + port(node, rect.w, top) - wide / 2.0;
            let (weight, ink) = match node.tops[top].read {
                true => ("0.8", "#555555"),
                false => ("1.8", "#222222"),
            };
            writeln!(
                out,
                r##"<path d="M{left:.1} {0:.1}v{1:.1}q0 5 5 5h{2:.1}q5 0 5 -5v-{1:.1}" fill="#ffffff" stroke="{border}" stroke-width="{weight}"/><text x="{3:.1}" y="{4:.1}" text-anchor="middle" fill="{ink}">{5}</text>"##,
                y + rect.h - 1.0,
                TAB - 4.0,
                wide - 10.0,
                left + wide / 2.0,
                y + rect.h + TAB - 4.5,
                escaped(&tab(node, top))
            )?;
        }
        writeln!(
            out,
            r#"<rect class="box" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" rx="6" fill="{fill}" stroke="{border}" stroke-width="1.3"/>"#,
            rect.w, rect.h
        )?;
        let (head, lines) = texts(node);
        let left = x + PAD;
        writeln!(
            out,
            r##"<text x="{left:.1}" y="{:.1}" font-size="{HEAD}" font-weight="bold" fill="#222">{}</text>"##,
            y + LINE + 1.0,
            escaped(&head)
        )?;
        let weight = node.weight();
        if !weight.is_empty() {
            writeln!(
                out,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end" fill="{border}">{weight}</text>"#,
                x + rect.w - PAD,
                y + LINE + 1.0
            )?;
        }
        for (i, line) in lines.iter().enumerate() {
            let baseline = y + LINE * (i + 2) as f64 + 1.0;
            let (told, name) = line.split_once("  ").unwrap_or((line, ""));
            write!(
                out,
                r##"<text x="{left:.1}" y="{baseline:.1}" fill="#333">{}"##,
                escaped(told)
            )?;
            if !name.is_empty() {
                write!(out, r##" <tspan fill="#888">{}</tspan>"##, escaped(name))?;
            }
            out.push_str("</text>\n");
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
    Ok(())
}
