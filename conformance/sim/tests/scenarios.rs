//! The scenarios H1–H18 of a hand-over under one Path ID, each by its name.
//!
//! Where a scenario has a test of its own elsewhere that goes further, its test
//! here says so. H12 (readers while the table is rewritten) is about threads, which
//! simulation has none of: `ntm-core/src/tunnel/loom.rs` and
//! `readers_never_see_a_mixture` in `ntm-core/src/tunnel/table.rs`. H16 (another
//! transport): `transports.rs`.

#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "these are tests")]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::{Pair, setup};
use ntm_core::Time;
use ntm_core::coordinator::CoordinatorEvent;
use ntm_core::id::PathId;
use ntm_core::machine::{Sent, SignalTrace};
use ntm_core::terminal::{Cause, Mode, Phase, TerminalEvent};
use ntm_core::wire::{Kind, PORT};
use ntm_sim::{Attachment, HostId, Observed, payload_of};

const MS: Duration = Duration::from_millis(1);

/// A conversation before something happens to it.
#[derive(Clone, Copy)]
struct Talk {
    path: PathId,
    /// Both ends have had its session since then.
    since: Time,
}

impl Talk {
    fn of(pair: &Pair) -> Self {
        let path = pair.world.path(pair.mn, pair.cn).unwrap();
        Self { path, since: pair.world.now() }
    }
}

/// A pair that talks.
fn talking(row: u8, mode: Mode) -> (Pair, Talk) {
    talks(Pair::new(row, false, mode, u64::from(row)))
}

fn talks(mut pair: Pair) -> (Pair, Talk) {
    pair.talk(1500 * MS);
    assert!(pair.talks());
    let talk = Talk::of(&pair);
    (pair, talk)
}

/// Both ends talk, under the same Path ID and in the same session, in the one tunnel
/// that they have, and inner addresses are what they were.
fn goes_on(pair: &mut Pair, talk: Talk) {
    assert!(pair.talks());
    for (one, other) in [(pair.mn, pair.cn), (pair.cn, pair.mn)] {
        assert_eq!(pair.world.path(one, other), Some(talk.path));
        let status = pair.world.status(one).unwrap();
        let age = status.tunnels[0].session_age.unwrap();
        assert!(age >= pair.world.now().since(talk.since), "another session, {age:?} old");
        assert_eq!(pair.world.host(one).table().tunnels().count(), 1, "one entry");
        let (own, peer) = (pair.world.vip(one), pair.world.vip(other));
        let packet = &pair.world.host(one).received.last().unwrap().packet;
        let flow = ntm_core::packet::Flow::of(packet).unwrap();
        assert_eq!((flow.source, flow.destination), (peer, own));
        assert_eq!(payload_of(packet).len(), 4);
    }
}

fn tapped(pair: &mut Pair) -> Vec<Observed> {
    pair.world.net.tap.take().unwrap()
}

/// Which of the two has told the other of itself first since then.
fn begun_by(pair: &Pair, since: Time) -> HostId {
    let begun = |host: HostId| {
        let is = |event: &TerminalEvent| {
            matches!(
                event,
                TerminalEvent::Signal(SignalTrace { sent: Sent::Out, name: "Tunnel Request", .. })
            )
        };
        let events = &pair.world.host(host).events;
        events.iter().find(|(at, event)| *at >= since && is(event)).map(|(at, _)| *at)
    };
    let both = [pair.mn, pair.cn].map(|host| (begun(host), host));
    both.into_iter().filter_map(|(at, host)| Some((at?, host))).min().unwrap().1
}

fn detected(pair: &Pair, host: HostId) -> usize {
    let is = |event: &TerminalEvent| {
        matches!(event, TerminalEvent::Phase { phase: Phase::Detected(Cause::Local { .. }), .. })
    };
    pair.world.host(host).events.iter().filter(|(_, event)| is(event)).count()
}

