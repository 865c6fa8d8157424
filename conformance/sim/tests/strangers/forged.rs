//! Datagrams that are not what they say.

use ntm_core::Rng;
use ntm_core::crypto::{Identity, Initiator};
use ntm_core::id::{Epoch, Side};
use ntm_core::plugin::MemberRole;
use ntm_core::wire::{Handshake1, NO_COOKIE, NodeHello, Punch, RoleTag};
use proptest::prelude::*;

use super::*;

#[test]
fn any_damage_makes_a_message_nothing() {
    for row in [1, 4] {
        let (mut pair, seen) = eventful(row);
        for (nth, captured) in seen.iter().enumerate() {
            let kind = Kind::of(&captured.datagram).unwrap();
            let is_relayed = kind != Kind::Signalling && pair.relays.contains(&captured.target);
            if kind == Kind::Punch || is_relayed && kind != Kind::Bind {
                continue;
            }
            let mut damaged = captured.datagram.clone();
            // Somewhere behind what says what it is; another place each time.
            let from = if kind == Kind::Handshake1 { 36 } else { 20 };
            let at = from + nth * 7 % (damaged.len() - from);
            damaged[at] ^= 1 << (nth % 8);
            assert!(
                is_ignored(&mut pair, captured.target, captured.from, &damaged),
                "row {row}: {kind:?} with byte {at} of {} changed",
                damaged.len()
            );
        }
    }
}

#[test]
fn forged_punches_do_nothing() {
    let (mut pair, _) = eventful(1);
    let path = pair.world.path(pair.mn, pair.cn).unwrap();
    for side in [Side::Lower, Side::Higher] {
        let punch = Punch { path, side }.emit();
        for host in hosts(&pair) {
            assert!(is_ignored(&mut pair, host, ATTACKER, &punch));
        }
    }
}

#[test]
fn a_stranger_s_handshake_gets_a_refusal_and_leaves_nothing() {
    let (mut pair, _) = eventful(1);
    let mut rng = Rng::from_seed([77; 32]);
    let stranger = Identity::generate(&mut rng);
    let coordinator = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap();
    let before = coordinator.status();
    let hello = NodeHello {
        epoch: Epoch(1),
        began: 0,
        name: "mn.example".parse().unwrap(),
        role: MemberRole::Terminal,
    };
    let initiator = Initiator {
        seed: rng.bytes(),
        responder: pair.world.key(pair.dc),
        prologue: [&b"ntm v1 node to coordinator"[..], &[2]].concat(),
        payload: hello.emit(),
    };
    let message = Handshake1 {
        role: RoleTag::Coordinator,
        id: rng.bytes(),
        side: Side::Higher,
        cookie: NO_COOKIE,
        noise: initiator.message(&stranger).unwrap(),
    };
    let datagram = message.emit();
    pair.world.net.tap = Some(Vec::new());
    let size = format!("{:?}", pair.world.host(pair.dc).roles.coordinator).len();
    for _ in 0..100 {
        pair.world.inject(pair.dc, ATTACKER, &datagram);
    }
    let answers: Vec<_> = pair.world.net.tap.take().unwrap();
    assert!(!answers.is_empty(), "he is told no");
    assert!(answers.iter().all(|seen| seen.datagram.len() <= datagram.len()), "no amplification");
    let after = format!("{:?}", pair.world.host(pair.dc).roles.coordinator);
    assert!(after.len() <= size + 512, "nothing is kept of a stranger");
    let coordinator = pair.world.host(pair.dc).roles.coordinator.as_ref().unwrap();
    assert_eq!(before, coordinator.status());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_truncated_and_oversized_datagrams_do_nothing_at_any_role(
        seed: u64,
        random in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..2000), 1..40),
        cut: prop::sample::Index,
        tail in proptest::collection::vec(any::<u8>(), 1..3000),
    ) {
        let (mut pair, seen) = eventful(if seed % 2 == 0 { 1 } else { 4 });
        let captured = &seen[cut.index(seen.len())];
        let short = &captured.datagram[..cut.index(captured.datagram.len())];
        let long = [captured.datagram.as_slice(), &tail].concat();
        let all = hosts(&pair);
        for host in all {
            for (nth, bytes) in random.iter().enumerate() {
                let mut bytes = bytes.clone();
                // Half of them at least claim to be ours.
                if nth % 2 == 0 && let Some(first) = bytes.first_mut() {
                    *first = 0x90 | (*first & 0xf);
                }
                prop_assert!(is_ignored(&mut pair, host, ATTACKER, &bytes));
            }
            prop_assert!(is_ignored(&mut pair, host, ATTACKER, short));
            prop_assert!(is_ignored(&mut pair, host, captured.from, short));
            // A Bind may be followed by a carried datagram, which its seal covers.
            prop_assert!(is_ignored(&mut pair, host, ATTACKER, &long));
        }
    }
}
