//! Layers that go through time: T x N x …, with marks where sequences begin.

pub mod lstm;
pub mod lstm_fork;
pub mod lstm_unit;
pub mod rnn;
mod sequence;