/// What a host has said since then.
fn said(pair: &Pair, host: HostId, since: Time) -> Vec<&'static str> {
    let said = |(at, event): &(Time, TerminalEvent)| match event {
        TerminalEvent::Signal(SignalTrace { sent: Sent::Out, name, .. }) if *at >= since => {
            Some(*name)
        }
        _ => None,
    };
    pair.world.host(host).events.iter().filter_map(said).collect()
}

/// The steps of MN's moves since then, in their order.
fn steps(pair: &Pair, since: Time) -> Vec<Phase> {
    let phases = pair.world.host(pair.mn).events.iter().filter_map(|(_, event)| match event {
        TerminalEvent::Phase { phase, at, .. } if *at >= since => Some((*phase, *at)),
        _ => None,
    });
    let phases: Vec<_> = phases.collect();
    assert!(phases.is_sorted_by_key(|(_, at)| *at), "{phases:?}");
    phases.into_iter().map(|(phase, _)| phase).collect()
}

/// The coordinator knows both ends by their present epochs.
fn is_up_to_date(pair: &Pair) -> bool {
    let known = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap().status();
    [pair.mn, pair.cn].iter().all(|host| {
        let key = pair.world.key(*host);
        let member = known.members.iter().find(|member| member.record.key == key).unwrap();
        member.present[0].1.epoch == pair.world.status(*host).unwrap().epoch
    })
}

#[test]
fn h01_mn_moves_both_open() {
    for mode in [Mode::Fast, Mode::Seed] {
        let (mut pair, talk) = talking(1, mode);
        let now = pair.world.now();
        pair.place(pair.mn, 1, true, 1);
        pair.talk(1000 * MS);
        goes_on(&mut pair, talk);
        let phases = steps(&pair, now);
        let at = |is: fn(&Phase) -> bool| phases.iter().position(is);
        let told = at(|phase| matches!(phase, Phase::Told(_)));
        let registered = at(|phase| matches!(phase, Phase::Registered));
        assert_eq!(at(|phase| matches!(phase, Phase::Detected(Cause::Local { .. }))), Some(0));
        assert!(at(|phase| matches!(phase, Phase::Directed(_))) > registered, "{phases:?}");
        assert!(at(|phase| matches!(phase, Phase::Rebuilt(..))) > told, "{phases:?}");
        let at_once = told.is_some_and(|told| Some(told) < registered);
        assert_eq!(at_once, mode == Mode::Fast, "{phases:?}");
        assert!(registered.is_some(), "each step is told");
    }
}

#[test]
fn h02_from_the_open_behind_a_nat_and_back() {
    let (mut pair, talk) = talking(1, Mode::Seed);
    for (row, variant) in [(2, 0), (1, 1)] {
        let now = pair.world.now();
        pair.place(pair.mn, row, true, variant);
        pair.talk(1500 * MS);
        goes_on(&mut pair, talk);
        assert!(!pair.way(pair.mn).unwrap().relayed);
        assert_eq!(begun_by(&pair, now), pair.mn, "the only one under a NAT, or the mover");
    }
    pair.place(pair.cn, 3, false, 0);
    pair.talk(1500 * MS);
    goes_on(&mut pair, talk);
    let now = pair.world.now();
    pair.place(pair.mn, 1, true, 0);
    pair.talk(1500 * MS);
    goes_on(&mut pair, talk);
    assert_eq!(begun_by(&pair, now), pair.cn, "whoever moves");
}

#[test]
fn h03_cn_moves() {
    let (mut pair, talk) = talking(1, Mode::Fast);
    pair.place(pair.cn, 1, false, 1);
    pair.talk(1000 * MS);
    goes_on(&mut pair, talk);
}

#[test]
fn h04_both_move_within_a_round_trip() {
    for apart in [0, 1, 4, 5, 6, 9] {
        let (mut pair, talk) = talking(1, Mode::Fast);
        pair.place(pair.mn, 1, true, 1);
        pair.talk(apart * MS);
        pair.place(pair.cn, 1, false, 1);
        pair.talk(500 * MS);
        goes_on(&mut pair, talk);
        assert!(is_up_to_date(&pair), "{apart} ms: the highest everywhere");
    }
}

