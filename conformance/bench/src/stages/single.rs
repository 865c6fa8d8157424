//! Each stage on its own, with one peer; what keeps tables, with many.

use std::hint::black_box;

use ntm_core::Rng;
use ntm_core::Time;
use ntm_core::crypto::{DataKey, Secret, Suite, TAG};
use ntm_core::id::{Epoch, PathId, Side};
use ntm_core::packet::checksum::finish;
use ntm_core::packet::{Coalescer, SuperPacket};
use ntm_core::plugin::Offload;
use ntm_core::tunnel::{CAPSULE_OVERHEAD, Fair, Outbound, Window};
use ntm_core::wire::{Envelope, HEADER, Header, Kind};

use super::ends::{self, LARGE, RUN, SEGMENT, SMALL, Turns};
use super::{Stage, wrong};

/// Runs that are handled between two looks at the clock.
const TOGETHER: usize = 8;

pub(super) fn stages(most: usize) -> Vec<Stage> {
    let mut stages = vec![copy(), checksum()];
    for (name, suite) in [("aes", Suite::Aes256Gcm), ("chacha", Suite::ChaCha20Poly1305)] {
        for len in [LARGE, SMALL] {
            stages.push(seal(format!("{name}-seal-{len}"), suite, len));
            stages.push(open(format!("{name}-open-{len}"), suite, len));
        }
    }
    stages.extend([header_parse(), replay(), fair(), cut(), outbound(), inbound(), coalesce()]);
    let sizes = [1, 1000, 10_000].into_iter().filter(|size| *size <= most);
    stages.extend(sizes.map(look_up));
    stages
}

fn copy() -> Stage {
    let (from, mut to) = (vec![1_u8; LARGE], vec![0; LARGE]);
    Stage::repeated("copy-1400", move || black_box(&mut to).copy_from_slice(black_box(&from)))
}

fn checksum() -> Stage {
    let mut packet = ends::packet(LARGE, 1);
    Stage::repeated("checksum-1400", move || finish(black_box(&mut packet), 20, 6))
}

fn seal(name: String, suite: Suite, len: usize) -> Stage {
    let key = DataKey::new(suite, &Secret::new([1; 32]));
    let (mut text, mut counter) = (vec![7; len], 0);
    Stage::repeated(name, move || {
        counter += 1;
        key.seal(counter, &[0; HEADER], &mut text)
    })
}

/// In place, so each time from a copy.
fn open(name: String, suite: Suite, len: usize) -> Stage {
    const TIMES: usize = 500;
    let key = DataKey::new(suite, &Secret::new([1; 32]));
    let mut sealed = vec![7; len];
    let tag = key.seal(1, &[0; HEADER], &mut sealed);
    sealed.extend_from_slice(&tag);
    let mut scratch = vec![0; len + TAG];
    Stage::new(name, move |watch| {
        let genuine = watch.time(TIMES, || {
            let open = |_: &usize| {
                scratch.copy_from_slice(&sealed);
                key.open(1, &[0; HEADER], &mut scratch).is_some()
            };
            (0..TIMES).filter(open).count()
        })?;
        if genuine == TIMES { Ok(()) } else { Err(wrong("opening")) }
    })
}

fn header_parse() -> Stage {
    let envelope = Envelope::new(Kind::Capsule, Side::Lower, *ends::path(1).as_bytes());
    let header = Header::new(envelope, Epoch(1), 7).emit();
    Stage::repeated("header-parse", move || Header::parse(black_box(&header)))
}

fn replay() -> Stage {
    let (mut window, mut counter) = (Box::<Window<1024>>::default(), 0);
    Stage::repeated("replay-window", move || {
        counter += 1;
        window.accept(black_box(counter))
    })
}

