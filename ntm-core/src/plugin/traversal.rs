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
///   milliseconds; after 2 s the coordinator plans the relay by itself. Calls
///   overlap, one for each pair that is being directed.
/// - The same question gives the same answer. Cancel safe; nothing is kept
///   between calls that an abandoned one could spoil.
/// - A location is what the node claims and what the coordinator saw; either
///   may be wrong or a lie. Addresses that lead nowhere (loopback, link-local,
///   multicast) cost checks that fail.
#[async_trait]
pub trait Traversal: Send + Sync {
    /// The plan for this pair.
    ///
    /// # Errors
    /// The coordinator falls back to the relays, all direct ways left out, and
    /// logs the reason.
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
///
/// A plan that names an end no candidates says more than nothing: until one of
/// the two moves, that end takes the relay, even from a direct path that works. A
/// plan with neither candidates nor relays is a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Where the responder may reach the initiator, best first. The responder is
    /// told the first eight.
    pub to_initiator: Vec<Candidate>,
    /// Where the initiator may reach the responder, best first. The initiator is
    /// told the first eight.
    pub to_responder: Vec<Candidate>,
    /// Who sends the first tunnel packet. The wrong end, with the other behind a
    /// NAT, costs a wait until the relay or the other end's own checks get through.
    pub begin: Begin,
    /// Indices into the request's relays: the one to use and the stand-by, in
    /// this order. Empty: no relay. Used at once, in parallel with the
    /// candidates above; a proved direct path wins over it. Indices that the
    /// request does not have are passed over.
    pub relays: Vec<usize>,
    /// The least time between checks of two candidates.
    pub pacing: Duration,
}