#[test]
fn h05_a_relay_first_a_direct_way_when_there_is_one_and_a_move_again() {
    let (mut pair, talk) = talking(4, Mode::Fast);
    assert!(pair.way(pair.mn).unwrap().relayed);
    let since = pair.world.host(pair.mn).received.len();
    pair.place(pair.mn, 1, true, 1);
    pair.talk(1500 * MS);
    goes_on(&mut pair, talk);
    assert!(!pair.way(pair.mn).unwrap().relayed && !pair.way(pair.cn).unwrap().relayed);
    pair.place(pair.mn, 4, true, 0);
    pair.talk(1500 * MS);
    goes_on(&mut pair, talk);
    for host in [pair.mn, pair.cn] {
        assert!(pair.longest_gap(host, since) < Duration::from_secs(1));
    }
}

#[test]
fn h06_from_ipv4_to_a_network_with_ipv6_alone() {
    let (mut pair, talk) = talking(1, Mode::Fast);
    let since = pair.world.host(pair.mn).received.len();
    let six: IpAddr = "2001:db8::66".parse().unwrap();
    pair.world.move_host(pair.mn, &[Attachment::global(six)]);
    pair.talk(1500 * MS);
    assert_eq!(detected(&pair, pair.mn), 1, "that is a move");
    goes_on(&mut pair, talk);
    let ways = [pair.mn, pair.cn].map(|host| pair.way(host).unwrap());
    assert!(ways[0].relayed && ways[0].leg.remote.is_ipv6(), "{ways:?}");
    assert!(ways[1].relayed && ways[1].leg.remote.is_ipv4(), "{ways:?}");
    assert!(pair.longest_gap(pair.mn, since) < Duration::from_secs(1));
    pair.place(pair.mn, 1, true, 0);
    pair.talk(1500 * MS);
    goes_on(&mut pair, talk);
    assert!(!pair.way(pair.mn).unwrap().relayed);
}

#[test]
fn h07_a_nat_forgets_without_a_local_event() {
    let (mut pair, talk) = talking(2, Mode::Fast);
    let at_dc = |pair: &Pair| {
        let coordinator = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap();
        let key = pair.world.key(pair.mn);
        let members = coordinator.status().members;
        let member = members.into_iter().find(|member| member.record.key == key).unwrap();
        member.present[0].1.location.observed[0].candidate.addr
    };
    let before = at_dc(&pair);
    let now = pair.world.now();
    let (other, dc): (SocketAddr, SocketAddr) =
        ("192.168.1.99:4330".parse().unwrap(), "203.0.113.1:4330".parse().unwrap());
    let nat = pair.nat(0);
    nat.forget();
    // Somebody else behind it has the port now.
    let _ = nat.outbound(now, other, dc);
    pair.talk(1000 * MS);
    assert_eq!(detected(&pair, pair.mn), 0);
    goes_on(&mut pair, talk);
    // The next keep-alive tells the coordinator.
    for _ in 0..60 {
        pair.talk(MS);
        pair.world.run_for(Duration::from_secs(1));
    }
    assert_ne!(at_dc(&pair), before, "the coordinator knows");
}

#[test]
fn h08_a_late_direction_of_an_older_epoch_changes_nothing() {
    let (mut pair, talk) = talking(1, Mode::Fast);
    pair.world.net.detour(pair.dc, pair.cn, 400 * MS);
    pair.place(pair.mn, 1, true, 1);
    pair.talk(100 * MS);
    pair.world.net.detour(pair.dc, pair.cn, Duration::ZERO);
    pair.place(pair.mn, 1, true, 2);
    pair.talk(100 * MS);
    let way = pair.way(pair.cn).unwrap();
    let directed = |pair: &Pair| {
        let is = |event: &TerminalEvent| {
            matches!(event, TerminalEvent::Phase { phase: Phase::Directed(_), .. })
        };
        pair.world.host(pair.cn).events.iter().filter(|(_, event)| is(event)).count()
    };
    let before = directed(&pair);
    pair.talk(1000 * MS);
    assert!(directed(&pair) > before, "the late one has arrived");
    assert_eq!(pair.way(pair.cn), Some(way));
    goes_on(&mut pair, talk);
}

