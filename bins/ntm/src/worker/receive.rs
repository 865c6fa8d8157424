//! From the network: capsules are opened or forwarded, the rest is posted.

use std::io;
use std::ops::Range;

use ntm_core::Time;
use ntm_core::address::{Leg, LocalPin, TransportId};
use ntm_core::id::PathId;
use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use ntm_core::relay::{Forwards, Verdict};
use ntm_core::tunnel::addressed;
use ntm_core::wire::{Envelope, Kind, UnknownSession};

use super::outgoing::send;
use super::{Broken, SLOT, Worker};
use crate::clock;

/// Receives in one call of the lane.
const SLOTS: usize = 16;
/// Calls of the lane in a turn, as long as each fills all slots, and bytes after which
/// the turn ends. Where each receive is a single datagram one call is a small part of
/// what can be joined.
const CALLS: usize = 8;
const TURN: usize = 128 << 10;

/// What a worker receives into, allocated once.
pub(super) struct Received {
    bytes: [Box<[u8]>; SLOTS],
    metas: [Meta; SLOTS],
    /// What goes on to the other end of a pair, as it is.
    forwards: Vec<Forward>,
    /// Whose quotas are used up, each once.
    exhausted: Vec<PathId>,
}

/// What was received into a buffer.
#[derive(Clone, Copy, Default)]
struct Meta {
    len: usize,
    /// Bytes of each datagram but the last.
    stride: usize,
    remote: Addr,
    local: Addr,
    ifindex: u32,
    ecn: u8,
}

struct Forward {
    slot: usize,
    bytes: Range<usize>,
    stride: usize,
    to: Leg,
    ecn: u8,
}

impl Received {
    pub(super) fn new() -> Self {
        let bytes = std::array::from_fn(|_| vec![0; SLOT].into_boxed_slice());
        let (forwards, exhausted) = (Vec::with_capacity(SLOTS), Vec::new());
        Self { bytes, metas: [Meta::default(); SLOTS], forwards, exhausted }
    }

    /// Receives as much as there is room for.
    fn fill(&mut self, lane: &dyn Lane) -> io::Result<usize> {
        let mut slots = self.bytes.each_mut().map(|bytes| RxSlot::new(bytes));
        let filled = lane.try_recv(&mut slots)?.min(SLOTS);
        for (meta, slot) in self.metas.iter_mut().zip(&slots[..filled]) {
            let len = slot.filled().len();
            let stride = if slot.segment == 0 { len } else { slot.segment.into() };
            *meta = Meta {
                len,
                stride: stride.max(1),
                remote: slot.remote,
                local: slot.local,
                ifindex: slot.ifindex,
                ecn: slot.ecn,
            };
        }
        Ok(filled)
    }
}

impl Meta {
    fn leg(&self, transport: usize) -> Option<Leg> {
        let local = self.local.ip().map(|ip| LocalPin { ip, ifindex: self.ifindex });
        let transport = TransportId(u8::try_from(transport).ok()?);
        Some(Leg { transport, remote: self.remote.socket()?, local })
    }
}

impl Forward {
    fn packet<'a>(&self, slots: &'a [Box<[u8]>; SLOTS]) -> TxPacket<'a> {
        let data = &slots[self.slot][self.bytes.clone()];
        let size = if self.stride < data.len() { self.stride } else { 0 };
        let mut packet = addressed(&self.to, data, size);
        packet.ecn = self.ecn;
        packet
    }
}

impl Worker {
    /// Takes what the network has, for a turn.
    pub(super) fn receive(&mut self, transport: usize) {
        let lane = self.lanes.transports[transport].clone();
        let mut bytes = 0;
        let mut calls = 0;
        let more = loop {
            let filled = match self.received.fill(&*lane) {
                Ok(filled) => filled,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(error) => {
                    tracing::error!(%error, transport, "a transport is broken");
                    self.unread |= 1 << transport;
                    self.mailbox.broken(Broken::Transport);
                    break false;
                }
            };
            self.take(transport, filled);
            calls += 1;
            bytes += self.received.metas[..filled].iter().map(|it| it.len).sum::<usize>();
            if filled < SLOTS || self.is_stopped() {
                break false;
            }
            if calls >= CALLS || bytes >= TURN {
                break true;
            }
        };
        let interface = self.lanes.interface.as_deref();
        self.stats.interface_drops += self.inward.settle(interface, more);
    }

