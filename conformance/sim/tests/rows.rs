//! Rows 1–5 of the decision table, for both families, whoever moves, in both
//! modes: the same Path ID before and after, and the way that the row says.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{Pair, ROWS};
use ntm_core::terminal::Mode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mover {
    Mn,
    Cn,
    Both,
}

fn row_holds(pair: &Pair, row: u8) -> bool {
    [pair.mn, pair.cn].iter().all(|host| {
        pair.way(*host).is_some_and(|way| {
            let at_relay = pair.relays.iter().any(|relay| {
                let relay = pair.world.host(*relay);
                relay.attachments().iter().any(|a| a.ip == way.leg.remote.ip())
            });
            way.relayed == (row == 4) && at_relay == (row == 4)
        })
    })
}

fn moves(row: u8, ipv6: bool, mover: Mover, mode: Mode) {
    let what = format!("row {row}, ipv6 {ipv6}, {mover:?} moves, {mode:?}");
    let mut pair = Pair::new(row, ipv6, mode, u64::from(row));
    pair.talk(Duration::from_millis(1500));
    assert!(pair.talks(), "{what}: no communication");
    assert!(row_holds(&pair, row), "{what}: {:?} {:?}", pair.way(pair.mn), pair.way(pair.cn));
    let before = pair.world.path(pair.mn, pair.cn);
    assert_eq!(before, pair.world.path(pair.cn, pair.mn), "{what}");
    let vips = [pair.mn, pair.cn].map(|host| pair.world.vip(host));
    if mover != Mover::Cn {
        pair.place(pair.mn, row, true, 1);
    }
    if mover != Mover::Mn {
        pair.place(pair.cn, row, false, 1);
    }
    pair.talk(Duration::from_millis(1500));
    assert!(pair.talks(), "{what}: no communication after the move");
    assert!(row_holds(&pair, row), "{what}: {:?} {:?}", pair.way(pair.mn), pair.way(pair.cn));
    assert_eq!(before, pair.world.path(pair.mn, pair.cn), "{what}");
    assert_eq!(before, pair.world.path(pair.cn, pair.mn), "{what}");
    assert_eq!(vips, [pair.mn, pair.cn].map(|host| pair.world.vip(host)), "{what}");
}

fn every_mover(row: u8, mode: Mode) {
    for ipv6 in [false, true] {
        for mover in [Mover::Mn, Mover::Cn, Mover::Both] {
            moves(row, ipv6, mover, mode);
        }
    }
}

#[test]
fn row_1_both_open_fast() {
    every_mover(1, Mode::Fast);
}

#[test]
fn row_1_both_open_seed() {
    every_mover(1, Mode::Seed);
}

#[test]
fn row_2_mn_behind_a_nat_fast() {
    every_mover(2, Mode::Fast);
}

#[test]
fn row_2_mn_behind_a_nat_seed() {
    every_mover(2, Mode::Seed);
}

#[test]
fn row_3_cn_behind_a_nat_fast() {
    every_mover(3, Mode::Fast);
}

#[test]
fn row_3_cn_behind_a_nat_seed() {
    every_mover(3, Mode::Seed);
}

#[test]
fn row_4_both_behind_nats_fast() {
    every_mover(4, Mode::Fast);
}

#[test]
fn row_4_both_behind_nats_seed() {
    every_mover(4, Mode::Seed);
}

#[test]
fn row_5_both_behind_the_same_nat_fast() {
    every_mover(5, Mode::Fast);
}

#[test]
fn row_5_both_behind_the_same_nat_seed() {
    every_mover(5, Mode::Seed);
}

#[test]
fn every_row_turns_into_every_other() {
    for from in ROWS {
        for to in ROWS {
            if from == to {
                continue;
            }
            let what = format!("row {from} to row {to}");
            let mut pair = Pair::new(from, false, Mode::Fast, u64::from(10 * from + to));
            pair.talk(Duration::from_millis(1500));
            assert!(pair.talks() && row_holds(&pair, from), "{what}: before");
            let path = pair.world.path(pair.mn, pair.cn);
            pair.place(pair.mn, to, true, 1);
            pair.place(pair.cn, to, false, 1);
            pair.talk(Duration::from_millis(2500));
            assert!(pair.talks(), "{what}: no communication after");
            assert!(
                row_holds(&pair, to),
                "{what}: {:?} {:?}",
                pair.way(pair.mn),
                pair.way(pair.cn)
            );
            assert_eq!(path, pair.world.path(pair.mn, pair.cn), "{what}");
        }
    }
}

/// Rows that MN turns into each other by moving alone.
const BY_MN: [(u8, u8); 9] =
    [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (3, 4), (4, 3), (4, 4), (5, 5)];

#[test]
fn a_row_settles_on_its_way_however_unsteady_the_network() {
    for (from, to) in BY_MN {
        for seed in [3, 12, 27, 31] {
            let what = format!("row {from} to row {to}, seed {seed}");
            let mut pair = Pair::new(from, false, Mode::Fast, seed);
            for host in [pair.mn, pair.cn] {
                let link = &mut pair.world.host_mut(host).link;
                link.jitter = Duration::from_millis(4);
                link.loss_permille = 10;
            }
            pair.talk(Duration::from_millis(4000));
            assert!(row_holds(&pair, from), "{what}: before");
            let path = pair.world.path(pair.mn, pair.cn);
            for (row, variant) in [(to, 1), (from, 0), (to, 1)] {
                pair.place(pair.mn, row, true, variant);
                pair.talk(Duration::from_millis(4000));
                let ways = [pair.way(pair.mn), pair.way(pair.cn)];
                assert!(row_holds(&pair, row), "{what}: in row {row}: {ways:?}");
                assert_eq!(path, pair.world.path(pair.mn, pair.cn), "{what}");
            }
        }
    }
}
