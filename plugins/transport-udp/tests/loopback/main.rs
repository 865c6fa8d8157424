//! The transport on loopback, over the system's own sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod batches;
mod datagrams;
mod ends;
mod life;
mod runs;
