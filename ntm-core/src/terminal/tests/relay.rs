//! Somebody who answers in a relay's place.

use super::*;
use crate::crypto::Secret;
use crate::wire::{Bind, BindStatus, RelayGrant, RelayId, Ticket};

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