#[test]
fn h08_a_late_registration_of_an_older_epoch_changes_nothing() {
    let (mut pair, talk) = talking(1, Mode::Fast);
    let at_dc = |pair: &Pair| {
        let coordinator = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap();
        let key = pair.world.key(pair.mn);
        let members = coordinator.status().members;
        let member = members.into_iter().find(|member| member.record.key == key).unwrap();
        member.present[0].1.location.observed[0].candidate.addr.ip()
    };
    // Not so late that the session with the coordinator would be another.
    pair.world.net.detour(pair.mn, pair.dc, 60 * MS);
    pair.place(pair.mn, 1, true, 1);
    pair.talk(10 * MS);
    pair.world.net.detour(pair.mn, pair.dc, Duration::ZERO);
    pair.place(pair.mn, 1, true, 2);
    pair.talk(10 * MS);
    let here = pair.spot(1, true, 2).ip;
    assert_eq!(at_dc(&pair), here);
    let since = pair.world.now();
    for _ in 0..1000 {
        pair.talk(MS);
        assert_eq!(at_dc(&pair), here, "the coordinator knows where it is now");
    }
    let left = pair.spot(1, true, 1).ip;
    let mut heard = pair.world.host(pair.dc).coordinator_events.iter();
    let late = heard.any(|(at, event)| {
        let CoordinatorEvent::Signal(signal) = event else { return false };
        let is_in = signal.sent == Sent::In && signal.leg.remote.ip() == left;
        *at > since && is_in && signal.name == "Registration Request"
    });
    assert!(late, "the late one has arrived");
    goes_on(&mut pair, talk);
}

/// The last capsule that MN sent to CN, as it was on the network.
fn a_capsule(pair: &mut Pair) -> Observed {
    pair.world.net.tap = Some(Vec::new());
    pair.talk(20 * MS);
    let is = |seen: &&Observed| {
        seen.target == pair.cn
            && seen.host == pair.mn
            && Kind::of(&seen.datagram) == Ok(Kind::Capsule)
    };
    let seen = pair.world.net.tap.take().unwrap();
    seen.iter().rfind(is).unwrap().clone()
}

#[test]
fn h09_a_replayed_packet_from_elsewhere_is_dropped_and_moves_nothing() {
    let (mut pair, talk) = talking(1, Mode::Fast);
    let capsule = a_capsule(&mut pair);
    pair.world.run_for(50 * MS);
    let (way, before) = (pair.way(pair.cn), pair.world.host(pair.cn).received.len());
    let attacker = SocketAddr::new([198, 51, 100, 66].into(), PORT);
    pair.world.inject(pair.cn, attacker, &capsule.datagram);
    assert_eq!(pair.way(pair.cn), way);
    assert_eq!(pair.world.host(pair.cn).received.len(), before);
    assert_eq!(pair.world.host(pair.cn).dropped().replayed, 1, "for that reason");
    goes_on(&mut pair, talk);
}

/// Further: `strangers`, `a_withheld_packet_sent_first_from_elsewhere_…`.
#[test]
fn h10_a_copied_packet_that_arrives_first_gains_three_times_its_size_at_most() {
    let (mut pair, talk) = talking(1, Mode::Fast);
    let attacker = SocketAddr::new([198, 51, 100, 66].into(), PORT);
    pair.world.add_host("eve.example", &[], &[Attachment::global(attacker.ip())]);
    // What MN sends is withheld from CN, and arrives from elsewhere.
    pair.world.net.sever(pair.mn, pair.cn);
    let capsule = a_capsule(&mut pair);
    pair.world.net.rejoin(pair.mn, pair.cn);
    pair.world.net.tap = Some(Vec::new());
    pair.world.inject(pair.cn, attacker, &capsule.datagram);
    pair.talk(2000 * MS);
    let to_attacker = tapped(&mut pair).into_iter().filter(|seen| seen.to == attacker);
    let bytes: usize = to_attacker.map(|seen| seen.datagram.len()).sum();
    assert!(bytes > 0, "he is asked");
    assert!(bytes <= 3 * capsule.datagram.len(), "{bytes} for {}", capsule.datagram.len());
    assert_ne!(pair.way(pair.cn).unwrap().leg.remote, attacker);
    goes_on(&mut pair, talk);
}

