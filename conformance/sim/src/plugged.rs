use std::fmt;

use ntm_core::machine::{Effect, Outcome};

use crate::host::HostId;

/// Plugins that answer a coordinator in the place of the simulated ones.
pub trait Answers: fmt::Debug + Send {
    /// The answer to a question; `None` where the simulation shall answer.
    fn answer(&mut self, effect: &Effect) -> Option<Outcome>;
}

/// What really carries the datagrams of a world. When they arrive, is the simulated
/// network's concern.
pub trait Road: fmt::Debug + Send {
    /// Carries a datagram between two hosts, which have their addresses in the simulated
    /// network: what comes of it at the other end.
    fn carry(&mut self, from: HostId, to: HostId, datagram: Vec<u8>) -> Option<Vec<u8>>;
}
