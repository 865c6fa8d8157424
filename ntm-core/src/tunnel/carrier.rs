use std::net::IpAddr;
use std::ops::AddAssign;
use std::time::Duration;

use super::capsule::{CAPSULE_OVERHEAD, OpenError, Opener, seal_with};
use super::entry::Tunnel;
use super::hold::Hold;
use super::strays::Strays;
use super::table::TableReader;
use crate::Time;
use crate::address::Leg;
use crate::id::PathId;
use crate::packet::{Ecn, Flow, Fragments, SuperPacket, decapsulate, encapsulate, mark, too_big};
use crate::wire::{HEADER, Header, UnknownSession};

/// The same missing tunnel is reported this often.
const MISS_EVERY: Duration = Duration::from_millis(100);
/// Virtual addresses whose last report is remembered.
const MOST_MISSES: usize = 256;

/// Decides, packet by packet, what becomes of it: the part of a packet worker
/// that neither polls nor sends. One to a worker; it holds back packets for
/// which there is no path yet.
#[derive(Debug)]
pub struct Carrier {
    tunnels: TableReader,
    hold: Hold,
    missed: Vec<(IpAddr, Time)>,
    strays: Strays,
    /// What to tell the sender of the last run.
    notice: Option<UnknownSession>,
    /// Where the last capsules go as well.
    mirror: Option<Leg>,
    dropped: Dropped,
    dscp: Dscp,
    /// For segments that are held or answered one by one.
    scratch: Vec<u8>,
}

/// What the outer header tells of a packet's class of service (RFC 2983).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dscp {
    /// Nothing: all packets are best effort on the way.
    #[default]
    Clear,
    /// What the inner header says.
    Copy,
}

/// What becomes of an application's packet, or of all segments of a
/// super-packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// Its capsule has been appended to the output, or those of all its segments
    /// back to back, of equal size but for the last: send it there.
    To {
        /// The way.
        leg: Leg,
        /// ECN bits for the outer header.
        ecn: u8,
        /// DSCP for the outer header.
        dscp: u8,
    },
    /// It was too large and has been cut into fragments: their capsules have been
    /// appended to the output back to back.
    Cut {
        /// The way.
        leg: Leg,
        /// ECN bits for the outer headers.
        ecn: u8,
        /// DSCP for the outer headers.
        dscp: u8,
        /// Bytes of each capsule but the last.
        size: usize,
    },
    /// It waits for a path; `miss` is to be reported to the terminal.
    Held {
        /// The address that nothing leads to, if that is news.
        miss: Option<IpAddr>,
    },
    /// Hand this packet back to the applications: "too big".
    Answer(Vec<u8>),
    /// It is dropped, and counted.
    Dropped,
}

/// What becomes of a capsule.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// Hand this packet to the applications.
    Packet {
        /// The packet.
        packet: &'a mut [u8],
        /// The capsule came from elsewhere than the tunnel points to: to be
        /// reported to the terminal.
        seen: Option<Seen>,
    },
    /// It is dropped, and counted.
    Dropped,
}

/// A capsule from an unexpected place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// The tunnel.
    pub path: PathId,
    /// Where it came from.
    pub leg: Leg,
    /// The low half of the sender's epoch.
    pub epoch_low: u16,
}

/// Packets dropped so far, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// From applications: not IP, or not from our virtual address.
    pub unroutable: u64,
    /// From the network: no such tunnel, or a key that is over.
    pub no_key: u64,
    /// From the network: not genuine.
    pub forged: u64,
    /// From the network: seen before.
    pub replayed: u64,
    /// From the network: inner addresses that are not the pair's.
    pub address: u64,
    /// From the network: marked as congested for a flow that cannot see it.
    pub congested: u64,
}

impl AddAssign for Dropped {
    fn add_assign(&mut self, other: Self) {
        self.unroutable += other.unroutable;
        self.no_key += other.no_key;
        self.forged += other.forged;
        self.replayed += other.replayed;
        self.address += other.address;
        self.congested += other.congested;
    }
}

impl Carrier {
    /// For a worker with this view of the table.
    pub fn new(tunnels: TableReader, dscp: Dscp) -> Self {
        Self {
            tunnels,
            hold: Hold::default(),
            missed: Vec::new(),
            strays: Strays::default(),
            notice: None,
            mirror: None,
            dropped: Dropped::default(),
            dscp,
            scratch: Vec::new(),
        }
    }

    /// An application's packet. If it can go, its capsule is appended to `out`.
    pub fn outbound(&mut self, now: Time, packet: &[u8], out: &mut Vec<u8>) -> Outbound {
        let Ok(flow) = Flow::of(packet) else {
            self.dropped.unroutable += 1;
            return Outbound::Dropped;
        };
        self.carry(now, &flow, packet, out)
    }