    /// Takes what lies in the first of the slots.
    fn take(&mut self, transport: usize, filled: usize) {
        self.mailbox.hear(transport, filled);
        let now = clock::now();
        let forwards = self.forwarder.take();
        let mut posted = false;
        for slot in 0..filled {
            let Some(leg) = self.received.metas[slot].leg(transport) else { continue };
            let mut rest = 0..self.received.metas[slot].len;
            while !rest.is_empty() {
                let (taken, was_posted) =
                    self.take_datagrams(now, &forwards, &leg, slot, rest.clone());
                rest.start += taken;
                posted |= was_posted;
            }
        }
        drop(forwards);
        if posted {
            self.mailbox.ring();
        }
        if !self.received.exhausted.is_empty() {
            self.mailbox.exhausted(self.received.exhausted.drain(..));
        }
        self.forward();
    }

    /// Takes the first of the datagrams that lie there, and those behind it that
    /// belong to the same flow of capsules: how many bytes, and whether something
    /// was posted.
    fn take_datagrams(
        &mut self,
        now: Time,
        forwards: &Forwards,
        leg: &Leg,
        slot: usize,
        rest: Range<usize>,
    ) -> (usize, bool) {
        let Meta { stride, ecn, .. } = self.received.metas[slot];
        let start = rest.start;
        let data = &mut self.received.bytes[slot][rest];
        let first = stride.min(data.len());
        let Ok(envelope) = Envelope::parse(&data[..first]) else { return (first, false) };
        let is_capsule = envelope.kind == Kind::Capsule;
        let taken = if is_capsule { alike(data, stride) } else { first };
        let data = &mut data[..taken];
        if envelope.kind.is_handed_on() && !forwards.is_empty() {
            let mut is_ours = false;
            forwards.verdicts(now, leg, &envelope, taken, stride, |bytes, verdict| match verdict {
                Verdict::To(to) => {
                    self.stats.relayed += bytes.len().div_ceil(stride) as u64;
                    let bytes = start + bytes.start..start + bytes.end;
                    self.received.forwards.push(Forward { slot, bytes, stride, to, ecn });
                }
                Verdict::Drop => {}
                Verdict::Exhausted => {
                    let path = PathId::from_bytes(envelope.id);
                    if !self.received.exhausted.contains(&path) {
                        self.received.exhausted.push(path);
                    }
                }
                Verdict::NotRelayed => is_ours = true,
            });
            if !is_ours {
                return (taken, false);
            }
        }
        let known = match envelope.kind {
            Kind::Capsule => {
                let inward = &mut self.inward;
                let seen = self.carrier.inbound_run(now, leg, ecn, data, stride, |packet| {
                    inward.push(packet);
                });
                if let Some(seen) = seen {
                    self.mailbox.seen(seen);
                }
                if let Some(notice) = self.carrier.take_notice() {
                    self.tell(leg, &notice);
                }
                return (taken, false);
            }
            // Nobody acts on it.
            Kind::Punch => return (taken, false),
            Kind::Signalling => self.mailbox.knows(&envelope.id),
            Kind::BindAck | Kind::Handshake2 => {
                self.carrier.knows(&PathId::from_bytes(envelope.id))
            }
            Kind::Control => {
                let known = self.carrier.knows(&PathId::from_bytes(envelope.id));
                if !known && let Some(notice) = self.carrier.notice(now, data) {
                    self.tell(leg, &notice);
                    return (taken, false);
                }
                known
            }
            Kind::UnknownSession => {
                let path = PathId::from_bytes(envelope.id);
                if !self.carrier.knows(&path) && !self.mailbox.knows(&envelope.id) {
                    return (taken, false);
                }
                true
            }
            Kind::Bind => forwards.knows(&PathId::from_bytes(envelope.id)),
            Kind::Handshake1 | Kind::Cookie => false,
        };
        (taken, self.mailbox.post(envelope.kind, known, *leg, data))
    }

