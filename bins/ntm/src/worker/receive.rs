//! From the network: capsules are opened or forwarded, the rest is posted.

use std::io;

use ntm_core::Time;
use ntm_core::address::{Leg, LocalPin, TransportId};
use ntm_core::id::PathId;
use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use ntm_core::relay::{Forwards, Verdict};
use ntm_core::tunnel::Inbound;
use ntm_core::wire::{Envelope, HEADER, Kind};

use super::{Broken, ROUNDS, Worker};
use crate::clock;

/// Receives in one system call.
pub(super) const SLOTS: usize = 16;
/// Room for the largest run.
const SLOT: usize = 65_536;

/// The buffers of a worker, allocated once.
pub(super) struct Buffers {
    bytes: [Box<[u8]>; SLOTS],
    metas: [Meta; SLOTS],
}

/// What was received into a buffer.
#[derive(Clone, Copy, Default)]
pub(super) struct Meta {
    pub(super) len: usize,
    segment: usize,
    remote: Addr,
    local: Addr,
    ifindex: u32,
    ecn: u8,
}

impl Buffers {
    pub(super) fn new() -> Self {
        let bytes = std::array::from_fn(|_| vec![0; SLOT].into_boxed_slice());
        Self { bytes, metas: [Meta::default(); SLOTS] }
    }

    /// Receives as much as there is room for.
    pub(super) fn fill(&mut self, lane: &dyn Lane) -> io::Result<usize> {
        let mut slots = self.bytes.each_mut().map(|bytes| RxSlot::new(bytes));
        let filled = lane.try_recv(&mut slots)?.min(SLOTS);
        for (meta, slot) in self.metas.iter_mut().zip(&slots[..filled]) {
            let len = slot.filled().len();
            let segment = if slot.segment == 0 { len } else { slot.segment.into() };
            *meta = Meta {
                len,
                segment: segment.max(1),
                remote: slot.remote,
                local: slot.local,
                ifindex: slot.ifindex,
                ecn: slot.ecn,
            };
        }
        Ok(filled)
    }

    pub(super) fn meta(&self, at: usize) -> Meta {
        self.metas[at]
    }

    pub(super) fn bytes(&self, at: usize) -> &[u8] {
        &self.bytes[at]
    }
}

impl Meta {
    fn leg(&self, transport: usize) -> Option<Leg> {
        let local = self.local.ip().map(|ip| LocalPin { ip, ifindex: self.ifindex });
        let transport = TransportId(u8::try_from(transport).ok()?);
        Some(Leg { transport, remote: self.remote.socket()?, local })
    }
}

impl Worker {
    /// Takes what the network has.
    pub(super) fn receive(&mut self, transport: usize) {
        let lane = self.lanes.transports[transport].clone();
        for _ in 0..ROUNDS {
            let filled = match self.buffers.fill(&*lane) {
                Ok(filled) => filled,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::error!(%error, transport, "a transport is broken");
                    self.broken |= 1 << transport;
                    return self.mailbox.broken(Broken::Transport);
                }
            };
            let now = clock::now();
            let forwards = self.forwarder.take();
            let mut posted = false;
            for at in 0..filled {
                let meta = self.buffers.meta(at);
                let Some(leg) = meta.leg(transport) else { continue };
                let mut start = 0;
                while start < meta.len {
                    let end = (start + meta.segment).min(meta.len);
                    posted |= self.take_datagram(now, &forwards, &leg, meta.ecn, at, start, end);
                    start = end;
                }
            }
            drop(forwards);
            if posted {
                self.mailbox.ring();
            }
            self.deliver();
            self.flush();
            if filled < SLOTS {
                return;
            }
        }
    }

    /// One datagram; whether it was posted.
    #[expect(
        clippy::too_many_arguments,
        reason = "a datagram is where it lies and what it came with"
    )]
    fn take_datagram(
        &mut self,
        now: Time,
        forwards: &Forwards,
        leg: &Leg,
        ecn: u8,
        at: usize,
        start: usize,
        end: usize,
    ) -> bool {
        let datagram = &mut self.buffers.bytes[at][start..end];
        let Ok(envelope) = Envelope::parse(datagram) else { return false };
        let is_paths = match envelope.kind {
            Kind::Capsule | Kind::Control | Kind::Handshake1 | Kind::Handshake2 => true,
            Kind::Cookie
            | Kind::Bind
            | Kind::BindAck
            | Kind::Signalling
            | Kind::UnknownSession
            | Kind::Punch => false,
        };
        if is_paths && !forwards.is_empty() {
            match forwards.verdict(now, leg, &envelope, datagram.len() as u64) {
                Verdict::To(other) => {
                    let begin = self.outgoing.len();
                    self.outgoing.buffer().extend_from_slice(datagram);
                    self.outgoing.add(begin, other, ecn);
                    self.stats.relayed += 1;
                    return false;
                }
                Verdict::Drop => return false,
                Verdict::Exhausted => {
                    self.mailbox.exhausted(PathId::from_bytes(envelope.id));
                    return false;
                }
                Verdict::NotRelayed => {}
            }
        }
        match envelope.kind {
            Kind::Capsule => {
                if let Inbound::Packet { packet, seen } =
                    self.carrier.inbound(now, leg, ecn, datagram)
                {
                    let len = packet.len();
                    self.inward.push((at, start + HEADER, start + HEADER + len));
                    if let Some(seen) = seen {
                        self.mailbox.seen(seen);
                    }
                }
                false
            }
            // Nobody acts on these.
            Kind::Punch | Kind::UnknownSession => false,
            Kind::Signalling => {
                self.mailbox.post(self.mailbox.knows(&envelope.id), *leg, datagram);
                true
            }
            Kind::Control | Kind::BindAck | Kind::Handshake2 => {
                let known = self.carrier.knows(&PathId::from_bytes(envelope.id));
                self.mailbox.post(known, *leg, datagram);
                true
            }
            Kind::Bind => {
                let known = forwards.knows(&PathId::from_bytes(envelope.id));
                self.mailbox.post(known, *leg, datagram);
                true
            }
            Kind::Handshake1 | Kind::Cookie => {
                self.mailbox.post(false, *leg, datagram);
                true
            }
        }
    }

    /// Hands opened packets to the applications, in one call.
    fn deliver(&mut self) {
        if self.inward.is_empty() {
            return;
        }
        if let Some(interface) = &self.lanes.interface {
            let packets: Vec<TxPacket<'_>> = self
                .inward
                .iter()
                .map(|(at, start, end)| {
                    TxPacket::new(&self.buffers.bytes[*at][*start..*end], Addr::NONE)
                })
                .collect();
            let mut taken = 0;
            while taken < packets.len() {
                match interface.try_send(&packets[taken..]) {
                    Ok(0) => break,
                    Ok(count) => taken += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // That packet was not to its liking; the next may be.
                    Err(_) => {
                        taken += 1;
                        self.stats.interface_drops += 1;
                    }
                }
            }
            self.stats.interface_drops += (packets.len() - taken) as u64;
        }
        self.inward.clear();
    }
}