    /// An application's super-packet. If it can go, the capsules of all its
    /// segments are appended to `out`, `largest` + [`CAPSULE_OVERHEAD`] bytes each
    /// but for the last. Else all of them wait, or are dropped.
    pub fn outbound_run(
        &mut self,
        now: Time,
        packet: &SuperPacket<'_>,
        out: &mut Vec<u8>,
    ) -> Outbound {
        self.carry(now, &packet.flow(), packet, out)
    }

    fn carry<P: Segmented + ?Sized>(
        &mut self,
        now: Time,
        flow: &Flow,
        packet: &P,
        out: &mut Vec<u8>,
    ) -> Outbound {
        let vip = flow.destination;
        let tunnels = self.tunnels.take();
        if self.hold.holds(vip) {
            // Newer packets wait behind older ones; as long as there is no way,
            // that is told again and again.
            let leads_nowhere = tunnels.by_vip(vip).is_none_or(|tunnel| {
                let state = tunnel.state();
                state.endpoint.is_none() || state.send.is_none()
            });
            return self.hold(now, vip, packet, leads_nowhere);
        }
        let Some(tunnel) = tunnels.by_vip(vip) else {
            // No tunnel will ever lead to a group.
            if vip.is_multicast() {
                self.dropped.unroutable += packet.count() as u64;
                return Outbound::Dropped;
            }
            return self.hold(now, vip, packet, true);
        };
        if !tunnel.own.contains(flow.source) {
            self.dropped.unroutable += packet.count() as u64;
            return Outbound::Dropped;
        }
        match send(now, tunnel, packet, out) {
            Sent::To(leg, mirror) => {
                self.mirror = mirror;
                let dscp = if self.dscp == Dscp::Copy { flow.dscp } else { 0 };
                Outbound::To { leg, ecn: encapsulate(flow.ecn), dscp }
            }
            Sent::NoPath => self.hold(now, vip, packet, true),
            Sent::NoBudget => self.hold(now, vip, packet, false),
            Sent::TooBig(limit) => self.too_big(now, tunnel, flow, packet, limit, out),
        }
    }

    /// A packet that a tunnel does not take whole: its sender hears of it or, where it
    /// allows that, fragments go.
    fn too_big<P: Segmented + ?Sized>(
        &mut self,
        now: Time,
        tunnel: &Tunnel,
        flow: &Flow,
        packet: &P,
        limit: u16,
        out: &mut Vec<u8>,
    ) -> Outbound {
        if let Some(answer) = self.answer(packet, limit) {
            return Outbound::Answer(answer);
        }
        // Of the one packet: a super-packet would become several runs.
        if packet.count() == 1
            && let Some(fragments) = Fragments::of(&self.scratch, limit)
        {
            let size = fragments.largest() + CAPSULE_OVERHEAD;
            match send(now, tunnel, &fragments, out) {
                Sent::To(leg, _fragments_go_one_way) => {
                    let dscp = if self.dscp == Dscp::Copy { flow.dscp } else { 0 };
                    return Outbound::Cut { leg, ecn: encapsulate(flow.ecn), dscp, size };
                }
                Sent::NoPath => return self.hold(now, flow.destination, packet, true),
                Sent::NoBudget => return self.hold(now, flow.destination, packet, false),
                Sent::TooBig(_) => {}
            }
        }
        self.dropped.unroutable += packet.count() as u64;
        Outbound::Dropped
    }

    fn hold<P: Segmented + ?Sized>(
        &mut self,
        now: Time,
        vip: IpAddr,
        packet: &P,
        miss: bool,
    ) -> Outbound {
        for nth in 0..packet.count() {
            self.scratch.clear();
            packet.write(nth, &mut self.scratch);
            self.hold.push(now, vip, &self.scratch);
        }
        Outbound::Held { miss: (miss && self.is_news(now, vip)).then_some(vip) }
    }

    /// "Too big", to the sender of a packet, which is left in `scratch`.
    fn answer<P: Segmented + ?Sized>(&mut self, packet: &P, limit: u16) -> Option<Vec<u8>> {
        self.scratch.clear();
        packet.write(0, &mut self.scratch);
        too_big(&self.scratch, limit)
    }

    fn is_news(&mut self, now: Time, vip: IpAddr) -> bool {
        self.missed.retain(|(_, at)| now.since(*at) < MISS_EVERY);
        let news = self.missed.len() < MOST_MISSES && !self.missed.iter().any(|(m, _)| *m == vip);
        if news {
            self.missed.push((vip, now));
        }
        news
    }

