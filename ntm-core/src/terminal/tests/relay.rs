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

#[test]
fn an_answer_under_way_counts_however_many_tickets_have_come_since() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut direction = RouteDirection { relays: vec![granted(1)], ..world.direction(&cn) };
    let asked = binds(&world.directed(direction.clone())).pop().expect("the relay is told");
    for serial in 2..=6 {
        direction.relays = vec![granted(serial)];
        world.directed(direction.clone());
    }
    let answer = |asked: &Bind| BindAck {
        path: asked.path,
        side: asked.side,
        status: BindStatus::Bound,
        epoch: asked.epoch,
        nonce: asked.nonce,
        challenge: None,
    };
    world.arrives(addr(RELAY), &answer(&asked).emit(&granted(1).key));
    assert!(binds(&world.waits(Duration::from_secs(2))).is_empty(), "it knows us");
    // What was superseded before a question was asked answers nothing.
    direction.relays = vec![granted(7)];
    world.directed(direction.clone());
    world.terminal.act_on_move(world.now, Cause::DeadPath, false);
    let asked = binds(&world.drain()).pop().expect("the relay is told of the new epoch");
    world.arrives(addr(RELAY), &answer(&asked).emit(&granted(1).key));
    assert!(!binds(&world.waits(Duration::from_secs(2))).is_empty(), "asked again");
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

/// A direction of these relays, without a direct way.
fn by_relay(world: &World, cn: &Peer, relays: Vec<RelayGrant>) -> RouteDirection {
    RouteDirection { candidates: Vec::new(), relays, ..world.direction(cn) }
}

/// The peer says by the relay that it has moved.
fn moves_behind_the_relay(world: &mut World, cn: &mut Peer, session: &mut Session) -> Sent {
    cn.epoch = cn.epoch.next();
    let request = Control::TunnelRequest(TunnelRequest {
        epoch: cn.epoch,
        challenge: [1; 8],
        old_gone: true,
        candidates: Vec::new(),
    });
    let through_relay = Peer { addr: addr(RELAY), ..cn.clone() };
    world.says(&through_relay, session, &request)
}

fn is_relayed(world: &World) -> Option<bool> {
    world.terminal.status(world.now).tunnels.first()?.way.map(|way| way.relayed)
}

#[test]
fn a_relay_that_the_newest_direction_does_not_name_is_no_peer() {
    let mut world = World::new();
    let mut cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    let direct = world.direction(&cn);
    world.directed(RouteDirection { relays: vec![grant()], ..direct.clone() });
    // The coordinator has started again, and does not know of the relay yet.
    world.directed(direct);
    moves_behind_the_relay(&mut world, &mut cn, &mut session);
    assert_eq!((world.way(&cn), is_relayed(&world)), (Some(addr(RELAY)), Some(true)));
}

#[test]
fn a_relay_that_is_not_reached_any_more_is_reached_by_another_of_its_addresses() {
    let mut world = World::new();
    let mut cn = world.peer("cn.example", 20);
    let mut session = world.connected(&cn);
    let six: SocketAddr = "[2001:db8::3]:4330".parse().unwrap();
    let mut both = grant();
    both.candidates.push(Candidate::udp(six));
    let direction = by_relay(&world, &cn, vec![both]);
    world.directed(direction);
    moves_behind_the_relay(&mut world, &mut cn, &mut session);
    assert_eq!(world.way(&cn), Some(addr(RELAY)));
    let ip: IpAddr = "2001:db8::10".parse().unwrap();
    let mut snapshot = snapshot();
    snapshot.interfaces[0].addresses[0].ip = ip;
    snapshot.interfaces[0].generation = 1;
    let six_only = |to: IpAddr| to.is_ipv6().then_some(Route { source: ip, ..route() });
    let routes: Vec<_> =
        world.terminal.destinations().into_iter().map(|to| (to, six_only(to))).collect();
    world.terminal.handle_addresses(world.now, snapshot, &routes);
    world.terminal.act_on_move(world.now, Cause::Local { source: ip }, true);
    let sent = world.drain();
    assert_eq!((world.way(&cn), is_relayed(&world)), (Some(six), Some(true)));
    assert_eq!(to(&sent, addr(RELAY)), 0, "nobody there hears us");
    let told = sent.iter().filter(|(to, _)| *to == six);
    assert!(told.filter_map(|(_, bind)| Bind::parse(bind).ok()).count() > 0, "but there");
    // What the relay still sends from its other address comes from the relay, too.
    world.says(&Peer { addr: addr(RELAY), ..cn.clone() }, &mut session, &Control::KeepAlive);
    assert_eq!((world.way(&cn), is_relayed(&world)), (Some(six), Some(true)));
}

#[test]
fn a_plan_that_another_of_the_same_epochs_has_overtaken_forbids_nothing() {
    for (first, then, looks) in [(2, 1, true), (1, 2, false)] {
        let mut world = World::new();
        let mut cn = world.peer("cn.example", 20);
        let mut session = world.connected(&cn);
        let known = RouteDirection { relays: vec![granted(first)], ..world.direction(&cn) };
        world.directed(known);
        let unknown = by_relay(&world, &cn, vec![granted(then)]);
        world.directed(unknown);
        let tunnel = &world.terminal.tunnels[&world.path(&cn)];
        assert_eq!(tunnel.by_relay_only.is_none(), looks);
        let _sent = moves_behind_the_relay(&mut world, &mut cn, &mut session);
    }
}
