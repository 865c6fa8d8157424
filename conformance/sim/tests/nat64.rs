//! From an Internet of IPv4 alone into a network of IPv6 alone, which reaches it by a
//! translator (NAT64): coordinator, relay and peer have no other addresses.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use common::setup;
use ntm_core::address::Nat64;
use ntm_core::id::PathId;
use ntm_core::terminal::{Mode, TunnelState, Way};
use ntm_sim::{Attachment, HostId, Nat, NatId, World, embed};

const MS: Duration = Duration::from_millis(1);

struct Internet {
    world: World,
    relay: Ipv4Addr,
    mn: HostId,
    cn: HostId,
    gate: NatId,
    path: PathId,
    vips: [IpAddr; 2],
}

fn global(last: u8) -> Ipv4Addr {
    [203, 0, 113, last].into()
}

/// As the resolver of the network would tell it.
fn prefix() -> Option<Nat64> {
    let IpAddr::V6(shown) = embed([192, 0, 0, 170].into()) else { return None };
    Nat64::shown_by(&[shown])
}

impl Internet {
    /// Two ends that talk, the second one behind a NAT if the test wants a relay.
    fn new(mode: Mode, relayed: bool) -> Self {
        let mut world = World::new(setup(64, mode));
        let open = |last| [Attachment::global(global(last))];
        world.add_host("dc.example", &["coordinator"], &open(1));
        world.add_host("rs.example", &["relay"], &open(2));
        let gate = world.add_nat(Nat::nat64(global(64).into()));
        let home = world.add_nat(Nat::like_linux(&[global(100).into()]));
        let mn = world.add_host("mn.example", &["terminal"], &open(10));
        let at_home = Attachment::behind(home, [192, 168, 1, 2]);
        let cn = if relayed { [at_home] } else { open(20) };
        let cn = world.add_host("cn.example", &["terminal"], &cn);
        for host in [mn, cn] {
            world.host_mut(host).link.delay = 5 * MS;
        }
        world.run_for(1000 * MS);
        world.send(mn, cn, b"hello");
        world.run_for(2000 * MS);
        let path = world.path(mn, cn).unwrap();
        let vips = [mn, cn].map(|host| world.vip(host));
        let mut internet = Self { world, relay: global(2), mn, cn, gate, path, vips };
        assert!(internet.talks(200 * MS));
        internet
    }

    /// MN is in the network of IPv6 alone.
    fn inside(&mut self) {
        let inside: Ipv6Addr = "2001:db8:64::10".parse().unwrap();
        self.world.move_host(self.mn, &[Attachment::behind(self.gate, inside)]);
    }

    /// Both talk for a while; whether the last packets of both arrived, of the same
    /// tunnel and addresses as ever.
    fn talks(&mut self, span: Duration) -> bool {
        let ends = [(self.mn, self.cn), (self.cn, self.mn)];
        for _ in 0..span.as_millis() / 5 {
            for (from, to) in ends {
                self.world.send(from, to, b"something");
            }
            self.world.run_for(5 * MS);
        }
        self.world.run_for(100 * MS);
        let before = ends.map(|(_, to)| self.world.host(to).received.len());
        for (at, (from, to)) in ends.into_iter().enumerate() {
            assert_eq!(self.world.path(from, to), Some(self.path));
            assert_eq!(self.world.vip(from), self.vips[at]);
            self.world.send(from, to, b"last words");
        }
        self.world.run_for(100 * MS);
        ends.into_iter()
            .zip(before)
            .all(|((_, to), before)| self.world.host(to).received.len() > before)
    }

    fn way(&self) -> Option<Way> {
        let status = self.world.host(self.mn).terminal().status(self.world.now());
        let tunnel = status.tunnels.first()?;
        (tunnel.state == TunnelState::Live).then_some(tunnel.way).flatten()
    }
}

#[test]
fn a_peer_of_ipv4_is_reached_by_the_translator() {
    for mode in [Mode::Fast, Mode::Seed] {
        let mut internet = Internet::new(mode, false);
        for _ in 0..2 {
            internet.inside();
            let mn = internet.mn;
            internet.world.run_for(20 * MS);
            internet.world.tell_nat64(mn, prefix());
            assert!(internet.talks(2000 * MS), "{mode:?}");
            let way = internet.way().unwrap();
            assert_eq!(way.leg.remote.ip(), embed(global(20)), "{mode:?}");
            assert!(!way.relayed);
            let status = internet.world.host(mn).terminal().status(internet.world.now());
            assert_eq!(status.observed[0].addr.ip(), global(64), "the coordinator knows it");
            internet.world.move_host(mn, &[Attachment::global(global(11))]);
            assert!(internet.talks(2000 * MS), "{mode:?}, and out again");
            assert_eq!(internet.way().unwrap().leg.remote.ip(), global(20));
        }
    }
}

#[test]
fn so_is_a_relay() {
    let mut internet = Internet::new(Mode::Fast, true);
    internet.inside();
    let (mn, relay) = (internet.mn, embed(internet.relay));
    internet.world.tell_nat64(mn, prefix());
    assert!(internet.talks(2000 * MS));
    let way = internet.way().unwrap();
    assert_eq!((way.leg.remote.ip(), way.relayed), (relay, true));
}

#[test]
fn what_is_known_of_the_translator_outlives_a_move() {
    let mut internet = Internet::new(Mode::Fast, false);
    internet.inside();
    assert!(!internet.talks(1000 * MS), "nobody has told yet");
    let mn = internet.mn;
    internet.world.tell_nat64(mn, prefix());
    assert!(internet.talks(2000 * MS));
    internet.world.move_host(mn, &[Attachment::global(global(11))]);
    assert!(internet.talks(1000 * MS));
    internet.inside();
    internet.world.run_for(30 * MS);
    assert_eq!(internet.way().unwrap().leg.remote.ip(), embed(global(20)), "a round trip later");
    assert!(internet.talks(500 * MS));
}