    /// Sends what waits and can go now: `emit` gets each capsule with its way, its
    /// ECN bits and its DSCP. Call it when the table has changed, and now and then.
    pub fn release(&mut self, now: Time, mut emit: impl FnMut(Leg, u8, u8, &[u8])) {
        let tunnels = self.tunnels.take();
        let waiting: Vec<_> = self.hold.waiting().collect();
        let mut capsule = Vec::new();
        for vip in waiting {
            let Some(tunnel) = tunnels.by_vip(vip) else {
                // Looked at, so that what is too old goes.
                let _still = self.hold.first(now, vip);
                continue;
            };
            while let Some(held) = self.hold.first(now, vip) {
                let flow = Flow::of(&held.packet).ok().filter(|f| tunnel.own.contains(f.source));
                let Some(flow) = flow else {
                    self.dropped.unroutable += 1;
                    self.hold.pop(now, vip);
                    continue;
                };
                capsule.clear();
                let packet = held.packet.as_slice();
                let (mut size, mut sent) = (packet.len(), send(now, tunnel, packet, &mut capsule));
                // It was small enough when it came; its sender will learn.
                if let Sent::TooBig(limit) = sent
                    && let Some(fragments) = Fragments::of(packet, limit)
                {
                    size = fragments.largest();
                    sent = send(now, tunnel, &fragments, &mut capsule);
                }
                match sent {
                    Sent::To(leg, mirror) => {
                        let dscp = if self.dscp == Dscp::Copy { flow.dscp } else { 0 };
                        for leg in std::iter::once(leg).chain(mirror) {
                            for capsule in capsule.chunks(size + CAPSULE_OVERHEAD) {
                                emit(leg, encapsulate(flow.ecn), dscp, capsule);
                            }
                        }
                    }
                    Sent::NoPath | Sent::NoBudget => break,
                    Sent::TooBig(_) => self.dropped.unroutable += 1,
                }
                self.hold.pop(now, vip);
            }
        }
    }

    /// Whether anything waits.
    pub fn is_holding(&self) -> bool {
        self.hold.waiting().next().is_some()
    }

