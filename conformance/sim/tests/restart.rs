//! Who restarts has forgotten its sessions, and says so to those who go on in them.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::Pair;
use ntm_core::terminal::Mode;
use ntm_core::wire::Kind;
use ntm_sim::{HostId, inner_packet};

const MS: Duration = Duration::from_millis(1);

fn talking(row: u8) -> Pair {
    let mut pair = Pair::new(row, false, Mode::Fast, u64::from(row));
    pair.talk(1500 * MS);
    assert!(pair.talks());
    pair
}

/// How long MN's packets have not reached CN, when it sends one a millisecond.
fn until_heard(pair: &mut Pair, packet: &[u8]) -> Duration {
    let (since, before) = (pair.world.now(), pair.world.host(pair.cn).received.len());
    while pair.world.host(pair.cn).received.len() == before {
        pair.world.send_packet(pair.mn, packet);
        pair.world.run_for(MS);
        assert!(pair.world.now().since(since) < Duration::from_secs(10), "never");
    }
    pair.world.now().since(since)
}

#[test]
fn a_peer_that_has_restarted_is_found_within_a_few_round_trips() {
    for row in 1..=4 {
        let mut pair = talking(row);
        let path = pair.world.path(pair.mn, pair.cn);
        let packet = inner_packet(pair.world.vip(pair.mn), pair.world.vip(pair.cn), b"data");
        pair.world.kill(pair.cn);
        pair.world.restart(pair.cn);
        // Its own applications say nothing. A round trip is 10 ms here.
        let silent = until_heard(&mut pair, &packet);
        assert!(silent < 150 * MS, "row {row}: {silent:?}");
        assert!(pair.talks());
        assert_eq!(pair.world.path(pair.mn, pair.cn), path);
    }
}

#[test]
fn a_relay_that_has_restarted_is_bound_again_before_it_is_taken_for_dead() {
    let mut pair = talking(4);
    let used = pair.way(pair.mn).unwrap().leg.remote.ip();
    let is_used = |pair: &Pair, relay| pair.world.host(relay).attachments()[0].ip == used;
    let relay = pair.relays.into_iter().find(|relay| is_used(&pair, *relay)).unwrap();
    pair.world.kill(relay);
    pair.world.restart(relay);
    let since = [pair.mn, pair.cn].map(|host| pair.world.host(host).received.len());
    pair.talk(500 * MS);
    assert!(pair.talks());
    for (host, since) in [pair.mn, pair.cn].into_iter().zip(since) {
        let silent = pair.longest_gap(host, since);
        assert!(silent < 400 * MS, "{silent:?}");
    }
    assert_eq!(pair.way(pair.mn).unwrap().leg.remote.ip(), used, "the same relay");
}

#[test]
fn a_coordinator_that_has_restarted_knows_everybody_after_their_next_word() {
    let mut pair = talking(1);
    pair.world.kill(pair.dc);
    pair.world.restart(pair.dc);
    pair.world.run_for(100 * MS);
    assert!(!pair.world.is_known(pair.mn));
    // Keep-alives of a terminal in the open are a minute apart.
    pair.world.run_for(Duration::from_secs(67));
    for host in [pair.mn, pair.cn] {
        assert!(pair.world.is_known(host));
    }
}

/// Notices that a host sends for so many datagrams, and the bytes of both.
fn notices(pair: &mut Pair, host: HostId, datagrams: &[Vec<u8>]) -> (usize, usize, usize) {
    let attacker = "198.51.100.66:4330".parse().unwrap();
    pair.world.net.tap = Some(Vec::new());
    datagrams.iter().for_each(|datagram| pair.world.inject(host, attacker, datagram));
    let seen = pair.world.net.tap.take().unwrap();
    let sent: Vec<_> = seen.iter().filter(|seen| seen.to == attacker).collect();
    assert!(sent.iter().all(|seen| Kind::of(&seen.datagram) == Ok(Kind::UnknownSession)));
    let bytes = sent.iter().map(|seen| seen.datagram.len()).sum();
    (sent.len(), bytes, datagrams.iter().map(Vec::len).sum())
}

#[test]
fn a_stranger_gets_less_than_he_sends_and_little_in_all() {
    let mut pair = talking(4);
    let eve = [ntm_sim::Attachment::global([198, 51, 100, 66])];
    pair.world.add_host("eve.example", &[], &eve);
    for host in [pair.mn, pair.dc, pair.relays[0]] {
        for kind in [1_u8, 2, 8] {
            let datagrams: Vec<Vec<u8>> = (0..1000_u32)
                .map(|nth| {
                    let mut datagram = vec![nth.to_be_bytes()[3]; 44];
                    datagram[..2].copy_from_slice(&[0x90 | kind, 0]);
                    datagram[4..8].copy_from_slice(&nth.to_be_bytes());
                    datagram
                })
                .collect();
            let (count, sent, received) = notices(&mut pair, host, &datagrams);
            assert!(count <= 64 && sent < received, "type {kind}: {count}");
            let answers = host == pair.dc && kind == 8 || host != pair.dc && kind != 8;
            assert!(!answers || count > 0, "type {kind}");
            pair.world.run_for(Duration::from_secs(1));
        }
    }
    assert!(pair.talks());
}

#[test]
fn a_forged_notice_costs_a_challenge_a_second_at_most() {
    let mut pair = talking(1);
    let path = pair.world.path(pair.mn, pair.cn).unwrap();
    let here = pair.way(pair.mn).unwrap();
    let notice =
        |side| ntm_core::wire::UnknownSession { id: *path.as_bytes(), side, seal: [7; 16] };
    let before = pair.world.host(pair.mn).signalled.datagrams;
    for _ in 0..10_000 {
        for side in [ntm_core::id::Side::Lower, ntm_core::id::Side::Higher] {
            pair.world.inject(pair.mn, here.leg.remote, &notice(side).emit());
            pair.world.inject(pair.mn, "198.51.100.66:4330".parse().unwrap(), &notice(side).emit());
        }
        pair.world.run_for(MS);
    }
    let cost = pair.world.host(pair.mn).signalled.datagrams - before;
    assert!(cost <= 12, "{cost} datagrams in ten seconds");
    assert_eq!(pair.way(pair.mn), Some(here));
    assert!(pair.talks());
}
