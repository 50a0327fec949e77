//! Pictures of nets, without memory or data: a net's file → [`Graph`] (layers that run as one in one
//! box) → [`place`] (ranks, positions) → text of SVG or dot; PNG is made from the SVG.

mod columns;
mod dot;
mod graph;
mod html;
mod order;
mod place;
#[cfg(feature = "draw-png")]
mod png;
mod relax;
mod svg;
pub(crate) mod text;

pub use graph::{Edge, Graph, Line, Look, Node, Top};
pub use place::{Layout, place};
#[cfg(feature = "draw-png")]
pub use png::png;

impl Graph {
    /// The picture as SVG.
    pub fn to_svg(&self) -> String {
        svg::svg(self, &place(self))
    }

    /// A page around the SVG, with a header; what the mouse points at tells its blobs and parameters.
    pub fn to_html(&self) -> String {
        html::html(self)
    }

    /// The graph in Graphviz's language.
    pub fn to_dot(&self) -> String {
        dot::dot(self)
    }
}
