//! Nothing that a stranger sends changes anything.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::Pair;
use ntm_core::terminal::Mode;
use ntm_core::wire::Kind;
use ntm_sim::{HostId, Observed};
use proptest::prelude::*;

const ATTACKER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 66)), 6666);

/// A pair that has registered, talked, moved and talked again, and everything
/// that crossed the network meanwhile.
fn eventful(row: u8) -> (Pair, Vec<Observed>) {
    let mut pair = Pair::new(row, false, Mode::Fast, 3);
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
    terminal: Option<ntm_core::terminal::Terminal>,
    coordinator: Option<ntm_core::coordinator::Coordinator>,
    relay: Option<ntm_core::relay::Relay>,
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

/// Sends a datagram to a host from an address; whether nothing at all changed.
fn is_ignored(pair: &mut Pair, host: HostId, from: SocketAddr, datagram: &[u8]) -> bool {
    let before = state(pair, host);
    pair.world.inject(host, from, datagram);
    before == state(pair, host)
}

#[test]
fn what_was_captured_and_is_sent_again_changes_nothing() {
    for row in [1, 2, 4, 5] {
        let (mut pair, seen) = eventful(row);
        let mut kinds = std::collections::BTreeMap::<_, usize>::new();
        for captured in &seen {
            let kind = Kind::of(&captured.datagram).unwrap();
            // These two may leave a bounded trace; they have tests of their own.
            if matches!(kind, Kind::Handshake1 | Kind::Bind) {
                continue;
            }
            *kinds.entry(kind).or_default() += 1;
            for from in [ATTACKER, captured.from] {
                // Through a relay the relay forwards a copy, as any network may.
                if kind != Kind::Signalling && pair.relays.contains(&captured.target) {
                    continue;
                }
                assert!(
                    is_ignored(&mut pair, captured.target, from, &captured.datagram),
                    "row {row}: {kind:?} from {from}"
                );
            }
        }
        for kind in [Kind::Capsule, Kind::Control, Kind::Handshake2, Kind::Signalling] {
            assert!(kinds.get(&kind).is_some_and(|count| *count > 0), "row {row}: no {kind:?}");
        }
        assert!(pair.talks());
    }
}

#[test]
fn a_replayed_first_handshake_message_moves_nothing() {
    for row in [1, 4] {
        let (mut pair, seen) = eventful(row);
        let ways = [pair.mn, pair.cn].map(|host| pair.way(host));
        let first: Vec<_> = seen
            .iter()
            .filter(|captured| Kind::of(&captured.datagram) == Ok(Kind::Handshake1))
            .cloned()
            .collect();
        assert!(!first.is_empty());
        let status =
            |pair: &Pair| pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap().status();
        let before = status(&pair);
        for _ in 0..20 {
            for captured in &first {
                let datagram = captured.datagram.clone();
                pair.world.inject(captured.target, ATTACKER, &datagram);
            }
        }
        pair.world.run_for(Duration::from_secs(1));
        assert_eq!(ways, [pair.mn, pair.cn].map(|host| pair.way(host)));
        assert_eq!(before, status(&pair), "nobody is anywhere else");
        assert!(pair.talks(), "the sessions are as they were");
        let size = format!("{:?}", pair.world.host(pair.cn).roles.terminal).len();
        for captured in first.iter().cycle().take(200) {
            pair.world.inject(captured.target, ATTACKER, &captured.datagram);
        }
        let after = format!("{:?}", pair.world.host(pair.cn).roles.terminal).len();
        assert!(after <= size + 4096, "half-open sessions are bounded: {size} to {after}");
    }
}

#[test]
fn a_replayed_bind_moves_nothing_at_the_relay() {
    let (mut pair, seen) = eventful(4);
    let binds: Vec<_> = seen
        .iter()
        .filter(|captured| Kind::of(&captured.datagram) == Ok(Kind::Bind))
        .cloned()
        .collect();
    assert!(binds.len() > 4);
    pair.world.net.tap = Some(Vec::new());
    for bind in &binds {
        pair.world.inject(bind.target, ATTACKER, &bind.datagram);
    }
    assert!(pair.talks());
    let tapped = pair.world.net.tap.take().unwrap();
    let to_attacker: usize = tapped
        .iter()
        .filter(|seen| seen.to == ATTACKER && Kind::of(&seen.datagram) == Ok(Kind::Capsule))
        .count();
    assert_eq!(to_attacker, 0, "no packet goes to who repeats a Bind");
}

#[test]
fn any_damage_makes_a_message_nothing() {
    for row in [1, 4] {
        let (mut pair, seen) = eventful(row);
        for (nth, captured) in seen.iter().enumerate() {
            let kind = Kind::of(&captured.datagram).unwrap();
            let is_relayed = kind != Kind::Signalling && pair.relays.contains(&captured.target);
            if kind == Kind::Punch || is_relayed && kind != Kind::Bind {
                continue;
            }
            let mut damaged = captured.datagram.clone();
            // Somewhere behind what says what it is; another place each time.
            let from = if kind == Kind::Handshake1 { 36 } else { 20 };
            let at = from + nth * 7 % (damaged.len() - from);
            damaged[at] ^= 1 << (nth % 8);
            if kind == Kind::Handshake1 {
                // Reading one costs a little randomness; nothing else may change.
                let shown = |pair: &Pair| {
                    let host = pair.world.host(captured.target);
                    let terminal = host.roles.terminal.as_ref();
                    let coordinator = host.roles.coordinator.as_ref();
                    (
                        terminal.map(|terminal| terminal.status(pair.world.now())),
                        coordinator.map(|coordinator| coordinator.status()),
                        host.sent,
                    )
                };
                let before = shown(&pair);
                pair.world.inject(captured.target, captured.from, &damaged);
                assert_eq!(before, shown(&pair), "row {row}: byte {at}");
                continue;
            }
            assert!(
                is_ignored(&mut pair, captured.target, captured.from, &damaged),
                "row {row}: {kind:?} with byte {at} of {} changed",
                damaged.len()
            );
        }
    }
}

#[test]
fn forged_punches_do_nothing() {
    let (mut pair, _) = eventful(1);
    let path = pair.world.path(pair.mn, pair.cn).unwrap();
    for side in [ntm_core::id::Side::Lower, ntm_core::id::Side::Higher] {
        let punch = ntm_core::wire::Punch { path, side }.emit();
        for host in hosts(&pair) {
            assert!(is_ignored(&mut pair, host, ATTACKER, &punch));
        }
    }
}

/// What goes to the attacker until the path is the mover's again, against what
/// the attacker sent.
fn first_copy_attack(row: u8) {
    let mut pair = Pair::new(row, false, Mode::Fast, 5);
    pair.talk(Duration::from_secs(1));
    assert!(pair.talks());
    let path = pair.world.path(pair.mn, pair.cn);
    // The attacker sits on the mover's new way: he keeps what it sends, and is
    // first with his copies.
    let spot = pair.spot(row, true, 1);
    pair.world.net.tap = Some(Vec::new());
    pair.world.net.cut(spot.ip);
    pair.place(pair.mn, row, true, 1);
    pair.world.run_for(Duration::from_millis(2));
    let captured: Vec<_> = pair
        .world
        .net
        .tap
        .take()
        .unwrap()
        .into_iter()
        .filter(|seen| seen.host == pair.mn && seen.target == pair.cn)
        .collect();
    assert!(!captured.is_empty());
    pair.world.net.tap = Some(Vec::new());
    let mut spent = 0;
    for seen in &captured {
        spent += seen.datagram.len();
        pair.world.inject(pair.cn, ATTACKER, &seen.datagram);
    }
    assert_eq!(pair.way(pair.cn).unwrap().leg.remote, ATTACKER, "he was believed");
    pair.world.run_for(Duration::from_millis(300));
    pair.world.net.mend();
    for _ in 0..2000 {
        pair.world.send(pair.cn, pair.mn, &[0; 1000]);
        pair.world.run_for(Duration::from_millis(1));
    }
    let to_attacker: usize = pair
        .world
        .net
        .tap
        .take()
        .unwrap()
        .iter()
        .filter(|seen| seen.to == ATTACKER)
        .map(|seen| seen.datagram.len())
        .sum();
    // Three times what came from there, the few challenges, and one round trip
    // (10 ms) of what was sent before: 20 packets of a few bytes each.
    let bound = 3 * spent + 20 * 100 + 4 * 80;
    assert!(to_attacker <= bound, "{to_attacker} bytes for {spent}");
    assert_ne!(pair.way(pair.cn).unwrap().leg.remote, ATTACKER, "and the path came back");
    assert!(pair.talks());
    assert_eq!(path, pair.world.path(pair.mn, pair.cn));
}

#[test]
fn a_captured_move_sent_first_from_elsewhere_gains_little_and_not_for_long() {
    first_copy_attack(1);
    // Behind a NAT the mover's address is not cut but the NAT's is not known to
    // the attacker; the open case is the one that matters.
}

#[test]
fn a_stranger_s_handshake_gets_a_refusal_and_leaves_nothing() {
    use ntm_core::Rng;
    use ntm_core::crypto::{Identity, Initiator};
    use ntm_core::wire::{Handshake1, NO_COOKIE, NodeHello, RoleTag};

    let (mut pair, _) = eventful(1);
    let mut rng = Rng::from_seed([77; 32]);
    let stranger = Identity::generate(&mut rng);
    let coordinator = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap();
    let before = coordinator.status();
    let hello = NodeHello {
        epoch: ntm_core::id::Epoch(1),
        began: 0,
        name: "mn.example".parse().unwrap(),
        role: ntm_core::plugin::MemberRole::Terminal,
    };
    let initiator = Initiator {
        seed: rng.bytes(),
        responder: pair.world.key(pair.dc),
        prologue: [&b"ntm v1 node to coordinator"[..], &[2]].concat(),
        payload: hello.emit(),
    };
    let message = Handshake1 {
        role: RoleTag::Coordinator,
        id: rng.bytes(),
        side: ntm_core::id::Side::Higher,
        cookie: NO_COOKIE,
        noise: initiator.message(&stranger).unwrap(),
    };
    let datagram = message.emit();
    pair.world.net.tap = Some(Vec::new());
    let size = format!("{:?}", pair.world.host(pair.dc).roles.coordinator).len();
    for _ in 0..100 {
        pair.world.inject(pair.dc, ATTACKER, &datagram);
    }
    let answers: Vec<_> = pair.world.net.tap.take().unwrap();
    assert!(answers.iter().all(|seen| seen.datagram.len() <= datagram.len()), "no amplification");
    let after = format!("{:?}", pair.world.host(pair.dc).roles.coordinator);
    assert!(after.len() <= size + 512, "nothing is kept of a stranger");
    let coordinator = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap();
    assert_eq!(before, coordinator.status());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_truncated_and_oversized_datagrams_do_nothing_at_any_role(
        seed: u64,
        random in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..2000), 1..40),
        cut: prop::sample::Index,
        tail in proptest::collection::vec(any::<u8>(), 1..3000),
    ) {
        let (mut pair, seen) = eventful(if seed % 2 == 0 { 1 } else { 4 });
        let captured = &seen[cut.index(seen.len())];
        let short = &captured.datagram[..cut.index(captured.datagram.len())];
        let long = [captured.datagram.as_slice(), &tail].concat();
        let all = hosts(&pair);
        for host in all {
            for (nth, bytes) in random.iter().enumerate() {
                let mut bytes = bytes.clone();
                // Half of them at least claim to be ours.
                if nth % 2 == 0 && let Some(first) = bytes.first_mut() {
                    *first = 0x90 | (*first & 0xf);
                }
                prop_assert!(is_ignored(&mut pair, host, ATTACKER, &bytes));
            }
            prop_assert!(is_ignored(&mut pair, host, ATTACKER, short));
            prop_assert!(is_ignored(&mut pair, host, captured.from, short));
            // A Bind may be followed by a carried datagram, which its seal covers.
            prop_assert!(is_ignored(&mut pair, host, ATTACKER, &long));
        }
    }
}
