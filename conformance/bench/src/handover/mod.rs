//! What a move costs a conversation: `ntm` beside other tunnels, in one network, with
//! one probe.

mod account;
mod aims;
mod chart;
mod figures;
mod ground;
mod lose;
mod report;
mod run;
mod variant;

pub(crate) use ground::Ground;
pub(crate) use report::{Report, Row};
pub(crate) use run::{Plan, run};
pub(crate) use variant::Variant;
