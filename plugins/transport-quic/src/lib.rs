//! Datagrams in QUIC DATAGRAM frames (RFC 9000, RFC 9221), for networks that let
//! QUIC on port 443 pass and no other UDP.
//!
//! TLS 1.3 is the envelope here, and no more: every node makes a certificate of its
//! own at each start, and nobody verifies it. Who the other end is, keys and
//! replay protection are matters of the Noise session inside.
//!
//! # Connections
//!
//! One for each remote address, made when something is to be sent there and kept
//! while anything passes. Either end may have made it; where both did at once, each
//! sends by the newer one and hears both. What is sent before a connection
//! is there waits, within bounds. A connection whose other end has not answered for
//! a while gets a successor beside it: whoever restarts is reached again at once.
//!
//! # Moves
//!
//! QUIC follows a client that moves. That is never hidden: datagrams
//! carry the address that their connection has now, and a connection is found by that
//! address alone. Path ID and epoch stay the truth; QUIC is one path under them.
//! A server cannot move in QUIC: after [`Transport::moved`] an end that was
//! called makes connections of its own.
//!
//! # Sizes
//!
//! [`Transport::max_payload`] is what fits one DATAGRAM frame on that path now.
//! What does not fit and carries no more than an inner packet of 1,280 bytes goes as
//! a unidirectional stream of its own, counted; what is larger is dropped.
//!
//! To read on: [`Config`], `quic` (opening, closing, the thread), `shared` (what is sent
//! and what arrives), `peers` (which connection leads where), `tls`, `socket`.
//!
//! [`Transport::moved`]: ntm_core::plugin::Transport::moved
//! [`Transport::max_payload`]: ntm_core::plugin::Transport::max_payload

#![forbid(unsafe_code)]

mod config;
mod error;
mod peers;
mod quic;
mod shared;
mod socket;
mod tls;

pub use config::Config;
pub use quic::Quic;
