use std::net::IpAddr;
use std::time::Duration;

use super::phase::{PeerPhase, Winner};
use crate::Time;
use crate::address::{Candidate, Leg, Prefix, Vips};
use crate::crypto::Suite;
use crate::id::{Epoch, NodeName, PathId, PublicKey, SessionId};
use crate::machine::SignalTrace;
use crate::tunnel::TableEvent;
use crate::wire::{Refusal, Target};

/// What a terminal says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TerminalEvent {
    /// A change for the owner of the tunnel table. To be applied in order, and
    /// before datagrams that were queued after it are sent.
    Table(TableEvent),
    /// The session with the coordinator is another one: datagrams that name it
    /// are not a stranger's.
    Session(Option<SessionId>),
    /// A signalling message was sent or received.
    Signal(SignalTrace),
    /// The coordinator has registered us.
    Registered {
        /// Our virtual addresses.
        vips: Vips,
        /// The ranges that lead into the virtual interface.
        ranges: Vec<Prefix>,
        /// Where the coordinator saw us.
        observed: Candidate,
    },
    /// The coordinator does not answer; tunnels go on without it.
    CoordinatorUnreachable,
    /// The coordinator does not want us.
    RegistrationRefused(Refusal),
    /// There is no way to a node that was asked for.
    NoDirection {
        /// Who was asked for.
        target: Target,
        /// Why; `None`: the coordinator did not answer.
        refusal: Option<Refusal>,
    },
    /// A tunnel carries packets, first or again.
    Connected {
        /// The tunnel.
        path: PathId,
        /// The peer.
        peer: NodeName,
        /// The peer's virtual addresses.
        vips: Vips,
        /// The way.
        way: Way,
        /// The cipher of its data, if there is a session.
        suite: Option<Suite>,
    },
    /// A tunnel has no path that works.
    Disconnected {
        /// The tunnel.
        path: PathId,
    },
    /// A node's key is not the one that was first seen for its name.
    KeyChanged {
        /// The name.
        name: NodeName,
        /// The key first seen.
        pinned: PublicKey,
        /// The key that the coordinator names now.
        offered: PublicKey,
    },
    /// There is a better link than the one in use, which goes on carrying meanwhile.
    Link {
        /// Our address on it.
        source: IpAddr,
        /// What has become of it.
        trial: LinkTrial,
    },
    /// A step of a move. Steps of one epoch belong together.
    Phase {
        /// The epoch that the move began.
        epoch: Epoch,
        /// What happened.
        phase: Phase,
        /// When.
        at: Time,
    },
    /// A step of a peer's move. Steps of one epoch belong together.
    PeerPhase {
        /// The tunnel to it.
        path: PathId,
        /// The peer's epoch that the move began.
        epoch: Epoch,
        /// What happened.
        phase: PeerPhase,
        /// When.
        at: Time,
    },
    /// The answer to a ping.
    Pong {
        /// The tunnel.
        path: PathId,
        /// The way.
        way: Way,
        /// The round trip.
        rtt: Duration,
    },
}

/// The way that a tunnel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// To the peer, or to the relay.
    pub leg: Leg,
    /// Whether it is a relay.
    pub relayed: bool,
}

/// The steps of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Noticed; the first datagram about it has been handed out.
    Detected(Cause),
    /// The peer of this tunnel is being told: the first Tunnel Request is handed out.
    Told(PathId),
    /// The coordinator has registered the new location.
    Registered,
    /// The coordinator's direction for this tunnel has arrived.
    Directed(PathId),
    /// The tunnel's path works from the new location, and what made it.
    Rebuilt(PathId, Winner),
}

/// The trial of a link that would be better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkTrial {
    /// It is asked whether it works; if it does, a move follows.
    Begun,
    /// Nobody answered: what is used stays.
    Failed,
}

/// Why a terminal acts as after a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Our own address changed.
    Local {
        /// The address that is used now.
        source: IpAddr,
    },
    /// The path of a tunnel went silent.
    DeadPath,
}

impl From<SignalTrace> for TerminalEvent {
    fn from(trace: SignalTrace) -> Self {
        Self::Signal(trace)
    }
}
