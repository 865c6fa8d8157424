//! Datagrams that were genuine once.

use ntm_sim::{Nat, payload_of};

use super::*;

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
fn nothing_that_is_repeated_is_answered_with_more_than_it() {
    for row in [1, 4] {
        let (mut pair, seen) = eventful(row);
        let mut answers = 0;
        for captured in &seen {
            let kind = Kind::of(&captured.datagram).unwrap();
            let answered = answered(&mut pair, captured.target, &captured.datagram);
            assert!(
                answered <= captured.datagram.len(),
                "row {row}: {answered} bytes for a {kind:?} of {}",
                captured.datagram.len()
            );
            answers += answered;
        }
        assert!(answers > 0, "row {row}: first messages are answered");
        assert!(pair.talks());
    }
}

/// What goes to the attacker until the path is the mover's again, against what
/// the attacker sent. `outside`: where the network sees the mover afterwards.
fn first_copy_attack(row: u8, outside: IpAddr) {
    let mut pair = pair(row, false, 5);
    pair.talk(Duration::from_secs(1));
    assert!(pair.talks());
    let path = pair.world.path(pair.mn, pair.cn);
    // The attacker sits on the mover's new way: he keeps what it sends, and is
    // first with his copies, wherever they were to go.
    pair.world.net.tap = Some(Vec::new());
    pair.world.net.cut(outside);
    pair.place(pair.mn, row, true, 1);
    pair.world.run_for(Duration::from_millis(2));
    let tapped = pair.world.net.tap.replace(Vec::new()).unwrap();
    let captured: Vec<_> = tapped.into_iter().filter(|seen| seen.host == pair.mn).collect();
    assert!(captured.iter().any(|seen| seen.target == pair.dc), "it registers");
    for seen in &captured {
        pair.world.inject(seen.target, ATTACKER, &seen.datagram);
    }
    if row == 1 {
        assert_eq!(pair.way(pair.cn).unwrap().leg.remote, ATTACKER, "he was believed");
    }
    for ms in 0..4000 {
        pair.world.send(pair.cn, pair.mn, &[0; 100]);
        pair.world.run_for(Duration::from_millis(1));
        if ms == 2000 {
            let way = pair.way(pair.cn).map(|way| way.leg.remote);
            assert_ne!(way, Some(ATTACKER), "not without proof, though nobody else speaks");
            pair.world.net.mend();
        }
    }
    let tapped = pair.world.net.tap.take().unwrap();
    let bytes = |seen: &Observed| seen.datagram.len();
    for host in hosts(&pair) {
        let spent: usize = captured.iter().filter(|seen| seen.target == host).map(bytes).sum();
        let to_attacker = tapped.iter().filter(|seen| seen.host == host && seen.to == ATTACKER);
        let reflected: usize = to_attacker.map(bytes).sum();
        // Three times what came from there, the few challenges, and one round
        // trip (10 ms) of what was sent before: 20 packets of a few bytes each.
        assert!(reflected > 0 || row != 1 || host != pair.cn, "it could have been the mover");
        let bound = 3 * spent + 20 * 100 + 4 * 80;
        assert!(reflected <= bound, "row {row}, {host:?}: {reflected} bytes for {spent}");
    }
    assert_ne!(pair.way(pair.cn).unwrap().leg.remote, ATTACKER, "and the path came back");
    assert!(pair.talks(), "row {row}");
    assert_eq!(path, pair.world.path(pair.mn, pair.cn));
}

#[test]
fn a_captured_move_sent_first_from_elsewhere_gains_little_and_not_for_long() {
    first_copy_attack(1, [203, 0, 113, 11].into());
    first_copy_attack(2, [203, 0, 113, 101].into());
    first_copy_attack(4, [203, 0, 113, 101].into());
}

/// Sends a packet of this payload from one end to the other; its capsule as it
/// crosses the network, which it does not if it is withheld.
fn capture(pair: &mut Pair, [from, to]: [HostId; 2], payload: &[u8], withheld: bool) -> Observed {
    let way = pair.way(from).unwrap().leg.remote;
    let before = tapped(pair).len();
    if withheld {
        pair.world.net.cut(way.ip());
    }
    pair.world.send(from, to, payload);
    pair.world.net.mend();
    let is_it = |seen: &&Observed| {
        seen.host == from && seen.to == way && Kind::of(&seen.datagram) == Ok(Kind::Capsule)
    };
    tapped(pair)[before..].iter().find(is_it).expect("it is sent at once").clone()
}

fn tapped(pair: &Pair) -> &[Observed] {
    pair.world.net.tap.as_deref().expect("the network is watched")
}

/// Datagrams of a kind from a host to an address, of those tapped.
fn sent_to(seen: &[Observed], host: HostId, to: SocketAddr, kind: Kind) -> usize {
    let is_one = |seen: &&Observed| {
        seen.host == host && seen.to == to && Kind::of(&seen.datagram) == Ok(kind)
    };
    seen.iter().filter(is_one).count()
}

