use std::time::Duration;

use ntm_core::plugin::{Plan, PlanRequest};
use ntm_core::terminal::Mode;
use ntm_traversal_rs::Rs;

/// A small world, and what may go wrong in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the terminals do when they move.
    pub mode: Mode,
    /// What the terminals have before anything goes wrong.
    pub start: Start,
    /// Whether there is a relay.
    pub relay: bool,
    /// The coordinator's route decision.
    pub route: Route,
    /// How often both applications send a packet, if they do while things go
    /// wrong.
    pub talk: Option<Duration>,
    /// What may happen in all.
    pub budget: Budget,
    /// Moves, faults and late datagrams are placed up to this long after the
    /// last move.
    pub horizon: Duration,
    /// At the end both ends have to agree for so long without a break.
    pub calm: Duration,
}

/// What the terminals have at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// A tunnel that carries packets.
    Tunnel,
    /// Nothing but their registrations: each may call the other.
    Strangers,
}

/// The coordinator's route decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The paper's rule: both ends are in the open, so directly.
    Direct,
    /// Through the relay, whatever else there is.
    Relayed,
}

/// How much of what may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// An end moves to where it has not been (or, of strangers, calls the other).
    pub moves: u8,
    /// A datagram is lost.
    pub losses: u8,
    /// A datagram arrives, and once more at any later moment or never.
    pub doubles: u8,
    /// A datagram arrives at any later moment, or never, whatever overtakes it.
    pub delays: u8,
    /// A stranger has captured a datagram, and his copy arrives first, from his
    /// own address.
    pub captures: u8,
}

impl Scenario {
    /// A tunnel between two ends in the open, without a relay, with nothing
    /// going wrong.
    pub fn direct(mode: Mode) -> Self {
        Self {
            mode,
            start: Start::Tunnel,
            relay: false,
            route: Route::Direct,
            talk: None,
            budget: Budget::default(),
            horizon: Duration::from_millis(300),
            calm: Duration::from_millis(1500),
        }
    }

    /// The same through a relay, which the coordinator insists on.
    pub fn relayed(mode: Mode) -> Self {
        Self { relay: true, route: Route::Relayed, ..Self::direct(mode) }
    }
}

impl Route {
    pub(crate) fn decide(self, request: &PlanRequest) -> Plan {
        let rule = Rs::new(Default::default()).expect("the defaults are valid");
        let plan = rule.decide(request);
        match self {
            Self::Direct => plan,
            Self::Relayed => Plan { to_initiator: Vec::new(), to_responder: Vec::new(), ..plan },
        }
    }
}
