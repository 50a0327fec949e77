//! Which algorithm a convolution gets.

use super::pack::ConvAlgo;
use super::winograd;
use crate::geometry::ConvGeometry;

impl ConvAlgo {
    /// The algorithm that `pack_blocked` takes for this geometry; never `Auto`.
    pub fn chosen(self, g: &ConvGeometry) -> ConvAlgo {
        let winograd = match self {
            ConvAlgo::Auto => winograd::applies(g) && winograd::pays(g),
            ConvAlgo::Direct => false,
            ConvAlgo::Winograd => winograd::applies(g),
        };
        if winograd { ConvAlgo::Winograd } else { ConvAlgo::Direct }
    }
}
