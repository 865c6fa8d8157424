//! Datagrams that were genuine once.

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
