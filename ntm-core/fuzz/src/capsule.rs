//! Opening capsules, and sealing them.

use std::time::Duration;

use ntm_core::address::{Leg, TransportId, Vips};
use ntm_core::crypto::{Secret, Suite};
use ntm_core::id::{Epoch, PathId, Side};
use ntm_core::tunnel::{
    CAPSULE_OVERHEAD, Carrier, Direction, Dscp, Inbound, Outbound, Pointing, Proof, Table,
    TableEvent,
};
use ntm_core::{Rng, Time};

use super::input::{Input, Script};
use super::packet::{ipv4, ipv6};

const PATH: PathId = PathId::from_bytes([5; 16]);
const MOST_STEPS: usize = 64;
const LIMIT: u16 = 1280;

fn vips(last: u8) -> Vips {
    Vips {
        v4: Some([198, 18, 0, last].into()),
        v6: Some([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last].into()),
    }
}

fn leg(last: u8) -> Leg {
    Leg::to(TransportId(0), ([203, 0, 113, last], 4330).into())
}

/// One end of a tunnel: its table and its worker.
fn end(suite: Suite, side: Side, proof: Proof) -> (Table, Carrier) {
    let now = Time::ZERO;
    let mut table = Table::new(&mut Rng::from_seed([0; 32]));
    let carrier = Carrier::new(table.reader(), Dscp::Clear);
    let (own, peer) = if side == Side::Lower { (1, 2) } else { (2, 1) };
    let (send, receive) = if side == Side::Lower { (1, 2) } else { (2, 1) };
    let (path, slot) = (PATH, 6);
    table.apply(now, &TableEvent::Open { path, side, own: vips(own), peer: vips(peer) });
    for (direction, key) in [(Direction::Send, send), (Direction::Receive, receive)] {
        let key = Secret::new([key; 32]);
        table.apply(now, &TableEvent::Install { path, direction, slot, suite, key });
    }
    let to = Some(Pointing { leg: leg(peer), proof, fallback: None, limit: LIMIT });
    table.apply(now, &TableEvent::Point { path, to, epoch: Epoch(3) });
    (table, carrier)
}

/// A script at the end with the higher address: packets of the peer that are
/// sealed, perhaps changed, perhaps sent twice; anything else as a capsule;
/// applications' packets.
pub fn capsule(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let what = input.u8();
    let suite = if what & 1 == 0 { Suite::ChaCha20Poly1305 } else { Suite::Aes256Gcm };
    let (_theirs, mut peer) = end(suite, Side::Lower, Proof::Proved);
    let received = u64::from(what >> 1);
    let unproved = Proof::Unproved { received, credit: None };
    let (_ours, mut own) = end(suite, Side::Higher, unproved);
    let mut now = Time::ZERO + Duration::from_secs(1);
    let mut budget = received * 3;
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            return;
        }
        match input.u8() % 4 {
            0 => {
                let mut capsule = input.bytes().to_vec();
                assert_eq!(own.inbound(now, &leg(9), 0, &mut capsule), Inbound::Dropped);
            }
            1 => {
                let (packet, from) = (input.bytes(), input.u8() % 4);
                let mut sealed = Vec::new();
                let Outbound::To { .. } = peer.outbound(now, packet, &mut sealed) else { continue };
                assert_eq!(sealed.len(), packet.len() + CAPSULE_OVERHEAD);
                let mut changed = input.edited(sealed.clone());
                if changed != sealed {
                    let inbound = own.inbound(now, &leg(from), 0, &mut changed);
                    assert_eq!(inbound, Inbound::Dropped, "every bit is authenticated");
                }
                let twice = sealed.clone();
                let len = sealed.len() as u64;
                let arrives = arrives(&mut own, now, from, sealed, packet);
                if arrives && from == 1 {
                    budget += 3 * len;
                }
                assert!(!self::arrives(&mut own, now, from, twice, packet), "never twice");
            }
            2 => {
                let packet = input.bytes();
                let mut out = Vec::new();
                match own.outbound(now, packet, &mut out) {
                    Outbound::To { leg: to, .. } => {
                        assert_eq!(to, leg(1), "only where the tunnel points to");
                        assert!(packet.len() <= LIMIT.into());
                        assert_eq!(out.len(), packet.len() + CAPSULE_OVERHEAD);
                        budget = spend(budget, out.len());
                    }
                    Outbound::Cut { leg: to, size, .. } => {
                        assert_eq!(to, leg(1), "only where the tunnel points to");
                        assert!(size <= usize::from(LIMIT) + CAPSULE_OVERHEAD && out.len() > size);
                        budget = spend(budget, out.len());
                    }
                    Outbound::Held { .. } | Outbound::Dropped => assert!(out.is_empty()),
                    Outbound::Answer(answer) => assert!(out.is_empty() && answer.len() <= 1280),
                }
            }
            _ => {
                now += input.span();
                own.release(now, |to, _, _, capsule| {
                    assert_eq!(to, leg(1));
                    budget = spend(budget, capsule.len());
                });
            }
        }
    }
}

fn spend(budget: u64, bytes: usize) -> u64 {
    budget.checked_sub(bytes as u64).expect("at most three times what came from there")
}

fn arrives(own: &mut Carrier, now: Time, from: u8, mut capsule: Vec<u8>, sent: &[u8]) -> bool {
    match own.inbound(now, &leg(from), 0, &mut capsule) {
        Inbound::Packet { packet, seen } => {
            assert_eq!(packet, sent, "what went in comes out");
            assert!(seen.is_none_or(|seen| seen.path == PATH && seen.leg == leg(from)));
            assert!(from != 1 || seen.is_none(), "it came from where we point to");
            true
        }
        Inbound::Dropped => false,
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let (one, other) = ([198, 18, 0, 1], [198, 18, 0, 2]);
    let six = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let there = ipv4(one, other, 0x4000, 60);
    let there6 = ipv6(six(1), six(2), 17, &[7; 20]);
    let back = ipv4(other, one, 0x4000, 60);
    let big = ipv4(other, one, 0x4000, 1400);
    let astray = ipv4(one, [198, 18, 0, 9], 0x4000, 60);
    let say = |script: Script, packet: &[u8]| script.put(&[1]).bytes(packet).put(&[1]);
    let begin = |what| Script::default().put(&[what]);
    vec![
        say(begin(0), &there).put(&[0, 2]).bytes(&back).done(),
        say(begin(1), &there6).put(&[1, 0, 30, 4]).put(&[2]).bytes(&back).done(),
        say(begin(0x80), &there).put(&[0, 2]).bytes(&big).put(&[2]).bytes(&astray).done(),
        begin(0).put(&[2]).bytes(&back).put(&[3, 0x10]).put(&[2]).bytes(&back).done(),
        begin(0).put(&[0]).bytes(&[0x91; 60]).done(),
        say(begin(2), &astray).put(&[0]).done(),
    ]
}