    /// A capsule that arrived by `leg`, with these ECN bits in its outer header.
    pub fn inbound<'a>(
        &mut self,
        now: Time,
        leg: &Leg,
        outer_ecn: u8,
        capsule: &'a mut [u8],
    ) -> Inbound<'a> {
        let mut packet_at = None;
        let stride = capsule.len();
        let seen = self.inbound_run(now, leg, outer_ecn, capsule, stride, |packet| {
            packet_at = Some(packet.len());
        });
        match packet_at {
            Some(len) => Inbound::Packet { packet: &mut capsule[HEADER..HEADER + len], seen },
            None => Inbound::Dropped,
        }
    }

    /// Capsules of one Path ID, back to back, `stride` bytes each but for the last,
    /// that arrived together by `leg` with these ECN bits. They are opened in
    /// place, and `deliver` gets each packet, in order. Tells when the newest
    /// came from elsewhere than the tunnel points to.
    pub fn inbound_run(
        &mut self,
        now: Time,
        leg: &Leg,
        outer_ecn: u8,
        capsules: &mut [u8],
        stride: usize,
        mut deliver: impl FnMut(&mut [u8]),
    ) -> Option<Seen> {
        let tunnels = self.tunnels.take();
        let count = capsules.len().div_ceil(stride.max(1)) as u64;
        let Ok(first) = Header::parse(capsules) else {
            self.dropped.forged += count;
            return None;
        };
        let path = PathId::from_bytes(first.envelope.id);
        let Some(tunnel) = tunnels.by_path(&path) else {
            self.dropped.no_key += count;
            self.notice = self.strays.answer(now, &capsules[..stride.min(capsules.len())]);
            return None;
        };
        let state = tunnel.state();
        let endpoint = state.endpoint.as_ref();
        let expected = endpoint.filter(|endpoint| endpoint.leg.same_remote(leg));
        let mirror = endpoint.and_then(|endpoint| endpoint.mirror.as_ref());
        let mirror = mirror.filter(|mirror| mirror.leg.same_remote(leg));
        let (mut packets, mut bytes, mut seen) = (0, 0, None);
        let mut opener = Opener::new(tunnel, &state);
        for capsule in capsules.chunks_mut(stride.max(1)) {
            let outer = capsule.len() as u64;
            let without_key = self.dropped.no_key;
            let Some((packet, newest)) = self.open(&mut opener, outer_ecn, capsule) else {
                if self.dropped.no_key > without_key {
                    self.notice = self.strays.answer(now, capsule).or(self.notice);
                }
                continue;
            };
            packets += 1;
            bytes += packet.len() as u64;
            if let Some(endpoint) = expected {
                endpoint.credit(outer);
            } else if let Some(mirror) = mirror {
                mirror.credit(outer);
            }
            if expected.is_none()
                && let Some(epoch_low) = newest
            {
                seen = Some(Seen { path, leg: leg.unpinned(), epoch_low });
            }
            deliver(packet);
        }
        if packets > 0 {
            tunnel.count_received(now, packets, bytes);
        }
        seen
    }

    /// The packet of a capsule and, if it is the newest of its tunnel, the low
    /// half of its sender's epoch.
    fn open<'a>(
        &mut self,
        opener: &mut Opener<'_>,
        outer_ecn: u8,
        capsule: &'a mut [u8],
    ) -> Option<(&'a mut [u8], Option<u16>)> {
        let Ok(header) = Header::parse(capsule) else {
            self.dropped.forged += 1;
            return None;
        };
        let opened = match opener.open(&header, capsule) {
            Ok(opened) => opened,
            Err(error) => {
                match error {
                    OpenError::NoKey => self.dropped.no_key += 1,
                    OpenError::Forged => self.dropped.forged += 1,
                    OpenError::Replayed => self.dropped.replayed += 1,
                    OpenError::Address => self.dropped.address += 1,
                }
                return None;
            }
        };
        match decapsulate(opened.flow.ecn, outer_ecn) {
            Ecn::Keep => {}
            Ecn::Set(bits) => mark(opened.packet, bits),
            Ecn::Drop => {
                self.dropped.congested += 1;
                return None;
            }
        }
        Some((opened.packet, opened.newest.then(|| header.epoch_low())))
    }

    /// Where the capsules that were appended last go as well: the very same, of
    /// which the peer accepts one each. To be taken after each packet.
    pub fn take_mirror(&mut self) -> Option<Leg> {
        self.mirror.take()
    }

    /// What the sender of the capsules is to be told that were handed in last: that
    /// they belong to no session.
    pub fn take_notice(&mut self) -> Option<UnknownSession> {
        self.notice.take()
    }

    /// What the sender of a datagram is to be told for which there is no tunnel.
    pub fn notice(&mut self, now: Time, datagram: &[u8]) -> Option<UnknownSession> {
        self.strays.answer(now, datagram)
    }

    /// Whether there is a tunnel of this Path ID.
    pub fn knows(&self, path: &PathId) -> bool {
        self.tunnels.take().by_path(path).is_some()
    }

    /// Packets dropped so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Packets that had to wait so far.
    pub fn held(&self) -> u64 {
        self.hold.taken_in()
    }

    /// Packets that waited in vain so far.
    pub fn held_in_vain(&self) -> u64 {
        self.hold.dropped()
    }
}

enum Sent {
    /// The way, and another one that they go as well.
    To(Leg, Option<Leg>),
    NoPath,
    NoBudget,
    TooBig(u16),
}

/// A packet, or a super-packet that is sent as several.
trait Segmented {
    fn count(&self) -> usize;
    /// Bytes of the largest.
    fn largest(&self) -> usize;
    /// Bytes of all.
    fn bytes(&self) -> usize;
    /// Appends the `nth`.
    fn write(&self, nth: usize, out: &mut Vec<u8>);
}

impl Segmented for [u8] {
    fn count(&self) -> usize {
        1
    }

