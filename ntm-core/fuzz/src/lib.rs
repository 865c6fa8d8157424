//! What is fuzzed: plain functions that take bytes and panic where the core
//! breaks a promise.
//!
//! libFuzzer calls them (`fuzz_targets/`), and so does every ordinary test run,
//! with the saved corpus (`ntm-core/tests/fuzz_corpus.rs`, which includes this
//! file by its path: a test needs neither nightly nor libFuzzer).
//!
//! - `parsers`: bytes that may be a message. `packet`, `super_packet`,
//!   `capsule`, `forwarder`: what packet workers do with one.
//! - `input`: bytes read as a script. `cast`: who plays with the machine under
//!   test, and the sessions they really have with it.
//! - `terminal`, `coordinator`, `relay`: whole machines, with strangers and with
//!   liars that hold genuine keys. `handshake`: how sessions begin.

mod capsule;
mod cast;
mod coordinator;
mod forwarder;
mod handshake;
mod input;
mod packet;
mod parsers;
mod relay;
mod super_packet;
mod terminal;

pub use capsule::capsule;
pub use coordinator::{coordinator, lying_member};
pub use forwarder::forwarder;
pub use handshake::handshake;
pub use packet::packet;
pub use parsers::{datagrams, messages, ticket};
pub use relay::relay;
pub use super_packet::super_packet;
pub use terminal::{lying_coordinator, lying_peer, terminal};

/// Something to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of its file in `fuzz_targets/`, its folder in `corpus/` and its
    /// function here.
    pub name: &'static str,
    /// Reads the bytes and panics where the core breaks a promise.
    pub run: fn(&[u8]),
    /// Inputs to begin with, made of real messages.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// Everything that is fuzzed.
pub const TARGETS: [Target; 14] = [
    target("datagrams", datagrams, parsers::datagram_seeds),
    target("messages", messages, parsers::message_seeds),
    target("ticket", ticket, parsers::ticket_seeds),
    target("handshake", handshake, handshake::seeds),
    target("terminal", terminal, terminal::stranger_seeds),
    target("coordinator", coordinator, coordinator::stranger_seeds),
    target("relay", relay, relay::seeds),
    target("lying_coordinator", lying_coordinator, terminal::coordinator_seeds),
    target("lying_member", lying_member, coordinator::member_seeds),
    target("lying_peer", lying_peer, terminal::peer_seeds),
    target("packet", packet, packet::seeds),
    target("super_packet", super_packet, super_packet::seeds),
    target("capsule", capsule, capsule::seeds),
    target("forwarder", forwarder, forwarder::seeds),
];
