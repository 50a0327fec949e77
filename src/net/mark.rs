//! Where a net stands: what its passes change beside blobs and gradients, so that a pass can be run
//! again, and a run gone on with.

use super::{Net, NetError, Node};

/// Where a net stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// Forward passes so far.
    pub passes: u64,
    /// Items that each source of data has handed out, by layer name.
    pub positions: Vec<(String, u64)>,
    /// What layers keep themselves (BatchNorm's statistics); empty while another net has it.
    pub(crate) state: Vec<f32>,
    /// What layers carry from pass to pass, by their names; of those not named, nothing.
    pub carried: Vec<(String, Vec<f32>)>,
}

impl Net {
    /// Where it stands now.
    pub fn mark(&self) -> Mark {
        let state = self.store.state().to_vec();
        let of = |node: &Node| (node.def.name().to_owned(), node.layer.carried());
        let carried =
            self.nodes.iter().map(of).filter(|(_, carried)| !carried.is_empty()).collect();
        Mark { passes: self.passes, positions: self.positions(), state, carried }
    }

    /// Goes back (or on) to where it stood.
    pub fn go_to(&mut self, mark: &Mark) -> Result<(), NetError> {
        self.passes = mark.passes;
        self.store.set_state(&mark.state);
        for node in &mut self.nodes {
            let named = mark.carried.iter().find(|(name, _)| name == node.def.name());
            node.layer.carry(named.map_or(&[], |(_, carried)| carried));
        }
        self.seek(&mark.positions)
    }
}
