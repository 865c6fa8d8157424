//! Nothing that a stranger sends changes anything, and a member that lies
//! changes what is its own.
//!
//! What one machine alone has to withstand is tried beside it, in `ntm-core`;
//! here are whole nodes.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

#[path = "../common/mod.rs"]
mod common;

mod forged;
mod members;
mod replay;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::Pair;
use ntm_core::coordinator::{Coordinator, CoordinatorStatus};
use ntm_core::relay::Relay;
use ntm_core::terminal::{Mode, Terminal, TerminalStatus};
use ntm_core::wire::{Kind, PORT};
use ntm_sim::{Attachment, HostId, Observed};

const ATTACKER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 66)), PORT);

/// A pair, and a place on the network where what is sent to the attacker
/// arrives: what reaches nobody would not be seen.
fn pair(row: u8, ipv6: bool, seed: u64) -> Pair {
    let mut pair = Pair::new(row, ipv6, Mode::Fast, seed);
    pair.world.add_host("eve.example", &[], &[Attachment::global(ATTACKER.ip())]);
    pair
}

/// A pair that has registered, talked, moved and talked again, and everything
/// that crossed the network meanwhile.
fn eventful(row: u8) -> (Pair, Vec<Observed>) {
    let mut pair = pair(row, false, 3);
    pair.world.net.tap = Some(Vec::new());
    pair.world.kill(pair.mn);
    pair.world.restart(pair.mn);
    pair.world.run_for(Duration::from_millis(500));
    pair.talk(Duration::from_millis(500));
    pair.place(pair.mn, row, true, 1);
    pair.talk(Duration::from_millis(500));
    assert!(pair.talks());
    let seen = pair.world.net.tap.take().unwrap();
    (pair, seen)
}

fn hosts(pair: &Pair) -> [HostId; 5] {
    [pair.dc, pair.relays[0], pair.relays[1], pair.mn, pair.cn]
}

/// Everything that a stranger must not be able to change, in a form that can be
/// compared: the machines themselves, and what the tables do.
#[derive(Debug, PartialEq)]
struct State {
    terminal: Option<Terminal>,
    coordinator: Option<Coordinator>,
    relay: Option<Relay>,
    received: usize,
    sent: u64,
}

fn state(pair: &Pair, id: HostId) -> State {
    let host = pair.world.host(id);
    State {
        terminal: host.roles.terminal.clone(),
        coordinator: host.roles.coordinator.clone(),
        relay: host.roles.relay.clone(),
        received: host.received.len(),
        sent: host.sent,
    }
}

/// What anybody can see of a host.
type Shown = (Option<TerminalStatus>, Option<CoordinatorStatus>, u64);

fn shown(pair: &Pair, id: HostId) -> Shown {
    let host = pair.world.host(id);
    let terminal = host.roles.terminal.as_ref();
    let coordinator = host.roles.coordinator.as_ref();
    let terminal = terminal.map(|terminal| terminal.status(pair.world.now()));
    (terminal, coordinator.map(Coordinator::status), host.sent)
}

/// Sends a datagram to a host from an address; whether nothing at all changed.
fn is_ignored(pair: &mut Pair, host: HostId, from: SocketAddr, datagram: &[u8]) -> bool {
    if Kind::of(datagram) == Ok(Kind::Handshake1) {
        // Reading one costs a little randomness.
        let before = shown(pair, host);
        pair.world.inject(host, from, datagram);
        return before == shown(pair, host);
    }
    let (before, visible) = (state(pair, host), shown(pair, host));
    let tapped = pair.world.net.tap.replace(Vec::new());
    pair.world.inject(host, from, datagram);
    let seen = pair.world.net.tap.take().unwrap_or_default();
    let is_notice = |seen: &Observed| {
        Kind::of(&seen.datagram) == Ok(Kind::UnknownSession)
            && seen.to == from
            && seen.datagram.len() < datagram.len()
    };
    // That he is told so is remembered for a moment.
    let is_told = seen.len() == 1 && seen.iter().all(is_notice);
    pair.world.net.tap = tapped.map(|before| [before, seen].concat());
    let is_same = before == state(pair, host);
    if !is_same && is_told && matches!(Kind::of(datagram), Ok(Kind::Signalling | Kind::Control)) {
        let (terminal, coordinator, sent) = shown(pair, host);
        return (terminal, coordinator, sent - 1) == visible;
    }
    is_same
}

/// Bytes that a host sends to the attacker when this datagram arrives from him.
fn answered(pair: &mut Pair, host: HostId, datagram: &[u8]) -> usize {
    pair.world.net.tap = Some(Vec::new());
    pair.world.inject(host, ATTACKER, datagram);
    let tapped = pair.world.net.tap.take().unwrap();
    tapped.iter().filter(|seen| seen.to == ATTACKER).map(|seen| seen.datagram.len()).sum()
}
