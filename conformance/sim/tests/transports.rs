//! Hosts with two transports (H16): the better one is used, the other where the first is
//! blocked, and the first again as soon as it works, under one Path ID.
//!
//! Simulated is what the machines make of it. QUIC is a port here, and no more.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::time::Duration;

use common::{Pair, ROWS, setup};
use ntm_core::address::TransportId;
use ntm_core::id::PathId;
use ntm_core::terminal::Mode;
use ntm_core::wire::PORT;
use ntm_sim::{HostId, QUIC_PORT, World};

const UDP: Option<TransportId> = Some(TransportId(0));
const QUIC: Option<TransportId> = Some(TransportId(1));
const MS: Duration = Duration::from_millis(1);

fn pair(row: u8, mode: Mode) -> Pair {
    let mut world = World::new(setup(40 + u64::from(row), mode));
    world.add_quic();
    Pair::in_world(world, row, false)
}

fn talking(row: u8, mode: Mode) -> (Pair, PathId) {
    let mut pair = pair(row, mode);
    pair.talk(1500 * MS);
    assert!(pair.talks(), "row {row}");
    let path = pair.world.path(pair.mn, pair.cn).unwrap();
    (pair, path)
}

fn transport(pair: &Pair, host: HostId) -> Option<TransportId> {
    Some(pair.way(host)?.leg.transport)
}

/// Lets a while pass in which both ends say something now and then.
fn chat(pair: &mut Pair, seconds: u32) {
    for _ in 0..seconds {
        pair.talk(10 * MS);
        pair.world.run_for(990 * MS);
    }
}

fn is_registered(pair: &Pair, host: HostId) -> bool {
    pair.world.status(host).unwrap().registered
}

#[test]
fn udp_is_used_where_it_works() {
    for row in ROWS {
        let (mut pair, _) = talking(row, Mode::Fast);
        chat(&mut pair, 5);
        assert_eq!([pair.mn, pair.cn].map(|it| transport(&pair, it)), [UDP; 2], "row {row}");
    }
}

#[test]
fn a_tunnel_changes_over_where_udp_is_blocked_and_back_when_it_is_not() {
    for mode in [Mode::Fast, Mode::Seed] {
        for row in ROWS {
            let (mut pair, path) = talking(row, mode);
            pair.world.net.block(pair.mn, PORT);
            pair.talk(6000 * MS);
            assert!(pair.talks(), "{mode:?}, row {row}: nothing arrives without UDP");
            assert_eq!(transport(&pair, pair.mn), QUIC, "{mode:?}, row {row}");
            let carried = pair.world.host(pair.mn).received.len();
            chat(&mut pair, 70);
            assert!(is_registered(&pair, pair.mn), "{mode:?}, row {row}");
            assert!(pair.talks(), "{mode:?}, row {row}: it lasts");
            assert!(pair.world.host(pair.mn).received.len() > carried + 600);

            pair.world.net.mend();
            chat(&mut pair, 100);
            let used = [pair.mn, pair.cn].map(|it| transport(&pair, it));
            assert_eq!(used, [UDP; 2], "{mode:?}, row {row}: back");
            assert!(pair.talks() && is_registered(&pair, pair.mn), "{mode:?}, row {row}");
            for (one, other) in [(pair.mn, pair.cn), (pair.cn, pair.mn)] {
                assert_eq!(pair.world.path(one, other), Some(path));
                assert_eq!(pair.world.host(one).table().tunnels().count(), 1, "one entry");
            }
        }
    }
}

#[test]
fn a_move_into_a_network_without_udp_and_out_of_it_again() {
    for row in ROWS {
        let (mut pair, path) = talking(row, Mode::Fast);
        pair.place(pair.mn, row, true, 1);
        pair.world.net.block(pair.mn, PORT);
        pair.talk(6000 * MS);
        assert!(pair.talks(), "row {row}");
        assert_eq!(transport(&pair, pair.mn), QUIC, "row {row}");
        pair.world.net.mend();
        pair.place(pair.mn, row, true, 0);
        pair.talk(2000 * MS);
        assert!(pair.talks(), "row {row}");
        assert_eq!(pair.world.path(pair.mn, pair.cn), Some(path));
        chat(&mut pair, 60);
        assert_eq!(transport(&pair, pair.mn), UDP, "row {row}");
    }
}

#[test]
fn who_starts_where_udp_is_blocked_finds_everybody_by_quic() {
    for row in ROWS {
        let mut pair = pair(row, Mode::Fast);
        pair.world.kill(pair.mn);
        pair.world.net.block(pair.mn, PORT);
        pair.world.restart(pair.mn);
        pair.world.run_for(2000 * MS);
        assert!(is_registered(&pair, pair.mn), "row {row}");
        pair.talk(3000 * MS);
        assert!(pair.talks(), "row {row}");
        assert_eq!(transport(&pair, pair.mn), QUIC, "row {row}");
    }
}

#[test]
fn a_relay_that_loses_udp_itself_goes_on_by_quic() {
    let (mut pair, path) = talking(4, Mode::Fast);
    for host in [pair.mn, pair.cn] {
        pair.world.net.block(host, PORT);
    }
    pair.talk(8000 * MS);
    assert!(pair.talks());
    assert_eq!([pair.mn, pair.cn].map(|it| transport(&pair, it)), [QUIC; 2]);
    assert_eq!(pair.world.path(pair.mn, pair.cn), Some(path));
}

#[test]
fn where_quic_is_blocked_nothing_is_missed() {
    for row in ROWS {
        let mut pair = pair(row, Mode::Fast);
        pair.world.net.block(pair.mn, QUIC_PORT);
        pair.talk(1500 * MS);
        assert!(pair.talks(), "row {row}");
        pair.place(pair.mn, row, true, 1);
        pair.talk(1500 * MS);
        assert!(pair.talks(), "row {row}");
        assert_eq!(transport(&pair, pair.mn), UDP, "row {row}");
    }
}
