//! Two ends with tunnels between them, and packets to send. The test that packets
//! cost no memory (`bins/ntm/tests/allocations/`) uses the same.

use std::net::Ipv4Addr;

use ntm_core::address::{Leg, TransportId, Vips};
use ntm_core::crypto::{Secret, Suite};
use ntm_core::id::{Epoch, PathId, Side};
use ntm_core::relay::{BoundEnd, ForwardEvent, ForwardTable, Forwarder, Limits};
use ntm_core::tunnel::{Carrier, Direction, Dscp, Pointing, Proof, Table, TableEvent, TableReader};
use ntm_core::{Rng, Time};

/// Bytes of an inner packet, in a capsule of 1,444: the largest at the default MTU.
pub(super) const LARGE: usize = 1400;
pub(super) const SMALL: usize = 64;
/// Packets in a super-packet.
pub(super) const RUN: usize = 45;
/// Headers of IPv4 and TCP.
const HEADERS: usize = 40;
/// Payload of each.
pub(super) const SEGMENT: u16 = (LARGE - HEADERS) as u16;

/// Ours, and number `nth` of the peers, from 1.
fn vip(nth: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from_be_bytes([198, 18, 0, 0]) + nth as u32)
}

fn vips(nth: usize) -> Vips {
    Vips { v4: Some(vip(nth)), v6: None }
}

/// The Path ID of tunnel `nth`.
pub(super) fn path(nth: usize) -> PathId {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&nth.to_be_bytes());
    PathId::from_bytes(Rng::from_seed(seed).bytes())
}

pub(super) fn leg(nth: usize) -> Leg {
    let [.., high, low] = nth.to_be_bytes();
    Leg::to(TransportId(0), ([203, 0, high, low], 4330).into())
}

/// Us, and so many peers that share a table.
pub(super) fn carriers(suite: Suite, peers: usize) -> [Carrier; 2] {
    tables(suite, peers).map(|tunnels| Carrier::new(tunnels, Dscp::Clear))
}

/// What tunnels lead from us to so many peers, and back.
pub(super) fn tables(suite: Suite, peers: usize) -> [TableReader; 2] {
    let near = table(1..=peers, |nth| (Side::Lower, [vips(0), vips(nth)], leg(nth), suite));
    let far = table(1..=peers, |nth| (Side::Higher, [vips(nth), vips(0)], leg(0), suite));
    [near, far]
}

/// So many relayed paths, each between a peer's place and ours.
pub(super) fn forwards(paths: usize) -> Forwarder {
    let mut table = ForwardTable::new(&mut Rng::from_seed([3; 32]));
    let end = |nth| Some(BoundEnd { leg: leg(nth), budget: None, before: None });
    for nth in 1..=paths {
        let limits = Limits { serial: 1, rate: 0, quota: 0 };
        let (path, lower, higher) = (path(nth), end(nth), end(0));
        table.apply(Time::ZERO, &ForwardEvent::Set { path, lower, higher, limits });
    }
    table.reader()
}

/// Tunnels for look-ups alone.
pub(super) fn tunnels(count: usize) -> TableReader {
    let mut table = Table::new(&mut Rng::from_seed([1; 32]));
    for nth in 1..=count {
        let (side, own, peer) = (Side::Lower, vips(0), vips(nth));
        table.apply(Time::ZERO, &TableEvent::Open { path: path(nth), side, own, peer });
    }
    table.reader()
}

fn table(
    numbers: impl Iterator<Item = usize>,
    of: impl Fn(usize) -> (Side, [Vips; 2], Leg, Suite),
) -> TableReader {
    let mut table = Table::new(&mut Rng::from_seed([1; 32]));
    let keys = [(Direction::Send, Side::Lower), (Direction::Receive, Side::Higher)];
    for nth in numbers {
        let (side, [own, peer], leg, suite) = of(nth);
        let (path, slot) = (path(nth), 1);
        table.apply(Time::ZERO, &TableEvent::Open { path, side, own, peer });
        for (direction, from) in keys {
            let key = Secret::new([if from == side { 1 } else { 2 }; 32]);
            let install = TableEvent::Install { path, direction, slot, suite, key };
            table.apply(Time::ZERO, &install);
        }
        let limit = LARGE as u16;
        let to = Some(Pointing { leg, proof: Proof::Proved, fallback: None, limit });
        table.apply(Time::ZERO, &TableEvent::Point { path, to, epoch: Epoch(1) });
    }
    table.reader()
}

/// An IPv4 packet to peer `nth`, its headers without checksums.
fn ipv4(protocol: u8, len: usize, to: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&(len as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend_from_slice(&vip(0).octets());
    packet.extend_from_slice(&vip(to).octets());
    packet.resize(len, 0x5a);
    packet
}

/// UDP.
pub(super) fn packet(len: usize, to: usize) -> Vec<u8> {
    ipv4(17, len, to)
}

/// TCP, of [`RUN`] segments.
pub(super) fn super_packet(to: usize) -> Vec<u8> {
    let mut packet = ipv4(6, HEADERS + RUN * usize::from(SEGMENT), to);
    // Twenty bytes of header, and nothing but ACK.
    packet[32..34].copy_from_slice(&[0x50, 0x10]);
    packet
}

/// Sends it to another peer.
pub(super) fn aim(packet: &mut [u8], to: usize) {
    packet[16..20].copy_from_slice(&vip(to).octets());
}

/// The peers in an order in which no cache fetches ahead.
pub(super) struct Turns {
    count: usize,
    at: usize,
}

impl Turns {
    pub(super) fn new(count: usize) -> Self {
        Self { count, at: 0 }
    }

    pub(super) fn next(&mut self) -> usize {
        // A prime: everybody has a turn before anybody has another.
        self.at = (self.at + 7919) % self.count;
        self.at + 1
    }
}
