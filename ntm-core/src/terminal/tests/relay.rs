//! Relays that are granted, and somebody who answers in their place.

use super::*;
use crate::crypto::Secret;
use crate::wire::{Bind, BindStatus, RelayGrant, RelayId, Ticket, TunnelRequest};

const RELAY: u8 = 3;
const KEY: Secret = Secret::new([5; 32]);

fn grant() -> RelayGrant {
    let ticket = Ticket {
        relay: RelayId([RELAY; 16]),
        serial: 1,
        not_after: 0,
        rate: 0,
        quota: 0,
        lower: [1; 32],
        higher: [2; 32],
        mac: [0; 16],
    };
    RelayGrant { ticket, key: KEY, candidates: vec![Candidate::udp(addr(RELAY))] }
}

/// A grant of the same relay by another ticket, with another key.
fn granted(serial: u8) -> RelayGrant {
    let grant = grant();
    let ticket = Ticket { serial: serial.into(), ..grant.ticket };
    RelayGrant { ticket, key: Secret::new([serial; 32]), ..grant }
}

fn binds(sent: &Sent) -> Vec<Bind> {
    let to_relay = sent.iter().filter(|(to, _)| *to == addr(RELAY));
    to_relay.filter_map(|(_, datagram)| Bind::parse(datagram).ok()).collect()
}

#[test]
fn only_the_relay_answers_and_only_the_question_that_is_open() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let direction = RouteDirection { relays: vec![grant()], ..world.direction(&cn) };
    let sent = world.directed(direction);
    let asked = binds(&sent).remove(0);
    let genuine = BindAck {
        path: asked.path,
        side: asked.side,
        status: BindStatus::Challenge,
        epoch: asked.epoch,
        nonce: asked.nonce,
        challenge: Some([9; 8]),
    };
    let before = BindAck { nonce: [0; 8], ..genuine.clone() };
    let elsewhere = BindAck { epoch: Epoch(1), ..genuine.clone() };
    let no = BindAck { status: BindStatus::Expired, ..genuine.clone() };
    let forged = [
        (RELAY, genuine.emit(&Secret::new([6; 32]))),
        (RELAY, no.emit(&Secret::new([6; 32]))),
        (RELAY, before.emit(&KEY)),
        (RELAY, elsewhere.emit(&KEY)),
        (66, genuine.emit(&KEY)),
    ];
    let state = world.terminal.tunnels[&world.path(&cn)].clone();
    for (from, datagram) in forged {
        assert!(world.arrives(addr(from), &datagram).is_empty());
        assert_eq!(world.terminal.tunnels[&world.path(&cn)], state);
    }
    let sent = world.arrives(addr(RELAY), &genuine.emit(&KEY));
    let tokens: Vec<_> = binds(&sent).into_iter().map(|bind| bind.token).collect();
    assert_eq!(tokens, [Some([9; 8])]);
}

#[test]
fn a_relay_that_knows_us_by_its_second_address_is_not_asked_at_its_first() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut direction = RouteDirection { relays: vec![grant()], ..world.direction(&cn) };
    let asked = binds(&world.directed(direction.clone())).remove(0);
    let (path, epoch, nonce, side) = (asked.path, asked.epoch, asked.nonce, asked.side);
    let (status, challenge) = (BindStatus::Bound, None);
    let ack = BindAck { path, side, status, epoch, nonce, challenge };
    world.arrives(addr(RELAY), &ack.emit(&KEY));
    direction.relays[0].candidates.insert(0, Candidate::udp(addr(4)));
    let sent = world.directed(direction.clone());
    assert_eq!(to(&sent, addr(4)) + to(&world.waits(Duration::from_secs(2)), addr(4)), 0);
    // One that it cannot have any more is given up.
    direction.relays[0].candidates.truncate(1);
    assert!(to(&world.directed(direction), addr(4)) > 0);
}

#[test]
fn a_relay_is_asked_until_it_answers_while_the_peer_may_begin() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let direction = RouteDirection { relays: vec![granted(1)], ..world.direction(&cn) };
    assert_eq!(binds(&world.directed(direction)).len(), 1);
    assert!(binds(&world.waits(Duration::from_secs(2))).len() >= 2);
    assert!(binds(&world.waits(Duration::from_secs(60))).len() <= 3, "not for ever");
}

#[test]
fn an_answer_under_way_counts_although_a_newer_ticket_has_come() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut direction = RouteDirection { relays: vec![granted(1)], ..world.direction(&cn) };
    let sent = world.directed(direction.clone());
    let asked = binds(&sent).pop().expect("the relay is told");
    direction.relays = vec![granted(2)];
    world.directed(direction);
    let (path, epoch, nonce) = (asked.path, asked.epoch, asked.nonce);
    let ack = BindAck {
        path,
        side: asked.side,
        status: BindStatus::Bound,
        epoch,
        nonce,
        challenge: None,
    };
    world.arrives(addr(RELAY), &ack.emit(&granted(3).key));
    assert!(!binds(&world.waits(Duration::from_secs(2))).is_empty(), "nobody's key: asked again");
    world.arrives(addr(RELAY), &ack.emit(&granted(1).key));
    assert!(binds(&world.waits(Duration::from_secs(2))).is_empty(), "it knows us");
}

/// The peer has moved, and is reached through the relay alone from now on: so say
/// these directions, each of so many epochs ago, before it does itself.
fn relayed_by(directions: &[u64]) {
    let mut world = World::new();
    let mut cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    cn.epoch = cn.epoch.next();
    for ago in directions {
        let plan = RouteDirection {
            peer_epoch: Epoch(cn.epoch.0 - ago),
            candidates: Vec::new(),
            relays: vec![grant()],
            ..world.direction(&cn)
        };
        world.directed(plan);
    }
    let request = Control::TunnelRequest(TunnelRequest {
        epoch: cn.epoch,
        challenge: [1; 8],
        old_gone: true,
        candidates: Vec::new(),
    });
    let through_relay = Peer { addr: addr(RELAY), ..cn.clone() };
    world.says(&through_relay, &mut session, &request);
    assert_eq!(world.way(&cn), Some(addr(RELAY)));
    let (path, traffic) = (world.path(&cn), Traffic { sent: 1, received: 1, ..Traffic::default() });
    world.terminal.handle_traffic(world.now, &path, traffic);
    let sent = world.waits(Duration::from_secs(1));
    assert_eq!(to(&sent, cn.addr), 0, "nothing better is looked for");
}

#[test]
fn a_plan_without_direct_ways_holds_although_it_was_quicker_than_the_peer_s_own_word() {
    relayed_by(&[0]);
}

#[test]
fn a_direction_that_a_newer_one_has_overtaken_does_not_replace_it() {
    relayed_by(&[0, 1]);
}
