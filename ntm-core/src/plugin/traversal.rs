use std::time::Duration;

use async_trait::async_trait;

use super::PluginError;
use crate::address::{Candidate, Location};

/// Decides from both ends' locations which paths to try: the coordinator's
/// route decision.
///
/// # For implementers
///
/// - Only *return a plan*; the core runs every check, keeps to the pacing and
///   sends nothing but checks to an address before it is proved. A bad
///   plan costs time or ends on the relay; it can neither leak nor flood.
/// - Answer for every pair of locations, empty ones included, within
///   milliseconds; after 2 s the coordinator plans the relay by itself.
/// - The same question gives the same answer. Cancel safe; nothing is kept
///   between calls that an abandoned one could spoil.
#[async_trait]
pub trait Traversal: Send + Sync {
    /// The plan for this pair.
    ///
    /// # Errors
    /// The coordinator falls back to the relay and logs the reason.
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, PluginError>;
}

/// A pair of ends to find paths for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanRequest {
    /// Where the asking end (MN) is.
    pub initiator: Location,
    /// Where the end that is asked for (CN) is.
    pub responder: Location,
    /// The relays that are up, best first.
    pub relays: Vec<RelayOption>,
}

/// A relay as far as a plan needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayOption {
    /// Where it listens.
    pub candidates: Vec<Candidate>,
}

/// Which end sends the first tunnel packet. Paper, section 3: the tunnel has
/// to be begun from behind the NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Begin {
    /// The asking end.
    Initiator,
    /// The end that is asked for.
    Responder,
}

/// Which paths to try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Where the responder may reach the initiator, best first.
    pub to_initiator: Vec<Candidate>,
    /// Where the initiator may reach the responder, best first.
    pub to_responder: Vec<Candidate>,
    /// Who sends the first tunnel packet.
    pub begin: Begin,
    /// Indices into the request's relays: the one to use and the stand-by, in
    /// this order. Empty: no relay. Used at once, in parallel with the
    /// candidates above; a proved direct path wins over it.
    pub relays: Vec<usize>,
    /// The least time between checks of two candidates.
    pub pacing: Duration,
}