    fn largest(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> usize {
        self.len()
    }

    fn write(&self, _only: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

impl Segmented for Fragments<'_> {
    fn count(&self) -> usize {
        Self::count(self)
    }

    fn largest(&self) -> usize {
        Self::largest(self)
    }

    fn bytes(&self) -> usize {
        Self::bytes(self)
    }

    fn write(&self, nth: usize, out: &mut Vec<u8>) {
        Self::write(self, nth, out);
    }
}

impl Segmented for SuperPacket<'_> {
    fn count(&self) -> usize {
        Self::count(self)
    }

    fn largest(&self) -> usize {
        Self::largest(self)
    }

    fn bytes(&self) -> usize {
        Self::bytes(self)
    }

    fn write(&self, nth: usize, out: &mut Vec<u8>) {
        Self::write(self, nth, out);
    }
}

fn send<P: Segmented + ?Sized>(now: Time, tunnel: &Tunnel, packet: &P, out: &mut Vec<u8>) -> Sent {
    let state = tunnel.state();
    let (Some(endpoint), Some(key)) = (&state.endpoint, &state.send) else { return Sent::NoPath };
    if packet.largest() > usize::from(state.limit) {
        return Sent::TooBig(state.limit);
    }
    let (count, bytes) = (packet.count(), packet.bytes());
    let outer = (bytes + count * CAPSULE_OVERHEAD) as u64;
    let (leg, mirror) = if endpoint.debit(outer) {
        let mirror = endpoint.mirror.as_ref().filter(|mirror| mirror.debit(outer));
        (endpoint.leg, mirror.map(|mirror| mirror.leg))
    } else {
        match endpoint.fallback {
            Some(fallback) => (fallback, None),
            None => return Sent::NoBudget,
        }
    };
    let Some(first) = key.reserve(count as u64) else { return Sent::NoPath };
    for (nth, counter) in (first..).take(count).enumerate() {
        seal_with(tunnel, &state, key, counter, |out| packet.write(nth, out), out);
    }
    tunnel.count_sent(now, count as u64, bytes as u64);
    Sent::To(leg, mirror)
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::{Pointing, Proof};
    use super::super::table::{Direction, Table, TableEvent};
    use super::*;
    use crate::Rng;
    use crate::address::{TransportId, Vips};
    use crate::crypto::{Secret, Suite};
    use crate::id::{Epoch, Side};

    const PATH: PathId = PathId::from_bytes([1; 16]);

    struct End {
        table: Table,
        carrier: Carrier,
    }

    fn vips(last: u8) -> Vips {
        Vips { v4: Some([198, 18, 0, last].into()), v6: None }
    }

    fn leg(port: u16) -> Leg {
        Leg::to(TransportId(0), ([203, 0, 113, 1], port).into())
    }

    impl End {
        fn new(own: u8) -> Self {
            let mut table = Table::new(&mut Rng::from_seed([0; 32]));
            let side = if own == 1 { Side::Lower } else { Side::Higher };
            let (own, peer) = (vips(own), vips(3 - own));
            table.apply(Time::ZERO, &TableEvent::Open { path: PATH, side, own, peer });
            let carrier = Carrier::new(table.reader(), Dscp::Clear);
            Self { table, carrier }
        }

        fn with_keys(own: u8) -> Self {
            let mut end = Self::new(own);
            let peer = 3 - own;
            for (direction, from) in [(Direction::Send, own), (Direction::Receive, peer)] {
                let (suite, key) = (Suite::ChaCha20Poly1305, Secret::new([from; 32]));
                let install = TableEvent::Install { path: PATH, direction, slot: 0, suite, key };
                end.table.apply(Time::ZERO, &install);
            }
            end
        }

        fn point(&mut self, port: u16, proof: Proof, limit: u16) {
            let to = Pointing { leg: leg(port), proof, fallback: None, limit };
            let point = TableEvent::Point { path: PATH, to: Some(to), epoch: Epoch(3) };
            self.table.apply(Time::ZERO, &point);
        }

        fn release(&mut self) -> Vec<Vec<u8>> {
            let mut capsules = Vec::new();
            self.carrier.release(Time::ZERO, |_, _, _, capsule| capsules.push(capsule.to_vec()));
            capsules
        }
    }

    fn packet(source: u8, destination: u8, payload: &[u8]) -> Vec<u8> {
        let total = (20 + payload.len()) as u16;
        let mut packet = vec![0x45, 0b10];
        packet.extend_from_slice(&total.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0]);
        packet.extend_from_slice(&[198, 18, 0, source, 198, 18, 0, destination]);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn a_packet_crosses_and_its_mark_with_it() {
        let (mut mn, mut cn) = (End::with_keys(1), End::with_keys(2));
        mn.point(2, Proof::Proved, 1400);
        cn.point(1, Proof::Proved, 1400);
        let inner = packet(1, 2, b"hello");
        let mut capsule = Vec::new();
        let sent = mn.carrier.outbound(Time::ZERO, &inner, &mut capsule);
        assert_eq!(sent, Outbound::To { leg: leg(2), ecn: 0b10, dscp: 0 });
        let Inbound::Packet { packet, seen } =
            cn.carrier.inbound(Time::ZERO, &leg(1), 0b11, &mut capsule)
        else {
            panic!("dropped: {:?}", cn.carrier.dropped())
        };
        assert_eq!(Flow::of(packet).unwrap().ecn, 0b11, "congestion on the way");
        assert_eq!(packet[20..], inner[20..]);
        assert_eq!(seen, None);
        assert_eq!(cn.table.get(&PATH).unwrap().traffic().received, 1);
    }

    /// A super-packet of TCP.
    fn bulk(payload: usize) -> Vec<u8> {
        let mut header = vec![0; 20];
        header[12] = 0x50;
        header[13] = 0x10;
        let mut packet = packet(1, 2, &[header, vec![7; payload]].concat());
        packet[9] = 6;
        packet
    }

    #[test]
    fn a_super_packet_crosses_in_segments_and_its_capsules_are_opened_together() {
        let (mut mn, mut cn) = (End::with_keys(1), End::with_keys(2));
        mn.carrier.dscp = Dscp::Copy;
        mn.point(2, Proof::Proved, 1400);
        cn.point(1, Proof::Proved, 1400);
        let mut whole = bulk(5000);
        whole[1] = 46 << 2 | 0b01;
        let whole = SuperPacket::parse(&whole, 1360).unwrap();
        let mut capsules = b"what was there".to_vec();
        let sent = mn.carrier.outbound_run(Time::ZERO, &whole, &mut capsules);
        assert_eq!(sent, Outbound::To { leg: leg(2), ecn: 0b01, dscp: 46 });
        let stride = 1400 + CAPSULE_OVERHEAD;
        assert_eq!(capsules.len(), 14 + whole.bytes() + 4 * CAPSULE_OVERHEAD);
        // The second is damaged on the way.
        capsules[14 + stride + 100] ^= 1;
        let mut arrived = Vec::new();
        let run = &mut capsules[14..];
        let seen = cn.carrier.inbound_run(Time::ZERO, &leg(1), 0b11, run, stride, |packet| {
            arrived.push(packet.to_vec());
        });
        assert_eq!((seen, arrived.len(), cn.carrier.dropped().forged), (None, 3, 1));
        for (nth, packet) in [0, 2, 3].into_iter().zip(&arrived) {
            let mut meant = Vec::new();
            whole.write(nth, &mut meant);
            mark(&mut meant, 0b11);
            assert_eq!(*packet, meant);
        }
        assert_eq!(cn.table.get(&PATH).unwrap().traffic().received, 3);
        assert_eq!(mn.table.get(&PATH).unwrap().traffic().sent, 4);
    }

    #[test]
    fn a_super_packet_that_cannot_go_waits_as_segments_or_is_answered() {
        let mut mn = End::with_keys(1);
        let whole = bulk(5000);
        let whole = SuperPacket::parse(&whole, 1360).unwrap();
        let mut out = Vec::new();
        let held = mn.carrier.outbound_run(Time::ZERO, &whole, &mut out);
        assert_eq!(held, Outbound::Held { miss: Some([198, 18, 0, 2].into()) });
        // Enough for three of the four, the last of which is shorter.
        let received = (whole.largest() + CAPSULE_OVERHEAD) as u64;
        mn.point(2, Proof::Unproved { received, credit: None }, 1400);
        assert_eq!(mn.release().len(), 3);
        mn.point(2, Proof::Proved, 1400);
        assert_eq!(mn.release().len(), 1);
        mn.point(2, Proof::Proved, 1300);
        let answered = mn.carrier.outbound_run(Time::ZERO, &whole, &mut out);
        assert!(matches!(answered, Outbound::Answer(_)), "{answered:?}");
        assert!(out.is_empty());
    }

    #[test]
    fn a_run_from_elsewhere_is_reported_once_with_its_newest() {
        let (mut mn, mut cn) = (End::with_keys(1), End::with_keys(2));
        mn.point(2, Proof::Proved, 1400);
        cn.point(1, Proof::Proved, 1400);
        let whole = bulk(5000);
        let whole = SuperPacket::parse(&whole, 1360).unwrap();
        let mut capsules = Vec::new();
        mn.carrier.outbound_run(Time::ZERO, &whole, &mut capsules);
        let stride = 1400 + CAPSULE_OVERHEAD;
        let seen = cn.carrier.inbound_run(Time::ZERO, &leg(9), 0, &mut capsules, stride, |_| {});
        assert_eq!(seen, Some(Seen { path: PATH, leg: leg(9), epoch_low: 3 }));
    }

    #[test]
    fn another_source_is_reported_and_moves_nothing_here() {
        let (mut mn, mut cn) = (End::with_keys(1), End::with_keys(2));
        mn.point(2, Proof::Proved, 1400);
        cn.point(1, Proof::Proved, 1400);
        let mut capsule = Vec::new();
        mn.carrier.outbound(Time::ZERO, &packet(1, 2, b""), &mut capsule);
        let Inbound::Packet { seen, .. } = cn.carrier.inbound(Time::ZERO, &leg(9), 0, &mut capsule)
        else {
            panic!("dropped")
        };
        assert_eq!(seen, Some(Seen { path: PATH, leg: leg(9), epoch_low: 3 }));
        let state = cn.table.get(&PATH).unwrap().state();
        assert_eq!(state.endpoint.as_ref().unwrap().leg, leg(1));
    }

    #[test]
    fn packets_wait_for_a_path_in_order_and_a_miss_is_told_once() {
        let mut mn = End::with_keys(1);
        let mut out = Vec::new();
        let first = mn.carrier.outbound(Time::ZERO, &packet(1, 2, b"one"), &mut out);
        assert_eq!(first, Outbound::Held { miss: Some([198, 18, 0, 2].into()) });
        let second = mn.carrier.outbound(Time::ZERO, &packet(1, 2, b"two"), &mut out);
        assert_eq!(second, Outbound::Held { miss: None });
        mn.point(2, Proof::Proved, 1400);
        let third = mn.carrier.outbound(Time::ZERO, &packet(1, 2, b"three"), &mut out);
        assert_eq!(third, Outbound::Held { miss: None }, "not before the others");
        let mut cn = End::with_keys(2);
        let payloads: Vec<_> = mn
            .release()
            .into_iter()
            .map(|mut capsule| match cn.carrier.inbound(Time::ZERO, &leg(1), 0, &mut capsule) {
                Inbound::Packet { packet, .. } => packet[20..].to_vec(),
                Inbound::Dropped => panic!("dropped"),
            })
            .collect();
        assert_eq!(payloads, [&b"one"[..], b"two", b"three"]);
        assert!(!mn.carrier.is_holding());
    }

    #[test]
    fn an_unproved_address_gets_what_it_earned_and_the_rest_waits() {
        let (mut mn, mut cn) = (End::with_keys(1), End::with_keys(2));
        let one = (packet(1, 2, &[0; 100]).len() + CAPSULE_OVERHEAD) as u64;
        mn.point(2, Proof::Unproved { received: one, credit: None }, 1400);
        let mut out = Vec::new();
        let sent = (0..10)
            .filter(|_| {
                let outbound = mn.carrier.outbound(Time::ZERO, &packet(1, 2, &[0; 100]), &mut out);
                matches!(outbound, Outbound::To { .. })
            })
            .count();
        assert_eq!(sent, 3);
        cn.point(1, Proof::Proved, 1400);
        let mut answer = Vec::new();
        cn.carrier.outbound(Time::ZERO, &packet(2, 1, &[0; 100]), &mut answer);
        mn.carrier.inbound(Time::ZERO, &leg(2), 0, &mut answer);
        assert_eq!(mn.release().len(), 3, "three for the one that came");
    }

    #[test]
    fn what_does_not_fit_is_answered() {
        let mut mn = End::with_keys(1);
        mn.point(2, Proof::Proved, 1300);
        let mut out = Vec::new();
        let big = packet(1, 2, &[0; 1281]);
        let Outbound::Answer(answer) = mn.carrier.outbound(Time::ZERO, &big, &mut out) else {
            panic!("not answered")
        };
        assert_eq!(Flow::of(&answer).unwrap().destination, IpAddr::from([198, 18, 0, 1]));
        assert!(out.is_empty());
    }

    #[test]
    fn what_does_not_fit_and_may_be_cut_goes_in_fragments() {
        let (mut mn, mut cn) = (End::with_keys(1), End::with_keys(2));
        cn.point(1, Proof::Proved, 1400);
        let mut big = packet(1, 2, &[7; 1380]);
        big[6] = 0;
        let mut received = |capsules: &mut [u8], size| {
            let crossed = capsules.chunks_mut(size).map(|capsule| {
                match cn.carrier.inbound(Time::ZERO, &leg(1), 0, capsule) {
                    Inbound::Packet { packet, .. } => packet.to_vec(),
                    Inbound::Dropped => panic!("dropped"),
                }
            });
            crossed.collect::<Vec<_>>()
        };
        let whole = |fragments: Vec<Vec<u8>>| {
            assert!(fragments.iter().all(|fragment| fragment.len() <= 1300));
            let payloads: Vec<_> = fragments.iter().map(|fragment| &fragment[20..]).collect();
            assert_eq!(payloads.concat(), big[20..]);
        };
        // One that waited while the path was wider than it turns out to be.
        let mut out = Vec::new();
        let held = mn.carrier.outbound(Time::ZERO, &big, &mut out);
        assert!(matches!(held, Outbound::Held { .. }));
        mn.point(2, Proof::Proved, 1300);
        whole(mn.release().iter_mut().flat_map(|it| received(it, 1444)).collect());
        let sent = mn.carrier.outbound(Time::ZERO, &big, &mut out);
        let Outbound::Cut { leg: to, size, .. } = sent else { panic!("{sent:?}") };
        assert_eq!(to, leg(2));
        whole(received(&mut out, size));
        assert_eq!(mn.carrier.dropped(), Dropped::default());
    }

    #[test]
    fn a_foreign_source_does_not_leave() {
        let mut mn = End::with_keys(1);
        mn.point(2, Proof::Proved, 1400);
        let sent = mn.carrier.outbound(Time::ZERO, &packet(7, 2, b""), &mut Vec::new());
        assert_eq!(sent, Outbound::Dropped);
    }

    #[test]
    fn who_sends_into_no_session_is_told_the_seal_of_what_came() {
        let mut mn = End::with_keys(1);
        mn.point(2, Proof::Proved, 1400);
        let mut capsule = Vec::new();
        mn.carrier.outbound(Time::ZERO, &packet(1, 2, b"hello"), &mut capsule);
        let seal = *capsule.last_chunk().unwrap();
        let told = UnknownSession { id: [1; 16], side: Side::Higher, seal };
        let keyless = End::new(2);
        let mut forgetful = End::new(2);
        forgetful.table.apply(Time::ZERO, &TableEvent::Remove { path: PATH });
        for mut cn in [keyless, forgetful] {
            for told in [Some(told), None] {
                let mut capsule = capsule.clone();
                let dropped = cn.carrier.inbound(Time::ZERO, &leg(1), 0, &mut capsule);
                assert_eq!(dropped, Inbound::Dropped);
                assert_eq!(cn.carrier.take_notice(), told, "once");
                assert_eq!(cn.carrier.take_notice(), None);
            }
        }
        let mut cn = End::with_keys(2);
        *capsule.last_mut().unwrap() ^= 1;
        cn.carrier.inbound(Time::ZERO, &leg(1), 0, &mut capsule);
        assert_eq!((cn.carrier.dropped().forged, cn.carrier.take_notice()), (1, None));
    }

    #[test]
    fn while_mirrored_the_same_capsule_goes_both_ways_within_what_came_from_there() {
        let (mut mn, mut cn) = (End::with_keys(1), End::with_keys(2));
        mn.point(2, Proof::Proved, 1400);
        cn.point(1, Proof::Proved, 1400);
        cn.table.apply(Time::ZERO, &TableEvent::Mirror { path: PATH, to: Some(leg(9)) });
        let mirrored = |cn: &mut End| {
            let mut capsule = Vec::new();
            cn.carrier.outbound(Time::ZERO, &packet(2, 1, &[0; 100]), &mut capsule);
            (cn.carrier.take_mirror(), capsule)
        };
        assert_eq!(mirrored(&mut cn).0, None, "too little has come from there");
        let mut capsule = Vec::new();
        mn.carrier.outbound(Time::ZERO, &packet(1, 2, &[0; 100]), &mut capsule);
        cn.carrier.inbound(Time::ZERO, &leg(9), 0, &mut capsule);
        let ways: Vec<_> = (0..5).map(|_| mirrored(&mut cn).0).collect();
        assert_eq!(ways, [Some(leg(9)), Some(leg(9)), Some(leg(9)), None, None]);
        let mut capsule = Vec::new();
        mn.carrier.outbound(Time::ZERO, &packet(1, 2, &[0; 100]), &mut capsule);
        cn.carrier.inbound(Time::ZERO, &leg(9), 0, &mut capsule);
        let (twin, capsule) = mirrored(&mut cn);
        assert_eq!(twin, Some(leg(9)));
        for accepted in [true, false] {
            let mut capsule = capsule.clone();
            let inbound = mn.carrier.inbound(Time::ZERO, &leg(2), 0, &mut capsule);
            assert_eq!(matches!(inbound, Inbound::Packet { .. }), accepted, "one of the two");
        }
        cn.table.apply(Time::ZERO, &TableEvent::Mirror { path: PATH, to: None });
        assert_eq!(mirrored(&mut cn).0, None);
    }

    #[test]
    fn an_application_that_goes_on_is_heard_again_and_again() {
        let mut mn = End::new(1);
        let mut misses = 0;
        for second in 0..60 {
            let now = Time::ZERO + Duration::from_secs(second);
            let sent = mn.carrier.outbound(now, &packet(1, 2, b"ping"), &mut Vec::new());
            misses += u32::from(matches!(sent, Outbound::Held { miss: Some(_) }));
            mn.carrier.release(now, |_, _, _, _| {});
        }
        assert!(misses > 30, "of 60 packets for nowhere {misses} were told of");
    }
}
