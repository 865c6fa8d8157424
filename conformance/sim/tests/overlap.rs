//! Two links at once: the better one is taken when it has answered, and nothing is
//! lost meanwhile in either direction; if it does not answer, nothing happens.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{Pair, ROWS};
use ntm_core::preference::{LinkRule, Pattern, Preference};
use ntm_core::terminal::{Cause, LinkTrial, Mode, Phase, TerminalEvent};
use ntm_sim::{Attachment, HostId};

const MS: Duration = Duration::from_millis(1);

/// A pair that talks, MN on its first link; and where its second link leads.
fn talking(row: u8) -> (Pair, [Attachment; 2]) {
    let mut pair = Pair::new(row, false, Mode::Fast, u64::from(row));
    pair.talk(1500 * MS);
    assert!(pair.talks());
    let links = [pair.spot(row, true, 0), pair.spot(row, true, 1).on_second()];
    (pair, links)
}

/// MN likes this interface better than others.
fn prefers(pair: &mut Pair, interface: &str) {
    let rule =
        LinkRule { interface: Pattern::new(interface), ipv6: None, metered: false, cost: 10 };
    let mn = pair.mn;
    let terminal = pair.world.host_mut(mn).roles.terminal.as_mut().unwrap();
    terminal.set_preference(Preference::new(vec![rule]));
}

/// MN has these links from now on, which its kernel prefers in this order.
fn has(pair: &mut Pair, links: &[Attachment]) {
    pair.world.move_host(pair.mn, links);
}

/// What is lost of everything that is said both ways during `act`.
fn lost(pair: &mut Pair, act: impl FnOnce(&mut Pair)) -> [usize; 2] {
    let since = pair.sent();
    act(pair);
    // What is under way arrives.
    pair.world.run_for(300 * MS);
    [pair.mn, pair.cn].map(|host| pair.lost(host, since))
}

fn epoch(pair: &Pair) -> ntm_core::id::Epoch {
    pair.world.status(pair.mn).unwrap().epoch
}

fn moves(pair: &Pair, host: HostId) -> usize {
    let is = |event: &TerminalEvent| {
        matches!(event, TerminalEvent::Phase { phase: Phase::Detected(Cause::Local { .. }), .. })
    };
    pair.world.host(host).events.iter().filter(|(_, event)| is(event)).count()
}

fn trials(pair: &Pair, what: LinkTrial) -> usize {
    let is = |event: &TerminalEvent| matches!(event, TerminalEvent::Link { trial, .. } if *trial == what);
    pair.world.host(pair.mn).events.iter().filter(|(_, event)| is(event)).count()
}

/// By which of its links MN's packets leave at present.
fn leaves_by(pair: &mut Pair, links: &[Attachment; 2]) -> Vec<usize> {
    pair.world.net.tap = Some(Vec::new());
    pair.talk(20 * MS);
    let mn = pair.mn;
    let seen = pair.world.net.tap.take().unwrap();
    let from: std::collections::BTreeSet<_> =
        seen.into_iter().filter(|seen| seen.host == mn).map(|seen| seen.from.ip()).collect();
    let door = |link: &Attachment| match link.nat {
        None => vec![link.ip],
        Some(nat) => pair.world.net.nat_mut(nat).public().to_vec(),
    };
    let mut doors = links.iter().map(door).collect::<Vec<_>>();
    doors.dedup();
    (0..doors.len()).filter(|at| from.iter().any(|ip| doors[*at].contains(ip))).collect()
}

#[test]
fn a_better_link_is_taken_and_nothing_is_lost() {
    for row in ROWS {
        let (mut pair, links) = talking(row);
        let path = pair.world.path(pair.mn, pair.cn);
        let before = epoch(&pair);
        let gone = lost(&mut pair, |pair| {
            has(pair, &[links[1], links[0]]);
            pair.talk(4000 * MS);
        });
        assert_eq!(gone, [0, 0], "row {row}: both links are there");
        assert_eq!((moves(&pair, pair.mn), trials(&pair, LinkTrial::Begun)), (1, 1), "row {row}");
        assert_eq!(epoch(&pair), before.next(), "row {row}");
        let gone = lost(&mut pair, |pair| {
            has(pair, &[links[1]]);
            pair.talk(1000 * MS);
        });
        assert_eq!(gone, [0, 0], "row {row}: the old link was of no use any more");
        assert_eq!((moves(&pair, pair.mn), epoch(&pair)), (1, before.next()), "row {row}");
        assert_eq!(pair.world.path(pair.mn, pair.cn), path);
        assert!(pair.talks());
    }
}