/// Further: `strangers`, `forged` and `replay`.
#[test]
fn h11_what_is_forged_with_the_right_path_id_changes_nothing() {
    let mut tried = std::collections::BTreeSet::new();
    for row in [1, 4] {
        let mut pair = Pair::new(row, false, Mode::Fast, 3);
        pair.world.net.tap = Some(Vec::new());
        pair.talk(1000 * MS);
        pair.place(pair.mn, row, true, 1);
        pair.talk(500 * MS);
        let seen = tapped(&mut pair);
        let talk = Talk::of(&pair);
        let known = |pair: &Pair| {
            let ways = [pair.mn, pair.cn].map(|host| pair.way(host));
            let coordinator = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap();
            let relays = pair.relays.map(|relay| pair.world.host(relay).roles.relay.clone());
            (ways, coordinator.status(), relays)
        };
        let before = known(&pair);
        let attacker = SocketAddr::new([198, 51, 100, 66].into(), PORT);
        for mut forged in seen {
            let kind = Kind::of(&forged.datagram).map(|kind| format!("{kind:?}"));
            let Some(last) = forged.datagram.last_mut().filter(|_| kind.is_ok()) else { continue };
            *last ^= 1;
            tried.insert(kind.unwrap());
            pair.world.inject(forged.target, attacker, &forged.datagram);
        }
        assert_eq!(known(&pair), before, "row {row}");
        goes_on(&mut pair, talk);
    }
    for kind in ["Bind", "Control", "Handshake1", "Punch", "Signalling"] {
        assert!(tried.contains(kind), "no {kind} in {tried:?}");
    }
}

#[test]
fn h13_the_coordinator_is_down_while_an_open_pair_moves() {
    for mode in [Mode::Fast, Mode::Seed] {
        // Both ends notice within seconds that it has started again.
        let mut setup = setup(1, mode);
        setup.clocks.keep_alive_open = 2000 * MS;
        let (mut pair, talk) = talks(Pair::with(setup, 1, false));
        pair.world.kill(pair.dc);
        pair.talk(100 * MS);
        let (now, since) = (pair.world.now(), pair.world.host(pair.mn).received.len());
        pair.place(pair.mn, 1, true, 1);
        pair.talk(500 * MS);
        let phases = steps(&pair, now);
        assert!(matches!(phases[0], Phase::Detected(Cause::Local { .. })), "{phases:?}");
        if mode == Mode::Fast {
            assert!(pair.longest_gap(pair.mn, since) <= 12 * MS);
            goes_on(&mut pair, talk);
        } else {
            // It waits: the coordinator is asked, and neither end tells the other or a relay
            // of the move before it has answered.
            assert_eq!(phases.len(), 1, "{phases:?}");
            assert!(said(&pair, pair.mn, now).contains(&"Registration Request"));
            for host in [pair.mn, pair.cn] {
                let said = said(&pair, host, now);
                let tells = |name: &&str| ["Tunnel Request", "Bind"].contains(name);
                assert!(!said.iter().any(tells), "{said:?}");
            }
        }
        pair.world.restart(pair.dc);
        let back = pair.world.now();
        pair.talk(10_000 * MS);
        goes_on(&mut pair, talk);
        assert!(is_up_to_date(&pair), "{mode:?}");
        let new = pair.spot(1, true, 1).ip;
        let way = pair.way(pair.cn).unwrap();
        assert!(!way.relayed && way.leg.remote.ip() == new, "{mode:?}: {way:?}");
        if mode == Mode::Seed {
            // The paper's order, begun where it had stopped.
            let phases = steps(&pair, back);
            let at = |is: fn(&Phase) -> bool| phases.iter().position(is);
            let registered = at(|phase| matches!(phase, Phase::Registered));
            let directed = at(|phase| matches!(phase, Phase::Directed(_)));
            let told = at(|phase| matches!(phase, Phase::Told(_)));
            let rebuilt = at(|phase| matches!(phase, Phase::Rebuilt(..)));
            let order = [registered, directed, rebuilt];
            assert!(order.is_sorted() && registered.is_some(), "{phases:?}");
            assert!(told.is_none_or(|told| Some(told) > directed), "{phases:?}");
        }
    }
}

