//! What a terminal makes of relays that it is granted.

use super::*;
use crate::crypto::Secret;
use crate::wire::{Bind, BindStatus, RelayGrant, RelayId, Ticket};

const RS: u8 = 2;

fn grant(serial: u8) -> RelayGrant {
    let relay = RelayId::of(&PublicKey::from_bytes([7; 32]));
    let ticket = Ticket {
        relay,
        serial: serial.into(),
        not_after: u64::MAX,
        rate: 0,
        quota: 0,
        lower: [1; 32],
        higher: [2; 32],
        mac: [3; 16],
    };
    let candidates = vec![Candidate::udp(addr(RS))];
    RelayGrant { ticket, key: Secret::new([serial; 32]), candidates }
}

fn binds(sent: &Sent) -> Vec<Bind> {
    let to_relay = sent.iter().filter(|(to, _)| *to == addr(RS));
    to_relay.filter_map(|(_, datagram)| Bind::parse(datagram).ok()).collect()
}

#[test]
fn a_relay_is_asked_until_it_answers_while_the_peer_may_begin() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let direction = RouteDirection { relays: vec![grant(1)], ..world.direction(&cn) };
    assert_eq!(binds(&world.directed(direction)).len(), 1);
    assert!(binds(&world.waits(Duration::from_secs(2))).len() >= 2);
    assert!(binds(&world.waits(Duration::from_secs(60))).len() <= 3, "not for ever");
}

#[test]
fn an_answer_under_way_counts_although_a_newer_ticket_has_come() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let mut direction = RouteDirection { relays: vec![grant(1)], ..world.direction(&cn) };
    let sent = world.directed(direction.clone());
    let asked = binds(&sent).pop().expect("the relay is told");
    direction.relays = vec![grant(2)];
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
    world.arrives(addr(RS), &ack.emit(&grant(3).key));
    assert!(!binds(&world.waits(Duration::from_secs(2))).is_empty(), "nobody's key: asked again");
    world.arrives(addr(RS), &ack.emit(&grant(1).key));
    assert!(binds(&world.waits(Duration::from_secs(2))).is_empty(), "it knows us");
}
