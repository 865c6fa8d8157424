//! A day of protocol time: renewals, keep-alives, expiry, and no growth.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::Pair;
use ntm_core::terminal::Mode;

/// How large a machine is, as what it would print of itself.
fn sizes(pair: &Pair) -> Vec<usize> {
    let host = |id| pair.world.host(id);
    vec![
        format!("{:?}", host(pair.mn).roles.terminal).len(),
        format!("{:?}", host(pair.cn).roles.terminal).len(),
        format!("{:?}", host(pair.dc).roles.coordinator).len(),
        format!("{:?}", host(pair.relays[0]).roles.relay).len(),
        format!("{:?}", host(pair.relays[1]).roles.relay).len(),
        format!("{:?}", host(pair.mn).table()).len(),
    ]
}

fn a_day(row: u8) {
    let mut pair = Pair::new(row, false, Mode::Fast, 1);
    let mut after_an_hour = Vec::new();
    let mut sent_by = Vec::new();
    let path = {
        pair.talk(Duration::from_millis(1500));
        pair.world.path(pair.mn, pair.cn)
    };
    for hour in 0..24 {
        for _ in 0..6 {
            // Ten minutes, of which one second is talk: sessions expire, and
            // come back when somebody speaks.
            pair.talk(Duration::from_secs(1));
            assert!(pair.talks(), "hour {hour}");
            pair.world.run_for(Duration::from_secs(598));
        }
        for host in [pair.mn, pair.cn, pair.dc, pair.relays[0], pair.relays[1]] {
            let host = pair.world.host_mut(host);
            host.received.clear();
            host.events.clear();
            host.coordinator_events.clear();
            host.relay_events.clear();
        }
        let now = [pair.mn, pair.cn].map(|host| pair.world.host(host).sent);
        sent_by.push(now);
        if hour == 0 {
            after_an_hour = sizes(&pair);
        }
    }
    for (before, after) in after_an_hour.iter().zip(sizes(&pair)) {
        assert!(after <= before * 3 / 2 + 4096, "grew from {before} to {after}");
    }
    // Six seconds of talk an hour are 6,600 datagrams each; the rest is what
    // being there costs.
    let per_hour = (sent_by[23][0] - sent_by[22][0]).saturating_sub(6_600);
    assert!(per_hour < 1_000, "{per_hour} datagrams an hour besides the talk");
    assert_eq!(path, pair.world.path(pair.mn, pair.cn));
}

#[test]
fn a_day_of_an_open_pair() {
    a_day(1);
}

#[test]
fn a_day_of_a_relayed_pair() {
    a_day(4);
}

#[test]
fn a_day_of_unbroken_talk_renews_its_keys() {
    let mut pair = Pair::new(2, false, Mode::Fast, 1);
    pair.talk(Duration::from_secs(1));
    let mut lost = 0;
    for _ in 0..24 * 60 {
        // One packet each way every second, for a minute.
        for _ in 0..60 {
            let before = pair.world.host(pair.cn).received.len();
            pair.world.send(pair.mn, pair.cn, b"tick");
            pair.world.send(pair.cn, pair.mn, b"tock");
            pair.world.run_for(Duration::from_secs(1));
            lost += usize::from(pair.world.host(pair.cn).received.len() == before);
        }
        for host in [pair.mn, pair.cn] {
            pair.world.host_mut(host).received.clear();
        }
    }
    assert_eq!(lost, 0, "of 86,400 packets");
    let status = pair.world.host(pair.mn).terminal().status(pair.world.now());
    let age = status.tunnels[0].session_age.unwrap();
    assert!(age < Duration::from_secs(180), "a session of {age:?}");
}