/// In and out: packets of 16 flows with four peers.
fn fair() -> Stage {
    const WAIT: usize = 64;
    let mut fair = Fair::new(&mut Rng::from_seed([2; 32]));
    let packets = (0..16_usize).map(|flow| {
        let mut packet = ends::packet(SMALL, 1 + flow % 4);
        packet[20..22].copy_from_slice(&[0, flow as u8]);
        (ends::path(flow), packet)
    });
    let packets: Vec<_> = packets.collect();
    let peers: Vec<_> = (0..4_u8).map(|last| [198, 18, 0, last].into()).collect();
    Stage::new("fair-queue", move |watch| {
        let out = watch.time(WAIT, || {
            for nth in 0..WAIT {
                let (path, packet) = &packets[nth % packets.len()];
                let place = fair.place(peers[nth % peers.len()], packet);
                fair.push(place, packet.len(), *path);
            }
            (0..WAIT).filter_map(|_| fair.pop()).count()
        })?;
        if out == WAIT { Ok(()) } else { Err(wrong("the queue")) }
    })
}

/// Cutting alone: headers, copies and checksums, as they go into capsules.
fn cut() -> Stage {
    let whole = ends::super_packet(1);
    let mut out = Vec::new();
    Stage::new("cut", move |watch| {
        watch.time(TOGETHER * RUN, || {
            for _ in 0..TOGETHER {
                out.clear();
                if let Ok(whole) = SuperPacket::parse(black_box(&whole), SEGMENT) {
                    (0..whole.count()).for_each(|nth| whole.write(nth, &mut out));
                }
            }
        })?;
        if out.len() == LARGE * RUN { Ok(()) } else { Err(wrong("cutting")) }
    })
}

fn outbound() -> Stage {
    let [mut near, _far] = ends::carriers(Suite::Aes256Gcm, 1);
    let whole = ends::super_packet(1);
    let mut out = Vec::new();
    Stage::new("outbound-run", move |watch| {
        watch.time(TOGETHER * RUN, || {
            for _ in 0..TOGETHER {
                out.clear();
                if let Ok(whole) = SuperPacket::parse(black_box(&whole), SEGMENT) {
                    black_box(near.outbound_run(Time::ZERO, &whole, &mut out));
                }
            }
        })?;
        if out.len() == (LARGE + CAPSULE_OVERHEAD) * RUN { Ok(()) } else { Err(wrong("sealing")) }
    })
}

fn inbound() -> Stage {
    const STRIDE: usize = LARGE + CAPSULE_OVERHEAD;
    let [mut near, mut far] = ends::carriers(Suite::Aes256Gcm, 1);
    let whole = ends::super_packet(1);
    let mut runs = vec![Vec::new(); TOGETHER];
    Stage::new("inbound-run", move |watch| {
        let whole = SuperPacket::parse(&whole, SEGMENT).map_err(|_| wrong("cutting"))?;
        for run in &mut runs {
            run.clear();
            let sent = near.outbound_run(Time::ZERO, &whole, run);
            if !matches!(sent, Outbound::To { .. }) {
                return Err(wrong("sealing"));
            }
        }
        let mut opened = 0;
        watch.time(TOGETHER * RUN, || {
            for run in &mut runs {
                far.inbound_run(Time::ZERO, &ends::leg(0), 0, run, STRIDE, |_| opened += 1);
            }
        })?;
        if opened == TOGETHER * RUN { Ok(()) } else { Err(wrong("opening")) }
    })
}

fn coalesce() -> Stage {
    let mut coalescer = Coalescer::new(Offload { tcp: true, udp: true });
    let whole = ends::super_packet(1);
    let mut packets = Vec::new();
    if let Ok(whole) = SuperPacket::parse(&whole, SEGMENT) {
        (0..whole.count()).for_each(|nth| whole.write(nth, &mut packets));
    }
    Stage::new("coalesce", move |watch| {
        let mut given = 0;
        watch.time(TOGETHER * RUN, || {
            for _ in 0..TOGETHER {
                packets.chunks(LARGE).for_each(|packet| coalescer.push(packet));
                given += coalescer.packets().count();
                coalescer.clear();
            }
        })?;
        if given == TOGETHER { Ok(()) } else { Err(wrong("joining")) }
    })
}

fn look_up(count: usize) -> Stage {
    let (tunnels, mut turns) = (ends::tunnels(count), Turns::new(count));
    let paths: Vec<PathId> = (0..1009.max(count)).map(|_| ends::path(turns.next())).collect();
    let mut next = paths.into_iter().cycle();
    Stage::repeated(format!("look-up-{count}"), move || {
        let tunnels = tunnels.take();
        next.next().and_then(|path| tunnels.by_path(&path).map(|tunnel| tunnel.side))
    })
}
