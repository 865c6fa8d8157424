use std::time::Duration;

use super::{Terminal, Way};
use crate::Time;
use crate::address::{Candidate, Vips};
use crate::crypto::Suite;
use crate::id::{Epoch, NodeName, PathId};

/// A terminal at one moment, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalStatus {
    /// Our epoch.
    pub epoch: Epoch,
    /// Our virtual addresses, once registered.
    pub vips: Vips,
    /// Whether the coordinator knows us now.
    pub registered: bool,
    /// The addresses we claim.
    pub claimed: Vec<Candidate>,
    /// Where the coordinator sees us.
    pub observed: Vec<Candidate>,
    /// The round trip to the coordinator.
    pub coordinator_rtt: Option<Duration>,
    /// The tunnels, in the order of their Path IDs.
    pub tunnels: Vec<TunnelStatus>,
}

/// A tunnel at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelStatus {
    /// The Path ID.
    pub path: PathId,
    /// The peer's name.
    pub peer: NodeName,
    /// The peer's virtual addresses.
    pub vips: Vips,
    /// What it is doing.
    pub state: TunnelState,
    /// The way in use.
    pub way: Option<Way>,
    /// Whether the peer has proved that it receives there.
    pub proved: bool,
    /// The largest packet for that way, in bytes.
    pub limit: Option<u16>,
    /// The round trip on that way.
    pub rtt: Option<Duration>,
    /// The age of the session.
    pub session_age: Option<Duration>,
    /// The cipher of its data.
    pub suite: Option<Suite>,
}

/// What a tunnel is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelState {
    /// It carries packets.
    Live,
    /// A handshake is under way.
    Connecting,
    /// There is a session, but no way that works; looking for one.
    Searching,
    /// Nobody uses it.
    Resting,
}

impl Terminal {
    /// The terminal as it is now.
    pub fn status(&self, now: Time) -> TerminalStatus {
        let tunnels = self.tunnels.values().map(|tunnel| {
            let session = tunnel.current.as_ref().filter(|session| session.is_live(now));
            let state = match (session, tunnel.selected) {
                (Some(_), Some(_)) => TunnelState::Live,
                (Some(_), None) => TunnelState::Searching,
                (None, _) if tunnel.attempt.is_some() => TunnelState::Connecting,
                (None, _) => TunnelState::Resting,
            };
            TunnelStatus {
                path: tunnel.path,
                peer: tunnel.peer.name.clone(),
                vips: tunnel.peer.vips,
                state,
                way: tunnel.selected.map(|selected| tunnel.way(&selected.leg)),
                proved: tunnel.selected.is_some_and(|selected| selected.proved),
                limit: tunnel.limit,
                rtt: tunnel.rtt().smoothed(),
                session_age: session.map(|session| now.since(session.established)),
                suite: session.map(|session| session.suite),
            }
        });
        TerminalStatus {
            epoch: self.epoch,
            vips: self.domain.as_ref().map(|domain| domain.vips).unwrap_or_default(),
            registered: self.client.is_registered(),
            claimed: self.surroundings.claimed().to_vec(),
            observed: self.client.observed().to_vec(),
            coordinator_rtt: self.client.rtt(),
            tunnels: tunnels.collect(),
        }
    }
}
