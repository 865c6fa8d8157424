//! What a transport promises, held against QUIC over the loopback interface.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod datagrams;
mod ends;
mod life;
mod moves;
