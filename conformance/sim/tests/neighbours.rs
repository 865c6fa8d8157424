//! What happens on one way must not harm another: tunnels of one terminal, and
//! relays on slow links.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::Pair;
use ntm_core::terminal::{Cause, Mode, Phase, TerminalCommand, TerminalEvent};
use ntm_sim::Attachment;

#[test]
fn a_nat_that_forgets_is_noticed_also_after_another_tunnel_died() {
    let mut pair = Pair::new(2, false, Mode::Fast, 1);
    pair.talk(Duration::from_secs(2));
    let ip: IpAddr = [203, 0, 113, 77].into();
    let third = pair.world.add_host("third.example", &["terminal"], &[Attachment::global(ip)]);
    pair.world.run_for(Duration::from_secs(1));
    for _ in 0..100 {
        pair.world.send(pair.mn, third, b"hello");
        pair.world.run_for(Duration::from_millis(10));
    }
    assert!(!pair.world.host(third).received.is_empty());
    let to_third = pair.world.path(pair.mn, third).unwrap();
    pair.world.kill(third);
    for _ in 0..60 {
        pair.world.command(pair.mn, TerminalCommand::Ping(to_third));
        pair.talk(Duration::from_millis(100));
    }
    let died = pair.world.host(pair.mn).events.iter().any(|(_, event)| {
        matches!(event, TerminalEvent::Phase { phase: Phase::Detected(Cause::DeadPath), .. })
    });
    assert!(died, "MN has noticed");
    // CN hears of MN's epoch.
    let path = pair.world.path(pair.mn, pair.cn).unwrap();
    pair.world.command(pair.mn, TerminalCommand::Ping(path));
    pair.talk(Duration::from_secs(2));

    let now = pair.world.now();
    let nat = pair.nat(0);
    nat.forget();
    // Somebody else behind it has the port now.
    let (other, dc): (SocketAddr, SocketAddr) =
        ("192.168.1.99:4330".parse().unwrap(), "203.0.113.1:4330".parse().unwrap());
    let _ = nat.outbound(now, other, dc);
    pair.talk(Duration::from_secs(1));
    assert!(pair.talks());
}

#[test]
fn a_relay_behind_a_slow_link_is_not_taken_for_dead() {
    for delay in [100, 200] {
        let mut pair = Pair::new(4, false, Mode::Fast, 1);
        pair.talk(Duration::from_secs(3));
        pair.world.host_mut(pair.mn).link.delay = Duration::from_millis(delay);
        pair.talk(Duration::from_secs(5));
        let from = pair.world.now();
        let before = pair.world.host(pair.mn).received.len();
        // Bindings are refreshed more than once.
        pair.talk(Duration::from_secs(60));
        let given_up = pair.world.host(pair.mn).events.iter().filter(|(at, event)| {
            *at >= from
                && matches!(
                    event,
                    TerminalEvent::Disconnected { .. }
                        | TerminalEvent::Phase { phase: Phase::Detected(Cause::DeadPath), .. }
                )
        });
        let given_up: Vec<_> = given_up.collect();
        assert!(given_up.is_empty(), "{delay} ms: {given_up:?}");
        let received = pair.world.host(pair.mn).received.len() - before;
        assert!(received > 59_000, "{delay} ms: {received} of 60,000 packets");
    }
}
