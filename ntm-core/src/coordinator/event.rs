use crate::id::{Epoch, NodeName, PathId, SessionId};
use crate::machine::SignalTrace;
use crate::plugin::{MemberRole, PluginError};
use crate::wire::Refusal;

/// What a coordinator says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CoordinatorEvent {
    /// The registry has been read; nodes are welcome.
    Ready {
        /// Members known.
        members: usize,
    },
    /// A session has been confirmed by its node, or is over: while it lasts,
    /// datagrams that name it are not a stranger's.
    Session {
        /// The session.
        id: SessionId,
        /// Whether it lasts.
        open: bool,
    },
    /// A signalling message was sent or received.
    Signal(SignalTrace),
    /// A node has registered from a new location.
    Registered {
        /// The node.
        name: NodeName,
        /// As what.
        role: MemberRole,
        /// Its epoch.
        epoch: Epoch,
        /// Whether a NAT lies before it.
        natted: bool,
    },
    /// A node has left, or has not been heard of for too long.
    Gone {
        /// The node.
        name: NodeName,
        /// As what.
        role: MemberRole,
        /// It said farewell.
        farewell: bool,
    },
    /// A pair is being directed.
    Directed {
        /// The path.
        path: PathId,
        /// Whether a relay is part of the plan.
        relayed: bool,
    },
    /// A node was refused something.
    Refused {
        /// The node.
        name: NodeName,
        /// Why.
        refusal: Refusal,
    },
    /// A member was added, changed or removed, and that is durable.
    MembersChanged {
        /// Which.
        name: NodeName,
        /// Members known.
        members: usize,
    },
    /// A change of a member is not durable, and does not count; not yet, if
    /// nothing was said.
    MemberNotStored {
        /// Which.
        name: NodeName,
        /// Why.
        failure: Failure,
    },
    /// A plugin failed or did not answer.
    Failure(Failure),
}

/// A plugin's failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What the coordinator wanted of it.
    pub wanted: &'static str,
    /// What it said; `None`: nothing in time.
    pub said: Option<String>,
}

impl Failure {
    pub(super) fn new(wanted: &'static str, said: Option<&PluginError>) -> Self {
        Self { wanted, said: said.map(ToString::to_string) }
    }
}

impl From<SignalTrace> for CoordinatorEvent {
    fn from(trace: SignalTrace) -> Self {
        Self::Signal(trace)
    }
}
