//! The coordinator or a relay goes away, and communication goes on.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{Pair, setup};
use ntm_core::coordinator::Clocks;
use ntm_core::terminal::Mode;

fn pair(row: u8) -> Pair {
    let mut setup = setup(u64::from(row), Mode::Fast);
    let seconds = Duration::from_secs;
    setup.clocks = Clocks {
        keep_alive_natted: seconds(2),
        keep_alive_open: seconds(2),
        keep_alive_relay: seconds(2),
        ..Clocks::default()
    };
    let mut pair = Pair::with(setup, row, false);
    pair.talk(Duration::from_secs(2));
    assert!(pair.talks());
    pair
}

fn is_registered(pair: &Pair, now_or_never: bool) -> bool {
    [pair.mn, pair.cn].iter().all(|host| {
        pair.world.host(*host).terminal().status(pair.world.now()).registered == now_or_never
    })
}

#[test]
fn a_killed_coordinator_is_not_missed_and_comes_back_with_the_same_addresses() {
    for row in [1, 4] {
        let mut pair = pair(row);
        let path = pair.world.path(pair.mn, pair.cn);
        let vips = [pair.mn, pair.cn].map(|host| pair.world.vip(host));
        pair.world.kill(pair.dc);
        pair.talk(Duration::from_secs(20));
        assert!(pair.talks(), "row {row}: the tunnel needs no coordinator");
        assert!(is_registered(&pair, false), "row {row}: and everybody knows that it is gone");
        pair.world.restart(pair.dc);
        pair.talk(Duration::from_secs(10));
        assert!(is_registered(&pair, true), "row {row}: all register by themselves");
        assert!(pair.talks(), "row {row}");
        assert_eq!(vips, [pair.mn, pair.cn].map(|host| pair.world.vip(host)));
        assert_eq!(path, pair.world.path(pair.mn, pair.cn));
        let known = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap().status();
        let present = known.members.iter().filter(|member| !member.present.is_empty()).count();
        assert_eq!(present, 4, "row {row}: two terminals and two relays");
    }
}

#[test]
fn who_has_not_noticed_that_the_coordinator_restarted_does_when_it_asks_something() {
    let mut setup = setup(3, Mode::Fast);
    setup.clocks.keep_alive_natted = Duration::from_secs(2);
    // MN is in the open, and says nothing for a minute; CN is behind a NAT.
    let mut pair = Pair::with(setup, 3, false);
    pair.world.kill(pair.dc);
    pair.world.run_for(Duration::from_secs(20));
    pair.world.restart(pair.dc);
    pair.world.run_for(Duration::from_secs(5));
    pair.world.send(pair.mn, pair.cn, b"hello");
    pair.world.run_for(Duration::from_secs(2));
    assert_eq!(pair.world.host(pair.cn).received.len(), 1);
}

#[test]
fn an_open_or_relayed_pair_moves_without_the_coordinator() {
    for row in [1, 2, 4] {
        let mut pair = pair(row);
        let path = pair.world.path(pair.mn, pair.cn);
        pair.world.kill(pair.dc);
        pair.talk(Duration::from_secs(1));
        let since = pair.world.host(pair.mn).received.len();
        pair.place(pair.mn, row, true, 1);
        pair.talk(Duration::from_secs(1));
        assert!(pair.talks(), "row {row}");
        let gap = pair.longest_gap(pair.mn, since);
        assert!(gap <= Duration::from_millis(12), "row {row}: silent for {gap:?}");
        assert_eq!(path, pair.world.path(pair.mn, pair.cn));
    }
}

#[test]
fn seed_mode_waits_for_the_coordinator_and_recovers() {
    let mut pair = Pair::new(1, false, Mode::Seed, 1);
    pair.talk(Duration::from_secs(1));
    pair.world.kill(pair.dc);
    pair.place(pair.mn, 1, true, 1);
    pair.talk(Duration::from_millis(500));
    pair.world.restart(pair.dc);
    pair.talk(Duration::from_secs(10));
    assert!(pair.talks());
}

#[test]
fn a_killed_relay_is_replaced_by_the_other_under_the_same_path_id() {
    let mut pair = pair(4);
    let path = pair.world.path(pair.mn, pair.cn);
    let used = pair.way(pair.mn).unwrap().leg.remote.ip();
    let of = |pair: &Pair, relay| pair.world.host(relay).attachments()[0].ip;
    let first = pair.relays.into_iter().find(|relay| of(&pair, *relay) == used).unwrap();
    pair.world.kill(first);
    let since = pair.world.host(pair.mn).received.len();
    pair.talk(Duration::from_secs(4));
    assert!(pair.talks());
    let way = pair.way(pair.mn).unwrap();
    assert!(way.relayed && way.leg.remote.ip() != used);
    assert_eq!(path, pair.world.path(pair.mn, pair.cn));
    let gap = pair.longest_gap(pair.mn, since);
    assert!(gap < Duration::from_secs(2), "silent for {gap:?}");
}

#[test]
fn both_relays_restarted_forget_everything_and_are_used_again() {
    let mut pair = pair(4);
    let path = pair.world.path(pair.mn, pair.cn);
    for relay in pair.relays {
        pair.world.kill(relay);
    }
    pair.talk(Duration::from_secs(1));
    for relay in pair.relays {
        pair.world.restart(relay);
    }
    pair.talk(Duration::from_secs(30));
    assert!(pair.talks());
    assert_eq!(path, pair.world.path(pair.mn, pair.cn));
}

#[test]
fn a_nat_that_forgets_is_noticed_without_any_local_event() {
    for row in [2, 3, 4] {
        let mut pair = pair(row);
        let path = pair.world.path(pair.mn, pair.cn);
        pair.nat(if row == 3 { 2 } else { 0 }).forget();
        pair.talk(Duration::from_secs(10));
        assert!(pair.talks(), "row {row}");
        assert_eq!(path, pair.world.path(pair.mn, pair.cn));
    }
}

#[test]
fn a_peer_that_restarts_with_the_same_key_is_reached_again() {
    for row in 1..=5 {
        let mut pair = pair(row);
        let path = pair.world.path(pair.mn, pair.cn);
        pair.world.kill(pair.cn);
        pair.world.run_for(Duration::from_secs(1));
        pair.world.restart(pair.cn);
        pair.world.run_for(Duration::from_secs(1));
        pair.talk(Duration::from_secs(8));
        assert!(pair.talks(), "row {row}");
        assert_eq!(path, pair.world.path(pair.mn, pair.cn));
    }
}
