use std::net::IpAddr;

use super::checksum::{fold, sum};
use super::ip::IPV4_HEADER;
use super::transport::{Layout, Protocol};
use crate::plugin::Offload;

/// Runs that may grow at the same time. Trains of a single flow need one; four
/// keep flows apart that a fair sender, or several peers, send by turns.
const OPEN: usize = 4;
/// The largest IP packet.
const LARGEST: usize = 65_535;
/// Segments of UDP that every kernel with segmentation takes.
const MOST_DATAGRAMS: usize = 64;

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
/// IPv4: "don't fragment", not a fragment.
const WHOLE: [u8; 2] = [0x40, 0];

/// Joins packets that arrive one after the other to super-packets
/// ([`Offload`]), so that an interface takes many in one call.
///
/// A packet joins the open run of its flow where
/// [`SuperPacket`](super::SuperPacket) would cut it off again just as it was:
/// same headers, next bytes, no longer than the first, right checksums. One
/// that does not join ends the run of its flow, so packets of a flow stay in
/// order; packets of different flows may pass each other.
///
/// IPv4 identifications count upwards from packet to packet, or are all zero. The
/// zeroes are the one thing that is not kept: they would be cut as 0, 1, 2. In a
/// packet that must not be fragmented the field means nothing (RFC 6864, section
/// 4.1), and systems that know this send it so; fragmentable packets are not joined.
#[derive(Clone, Debug)]
pub struct Coalescer {
    takes: Offload,
    /// One for each open run, which is always the last thing in it.
    arenas: [Vec<u8>; OPEN],
    open: [Option<Open>; OPEN],
    /// Packets that nothing will join.
    alone: Vec<u8>,
    given: Vec<Given>,
    /// Packets taken so far: the clock by which runs are stale.
    clock: u64,
}

/// One thing to give out.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// Which arena; [`OPEN`] is that of packets alone.
    arena: usize,
    start: usize,
    end: usize,
    segment: u16,
}

/// A run that may grow.
#[derive(Clone, Copy, Debug)]
struct Open {
    flow: FlowKey,
    /// Which of `given` it is.
    given: usize,
    /// When a packet joined last.
    used: u64,
    /// Where its payload begins.
    payload: usize,
    transport: usize,
    /// Payload bytes of its first packet.
    segment: usize,
    count: usize,
    /// What the IPv4 identification grows by; unknown with one packet.
    step: Option<u16>,
    /// The sum over its IPv4 header without length and checksum.
    network: u32,
    pseudo_header: u32,
}

/// What keeps its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FlowKey {
    protocol: Protocol,
    ports: [u8; 4],
    source: IpAddr,
    destination: IpAddr,
}

impl FlowKey {
    fn of(packet: &[u8], layout: &Layout) -> Self {
        let at = layout.transport;
        Self {
            protocol: layout.protocol,
            ports: [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]],
            source: layout.flow.source,
            destination: layout.flow.destination,
        }
    }
}

impl Coalescer {
    /// For an interface that takes these super-packets.
    pub fn new(takes: Offload) -> Self {
        Self {
            takes,
            arenas: Default::default(),
            open: [None; OPEN],
            alone: Vec::new(),
            given: Vec::new(),
            clock: 0,
        }
    }

    /// Takes a complete packet, in the order of arrival.
    pub fn push(&mut self, packet: &[u8]) {
        self.clock += 1;
        let Ok(layout) = Layout::of(packet) else {
            // It may belong to any flow.
            self.open = [None; OPEN];
            return self.push_alone(packet);
        };
        let flow = FlowKey::of(packet, &layout);
        let found = self.open.iter().position(|o| o.as_ref().is_some_and(|o| o.flow == flow));
        let suits = self.takes(layout.protocol) && is_plain(packet, &layout);
        if let Some(at) = found {
            if suits && self.extends(at, packet, &layout) && verifies(packet, &layout) {
                return self.join(at, packet, &layout);
            }
            self.open[at] = None;
        }
        if suits && !is_last(packet, &layout) && verifies(packet, &layout) {
            self.start(found.unwrap_or_else(|| self.stalest()), flow, packet, &layout);
        } else {
            self.push_alone(packet);
        }
    }

    /// Packets and super-packets, with the payload bytes of a segment: 0 for a
    /// packet, which is just as it was pushed.
    pub fn packets(&self) -> impl Iterator<Item = (&[u8], u16)> {
        self.given.iter().map(|given| {
            let arena = self.arenas.get(given.arena).unwrap_or(&self.alone);
            (&arena[given.start..given.end], given.segment)
        })
    }

