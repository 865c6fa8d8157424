//! A path that died is noticed, and one that lives is not taken for dead.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::Pair;
use ntm_core::Time;
use ntm_core::terminal::{Cause, Mode, Phase, TerminalEvent};
use ntm_sim::{HostId, Link};

const MS: Duration = Duration::from_millis(1);

/// When an end took a path for dead, most lately.
fn death(pair: &Pair, host: HostId) -> Option<Time> {
    let is = |event: &TerminalEvent| {
        matches!(event, TerminalEvent::Phase { phase: Phase::Detected(Cause::DeadPath), .. })
    };
    pair.world.host(host).events.iter().rev().find(|(_, event)| is(event)).map(|(at, _)| *at)
}

fn talking(row: u8, seed: u64) -> Pair {
    let mut pair = Pair::new(row, false, Mode::Fast, seed);
    pair.talk(1000 * MS);
    assert!(pair.talks());
    for host in [pair.mn, pair.cn] {
        pair.world.host_mut(host).forget_events();
    }
    pair
}

/// What the applications do for a while.
#[derive(Clone, Copy, Debug)]
enum Use {
    /// MN sends all the time, CN never.
    Upload,
    /// MN asks once a second, and CN answers after so many milliseconds.
    Questions(u32),
    /// Both send all the time.
    Call,
}

impl Use {
    const ALL: [Self; 4] = [Self::Upload, Self::Questions(1), Self::Questions(300), Self::Call];

    fn second(self, pair: &mut Pair) {
        let (mn, cn) = (pair.mn, pair.cn);
        match self {
            Self::Upload | Self::Call => {
                for _ in 0..50 {
                    pair.world.send(mn, cn, b"data");
                    if matches!(self, Self::Call) {
                        pair.world.send(cn, mn, b"data");
                    }
                    pair.world.run_for(20 * MS);
                }
            }
            Self::Questions(after) => {
                let before = pair.world.host(cn).received.len();
                pair.world.send(mn, cn, b"question");
                let arrival = (100 + after) * MS;
                pair.world.run_for(arrival);
                if pair.world.host(cn).received.len() > before {
                    pair.world.send(cn, mn, b"answer");
                }
                pair.world.run_for(1000 * MS - arrival);
            }
        }
    }
}

/// Networks on which nothing is dead.
fn bad_links() -> [Link; 4] {
    let plain = Link { delay: 10 * MS, ..Link::default() };
    [
        Link { loss_permille: 100, ..plain },
        Link { jitter: 150 * MS, ..plain },
        Link { loss_permille: 50, jitter: 60 * MS, late_permille: 50, late_by: 200 * MS, ..plain },
        Link { delay: 200 * MS, jitter: 20 * MS, loss_permille: 50, ..plain },
    ]
}

#[test]
fn a_path_that_loses_and_delays_is_not_taken_for_dead() {
    for seed in 0..2 {
        for row in [1, 4] {
            for link in bad_links() {
                for usage in Use::ALL {
                    let mut pair = talking(row, seed);
                    // From one moment to the next, with the round trips of before.
                    pair.world.host_mut(pair.mn).link = link;
                    (0..20).for_each(|_| usage.second(&mut pair));
                    for host in [pair.mn, pair.cn] {
                        assert_eq!(death(&pair, host), None, "{seed} {row} {usage:?} {link:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_dead_path_is_noticed_by_who_uses_it() {
    for (usage, within) in [(Use::Call, 1100), (Use::Questions(1), 2000), (Use::Upload, 2500)] {
        for way in [true, false] {
            let mut pair = talking(1, 3);
            (0..10).for_each(|_| usage.second(&mut pair));
            let since = pair.world.now();
            // It dies in one direction alone.
            let (from, to) = if way { (pair.mn, pair.cn) } else { (pair.cn, pair.mn) };
            pair.world.net.sever(from, to);
            (0..4).for_each(|_| usage.second(&mut pair));
            let noticed = [pair.mn, pair.cn].into_iter().filter_map(|host| death(&pair, host));
            let after = noticed.min().map(|at| at.since(since));
            assert!(after.is_some_and(|after| after <= within * MS), "{usage:?}: {after:?}");
        }
    }
}

#[test]
fn what_liveness_costs_is_bounded_and_nothing_while_nobody_talks() {
    for usage in Use::ALL {
        let mut pair = talking(1, 5);
        (0..10).for_each(|_| usage.second(&mut pair));
        let signalled = |pair: &Pair| {
            [pair.mn, pair.cn].map(|host| pair.world.host(host).signalled.datagrams).iter().sum()
        };
        let before: u64 = signalled(&pair);
        (0..60).for_each(|_| usage.second(&mut pair));
        let cost = signalled(&pair) - before;
        // With what keeps the registrations alive.
        let allowed = match usage {
            Use::Upload => 70,
            Use::Questions(300) => 30,
            _ => 10,
        };
        assert!(cost <= allowed, "{usage:?}: {cost} datagrams in a minute");
        pair.world.run_for(Duration::from_secs(3));
        let before = signalled(&pair);
        pair.world.run_for(Duration::from_secs(20));
        assert_eq!(signalled(&pair), before, "{usage:?}: nobody talks");
    }
}

/// How long packets of one end have not reached the other, which says nothing.
fn until_heard(pair: &mut Pair, from: HostId, to: HostId) -> Duration {
    let (since, before) = (pair.world.now(), pair.world.host(to).received.len());
    while pair.world.host(to).received.len() == before {
        pair.world.send(from, to, b"data");
        pair.world.run_for(MS);
        assert!(pair.world.now().since(since) < Duration::from_secs(2), "not at once");
    }
    pair.world.now().since(since)
}

#[test]
fn who_wakes_up_is_reachable_at_once() {
    for row in [2, 4] {
        let mut pair = talking(row, 7);
        pair.world.sleep(pair.mn);
        // Its NAT forgets it, long before any timer would say something again.
        pair.nat(0).forget();
        pair.world.run_for(Duration::from_secs(5));
        pair.world.wake(pair.mn);
        pair.world.run_for(50 * MS);
        let (mn, cn) = (pair.mn, pair.cn);
        let silent = until_heard(&mut pair, cn, mn);
        assert!(silent < 100 * MS, "row {row}: {silent:?}");
        assert!(pair.talks());
    }
}
