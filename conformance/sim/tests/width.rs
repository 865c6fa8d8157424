//! Paths on which small datagrams pass and large ones vanish without a word.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::net::IpAddr;
use std::time::Duration;

use common::Pair;
use ntm_core::terminal::{Mode, TerminalEvent};
use ntm_core::wire::Kind;
use ntm_sim::{Attachment, HostId, inner_packet};

const MS: Duration = Duration::from_millis(1);

/// The interface's MTU.
const FULL: usize = 1400;
/// The IPv6 minimum.
const LEAST: usize = 1280;

fn talking(row: u8, ipv6: bool) -> Pair {
    let mut pair = Pair::new(row, ipv6, Mode::Fast, u64::from(row));
    pair.talk(1500 * MS);
    assert!(pair.talks());
    pair
}

fn at(pair: &Pair, is_mn: bool, variant: u8) -> IpAddr {
    pair.spot(1, is_mn, variant).ip
}

/// The largest inner packet that this end sends.
fn limit(pair: &Pair, host: HostId) -> usize {
    let tunnels = pair.world.host(host).table().tunnels();
    let limits: Vec<_> = tunnels.map(|tunnel| tunnel.state().limit).collect();
    assert_eq!(limits.len(), 1);
    limits[0].into()
}

/// Sends a packet of this size; whether it arrives.
fn carries(pair: &mut Pair, from: HostId, to: HostId, bytes: usize) -> bool {
    let (source, destination) = (pair.world.vip(from), pair.world.vip(to));
    let header = if source.is_ipv4() { 20 } else { 40 };
    let packet = inner_packet(source, destination, &vec![7; bytes - header]);
    pair.world.send_packet(from, &packet);
    pair.world.run_for(50 * MS);
    pair.world.host(to).received.iter().any(|received| received.packet == packet)
}

/// Both ends talk with packets of up to this size, and send none that is larger.
fn carries_up_to(pair: &mut Pair, bytes: usize) {
    for (from, to) in [(pair.mn, pair.cn), (pair.cn, pair.mn)] {
        assert_eq!(limit(pair, from), bytes);
        assert!(carries(pair, from, to, bytes));
        let answers = pair.world.host(from).received.len();
        assert!(!carries(pair, from, to, bytes + 1));
        let answer = &pair.world.host(from).received[answers..];
        assert_eq!(answer.len(), 1, "its sender is told");
    }
}

#[test]
fn the_limit_follows_the_path_and_grows_again() {
    for ipv6 in [false, true] {
        let mut pair = talking(1, ipv6);
        carries_up_to(&mut pair, FULL);
        // To a network that shows its narrowness to nobody, and out of it again.
        let (mn, cn) = (at(&pair, true, 1), at(&pair, false, 0));
        pair.world.net.narrow(mn, cn, 1400);
        pair.place(pair.mn, 1, true, 1);
        pair.talk(500 * MS);
        carries_up_to(&mut pair, LEAST);
        pair.place(pair.mn, 1, true, 2);
        pair.talk(500 * MS);
        carries_up_to(&mut pair, FULL);
    }
}

#[test]
fn a_path_that_becomes_wider_is_noticed_while_it_is_used() {
    let mut pair = talking(1, false);
    let (mn, cn) = (at(&pair, true, 1), at(&pair, false, 0));
    pair.world.net.narrow(mn, cn, 1400);
    pair.place(pair.mn, 1, true, 1);
    pair.talk(500 * MS);
    carries_up_to(&mut pair, LEAST);
    pair.world.net.mend();
    pair.talk(5000 * MS);
    carries_up_to(&mut pair, FULL);
}

#[test]
fn small_packets_wait_no_longer_for_a_narrow_path_than_for_a_wide_one() {
    let gaps = [1500, 1400, 600].map(|mtu| {
        let mut pair = talking(1, false);
        let (mn, cn) = (at(&pair, true, 1), at(&pair, false, 0));
        pair.world.net.narrow(mn, cn, mtu);
        let since = pair.world.host(pair.mn).received.len();
        pair.place(pair.mn, 1, true, 1);
        pair.talk(100 * MS);
        pair.longest_gap(pair.mn, since)
    });
    assert_eq!(gaps, [gaps[0]; 3]);
}

