use super::forward::ForwardEvent;
use crate::address::Candidate;
use crate::client::CoordinatorAddress;
use crate::id::SessionId;
use crate::machine::SignalTrace;
use crate::wire::Refusal;

/// How a relay behaves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayConfig {
    /// Whether it also forwards to private addresses (RFC 1918, RFC 4193), and
    /// to other programs on its own addresses.
    pub allow_private: bool,
    /// Its coordinators, best first.
    pub coordinators: Vec<CoordinatorAddress>,
}

/// What a relay says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "almost all are of the largest kind")]
pub enum RelayEvent {
    /// A change for the owner of the forwarding table. To be applied in order.
    Forward(ForwardEvent),
    /// The session with the coordinator is another one: datagrams that name it
    /// are not a stranger's.
    Session(Option<SessionId>),
    /// A signalling message was sent or received.
    Signal(SignalTrace),
    /// The coordinator has registered us.
    Registered {
        /// Where it saw us.
        observed: Candidate,
    },
    /// The coordinator does not answer; bound pairs go on without it.
    CoordinatorUnreachable,
    /// The coordinator does not want us.
    RegistrationRefused(Refusal),
}

/// A relay at one moment, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayStatus {
    /// Whether the coordinator knows us now.
    pub registered: bool,
    /// Where the coordinator sees us.
    pub observed: Vec<Candidate>,
    /// Paths being relayed.
    pub pairs: usize,
}

impl From<SignalTrace> for RelayEvent {
    fn from(trace: SignalTrace) -> Self {
        Self::Signal(trace)
    }
}