#[test]
fn a_better_link_through_which_nothing_passes_is_not_taken_until_something_does() {
    for row in ROWS {
        let (mut pair, links) = talking(row);
        let before = epoch(&pair);
        let dead = match links[1].nat {
            None => links[1].ip,
            // In row 5 all are behind one NAT, which is needed.
            Some(_) if row == 5 => continue,
            Some(nat) => pair.world.net.nat_mut(nat).public()[0],
        };
        pair.world.net.cut(dead);
        let gone = lost(&mut pair, |pair| {
            has(pair, &[links[1], links[0]]);
            pair.talk(4000 * MS);
        });
        assert_eq!(gone, [0, 0], "row {row}");
        assert_eq!((moves(&pair, pair.mn), trials(&pair, LinkTrial::Failed)), (0, 1), "row {row}");
        assert_eq!(epoch(&pair), before);
        assert_eq!(leaves_by(&mut pair, &links), [0], "row {row}");
        pair.world.net.mend();
        let gone = lost(&mut pair, |pair| pair.talk(12_000 * MS));
        assert_eq!((gone, moves(&pair, pair.mn)), ([0, 0], 1), "row {row}: tried again");
        assert_eq!(leaves_by(&mut pair, &links), [1], "row {row}");
    }
}

#[test]
fn the_old_link_that_goes_during_the_trial_makes_it_a_move_like_any_other() {
    for after in [0, 1, 3, 4, 5, 9, 10, 11, 15, 20] {
        let plain = {
            let (mut pair, links) = talking(1);
            let since = pair.world.host(pair.mn).received.len();
            has(&mut pair, &[links[1]]);
            pair.talk(500 * MS);
            pair.longest_gap(pair.mn, since)
        };
        let (mut pair, links) = talking(1);
        has(&mut pair, &[links[1], links[0]]);
        pair.talk(after * MS);
        let since = pair.world.host(pair.mn).received.len();
        has(&mut pair, &[links[1]]);
        pair.talk(500 * MS);
        let gap = pair.longest_gap(pair.mn, since);
        assert!(gap <= plain, "{gap:?} after {after} ms, {plain:?} without a trial");
        assert_eq!(moves(&pair, pair.mn), 1, "after {after} ms");
        assert!(pair.talks());
        assert_eq!(leaves_by(&mut pair, &links), [1]);
    }
}

#[test]
fn a_link_that_comes_and_goes_costs_nothing() {
    for row in ROWS {
        // The first answer takes 10 ms: links that stay shorter are never taken.
        for every in [1, 3, 7, 30, 300] {
            let (mut pair, links) = talking(row);
            let both = [links[1], links[0]];
            let gone = lost(&mut pair, |pair| {
                for _ in 0..5 {
                    has(pair, &both);
                    pair.talk(every * MS);
                    has(pair, &links[..1]);
                    pair.talk(every * MS);
                }
                has(pair, &both);
                pair.talk(4000 * MS);
            });
            if every < 10 {
                assert_eq!(gone, [0, 0], "row {row}, every {every} ms");
            }
            assert!(pair.talks(), "row {row}, every {every} ms");
            if row != 5 {
                assert_eq!(leaves_by(&mut pair, &links), [1], "row {row}, every {every} ms");
            }
        }
    }
}

#[test]
fn an_address_on_another_link_changes_nothing_while_the_system_does_not_use_it() {
    let (mut pair, links) = talking(1);
    let gone = lost(&mut pair, |pair| {
        has(pair, &links);
        pair.talk(4000 * MS);
    });
    assert_eq!((gone, moves(&pair, pair.mn), trials(&pair, LinkTrial::Begun)), ([0, 0], 0, 0));
    assert_eq!(leaves_by(&mut pair, &links), [0]);
}

#[test]
fn a_preferred_link_attracts_although_the_system_would_not_use_it() {
    for row in ROWS {
        let (mut pair, links) = talking(row);
        prefers(&mut pair, "eth1");
        let gone = lost(&mut pair, |pair| {
            has(pair, &links);
            pair.talk(4000 * MS);
        });
        assert_eq!((gone, moves(&pair, pair.mn)), ([0, 0], 1), "row {row}");
        // And is held to, whatever is there besides.
        let (mn, cn) = (pair.mn, pair.cn);
        pair.world.run_for(Duration::from_secs(70));
        assert!(pair.talks());
        if row != 5 {
            assert_eq!(leaves_by(&mut pair, &links), [1], "row {row}");
        }
        // When it goes, the next one follows at once.
        let since = [mn, cn].map(|host| pair.world.host(host).received.len());
        has(&mut pair, &links[..1]);
        pair.talk(1000 * MS);
        let gap = pair.longest_gap(mn, since[0]);
        assert!(gap < 200 * MS, "row {row}: {gap:?}");
        assert_eq!(moves(&pair, mn), 2);
        assert!(pair.talks());
    }
}

#[test]
fn a_link_that_is_not_preferred_does_not_attract_although_the_system_uses_it() {
    // In row 5 the ends meet at private addresses, about which rules say nothing.
    for row in [1, 2, 3, 4] {
        let (mut pair, links) = talking(row);
        prefers(&mut pair, "eth0");
        let gone = lost(&mut pair, |pair| {
            has(pair, &[links[1], links[0]]);
            pair.talk(4000 * MS);
        });
        let begun = trials(&pair, LinkTrial::Begun);
        assert_eq!((gone, moves(&pair, pair.mn), begun), ([0, 0], 0, 0), "row {row}");
        assert_eq!(leaves_by(&mut pair, &links), [0], "row {row}");
        has(&mut pair, &[links[1]]);
        pair.talk(1000 * MS);
        assert_eq!(moves(&pair, pair.mn), 1, "row {row}");
        assert!(pair.talks());
    }
}