/// How often a packet of this payload has reached the applications of a host.
fn delivered(pair: &Pair, host: HostId, payload: &[u8]) -> usize {
    let received = &pair.world.host(host).received;
    received.iter().filter(|received| payload_of(&received.packet) == payload).count()
}

/// Every direction of rows 1, 2 and 4, talking and watched: who sends, who
/// receives.
fn watched() -> impl Iterator<Item = (u8, Pair, [HostId; 2])> {
    let cases = [1, 2, 4].into_iter().flat_map(|row| [(row, true), (row, false)]);
    cases.map(|(row, from_mn)| {
        let mut pair = pair(row, false, 5);
        pair.talk(Duration::from_secs(1));
        assert!(pair.talks());
        pair.world.net.tap = Some(Vec::new());
        let ends = if from_mn { [pair.mn, pair.cn] } else { [pair.cn, pair.mn] };
        (row, pair, ends)
    })
}

/// What the attacker does besides being first.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Attack {
    /// The original is lost, and comes much later.
    Withholds,
    /// The original comes as it would have.
    Overtakes,
    /// He passes on what he is sent, both ways, and so answers in the end's name.
    PassesOn,
}

fn first_capsule_attack(attack: Attack) {
    for (row, mut pair, ends) in watched() {
        let [from, to] = ends;
        let way = pair.way(to);
        let old = way.unwrap().leg.remote;
        let mut spent = 0;
        // The smallest packets there are: they pay for the least.
        for round in 0..8_u8 {
            let payload = [0xAB, round];
            let captured = capture(&mut pair, ends, &payload, attack != Attack::Overtakes);
            let before = tapped(&pair).len();
            pair.world.inject(to, ATTACKER, &captured.datagram);
            spent += captured.datagram.len();
            let asked =
                [old, ATTACKER].map(|at| sent_to(&tapped(&pair)[before..], to, at, Kind::Control));
            // Who keeps doing it gives reason to ask less and less often.
            assert!(asked[0] == 1 || asked[0] == 0 && round > 0, "row {row}: the old one is asked");
            // A challenge of the last round may still be under way.
            assert!(asked[1] == 1 || asked[1] == 0 && round > 0, "row {row}: and the new one");
            assert!(asked[1] <= asked[0], "row {row}: not the new one alone");
            let mut passed = before;
            for _ in 0..300 {
                pair.world.send(to, from, &[0; 100]);
                while attack == Attack::PassesOn && passed < tapped(&pair).len() {
                    let seen = tapped(&pair)[passed].clone();
                    passed += 1;
                    if seen.to == ATTACKER {
                        let other = if seen.host == to { from } else { to };
                        pair.world.inject(other, ATTACKER, &seen.datagram);
                    }
                }
                pair.world.run_for(Duration::from_millis(1));
                assert_eq!(pair.way(to), way, "row {row}: not even for a moment");
                if attack != Attack::PassesOn {
                    let to_him = tapped(&pair).iter().filter(|seen| seen.to == ATTACKER);
                    let reflected: usize = to_him.map(|seen| seen.datagram.len()).sum();
                    assert!(reflected <= 3 * spent, "row {row}: {reflected} bytes for {spent}");
                }
            }
            let replayed = pair.world.host(to).dropped().replayed;
            if attack != Attack::Overtakes {
                pair.world.inject(captured.target, captured.from, &captured.datagram);
                pair.world.run_for(Duration::from_millis(50));
                assert_eq!(pair.world.host(to).dropped().replayed, replayed + 1, "row {row}");
            }
            assert!(replayed > 0 || attack != Attack::Overtakes, "row {row}");
            assert_eq!(delivered(&pair, to, &payload), 1, "row {row}: once");
        }
        pair.world.run_for(Duration::from_secs(10));
        assert_eq!(pair.way(to), way, "row {row}");
        assert_eq!(sent_to(tapped(&pair), to, ATTACKER, Kind::Capsule), 0, "row {row}");
        assert!(pair.talks(), "row {row}");
    }
}

#[test]
fn a_withheld_packet_sent_first_from_elsewhere_gains_challenges_and_nothing_else() {
    first_capsule_attack(Attack::Withholds);
}

#[test]
fn a_packet_overtaken_from_elsewhere_gains_challenges_and_nothing_else() {
    first_capsule_attack(Attack::Overtakes);
}

#[test]
fn who_passes_on_the_challenges_gains_nothing_while_the_old_address_answers() {
    first_capsule_attack(Attack::PassesOn);
}

#[test]
fn a_relay_forwards_no_packet_from_elsewhere_and_the_original_still_counts() {
    for (row, mut pair, ends) in watched().filter(|(row, ..)| *row == 4) {
        let captured = capture(&mut pair, ends, &[0xAB], true);
        assert!(pair.relays.contains(&captured.target), "row {row} is relayed");
        assert!(is_ignored(&mut pair, captured.target, ATTACKER, &captured.datagram));
        pair.world.run_for(Duration::from_millis(50));
        assert_eq!(delivered(&pair, ends[1], &[0xAB]), 0);
        pair.world.inject(captured.target, captured.from, &captured.datagram);
        pair.world.run_for(Duration::from_millis(50));
        assert_eq!(delivered(&pair, ends[1], &[0xAB]), 1);
        let to_him = tapped(&pair).iter().filter(|seen| seen.to == ATTACKER);
        let to_him: Vec<_> = to_him.map(|seen| Kind::of(&seen.datagram)).collect();
        assert_eq!(to_him, [Ok(Kind::UnknownSession)], "that is no session of his");
        assert!(pair.talks());
    }
}

