//! Members of the domain that lie, go, or are not who they were.

use std::sync::Arc;

use ntm_core::terminal::{TerminalCommand, TerminalEvent};
use ntm_core::tunnel::{Tunnel, seal};
use ntm_sim::inner_packet;

use super::*;

/// The liar's own end of its tunnel.
fn tunnel(pair: &Pair, host: HostId) -> Arc<Tunnel> {
    pair.world.host(host).table().tunnels().next().unwrap().clone()
}

#[test]
fn packets_in_the_name_of_another_do_not_arrive() {
    for row in [1, 4] {
        let mut pair = pair(row, false, 3);
        pair.talk(Duration::from_secs(1));
        assert!(pair.talks());
        let (own, peer) = (pair.world.vip(pair.mn), pair.world.vip(pair.cn));
        let other: IpAddr = [198, 18, 0, 99].into();
        let tunnel = tunnel(&pair, pair.mn);
        let from = pair.way(pair.cn).unwrap().leg.remote;
        let before = pair.world.host(pair.cn).received.len();
        for (source, destination) in [(other, peer), (own, other), (peer, peer), (peer, own)] {
            let packet = inner_packet(source, destination, b"lie");
            let state = tunnel.state();
            let key = state.send.clone().unwrap();
            let mut capsule = Vec::new();
            seal(&tunnel, &state, &key, key.reserve(1).unwrap(), &packet, &mut capsule);
            pair.world.inject(pair.cn, from, &capsule);
        }
        assert_eq!(pair.world.host(pair.cn).received.len(), before, "row {row}");
        assert_eq!(pair.world.host(pair.cn).dropped().address, 4, "row {row}: each is counted");
        assert!(pair.talks());
    }
}

#[test]
fn a_removed_member_reaches_nobody_directly_or_through_a_relay() {
    for row in [1, 4] {
        let mut pair = pair(row, false, 3);
        pair.talk(Duration::from_secs(1));
        assert!(pair.talks());
        let path = pair.world.path(pair.mn, pair.cn).unwrap();
        pair.world.expel(pair.mn);
        pair.world.run_for(Duration::from_millis(100));
        let before = pair.world.host(pair.cn).received.len();
        // It does not take it well.
        for _ in 0..200 {
            pair.world.send(pair.mn, pair.cn, b"still here");
            pair.world.run_for(Duration::from_millis(100));
        }
        pair.place(pair.mn, row, true, 1);
        pair.world.run_for(Duration::from_secs(5));
        assert_eq!(pair.world.host(pair.cn).received.len(), before, "row {row}");
        assert!(pair.world.path(pair.cn, pair.mn).is_none(), "row {row}: no tunnel");
        for relay in pair.relays {
            assert_eq!(pair.world.host(relay).forwarded(&path), (0, 0), "row {row}");
            let relay = pair.world.host(relay).roles.relay.as_ref().unwrap();
            assert_eq!(relay.status().pairs, 0, "row {row}");
        }
    }
}

#[test]
fn a_node_with_a_changed_key_reaches_nobody_who_knows_it_until_trusted() {
    let mut pair = pair(1, false, 3);
    pair.talk(Duration::from_secs(1));
    assert!(pair.talks());
    pair.world.rekey(pair.mn);
    pair.world.run_for(Duration::from_secs(1));
    let before = pair.world.host(pair.cn).received.len();
    for _ in 0..50 {
        pair.world.send(pair.mn, pair.cn, b"it is me");
        pair.world.run_for(Duration::from_millis(100));
    }
    assert_eq!(pair.world.host(pair.cn).received.len(), before);
    let told = |(_, event): &&(_, TerminalEvent)| matches!(event, TerminalEvent::KeyChanged { .. });
    assert_eq!(pair.world.host(pair.cn).events.iter().filter(told).count(), 1);
    pair.world.command(pair.cn, TerminalCommand::Trust("mn.example".parse().unwrap()));
    pair.talk(Duration::from_secs(10));
    assert!(pair.talks());
}

#[test]
fn two_that_open_at_once_meet_in_one_tunnel() {
    for row in [1, 2, 3, 4, 5] {
        for ipv6 in [false, true] {
            let what = format!("row {row}, ipv6 {ipv6}");
            let mut pair = pair(row, ipv6, u64::from(row));
            pair.world.net.tap = Some(Vec::new());
            pair.talk(Duration::from_millis(500));
            let tapped = pair.world.net.tap.take().unwrap();
            let asked = [pair.mn, pair.cn].map(|host| {
                let to_dc =
                    tapped.iter().filter(|seen| seen.host == host && seen.target == pair.dc);
                to_dc.map(|seen| seen.at).min()
            });
            assert!(asked[0].is_some() && asked[0] == asked[1], "{what}: in the same instant");
            assert!(pair.talks(), "{what}");
            let path = pair.world.path(pair.mn, pair.cn);
            assert_eq!(path, pair.world.path(pair.cn, pair.mn), "{what}");
            for host in [pair.mn, pair.cn] {
                let status = pair.world.host(host).terminal().status(pair.world.now());
                assert_eq!(status.tunnels.len(), 1, "{what}");
                assert_eq!(pair.world.host(host).table().tunnels().count(), 1, "{what}");
            }
            let ages = [pair.mn, pair.cn].map(|host| {
                let status = pair.world.host(host).terminal().status(pair.world.now());
                status.tunnels[0].session_age.unwrap().as_millis()
            });
            assert!(ages[0].abs_diff(ages[1]) <= 20, "{what}: of one session, {ages:?}");
        }
    }
}

#[test]
fn capsules_sent_back_or_between_other_ends_are_nothing() {
    let (mut pair, seen) = eventful(1);
    let ends = [pair.mn, pair.cn];
    let capsules = seen.iter().filter(|seen| {
        Kind::of(&seen.datagram) == Ok(Kind::Capsule) && ends.contains(&seen.target)
    });
    for capsule in capsules.take(50).cloned().collect::<Vec<_>>() {
        assert!(is_ignored(&mut pair, capsule.host, capsule.to, &capsule.datagram));
    }
}