    /// Bytes of all that [`Coalescer::packets`] gives.
    pub fn bytes(&self) -> usize {
        self.arenas.iter().map(Vec::len).sum::<usize>() + self.alone.len()
    }

    /// Whether there is nothing to give.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Forgets everything but its memory.
    pub fn clear(&mut self) {
        self.arenas.iter_mut().for_each(Vec::clear);
        self.open = [None; OPEN];
        self.alone.clear();
        self.given.clear();
    }

    fn takes(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => self.takes.tcp,
            Protocol::Udp => self.takes.udp,
        }
    }

    fn push_alone(&mut self, packet: &[u8]) {
        let start = self.alone.len();
        self.alone.extend_from_slice(packet);
        self.given.push(Given { arena: OPEN, start, end: self.alone.len(), segment: 0 });
    }

    /// An arena without an open run, or that of the run that no packet has joined
    /// for longest.
    fn stalest(&self) -> usize {
        let used = |at: &usize| self.open[*at].as_ref().map(|open| open.used);
        (0..OPEN).min_by_key(used).unwrap_or(0)
    }

    fn start(&mut self, at: usize, flow: FlowKey, packet: &[u8], layout: &Layout) {
        let start = self.arenas[at].len();
        self.arenas[at].extend_from_slice(packet);
        let network = if flow.source.is_ipv4() {
            sum(&packet[..2]) + sum(&packet[4..10]) + sum(&packet[12..IPV4_HEADER])
        } else {
            0
        };
        self.open[at] = Some(Open {
            flow,
            given: self.given.len(),
            used: self.clock,
            payload: layout.payload,
            transport: layout.transport,
            segment: packet.len() - layout.payload,
            count: 1,
            step: None,
            network,
            pseudo_header: layout.pseudo_header(packet),
        });
        self.given.push(Given { arena: at, start, end: start + packet.len(), segment: 0 });
    }

    /// Whether this packet, of the flow of the run there, is its next segment.
    fn extends(&self, at: usize, packet: &[u8], layout: &Layout) -> bool {
        let Some(open) = &self.open[at] else { return false };
        let run = &self.arenas[at][self.given[open.given].start..];
        let same = |from: usize, to: usize| run[from..to] == packet[from..to];
        let payload = packet.len() - layout.payload;
        let (tcp, end) = (layout.transport, layout.payload);
        let network = if open.flow.source.is_ipv4() {
            let step = identification(packet).wrapping_sub(identification(run));
            let zeroes = identification(packet) == 0 && open.step.unwrap_or(0) == 0 && step == 0;
            let counts = open.step.unwrap_or(1) == 1 && usize::from(step) == open.count;
            same(0, 2) && same(6, 10) && (zeroes || counts)
        } else {
            same(0, 4) && same(6, 8)
        };
        let transport = match layout.protocol {
            // Of equal headers alone: another run may be shorter than this one's.
            Protocol::Tcp if open.payload == end => {
                let next = sequence(run, tcp).wrapping_add((run.len() - end) as u32);
                sequence(packet, tcp) == next
                    && same(tcp + 8, tcp + 13)
                    && same(tcp + 14, tcp + 16)
                    && same(tcp + 18, end)
            }
            Protocol::Tcp => false,
            Protocol::Udp => open.count < MOST_DATAGRAMS,
        };
        network && transport && payload <= open.segment && run.len() + payload <= LARGEST
    }

    fn join(&mut self, at: usize, packet: &[u8], layout: &Layout) {
        let Some(open) = &mut self.open[at] else { return };
        let (given, arena) = (&mut self.given[open.given], &mut self.arenas[at]);
        arena.extend_from_slice(&packet[layout.payload..]);
        let run = &mut arena[given.start..];
        given.end = given.start + run.len();
        given.segment = open.segment as u16;
        if open.count == 1 && open.flow.source.is_ipv4() {
            open.step = Some(identification(packet).wrapping_sub(identification(run)));
        }
        open.count += 1;
        open.used = self.clock;
        let len = ((run.len() - open.transport) as u16).to_be_bytes();
        if open.flow.source.is_ipv4() {
            let total = run.len() as u16;
            run[2..4].copy_from_slice(&total.to_be_bytes());
            let sum = !fold(open.network + u32::from(total));
            run[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            run[4..6].copy_from_slice(&len);
        }
        let partial = fold(open.pseudo_header + u32::from(u16::from_be_bytes(len)));
        let header = &mut run[open.transport..];
        match layout.protocol {
            Protocol::Tcp => {
                header[13] |= packet[layout.transport + 13] & PSH;
                header[16..18].copy_from_slice(&partial.to_be_bytes());
            }
            Protocol::Udp => {
                header[4..6].copy_from_slice(&len);
                header[6..8].copy_from_slice(&partial.to_be_bytes());
            }
        }
        if packet.len() - layout.payload < open.segment || is_last(packet, layout) {
            self.open[at] = None;
        }
    }
}

