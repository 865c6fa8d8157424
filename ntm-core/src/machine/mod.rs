//! What the three role machines have in common.
//!
//! A machine is plain data. One input (`handle_*`, with the time), then drain
//! every output (`poll_*`) until it is empty, then wait for the next deadline:
//!
//! ```text
//! handle_datagram  handle_addresses  handle_command  handle_outcome  handle_timeout
//!                              │
//!                           machine
//!                              │
//! poll_transmit        poll_effect        poll_event        poll_timeout
//! ```
//!
//! Nothing happens by itself: no clock is read, no socket is touched, no
//! random number is drawn that the seed does not decide.

mod backoff;
mod context;
mod effect;
mod gate;
mod outbox;
mod rtt;
mod session;
mod spoken;
mod timers;
mod trace;

pub(crate) use backoff::Backoff;
pub(crate) use context::Context;
pub use context::{Node, TransportFacts};
pub use effect::{Effect, EffectId, Outcome};
pub(crate) use gate::{Admission, Gate};
pub(crate) use outbox::{Effects, Outbox};
pub(crate) use rtt::Rtt;
pub(crate) use session::SignalSession;
pub(crate) use spoken::{Hint, Spoken};
pub(crate) use timers::Timers;
pub use trace::{Sent, SignalTrace};
