//! A net that is only used: it runs, and can't be changed any more.

use std::ops::Deref;

use cortado_layers::ViewMut;

use super::{Net, NetError, StepInfo};

/// A net whose plan is made for good. Of the weights that the plan has packed there is no other copy:
/// they can be neither read nor saved, and the net can be neither reshaped nor trained.
pub struct Deployed {
    net: Net,
}

impl Net {
    /// Makes the plan, and gives back the memory of all weights that it has packed. A net that runs
    /// layer by layer stays as it is.
    pub fn deploy(mut self) -> Deployed {
        self.forget_plan();
        self.ready(true);
        Deployed { net: self }
    }
}

/// Names, shapes, layers and blobs.
impl Deref for Deployed {
    type Target = Net;

    fn deref(&self) -> &Net {
        &self.net
    }
}

impl Deployed {
    /// As [`Net::forward`].
    pub fn forward(&mut self) -> Result<f64, NetError> {
        self.net.forward()
    }

    /// As [`Net::forward_watched`].
    pub fn forward_watched(
        &mut self,
        watch: &mut (dyn FnMut(usize) + Send),
    ) -> Result<f64, NetError> {
        self.net.forward_watched(watch)
    }

    /// As [`Net::input_mut`].
    pub fn input_mut(&mut self, name: &str) -> Option<ViewMut<'_>> {
        self.net.input_mut(name)
    }

    /// As [`Net::plan_steps`].
    pub fn plan_steps(&mut self) -> Option<Vec<StepInfo>> {
        self.net.plan_steps()
    }
}
