//! A NAT that changes its mapping while both ends talk: what is sent meanwhile is
//! not lost.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::Pair;
use ntm_core::terminal::Mode;

const MS: Duration = Duration::from_millis(1);

#[test]
fn packets_reach_an_end_behind_another_mapping_after_its_own_way_and_theirs() {
    let mut pair = Pair::new(2, false, Mode::Fast, 1);
    pair.talk(2000 * MS);
    let (now, since) = (pair.world.now(), pair.world.host(pair.mn).received.len());
    let before = pair.way(pair.cn);
    let (other, dc): (SocketAddr, SocketAddr) =
        ("192.168.1.99:4330".parse().unwrap(), "203.0.113.1:4330".parse().unwrap());
    let nat = pair.nat(0);
    nat.forget();
    // Somebody else behind it has the port now.
    let _ = nat.outbound(now, other, dc);
    pair.talk(1000 * MS);
    assert_ne!(pair.way(pair.cn), before, "it is followed");
    // 5 ms each way, and a little until enough has come from there.
    let gap = pair.longest_gap(pair.mn, since);
    assert!(gap < 20 * MS, "silent for {gap:?}");
    // Nothing arrives twice.
    let received = &pair.world.host(pair.mn).received;
    let mut packets: Vec<_> = received.iter().map(|it| it.packet.clone()).collect();
    let all = packets.len();
    packets.sort();
    packets.dedup();
    assert_eq!(packets.len(), all);
}
