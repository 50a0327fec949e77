//! The reference page of a layer type, written beside its code.

/// What `cortado layers TYPE` prints and `docs/layers.md` holds. Parameters and their defaults are
/// not repeated here: they come from the schema.
#[derive(Debug)]
pub struct LayerDoc {
    /// One line: what the layer does.
    pub summary: &'static str,
    /// Fields of `LayerParameter` that hold its parameters, such as `convolution_param`.
    pub params: &'static [&'static str],
    /// Its bottoms with their shapes, one line each.
    pub bottoms: &'static [&'static str],
    /// Its tops with their shapes, one line each.
    pub tops: &'static [&'static str],
    /// Its blobs in file order with their shapes, one line each.
    pub blobs: &'static [&'static str],
    /// Formula of the forward pass.
    pub forward: &'static str,
    /// Formula of the backward pass; empty when there is none.
    pub backward: &'static str,
    /// Quirks and advice; may be several paragraphs of Markdown.
    pub notes: &'static str,
    /// A `layer { … }` that loads.
    pub example: &'static str,
    /// The paper, or the behaviour of the original that it follows.
    pub source: &'static str,
}

impl LayerDoc {
    /// A page with nothing but its one line; `LayerDoc { params: …, ..LayerDoc::new("…") }` fills in.
    pub const fn new(summary: &'static str) -> LayerDoc {
        LayerDoc {
            summary,
            params: &[],
            bottoms: &[],
            tops: &[],
            blobs: &[],
            forward: "",
            backward: "",
            notes: "",
            example: "",
            source: "",
        }
    }
}
