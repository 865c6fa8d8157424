//! Every cell of a grid of moves: a checksummed download and a packet a millisecond
//! each way, across a move.
//!
//! | dimension | values |
//! | --- | --- |
//! | IP versions before | `v4`, `v6`, `dual` |
//! | IP versions after | `v4`, `v6`, `dual` |
//! | who moves | `mn`, `cn`, `both` at once |
//! | what who moves is behind, before and after | `none`, `cone`, `symmetric`, `cgnat` |
//!
//! An end that does not move is in the open, in a network with the versions of
//! *before*. Coordinator and relay have both versions. `cone` and `symmetric`
//! translate IPv6 as well as IPv4; `cgnat` is a home's router behind a carrier's:
//! IPv4 is translated twice, and IPv6, as is usual there, routed without translation
//! through filters that let in answers only. No two networks of a cell are the same,
//! and none shares a router with another.

mod case;
mod drawing;
mod places;
mod report;
mod run;

pub use case::{Case, Kind, Versions};
pub use report::Report;
pub use run::{Cell, Ways, run};