#[test]
fn h14_a_relay_is_killed_in_mid_flow() {
    let (mut pair, talk) = talking(4, Mode::Fast);
    let used = pair.way(pair.mn).unwrap().leg.remote.ip();
    let is_used = |pair: &Pair, relay| pair.world.host(relay).attachments()[0].ip == used;
    let relay = pair.relays.into_iter().find(|relay| is_used(&pair, *relay)).unwrap();
    pair.world.kill(relay);
    pair.talk(4000 * MS);
    let way = pair.way(pair.mn).unwrap();
    assert!(way.relayed && way.leg.remote.ip() != used);
    goes_on(&mut pair, talk);
}

/// Further: `strangers`, `two_that_open_at_once_meet_in_one_tunnel`.
#[test]
fn h15_two_that_begin_at_once_meet_in_one_tunnel() {
    for row in 1..=5 {
        let mut pair = Pair::new(row, false, Mode::Fast, 7);
        pair.talk(1500 * MS);
        let talk = Talk::of(&pair);
        goes_on(&mut pair, talk);
    }
}

#[test]
fn h17_a_watcher_that_polls_tells_later_and_the_result_is_the_same() {
    for after in [10, 250, 1000] {
        let (mut pair, talk) = talking(1, Mode::Fast);
        pair.talk(100 * MS);
        let since = pair.world.host(pair.mn).received.len();
        let spot = pair.spot(1, true, 1);
        pair.world.attach(pair.mn, &[spot]);
        pair.talk(after * MS);
        pair.world.look(pair.mn);
        pair.talk(1000 * MS);
        assert_eq!(detected(&pair, pair.mn), 1);
        let gap = pair.longest_gap(pair.mn, since);
        assert!(gap <= (after + 30) * MS, "silent for {gap:?}, told after {after} ms");
        goes_on(&mut pair, talk);
    }
}

/// That a Path ID of the asker's own choice is refused: `ntm-core`,
/// `coordinator/tests/members.rs`.
#[test]
fn h18_every_direction_names_the_path_id_of_the_pair_that_asked() {
    let mut pair = Pair::with(setup(1, Mode::Fast), 1, false);
    let third = [Attachment::global([203, 0, 113, 77])];
    let third = pair.world.add_host("third.example", &["terminal"], &third);
    pair.world.run_for(1000 * MS);
    pair.talk(500 * MS);
    for _ in 0..50 {
        pair.world.send(pair.mn, third, b"hello");
        pair.world.run_for(10 * MS);
    }
    let to_cn = pair.world.path(pair.mn, pair.cn).unwrap();
    let to_third = pair.world.path(pair.mn, third).unwrap();
    assert_ne!(to_cn, to_third);
    assert_eq!(pair.world.path(third, pair.mn), Some(to_third));
    let directed =
        pair.world.host(pair.dc).coordinator_events.iter().filter_map(|(_, event)| match event {
            CoordinatorEvent::Directed { path, .. } => Some(*path),
            _ => None,
        });
    assert!(directed.into_iter().all(|path| path == to_cn || path == to_third));
}