#[test]
fn a_lost_challenge_narrows_nothing() {
    let mut pair = talking(1, false);
    for host in [pair.mn, pair.cn] {
        pair.world.host_mut(host).link.loss_permille = 20;
    }
    for variant in (1..=40).map(|nth| nth % 2) {
        pair.place(pair.mn, 1, true, variant);
        pair.talk(5000 * MS);
        assert_eq!([limit(&pair, pair.mn), limit(&pair, pair.cn)], [FULL; 2]);
    }
}

#[test]
fn a_path_that_passes_challenges_and_no_packets_loses_against_the_relay() {
    let mut pair = talking(1, false);
    let (mn, cn) = (at(&pair, true, 1), at(&pair, false, 0));
    pair.world.net.narrow(mn, cn, 600);
    pair.place(pair.mn, 1, true, 1);
    pair.talk(3000 * MS);
    for host in [pair.mn, pair.cn] {
        assert!(pair.way(host).unwrap().relayed);
    }
    carries_up_to(&mut pair, FULL);
    // It stays so, and costs little.
    let points = |pair: &Pair| {
        let events = [pair.mn, pair.cn].map(|host| &pair.world.host(host).events);
        let connected = |event: &TerminalEvent| matches!(event, TerminalEvent::Connected { .. });
        events.iter().flat_map(|all| all.iter()).filter(|(_, event)| connected(event)).count()
    };
    let before = points(&pair);
    pair.world.net.tap = Some(Vec::new());
    pair.talk(10_000 * MS);
    assert_eq!(points(&pair), before, "no way is tried with packets again and again");
    let said = pair.world.net.tap.take().unwrap();
    let controls =
        said.iter().filter(|seen| matches!(Kind::of(&seen.datagram), Ok(Kind::Control))).count();
    assert!(controls < 80, "{controls}");
    carries_up_to(&mut pair, FULL);
    pair.world.net.mend();
    pair.talk(35_000 * MS);
    assert!(!pair.way(pair.mn).unwrap().relayed, "the direct way is better once it carries");
    carries_up_to(&mut pair, FULL);
}

#[test]
fn of_two_direct_ways_that_which_carries_more_is_used() {
    let mut pair = talking(1, false);
    let v6 =
        |last: u8| Attachment::global(format!("2001:db8::{last:x}").parse::<IpAddr>().unwrap());
    let here = [pair.spot(1, false, 0), v6(20)];
    pair.world.move_host(pair.cn, &here);
    pair.talk(2000 * MS);
    let there = [pair.spot(1, true, 1), v6(11)];
    pair.world.net.narrow(there[0].ip, here[0].ip, 1400);
    pair.world.move_host(pair.mn, &there);
    pair.talk(1000 * MS);
    for host in [pair.mn, pair.cn] {
        let way = pair.way(host).unwrap();
        assert!(way.leg.remote.is_ipv6() && !way.relayed, "{way:?}");
    }
    carries_up_to(&mut pair, FULL);
}

#[test]
fn through_a_relay_the_narrower_half_counts() {
    let mut pair = talking(4, false);
    carries_up_to(&mut pair, FULL);
    let mn = pair.mn;
    pair.world.host_mut(mn).link.mtu = 1400;
    pair.place(pair.mn, 4, true, 1);
    pair.talk(1000 * MS);
    // Its own routes tell the mover, and nothing tells the other end.
    assert_eq!([limit(&pair, pair.mn), limit(&pair, pair.cn)], [1400 - 72, LEAST]);
    let (mn, cn) = (pair.mn, pair.cn);
    assert!(carries(&mut pair, cn, mn, LEAST));
    assert!(carries(&mut pair, mn, cn, 1400 - 72));
}