fn identification(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[4], packet[5]])
}

fn sequence(packet: &[u8], tcp: usize) -> u32 {
    u32::from_be_bytes([packet[tcp + 4], packet[tcp + 5], packet[tcp + 6], packet[tcp + 7]])
}

/// Whether the sender says that the receiver should not wait for more.
fn is_last(packet: &[u8], layout: &Layout) -> bool {
    layout.protocol == Protocol::Tcp && packet[layout.transport + 13] & PSH != 0
}

/// Whether its headers say nothing that a cut super-packet could not say.
fn is_plain(packet: &[u8], layout: &Layout) -> bool {
    let header = &packet[layout.transport..layout.payload];
    let network =
        layout.flow.source.is_ipv6() || layout.transport == IPV4_HEADER && packet[6..8] == WHOLE;
    let transport = match layout.protocol {
        Protocol::Tcp => header[13] & !PSH == ACK,
        Protocol::Udp => {
            usize::from(u16::from_be_bytes([header[4], header[5]]))
                == packet.len() - layout.transport
        }
    };
    network && transport && packet.len() > layout.payload
}

/// Whether its checksums are right, and written as everybody writes them: both 0
/// and 0xffff stand for zero. No checksum is no right one.
fn verifies(packet: &[u8], layout: &Layout) -> bool {
    let (network, behind) = packet.split_at(layout.transport);
    let header =
        layout.flow.source.is_ipv6() || network[10..12] != [0xff; 2] && sum(network) == 0xffff;
    let written = match layout.protocol {
        Protocol::Tcp => behind[16..18] != [0xff; 2],
        Protocol::Udp => behind[6..8] != [0; 2],
    };
    let total = layout.pseudo_header(packet) + behind.len() as u32 + sum(behind);
    header && written && fold(total) == 0xffff
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::checksum::finish;
    use super::super::sample::{self, Sample, any_sample};
    use super::super::{Flow, SuperPacket};
    use super::*;

    const ALL: Offload = Offload { tcp: true, udp: true };

    fn coalesced(takes: Offload, packets: &[Vec<u8>]) -> Vec<(Vec<u8>, u16)> {
        let mut coalescer = Coalescer::new(takes);
        packets.iter().for_each(|packet| coalescer.push(packet));
        let given: Vec<_> =
            coalescer.packets().map(|(bytes, segment)| (bytes.to_vec(), segment)).collect();
        assert_eq!(coalescer.bytes(), given.iter().map(|(bytes, _)| bytes.len()).sum());
        given
    }

    fn whole(v6: bool, tcp: bool) -> Sample {
        let payload = (0..1000).map(|byte| byte as u8).collect();
        let options = if tcp { vec![1; 12] } else { Vec::new() };
        Sample { v6, tcp, ttl: 64, host: 1, flags: ACK, options, payload, ..Sample::default() }
    }

    fn kinds() -> [Sample; 4] {
        [(false, false), (false, true), (true, false), (true, true)].map(|(v6, tcp)| whole(v6, tcp))
    }

    fn packets(samples: &[Sample]) -> Vec<Vec<u8>> {
        samples.iter().map(Sample::packet).collect()
    }

    #[test]
    fn a_train_becomes_the_super_packet_that_it_was() {
        for whole in kinds() {
            for (segment, flags) in [(100, ACK), (300, ACK), (100, ACK | PSH), (300, ACK | PSH)] {
                let whole = Sample { flags, ..whole.clone() };
                let train = packets(&whole.cut(segment));
                assert_eq!(coalesced(ALL, &train), [(whole.partial(), segment as u16)]);
            }
        }
    }

    #[test]
    fn a_packet_on_its_own_is_left_as_it_is() {
        for whole in kinds() {
            assert_eq!(coalesced(ALL, &[whole.packet()]), [(whole.packet(), 0)]);
        }
        assert!(Coalescer::new(ALL).is_empty());
    }

    #[test]
    fn what_the_interface_does_not_take_is_not_made() {
        for whole in kinds() {
            let train = packets(&whole.cut(100));
            let takes = Offload { tcp: !whole.tcp, udp: whole.tcp };
            for takes in [takes, Offload::NONE] {
                let single: Vec<_> = train.iter().map(|packet| (packet.clone(), 0)).collect();
                assert_eq!(coalesced(takes, &train), single);
            }
        }
    }

    #[test]
    fn trains_that_interleave_are_joined_each() {
        let flows = kinds();
        let trains = flows.clone().map(|whole| packets(&whole.cut(100)));
        let mixed: Vec<_> =
            (0..10).flat_map(|nth| trains.iter().map(move |train| train[nth].clone())).collect();
        assert_eq!(coalesced(ALL, &mixed), flows.map(|whole| (whole.partial(), 100)));
    }

    #[test]
    fn the_stalest_run_ends_where_there_are_too_many() {
        let train = |host| packets(&Sample { host, ..whole(false, true) }.cut(200));
        let mut pushed: Vec<_> = (0..OPEN as u8).map(|host| train(host)[0].clone()).collect();
        pushed.extend([train(0)[1].clone(), train(99)[0].clone()]);
        pushed.extend([train(1)[1].clone(), train(0)[2].clone()]);
        let given = coalesced(ALL, &pushed);
        let host = |at: usize| given[at].0[15];
        assert_eq!((host(0), given[0].1), (0, 200), "was in use");
        assert_eq!(given.len(), OPEN + 2);
        assert_eq!((host(OPEN), host(OPEN + 1)), (99, 1), "was stale");
    }

    #[test]
    fn the_last_segment_ends_a_run() {
        for whole in kinds() {
            let [short, next] = [
                Sample { payload: vec![1; 250], ..whole.clone() },
                Sample { sequence: 250, id: 3, payload: vec![2; 100], ..whole.clone() },
            ];
            let mut train = packets(&short.cut(100));
            train.push(next.packet());
            assert_eq!(coalesced(ALL, &train), [(short.partial(), 100), (next.packet(), 0)]);
        }
    }

    #[test]
    fn limits_are_kept() {
        for whole in kinds() {
            let whole = Sample { payload: vec![3; 70_000], ..whole };
            let given = coalesced(ALL, &packets(&whole.cut(600)));
            let fits = if whole.tcp { (65_535 - whole.headers()) / 600 } else { 64 };
            assert_eq!(given[0].0.len(), whole.headers() + fits * 600);
            assert_eq!(given.len(), 2);
        }
    }

    #[test]
    fn a_difference_ends_a_run() {
        for whole in kinds() {
            let pair = whole.cut(500);
            let is_joined = |second: &Sample| {
                coalesced(ALL, &packets(&[pair[0].clone(), second.clone()])).len() == 1
            };
            let second = &pair[1];
            assert!(is_joined(second));
            let longer = Sample { payload: vec![1; 501], ..second.clone() };
            let empty = Sample { payload: Vec::new(), ..second.clone() };
            let common = [
                Sample { host: 9, ..second.clone() },
                Sample { port: 9, ..second.clone() },
                Sample { tos: 1, ..second.clone() },
                Sample { ttl: 63, ..second.clone() },
                longer,
                empty,
            ];
            let of_tcp = [
                Sample { sequence: 501, ..second.clone() },
                Sample { ack: 1, ..second.clone() },
                Sample { window: 1, ..second.clone() },
                Sample { urgent: 1, ..second.clone() },
                Sample { options: vec![1; 16], ..second.clone() },
                Sample { options: vec![2; 12], ..second.clone() },
                Sample { flags: ACK | 0x01, ..second.clone() },
                Sample { flags: ACK | 0x40, ..second.clone() },
                Sample { flags: ACK | 0x80, ..second.clone() },
                Sample { flags: 0, ..second.clone() },
            ];
            let of_ipv4 = [
                Sample { id: 2, ..second.clone() },
                Sample { ip_options: vec![1; 4], ..second.clone() },
            ];
            let of_ipv6 = [Sample { flow_label: 1, ..second.clone() }];
            let of_transport = if whole.tcp { of_tcp.to_vec() } else { Vec::new() };
            let of_network = if whole.v6 { of_ipv6.to_vec() } else { of_ipv4.to_vec() };
            for other in common.into_iter().chain(of_transport).chain(of_network) {
                assert!(!is_joined(&other), "{other:?}");
            }
        }
    }

    #[test]
    fn nothing_passes_what_may_be_of_its_flow() {
        let [.., udp, _] = kinds();
        let pieces = packets(&udp.cut(500));
        let mut fragment = pieces[1].clone();
        fragment[6] = 44;
        for between in [fragment, Vec::new()] {
            let mixed = [pieces[0].clone(), between, pieces[1].clone()];
            assert_eq!(coalesced(ALL, &mixed), mixed.map(|packet| (packet, 0)));
        }
    }

    #[test]
    fn ids_count_or_are_all_zero() {
        let pieces = whole(false, true).cut(100);
        let joins = |ids: [u16; 3]| {
            let given: Vec<_> = ids
                .iter()
                .zip(&pieces)
                .map(|(id, piece)| Sample { id: *id, ..piece.clone() }.packet())
                .collect();
            coalesced(ALL, &given).len() == 1
        };
        assert!(joins([7, 8, 9]) && joins([0, 1, 2]) && joins([0, 0, 0]) && joins([65_535, 0, 1]));
        assert!(!joins([0, 0, 1]) && !joins([0, 1, 1]) && !joins([7, 7, 7]) && !joins([0, 0, 2]));
        assert!(!joins([0, 1, 0]) && !joins([65_535, 0, 0]));
    }

    #[test]
    fn false_checksums_are_handed_on_alone_and_as_they_are() {
        for whole in kinds() {
            let train = packets(&whole.cut(250));
            let in_header = (!whole.v6).then_some(8);
            for (at, nth) in [(Some(300), 0), (Some(300), 1), (in_header, 0), (in_header, 1)] {
                let Some(at) = at else { continue };
                let mut train = train.clone();
                let at = at.min(train[nth].len() - 1);
                train[nth][at] ^= 1;
                let given = coalesced(ALL, &train);
                assert!(given.contains(&(train[nth].clone(), 0)), "byte {at} of packet {nth}");
            }
            if !whole.tcp {
                let mut none = train.clone();
                let at = whole.headers() - 2;
                none.iter_mut().for_each(|packet| packet[at..at + 2].fill(0));
                assert_eq!(coalesced(ALL, &none).len(), 4, "no UDP checksums");
            }
        }
    }

    #[test]
    fn memory_is_kept() {
        let train = packets(&whole(false, true).cut(100));
        let mut coalescer = Coalescer::new(ALL);
        let mut capacities = Vec::new();
        for _ in 0..3 {
            train.iter().for_each(|packet| coalescer.push(packet));
            capacities.push((coalescer.arenas[0].capacity(), coalescer.given.capacity()));
            coalescer.clear();
            assert!(coalescer.is_empty() && coalescer.bytes() == 0);
        }
        assert_eq!(capacities[0], capacities[2]);
    }

    /// What a flow sends next.
    #[derive(Clone, Copy, Debug)]
    enum Next {
        Data { len: usize, flags: u8 },
        Ack,
        Change(u8),
        Damaged { at: prop::sample::Index },
        Fragment,
        Nonsense(u8),
    }

    fn any_next() -> impl Strategy<Value = Next> {
        prop_oneof![
            20 => Just(Next::Data { len: 100, flags: ACK }),
            2 => (1_usize..200, prop_oneof![4 => Just(ACK), 2 => Just(ACK | PSH), 1 => any::<u8>()])
                .prop_map(|(len, flags)| Next::Data { len, flags }),
            1 => Just(Next::Ack),
            1 => any::<u8>().prop_map(Next::Change),
            1 => any::<prop::sample::Index>().prop_map(|at| Next::Damaged { at }),
            1 => Just(Next::Fragment),
            1 => any::<u8>().prop_map(Next::Nonsense),
        ]
    }

    /// Six flows; the last sends with ids of zero.
    fn flows() -> Vec<Sample> {
        let mut flows = kinds().to_vec();
        flows.push(Sample { port: 5, ..whole(false, true) });
        flows.push(Sample { port: 6, ..whole(false, true) });
        flows
    }

    fn send(flow: &mut Sample, next: Next, ids: u16) -> Vec<u8> {
        flow.payload = match next {
            Next::Data { len, .. } => (0..len).map(|byte| byte as u8).collect(),
            Next::Damaged { .. } | Next::Fragment => vec![7; 100],
            Next::Ack | Next::Change(_) | Next::Nonsense(_) => Vec::new(),
        };
        flow.flags = if let Next::Data { flags, .. } = next { flags } else { ACK };
        let mut packet = flow.packet();
        match next {
            Next::Data { .. } => {}
            Next::Ack => flow.ack = flow.ack.wrapping_add(100),
            Next::Change(to) => (flow.tos, flow.window) = (to & 3, to.into()),
            Next::Damaged { at } => {
                let at = at.index(packet.len());
                packet[at] ^= 0x10;
            }
            Next::Fragment if flow.v6 => packet[6] = 44,
            Next::Fragment => packet[6] = 0x20,
            Next::Nonsense(byte) => packet = vec![byte; byte.into()],
        }
        flow.id = flow.id.wrapping_add(ids);
        flow.sequence = flow.sequence.wrapping_add(flow.payload.len() as u32);
        packet
    }

    /// The packets of each flow, in order; an id of zero and the sum over it are
    /// left out.
    fn by_flow(packets: &[Vec<u8>]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
        let mut flows = BTreeMap::<_, Vec<_>>::new();
        for packet in packets {
            let key = match Flow::of(packet).map(|flow| flow.source.is_ipv4()) {
                Ok(true) => {
                    [&packet[9..10], &packet[12..20], packet.get(20..24).unwrap_or(&[])].concat()
                }
                Ok(false) => {
                    [&packet[6..7], &packet[8..40], packet.get(40..44).unwrap_or(&[])].concat()
                }
                Err(_) => Vec::new(),
            };
            let mut packet = packet.clone();
            if key.len() == 13 && key[9..11] == 6_u16.to_be_bytes() && packet[6] == 0x40 {
                packet[4..6].fill(0);
                packet[10..12].fill(0);
            }
            flows.entry(key).or_default().push(packet);
        }
        flows
    }

    fn cut_again(given: &[(Vec<u8>, u16)]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for (bytes, segment) in given {
            if *segment == 0 {
                all.push(bytes.clone());
                continue;
            }
            let whole = SuperPacket::parse(bytes, *segment).unwrap();
            for nth in 0..whole.count() {
                let mut packet = Vec::new();
                whole.write(nth, &mut packet);
                all.push(packet);
            }
        }
        all
    }

    proptest! {
        #[test]
        fn cut_again_everything_is_as_it_was(
            script in proptest::collection::vec((0_usize..6, any_next()), 0..200),
            trains in proptest::collection::vec((0_usize..6, 1_usize..80), 0..4),
        ) {
            let mut flows = flows();
            let trains = trains.into_iter().flat_map(|(flow, len)| {
                std::iter::repeat_n((flow, Next::Data { len: 100, flags: ACK }), len)
            });
            let pushed: Vec<_> = trains
                .chain(script)
                .map(|(flow, next)| send(&mut flows[flow], next, u16::from(flow != 5)))
                .collect();
            let given = coalesced(ALL, &pushed);
            prop_assert_eq!(by_flow(&cut_again(&given)), by_flow(&pushed));
            for (packet, _) in given.iter().filter(|given| given.1 != 0) {
                let v6 = packet[0] >> 4 == 6;
                let (at, protocol) = if v6 { (40, packet[6]) } else { (20, packet[9]) };
                let addresses = if v6 { &packet[8..40] } else { &packet[12..20] };
                let len = ((packet.len() - at) as u16).to_be_bytes();
                let pseudo = [addresses, &len[..], &[0, protocol][..]].concat();
                let offset = if protocol == 6 { 16 } else { 6 };
                let partial = [packet[at + offset], packet[at + offset + 1]];
                prop_assert_eq!(partial, sample::sum(&pseudo).to_be_bytes());
                let mut complete = packet.clone();
                finish(&mut complete, at, offset).unwrap();
                let summed = [&pseudo[..], &complete[at..]].concat();
                prop_assert_eq!(sample::sum(&summed), 0xffff);
                prop_assert!(v6 || sample::sum(&packet[..20]) == 0xffff);
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            packets in proptest::collection::vec(any::<Vec<u8>>(), 0..20),
            sample in any_sample(300),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        ) {
            let mut pushed = packets;
            for piece in packets_of(&sample) {
                pushed.push(piece);
            }
            for (at, byte) in edits {
                let mut edited = sample.packet();
                let len = edited.len().min(60);
                edited[at.index(len)] = byte;
                pushed.push(edited);
            }
            let given = coalesced(ALL, &pushed);
            prop_assert_eq!(cut_again(&given).len(), pushed.len());
        }
    }

    fn packets_of(sample: &Sample) -> Vec<Vec<u8>> {
        packets(&Sample { flags: ACK, ..sample.clone() }.cut(50))
    }
}
