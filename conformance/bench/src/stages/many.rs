//! The same packets to one peer, and to many by turns.

use std::hint::black_box;

use ntm_core::Time;
use ntm_core::crypto::Suite;
use ntm_core::id::Side;
use ntm_core::packet::SuperPacket;
use ntm_core::relay::Verdict;
use ntm_core::tunnel::{CAPSULE_OVERHEAD, addressed};
use ntm_core::wire::{Envelope, Header, Kind};

use super::ends::{self, LARGE, RUN, SEGMENT, SMALL, Turns};
use super::{Pair, Stage, wrong};

/// What fits into a processor's own cache, and what does not.
const PEERS: [usize; 2] = [100, 1000];
const PATHS: [usize; 2] = [1000, 10_000];

/// Bytes of a capsule.
const STRIDE: usize = LARGE + CAPSULE_OVERHEAD;

pub(super) fn stages(most: usize) -> Vec<Stage> {
    let sizes = |many: [usize; 2]| [1].into_iter().chain(many).filter(move |size| *size <= most);
    let mut stages = Vec::new();
    for peers in sizes(PEERS) {
        stages.push(tunnels_run(peers));
        stages.push(tunnels_small(peers));
    }
    for paths in sizes(PATHS) {
        stages.push(relay(format!("relay-run-{paths}"), paths, RUN, STRIDE));
        stages.push(relay(format!("relay-64-{paths}"), paths, 1, SMALL + CAPSULE_OVERHEAD));
    }
    stages
}

pub(super) fn pairs() -> Vec<Pair> {
    let pairs = |what, name: &'static str, many: [usize; 2]| {
        let one = format!("{name}-1");
        many.map(|many| Pair { what, one: one.clone(), many: format!("{name}-{many}") })
    };
    [
        pairs("tunnels, super-packets", "tunnels-run", PEERS),
        pairs("tunnels, packets of 64 bytes", "tunnels-64", PEERS),
        pairs("relayed paths, runs of 45", "relay-run", PATHS),
        pairs("relayed paths, packets of 64 bytes", "relay-64", PATHS),
    ]
    .concat()
}

/// Super-packets are sealed for a peer each until there is as much as leaves in a
/// turn of a worker, then all are opened.
fn tunnels_run(peers: usize) -> Stage {
    const TURN: usize = 4;
    let [mut near, mut far] = ends::carriers(Suite::Aes256Gcm, peers);
    let (mut whole, mut turns) = (ends::super_packet(1), Turns::new(peers));
    let mut out = Vec::new();
    Stage::new(format!("tunnels-run-{peers}"), move |watch| {
        let mut opened = 0;
        watch.time(TURN * RUN, || {
            out.clear();
            for _ in 0..TURN {
                ends::aim(&mut whole, turns.next());
                if let Ok(whole) = SuperPacket::parse(&whole, SEGMENT) {
                    black_box(near.outbound_run(Time::ZERO, &whole, &mut out));
                }
            }
            for run in out.chunks_mut(STRIDE * RUN) {
                far.inbound_run(Time::ZERO, &ends::leg(0), 0, run, STRIDE, |packet| {
                    black_box(packet);
                    opened += 1;
                });
            }
        })?;
        if opened == TURN * RUN { Ok(()) } else { Err(wrong("tunnels")) }
    })
}

/// The same with single small packets.
fn tunnels_small(peers: usize) -> Stage {
    const TURN: usize = 64;
    const STRIDE: usize = SMALL + CAPSULE_OVERHEAD;
    let [mut near, mut far] = ends::carriers(Suite::Aes256Gcm, peers);
    let (mut packet, mut turns) = (ends::packet(SMALL, 1), Turns::new(peers));
    let mut out = Vec::new();
    Stage::new(format!("tunnels-64-{peers}"), move |watch| {
        let mut opened = 0;
        watch.time(TURN, || {
            out.clear();
            for _ in 0..TURN {
                ends::aim(&mut packet, turns.next());
                black_box(near.outbound(Time::ZERO, &packet, &mut out));
            }
            for capsule in out.chunks_mut(STRIDE) {
                far.inbound_run(Time::ZERO, &ends::leg(0), 0, capsule, STRIDE, |packet| {
                    black_box(packet);
                    opened += 1;
                });
            }
        })?;
        if opened == TURN { Ok(()) } else { Err(wrong("tunnels")) }
    })
}

/// A relay's decision about a run, and what is sent then. The datagrams have just
/// been received, so they are where they were in every turn.
fn relay(name: String, paths: usize, run: usize, stride: usize) -> Stage {
    const TURN: usize = 64;
    let (forwards, mut turns) = (ends::forwards(paths), Turns::new(paths));
    let order: Vec<_> = (0..paths.max(TURN)).map(|_| turns.next()).collect();
    let order = order.into_iter().map(|nth| {
        let envelope = Envelope::new(Kind::Capsule, Side::Lower, *ends::path(nth).as_bytes());
        (envelope.emit(), ends::leg(nth))
    });
    let order: Vec<_> = order.collect();
    let mut next = order.into_iter().cycle();
    let mut data = vec![0; run * stride];
    Stage::new(name, move |watch| {
        let mut sent = 0;
        watch.time(TURN, || {
            let forwards = forwards.take();
            for (envelope, from) in next.by_ref().take(TURN) {
                data[..Envelope::LEN].copy_from_slice(&envelope);
                let Ok(header) = Header::parse(&data) else { continue };
                let (bytes, now) = (data.len(), Time::ZERO);
                forwards.verdicts(now, &from, &header.envelope, bytes, stride, |range, verdict| {
                    if let Verdict::To(to) = verdict {
                        let size = if stride < range.len() { stride } else { 0 };
                        black_box(addressed(&to, &data[range], size));
                        sent += 1;
                    }
                });
            }
        })?;
        if sent == TURN { Ok(()) } else { Err(wrong("forwarding")) }
    })
}