#[test]
fn a_silent_old_address_loses_nothing_to_one_that_is_silent_as_well() {
    for (row, mut pair, ends) in watched() {
        let way = pair.way(ends[1]);
        let captured = capture(&mut pair, ends, &[0xAB], true);
        pair.world.net.cut(way.unwrap().leg.remote.ip());
        pair.world.inject(ends[1], ATTACKER, &captured.datagram);
        pair.world.run_for(Duration::from_millis(300));
        assert_eq!(pair.way(ends[1]), way, "row {row}");
        // By then the other end has noticed, and taken another relay if it can.
        pair.world.run_for(Duration::from_secs(10));
        assert_ne!(pair.way(ends[1]).map(|way| way.leg.remote), Some(ATTACKER), "row {row}");
        let to_him = tapped(&pair).iter().filter(|seen| seen.to == ATTACKER);
        let reflected: usize = to_him.map(|seen| seen.datagram.len()).sum();
        assert!(reflected <= 3 * captured.datagram.len(), "row {row}: {reflected} bytes");
        pair.world.net.mend();
        pair.talk(Duration::from_secs(5));
        assert!(pair.talks(), "row {row}");
    }
}

#[test]
fn an_end_whose_nat_shows_another_address_is_followed_within_two_round_trips() {
    // The NAT of the one end that has one.
    for (row, nat) in [(2, 0), (3, 2)] {
        let mut pair = pair(row, false, 5);
        let public = pair.nat(nat).public().to_vec();
        *pair.nat(nat) = Nat::symmetric(&public);
        pair.talk(Duration::from_secs(5));
        assert!(pair.talks());
        let [inside, outside] = if row == 2 { [pair.mn, pair.cn] } else { [pair.cn, pair.mn] };
        let before = pair.way(outside).unwrap();
        let epochs = |pair: &Pair| {
            let status = |host| pair.world.host(host).terminal().status(pair.world.now());
            [pair.mn, pair.cn].map(|host| status(host).epoch)
        };
        let known = epochs(&pair);
        pair.nat(nat).forget();
        pair.world.send(inside, outside, &[0xAB]);
        // To the other end, the challenge and its answer, and the wait for the
        // old address, which is a round trip with some room.
        pair.world.run_for(Duration::from_millis(5 + 10 + 30));
        let after = pair.way(outside).unwrap();
        assert_ne!(after.leg.remote, before.leg.remote, "row {row}");
        assert_eq!(after.leg.remote.ip(), public[0], "row {row}");
        assert!(!after.relayed);
        assert_eq!(delivered(&pair, outside, &[0xAB]), 1);
        assert_eq!(epochs(&pair), known, "row {row}: nobody has moved");
        assert!(pair.talks(), "row {row}");
    }
}

#[test]
fn sessions_are_renewed_under_a_flood_of_old_handshakes() {
    let mut pair = pair(1, false, 7);
    pair.world.net.tap = Some(Vec::new());
    for _ in 0..8 {
        // Each start and each renewal leaves first messages behind.
        pair.talk(Duration::from_millis(500));
        pair.world.run_for(Duration::from_secs(185));
    }
    let tapped = pair.world.net.tap.take().unwrap();
    let is_first = |seen: &&Observed| Kind::of(&seen.datagram) == Ok(Kind::Handshake1);
    let old: Vec<_> = tapped.iter().filter(is_first).cloned().collect();
    let at = |host| old.iter().filter(|seen| seen.target == host).count();
    assert!(at(pair.dc) > 8 && at(pair.cn) + at(pair.mn) > 8, "{} in all", old.len());
    pair.world.net.tap = Some(Vec::new());
    let mut fresh = 0;
    for ms in 0..200_000 {
        if ms % 1000 == 0 {
            pair.talk(Duration::from_millis(1));
        }
        pair.world.run_for(Duration::from_millis(1));
        let tapped = pair.world.net.tap.replace(Vec::new()).unwrap();
        // As soon as somebody begins a handshake, all old ones are repeated
        // until it must be over.
        let begun = tapped.iter().any(|seen| is_first(&seen));
        fresh = if begun { 20 } else { i32::max(fresh - 1, 0) };
        if fresh > 0 {
            for seen in &old {
                pair.world.inject(seen.target, ATTACKER, &seen.datagram);
            }
        }
    }
    pair.world.net.tap = None;
    let age = |host: HostId| {
        let status = pair.world.host(host).terminal().status(pair.world.now());
        assert!(status.registered);
        status.tunnels[0].session_age.unwrap()
    };
    assert!([pair.mn, pair.cn].into_iter().all(|host| age(host) < Duration::from_secs(150)));
    assert!(pair.talks());
}
