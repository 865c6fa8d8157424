//! Runs of datagrams, with offloads and without.

use crate::ends::{at, open_with, receive, send};
use ntm_core::plugin::{Addr, RxSlot, Transport as _, TxPacket};
use ntm_transport_udp::{Config, Udp};
use proptest::prelude::*;

/// Sender and receiver with every combination of offloads.
fn pairs() -> Vec<(Udp, Udp)> {
    let config = |gso, gro| Config { gso, gro, ..Config::default() };
    let pair =
        |gso, gro| (open_with("[::]:0", config(gso, gro)), open_with("[::]:0", config(gso, gro)));
    vec![pair(true, true), pair(true, false), pair(false, true), pair(false, false)]
}

#[test]
fn a_run_arrives_as_its_datagrams_whatever_the_offloads() {
    let data: Vec<u8> = (0..1_000).map(|byte| byte as u8).collect();
    for (from, to) in pairs() {
        for host in ["127.0.0.1", "::1"] {
            let run = TxPacket::run(&data, 300, at(host, &to).into());
            send(&from, &[run]);
            let arrived: Vec<_> = receive(&to, 4).into_iter().map(|got| got.data).collect();
            assert_eq!(arrived, data.chunks(300).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
    }
}

#[test]
fn offloads_that_are_off_are_not_used() {
    let data = [7; 1_000];
    for (from, to) in pairs() {
        let fact = |udp: &Udp, key: &str| {
            let facts = udp.facts();
            let value = facts.into_iter().find(|(name, _)| name == key).map(|(_, value)| value);
            value.unwrap().parse::<usize>().unwrap()
        };
        let (gso, gro) = (fact(&from, "gso segments"), fact(&to, "gro segments"));
        send(&from, &[TxPacket::run(&data, 100, at("::1", &to).into())]);
        let lane = crate::ends::lane(&to);
        crate::ends::wait_readable(&*lane);
        let mut buffers = vec![vec![0; 65_535]; 10];
        let mut slots: Vec<_> = buffers.iter_mut().map(|buffer| RxSlot::new(buffer)).collect();
        let filled = lane.try_recv(&mut slots).unwrap();
        // A run stays together on loopback only if both ends can take one.
        let expected = if gso > 1 && gro > 1 { 1 } else { 10 };
        assert_eq!(filled, expected, "gso {gso}, gro {gro}");
        let together = if expected == 1 { 100 } else { 0 };
        assert!(slots[..filled].iter().all(|slot| slot.segment == together));
    }
}

#[test]
fn a_run_longer_than_one_call_can_carry_arrives_whole() {
    let (from, to) = pairs().remove(0);
    let data: Vec<u8> = (0..150_u8).flat_map(|number| [number; 20]).collect();
    send(&from, &[TxPacket::run(&data, 20, at("127.0.0.1", &to).into())]);
    let arrived: Vec<_> = receive(&to, 150).into_iter().map(|got| got.data).collect();
    assert_eq!(arrived.concat(), data);
}

/// Datagrams in entries: each entry a size and how many of it, perhaps with a
/// shorter one at its end.
fn entries() -> impl Strategy<Value = Vec<(Vec<u8>, u16)>> {
    let size = prop_oneof![1_u16..40, 1_u16..1_500];
    let entry = (size, 1_usize..12).prop_flat_map(|(segment, datagrams)| {
        let full = usize::from(segment) * datagrams;
        let len = full.saturating_sub(usize::from(segment) - 1).max(1)..=full;
        (prop::collection::vec(any::<u8>(), len), Just(segment))
    });
    prop::collection::vec(entry, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_split_into_runs_gives_the_same_datagrams(entries in entries()) {
        thread_local!(static PAIRS: Vec<(Udp, Udp)> = pairs());
        let single = |(data, segment): &(Vec<u8>, u16)| -> Vec<Vec<u8>> {
            data.chunks((*segment).into()).map(<[u8]>::to_vec).collect()
        };
        let expected: Vec<_> = entries.iter().flat_map(single).collect();
        PAIRS.with(|pairs| for (from, to) in pairs {
            let remote: Addr = at("127.0.0.1", to).into();
            for (data, segment) in &entries {
                // One by one, so that even a small receive buffer holds them.
                send(from, &[TxPacket::run(data, *segment, remote)]);
                let arrived: Vec<_> =
                    receive(to, data.len().div_ceil((*segment).into()))
                        .into_iter().map(|got| got.data).collect();
                assert_eq!(arrived, single(&(data.clone(), *segment)));
            }
            let batch: Vec<_> = entries.iter()
                .map(|(data, segment)| TxPacket::run(data, *segment, remote)).collect();
            send(from, &batch);
            let arrived: Vec<_> =
                receive(to, expected.len()).into_iter().map(|got| got.data).collect();
            assert_eq!(&arrived, &expected);
        });
    }
}
