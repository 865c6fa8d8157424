//! Every schedule of a small world, for the real machines of `ntm-core`.
//!
//! Two terminals, a coordinator and perhaps a relay, with real keys and real
//! tables, begin in a steady state. Then an adversary has a budget: so many moves,
//! datagrams lost, doubled, late without limit, captured and repeated first by a
//! stranger. Everything else follows from that: each link has its delay, each
//! deadline comes when it is due, each machine its own random numbers. All
//! placements of the budget are explored, none twice; what follows from one must
//! keep the properties of [`Schedules`].
//!
//! ```text
//! Scenario ── World ─┬─ Host ── Terminal · Coordinator · Relay ── tables (Replay)
//!                    ├─ datagrams under way, late ones, deadlines
//!                    ├─ Knowledge  where each has been, and who has heard of it
//!                    └─ Ledger     what was sent to places that have not proved themselves
//! ```
//!
//! States are compared as they are: no two are taken for one that might differ.
//! So what was explored is the truth about the budget, and nothing about a larger
//! one.
#![forbid(unsafe_code)]

mod host;
mod knowledge;
mod ledger;
mod model;
mod replay;
mod scenario;
mod start;
mod world;
pub mod worlds;

pub use host::Who;
pub use model::{AGREED, Action, NO_FLOOD, NO_STALE_WAY, ONE_TUNNEL, Schedules};
pub use scenario::{Budget, Route, Scenario, Start};
pub use world::World;
