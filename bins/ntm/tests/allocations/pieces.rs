//! What workers drive, on this thread alone: exactly nothing is allocated.

use std::hint::black_box;

use ntm_core::crypto::Suite;
use ntm_core::id::Side;
use ntm_core::packet::{Coalescer, SuperPacket};
use ntm_core::plugin::Offload;
use ntm_core::relay::Verdict;
use ntm_core::tunnel::{Batch, CAPSULE_OVERHEAD, Fair, Inbound, Outbound, addressed};
use ntm_core::wire::{Envelope, Kind};
use ntm_core::{Rng, Time};

use super::count::{allocations, watch};
use super::ends::{self, LARGE, RUN, SEGMENT, SMALL};

const PEERS: usize = 16;
const WARM_UP: usize = 200;
const TIMES: usize = 5000;
const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

/// How often memory was asked for, after a warm-up.
fn allocated(times: usize, mut step: impl FnMut(usize)) -> u64 {
    (0..WARM_UP).for_each(&mut step);
    let before = allocations();
    watch(true);
    (WARM_UP..WARM_UP + times).for_each(&mut step);
    watch(false);
    allocations() - before
}

pub(crate) fn the_count_counts() {
    assert_eq!(allocated(10, |_| drop(black_box(Box::new(1)))), 10);
    assert_eq!(allocated(10, |_| ()), 0);
    let mut grows = Vec::new();
    assert!(allocated(10_000, |nth| grows.push(nth)) > 0);
}

pub(crate) fn sending_packets() {
    for suite in SUITES {
        let [mut near, _] = ends::carriers(suite, PEERS);
        let mut packets = [LARGE, SMALL].map(|len| ends::packet(len, 1));
        let mut batch = Batch::default();
        let mut sent = 0;
        let count = allocated(TIMES, |nth| {
            let packet = &mut packets[nth % 2];
            ends::aim(packet, 1 + nth % PEERS);
            let start = batch.bytes();
            let outbound = near.outbound(Time::ZERO, packet, batch.buffer());
            let Outbound::To { leg, ecn, dscp } = outbound else { panic!("{outbound:?}") };
            batch.add(start, leg, ecn, dscp);
            if nth % 64 == 63 {
                sent += batch.packets().map(|(_, it)| it.segments().count()).sum::<usize>();
                batch.clear();
            }
        });
        assert!(sent >= TIMES);
        assert_eq!(count, 0);
    }
}

pub(crate) fn receiving_packets() {
    for suite in SUITES {
        let [mut near, mut far] = ends::carriers(suite, PEERS);
        let mut packet = ends::packet(SMALL, 1);
        let mut capsule = Vec::new();
        let mut coalescer = Coalescer::new(Offload { tcp: true, udp: true });
        let count = allocated(TIMES, |nth| {
            ends::aim(&mut packet, 1 + nth % PEERS);
            capsule.clear();
            near.outbound(Time::ZERO, &packet, &mut capsule);
            let inbound = far.inbound(Time::ZERO, &ends::leg(0), 0, &mut capsule);
            let Inbound::Packet { packet, seen: None } = inbound else { panic!("{inbound:?}") };
            coalescer.push(packet);
            if nth % 64 == 63 {
                assert!(coalescer.packets().count() > 0);
                coalescer.clear();
            }
        });
        assert_eq!(count, 0);
    }
}

pub(crate) fn runs_both_ways() {
    const STRIDE: usize = LARGE + CAPSULE_OVERHEAD;
    let [mut near, mut far] = ends::carriers(Suite::Aes256Gcm, PEERS);
    let mut whole = ends::super_packet(1);
    let mut batch = Batch::default();
    let mut run = Vec::new();
    let mut coalescer = Coalescer::new(Offload { tcp: true, udp: true });
    let mut opened = 0;
    let count = allocated(TIMES / RUN, |nth| {
        ends::aim(&mut whole, 1 + nth % PEERS);
        let whole = SuperPacket::parse(&whole, SEGMENT).unwrap();
        let outbound = near.outbound_run(Time::ZERO, &whole, batch.buffer());
        let Outbound::To { leg, ecn, dscp } = outbound else { panic!("{outbound:?}") };
        batch.add_run(0, whole.largest() + CAPSULE_OVERHEAD, leg, ecn, dscp);
        for (_, packet) in batch.packets() {
            run.clear();
            run.extend_from_slice(packet.data());
            far.inbound_run(Time::ZERO, &ends::leg(0), 0, &mut run, STRIDE, |packet| {
                opened += 1;
                coalescer.push(packet);
            });
        }
        batch.clear();
        assert_eq!(coalescer.packets().count(), 1);
        coalescer.clear();
    });
    assert_eq!(opened, (WARM_UP + TIMES / RUN) * RUN);
    assert_eq!(count, 0);
}

pub(crate) fn waiting_in_turns() {
    const WAIT: usize = 64;
    let mut fair = Fair::new(&mut Rng::from_seed([0; 32]));
    let packets: Vec<_> = (0..PEERS).map(|nth| ends::packet(SMALL, nth)).collect();
    let count = allocated(TIMES, |nth| {
        let packet = &packets[nth / WAIT % PEERS];
        let place = fair.place([198, 18, 0, packet[19]].into(), packet);
        fair.push(place, packet.len(), nth);
        if fair.len() > WAIT {
            assert!(fair.evict().is_some());
        }
        if nth % WAIT == 0 {
            while fair.pop().is_some() {}
        }
    });
    // Each of the queues grows as long as it has to be, once.
    let again = allocated(TIMES, |nth| {
        let packet = &packets[nth % PEERS];
        let place = fair.place([198, 18, 0, packet[19]].into(), packet);
        fair.push(place, packet.len(), nth);
        assert!(fair.pop().is_some());
    });
    assert!(count <= 16 * PEERS as u64, "{count} times");
    assert_eq!(again, 0);
}

pub(crate) fn forwarding() {
    const STRIDE: usize = LARGE + CAPSULE_OVERHEAD;
    let forwarder = ends::forwards(PEERS);
    let data = vec![0; STRIDE * RUN];
    let mut bytes = 0;
    let count = allocated(TIMES, |nth| {
        let peer = 1 + nth % PEERS;
        let envelope = Envelope::new(Kind::Capsule, Side::Lower, *ends::path(peer).as_bytes());
        let forwards = forwarder.take();
        let from = ends::leg(peer);
        forwards.verdicts(Time::ZERO, &from, &envelope, data.len(), STRIDE, |range, verdict| {
            let Verdict::To(to) = verdict else { panic!("{verdict:?}") };
            bytes += addressed(&to, &data[range], STRIDE).data().len();
        });
    });
    assert_eq!(bytes, data.len() * (WARM_UP + TIMES));
    assert_eq!(count, 0);
}