    /// Tells who sent by this way that we know no session for it.
    fn tell(&mut self, leg: &Leg, notice: &UnknownSession) {
        if let Some(lane) = self.lanes.transports.get(usize::from(leg.transport.0)) {
            let datagram = notice.emit();
            let packet = addressed(&leg.back(), &datagram, 0);
            self.stats.send_errors += send(&**lane, std::iter::once(packet));
        }
    }

    /// Sends on what is for others.
    fn forward(&mut self) {
        let Received { bytes, forwards, .. } = &mut self.received;
        let transports = &self.lanes.transports;
        for (at, lane) in transports.iter().enumerate() {
            let own = forwards.iter().filter(|it| usize::from(it.to.transport.0) == at);
            self.stats.send_errors += send(&**lane, own.map(|it| it.packet(bytes)));
        }
        forwards.clear();
    }
}

/// Bytes of the datagrams at the front that have the first one's kind, side and
/// path.
fn alike(data: &[u8], stride: usize) -> usize {
    /// The key slot may change from one to the next, and so may the epoch.
    fn flow(datagram: &[u8]) -> Option<(u8, u8, &[u8])> {
        Some((*datagram.first()?, datagram.get(1)? >> 4, datagram.get(4..20)?))
    }
    let first = flow(data);
    let more = data.chunks(stride).skip(1).take_while(|datagram| flow(datagram) == first);
    more.fold(stride.min(data.len()), |bytes, datagram| bytes + datagram.len())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{PipeReader, PipeWriter, Write as _};
    use std::net::SocketAddr;
    use std::os::fd::{AsFd as _, BorrowedFd};
    use std::sync::{Arc, Mutex, mpsc};
    use std::time::Duration;

    use ntm_core::Rng;
    use ntm_core::address::Vips;
    use ntm_core::crypto::{Secret, Suite};
    use ntm_core::id::{Epoch, Side};
    use ntm_core::packet::SuperPacket;
    use ntm_core::plugin::Offload;
    use ntm_core::relay::{BoundEnd, ForwardEvent, ForwardTable, Limits};
    use ntm_core::tunnel::{
        CAPSULE_OVERHEAD, Carrier, Direction, Dscp, Outbound, Pointing, Proof, Table, TableEvent,
    };
    use ntm_core::wire::Header;

    use super::super::{Lanes, Mailbox, Manner};
    use super::*;

    const PATH: [u8; 16] = [1; 16];
    const LEN: usize = 100;

    fn end(port: u16) -> SocketAddr {
        ([203, 0, 113, 1], port).into()
    }

    fn capsule() -> Vec<u8> {
        let envelope = Envelope::new(Kind::Capsule, Side::Lower, PATH);
        let mut capsule = Header::new(envelope, Epoch::default(), 7).emit().to_vec();
        capsule.resize(LEN, 0);
        capsule
    }

    /// A transport's lane: capsules of the lower end come in, one run for each of
    /// these marks, and what leaves is told.
    struct Marked {
        arriving: Mutex<Vec<u8>>,
        leaving: mpsc::Sender<(SocketAddr, usize, u8)>,
        reader: PipeReader,
        _writer: PipeWriter,
    }

    impl Lane for Marked {
        fn fd(&self) -> BorrowedFd<'_> {
            self.reader.as_fd()
        }

        fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
            for packet in packets {
                let to = packet.remote.socket().unwrap();
                let left = (to, packet.data().len(), packet.ecn);
                self.leaving.send(left).map_err(io::Error::other)?;
            }
            Ok(packets.len())
        }

        fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
            let marks = self.arriving.lock().map(|mut it| std::mem::take(&mut *it));
            let marks = marks.unwrap_or_default();
            if marks.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            for (slot, mark) in slots.iter_mut().zip(&marks) {
                let run = capsule().repeat(3);
                slot.buffer()[..run.len()].copy_from_slice(&run);
                slot.fill(run.len(), LEN as u16);
                slot.remote = end(1).into();
                slot.ecn = *mark;
            }
            Ok(marks.len())
        }
    }

    /// A relay gets runs with these marks and forwards within a quota: so many that
    /// leave it, and what it has to say.
    fn relayed(
        marks: &[u8],
        quota: u64,
        count: usize,
    ) -> (Vec<(SocketAddr, usize, u8)>, Vec<PathId>) {
        let mut rng = Rng::from_seed([0; 32]);
        let (table, mut forwards) = (Table::new(&mut rng), ForwardTable::new(&mut rng));
        let bound = |port| {
            let leg = Leg::to(TransportId(0), end(port));
            Some(BoundEnd { leg, budget: None, before: None })
        };
        let set = ForwardEvent::Set {
            path: PathId::from_bytes(PATH),
            lower: bound(1),
            higher: bound(2),
            limits: Limits { serial: 1, rate: 0, quota },
        };
        forwards.apply(Time::ZERO, &set);
        let mailbox = Arc::new(Mailbox::new(1, &mut rng));
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"readable").unwrap();
        let (leaving, left) = mpsc::channel();
        let arriving = Mutex::new(marks.to_vec());
        let lane: Arc<dyn Lane> = Arc::new(Marked { arriving, leaving, reader, _writer: writer });
        let lanes = Lanes::new(0, None, &[vec![lane]]);
        let (tunnels, forwarder) = (table.reader(), forwards.reader());
        let worker =
            Worker::start(0, lanes, tunnels, forwarder, Manner::default(), mailbox.clone(), rng)
                .unwrap();
        let next = |_| left.recv_timeout(Duration::from_secs(20)).unwrap();
        let left = (0..count).map(next).collect();
        drop(worker);
        (left, mailbox.take().exhausted)
    }

    #[test]
    fn a_relay_copies_congestion_marks() {
        let marks = [0b00, 0b01, 0b10, 0b11, 0b10, 0b00];
        let (left, exhausted) = relayed(&marks, 0, marks.len());
        assert_eq!(left, marks.map(|mark| (end(2), 3 * LEN, mark)));
        assert_eq!(exhausted, []);
    }

    #[test]
    fn a_used_up_quota_is_told_of() {
        let (left, exhausted) = relayed(&[0; 6], 5 * LEN as u64, 2);
        assert_eq!(left, [(end(2), 3 * LEN, 0), (end(2), 2 * LEN, 0)]);
        assert_eq!(exhausted, [PathId::from_bytes(PATH)]);
    }

    /// A transport's lane without GRO: each receive is a single datagram.
    struct Singles {
        arriving: Mutex<VecDeque<Vec<u8>>>,
        reader: PipeReader,
        _writer: PipeWriter,
    }

    impl Lane for Singles {
        fn fd(&self) -> BorrowedFd<'_> {
            self.reader.as_fd()
        }

        fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
            Ok(packets.len())
        }

        fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
            let mut arriving =
                self.arriving.lock().map_err(|error| io::Error::other(error.to_string()))?;
            let most = slots.len().min(arriving.len());
            for (slot, datagram) in slots.iter_mut().zip(arriving.drain(..most)) {
                slot.buffer()[..datagram.len()].copy_from_slice(&datagram);
                slot.fill(datagram.len(), 0);
                slot.remote = end(1).into();
            }
            if most == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(most) }
        }
    }

    /// An interface's lane: what applications get is told.
    struct Told {
        told: mpsc::Sender<Vec<u8>>,
        reader: PipeReader,
        _writer: PipeWriter,
    }

    impl Lane for Told {
        fn fd(&self) -> BorrowedFd<'_> {
            self.reader.as_fd()
        }

        fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
            for packet in packets {
                self.told.send(packet.data().to_vec()).map_err(io::Error::other)?;
            }
            Ok(packets.len())
        }

        fn try_recv(&self, _: &mut [RxSlot<'_>]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    /// The tunnel's table at this end; the lower one has 198.18.0.1, the higher .2.
    fn tunnel(side: Side) -> Table {
        let path = PathId::from_bytes(PATH);
        let vips = |last| Vips { v4: Some([198, 18, 0, last].into()), v6: None };
        let (own, peer, port) = match side {
            Side::Lower => (vips(1), vips(2), 2),
            Side::Higher => (vips(2), vips(1), 1),
        };
        let mut table = Table::new(&mut Rng::from_seed([0; 32]));
        table.apply(Time::ZERO, &TableEvent::Open { path, side, own, peer });
        for (direction, is_lower) in
            [(Direction::Send, side == Side::Lower), (Direction::Receive, side == Side::Higher)]
        {
            let (suite, key) = (Suite::Aes256Gcm, Secret::new([u8::from(is_lower); 32]));
            table.apply(Time::ZERO, &TableEvent::Install { path, direction, slot: 0, suite, key });
        }
        let leg = Leg::to(TransportId(0), end(port));
        let to = Some(Pointing { leg, proof: Proof::Proved, fallback: None, limit: 1400 });
        table.apply(Time::ZERO, &TableEvent::Point { path, to, epoch: Epoch(1) });
        table
    }

    /// A TCP packet that has to be cut, from the lower end to the higher one.
    fn bulk(len: usize) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend_from_slice(&(len as u16).to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2]);
        packet.resize(len, 7);
        packet[32..34].copy_from_slice(&[0x50, 0x10]);
        packet
    }

    #[test]
    fn datagrams_that_come_one_by_one_are_joined_across_receives() {
        const SEGMENT: usize = 200;
        const COUNT: usize = 5 * SLOTS + 3;
        let whole = bulk(40 + COUNT * SEGMENT);
        let near = tunnel(Side::Lower);
        let mut capsules = Vec::new();
        let sent = Carrier::new(near.reader(), Dscp::Clear).outbound_run(
            Time::ZERO,
            &SuperPacket::parse(&whole, SEGMENT as u16).unwrap(),
            &mut capsules,
        );
        assert!(matches!(sent, Outbound::To { .. }), "{sent:?}");
        let stride = 40 + SEGMENT + CAPSULE_OVERHEAD;
        let arriving = Mutex::new(capsules.chunks(stride).map(<[u8]>::to_vec).collect());

        let mut rng = Rng::from_seed([0; 32]);
        let (far, forwards) = (tunnel(Side::Higher), ForwardTable::new(&mut rng));
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"readable").unwrap();
        let transport = Arc::new(Singles { arriving, reader, _writer: writer });
        let (reader, writer) = io::pipe().unwrap();
        let (told, hears) = mpsc::channel();
        let lanes = Lanes {
            interface: Some(Arc::new(Told { told, reader, _writer: writer })),
            offload: Offload { tcp: true, udp: true },
            transports: vec![transport],
            borrowed: 0,
        };
        let mailbox = Arc::new(Mailbox::new(1, &mut rng));
        let (tunnels, forwarder) = (far.reader(), forwards.reader());
        let _worker =
            Worker::start(0, lanes, tunnels, forwarder, Manner::default(), mailbox, rng).unwrap();
        let first = hears.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(first.len(), whole.len(), "of {COUNT} segments {}", first.len() / SEGMENT);
        assert!(first[40..] == whole[40..]);
    }

    /// A transport's lane that keeps its caller until told, and then is full.
    struct Keeping {
        called: mpsc::Sender<()>,
        go: Mutex<mpsc::Receiver<()>>,
        reader: PipeReader,
        _writer: PipeWriter,
    }

    impl Lane for Keeping {
        fn fd(&self) -> BorrowedFd<'_> {
            self.reader.as_fd()
        }

        fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
            Ok(packets.len())
        }

        fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
            self.called.send(()).map_err(io::Error::other)?;
            let go = self.go.lock().map_err(|error| io::Error::other(error.to_string()))?;
            go.recv().map_err(|_| io::ErrorKind::WouldBlock)?;
            Ok(slots.len())
        }
    }

    #[test]
    fn a_worker_that_was_given_up_reads_no_more() {
        let mut rng = Rng::from_seed([0; 32]);
        let (table, forwards) = (Table::new(&mut rng), ForwardTable::new(&mut rng));
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"readable").unwrap();
        let ((called, calls), (go, gone)) = (mpsc::channel(), mpsc::channel());
        let lane = Keeping { called, go: Mutex::new(gone), reader, _writer: writer };
        let lanes = Lanes::new(0, None, &[vec![Arc::new(lane)]]);
        let mailbox = Arc::new(Mailbox::new(1, &mut rng));
        let (tunnels, forwarder) = (table.reader(), forwards.reader());
        let worker =
            Worker::start(0, lanes, tunnels, forwarder, Manner::default(), mailbox, rng).unwrap();
        let wide = Duration::from_secs(20);
        calls.recv_timeout(wide).unwrap();
        worker.abandon();
        go.send(()).unwrap();
        // The lane goes with the worker.
        assert_eq!(calls.recv_timeout(wide), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
