//! Bytes on the wire: every message once, with its layout, its writer and its
//! reader. `docs/PROTOCOL.md` draws them; numbers are big-endian.
//!
//! Readers take bytes from strangers: they check every length, allocate no
//! more than the datagram's own size, and never panic. What they return can
//! only be valid.
//!
//! - [`Envelope`]: the first 20 bytes, the same for everything.
//! - [`Handshake1`], [`Handshake2`], [`Cookie`]: setting up a session.
//! - [`Bind`], [`BindAck`], [`Ticket`]: between an end and a relay.
//! - [`Control`]: inside a tunnel's session, end to end.
//! - [`Signal`]: inside a session with the coordinator.

mod bind;
mod codec;
mod control;
mod envelope;
mod error;
mod handshake;
mod hello;
mod punch;
mod signal;
mod ticket;
mod unknown;

#[cfg(test)]
mod arbitrary;

pub use bind::{Bind, BindAck, BindStatus};
pub use control::{Control, Token, TunnelRequest, TunnelResponse};
pub use envelope::{Envelope, HEADER, Header, Kind, VERSION};
pub use error::WireError;
pub use handshake::{Cookie, CookieValue, Handshake1, Handshake2, NO_COOKIE, RoleTag};
pub use hello::{CoordinatorAnswer, NodeHello, TunnelAnswer, TunnelHello};
pub use punch::Punch;
pub use signal::{
    DirectionRequest, PathRef, PeerInfo, Reason, Refusal, RegistrationRequest,
    RegistrationResponse, RelayDirection, RelayGrant, RequestId, RouteDirection, Signal,
    SignalBody, Target,
};
pub use ticket::{RelayId, TICKET, Ticket};
pub use unknown::UnknownSession;
pub(crate) use unknown::seal_of;

/// The UDP port of every role, unless configured otherwise.
pub const PORT: u16 = 4330;

/// The largest signalling datagram we send, so that it fits every IPv6 path
/// unfragmented: 1280 less IPv6 and UDP headers.
pub const LARGEST: usize = 1232;
