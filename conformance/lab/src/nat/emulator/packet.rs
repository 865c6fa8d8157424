use std::net::{IpAddr, SocketAddr};

use super::checksum::{fold, repaired, sum};
use super::table::Protocol;

/// An IPv4 or IPv6 packet whose addresses can be rewritten.
pub(super) struct Packet<'a> {
    bytes: &'a mut [u8],
    v6: bool,
    /// Where the transport header begins.
    transport: usize,
    number: u8,
}

/// What an Ethernet frame holds.
pub(super) enum Content<'a> {
    /// Neither IPv4 nor IPv6: the address resolution of IPv4, mostly.
    NotIp,
    /// A fragment, or what cannot be understood: it has no ports to go by.
    Opaque,
    Packet(Packet<'a>),
}

/// What a packet is to a translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It belongs to a flow. Of an echo the identifier stands for both ports.
    Flow(Protocol),
    /// An ICMP echo request, which begins a flow.
    EchoRequest,
    /// An ICMP error, which holds the beginning of the packet it is about.
    Error,
    /// Anything else.
    Other,
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

pub(super) fn content(frame: &mut [u8]) -> Content<'_> {
    let v6 = match frame.get(12..14) {
        Some([0x08, 0x00]) => false,
        Some([0x86, 0xdd]) => true,
        _ => return Content::NotIp,
    };
    match Packet::parse(&mut frame[14..], v6, true) {
        Some(packet) => Content::Packet(packet),
        None => Content::Opaque,
    }
}

impl<'a> Packet<'a> {
    /// `None` for fragments, extension headers and what is cut short; of a
    /// packet that is not `whole`, only the first eight bytes of its transport
    /// header must be there.
    fn parse(bytes: &'a mut [u8], v6: bool, whole: bool) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let (transport, number, length) = if v6 {
            (40, *bytes.get(6)?, 40 + usize::from(word(4)?))
        } else {
            let more_or_offset = word(6)? & 0x3fff;
            if more_or_offset != 0 {
                return None;
            }
            (usize::from(bytes[0] & 0x0f) * 4, *bytes.get(9)?, usize::from(word(2)?))
        };
        // Ethernet pads short packets: what follows is not part of it.
        let end = if whole { length } else { length.min(bytes.len()) };
        let needed = if number == TCP && whole { 20 } else { 8 };
        let known = [TCP, UDP, ICMP, ICMPV6].contains(&number);
        let is_extension = v6 && !known && number != 59;
        let shortest = if v6 { 40 } else { 20 };
        let needed = if known { transport + needed } else { transport };
        if is_extension || transport < shortest || end < needed {
            return None;
        }
        Some(Self { bytes: bytes.get_mut(..end)?, v6, transport, number })
    }

    pub(super) fn kind(&self) -> Kind {
        let icmp = self.bytes.get(self.transport);
        match (self.number, self.v6, icmp) {
            (TCP, ..) => Kind::Flow(Protocol::Tcp),
            (UDP, ..) => Kind::Flow(Protocol::Udp),
            (ICMP, false, Some(8)) | (ICMPV6, true, Some(128)) => Kind::EchoRequest,
            (ICMP, false, Some(0)) | (ICMPV6, true, Some(129)) => Kind::Flow(Protocol::Echo),
            (ICMP, false, Some(3 | 11 | 12)) | (ICMPV6, true, Some(1..=4)) => Kind::Error,
            _ => Kind::Other,
        }
    }

    pub(super) fn address(&self, end: End) -> IpAddr {
        let at = self.address_at(end);
        if self.v6 {
            let mut octets = [0; 16];
            octets.copy_from_slice(&self.bytes[at..at + 16]);
            octets.into()
        } else {
            let mut octets = [0; 4];
            octets.copy_from_slice(&self.bytes[at..at + 4]);
            octets.into()
        }
    }

    /// Address and port; of an echo the identifier, at the end that began it.
    pub(super) fn socket(&self, end: End) -> SocketAddr {
        let at = self.port_at(end);
        let port = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        SocketAddr::new(self.address(end), port)
    }

    /// Changes an end to this address and port of the same family, and repairs
    /// the checksums.
    pub(super) fn rewrite(&mut self, end: End, to: SocketAddr) {
        let port_at = self.port_at(end);
        let old = [self.bytes[port_at], self.bytes[port_at + 1]];
        let new = to.port().to_be_bytes();
        self.bytes[port_at..port_at + 2].copy_from_slice(&new);
        self.repair_transport(&old, &new);
        self.rewrite_address(end, to.ip());
    }

    /// The packet that an ICMP error is about, as far as it is there.
    pub(super) fn culprit(&mut self) -> Option<Packet<'_>> {
        let at = self.transport + 8;
        Packet::parse(self.bytes.get_mut(at..)?, self.v6, false)
    }

    /// Changes the address of an ICMP error and computes its checksum anew.
    pub(super) fn rewrite_error(&mut self, end: End, to: IpAddr) {
        self.rewrite_address(end, to);
        let (header, message) = self.bytes.split_at_mut(self.transport);
        message[2..4].fill(0);
        let mut total = sum(message);
        if self.v6 {
            total += sum(&header[8..40]) + message.len() as u64 + u64::from(ICMPV6);
        }
        message[2..4].copy_from_slice(&fold(total).to_be_bytes());
    }

    fn rewrite_address(&mut self, end: End, to: IpAddr) {
        let at = self.address_at(end);
        let new = match to {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let old = self.bytes[at..at + new.len()].to_vec();
        self.bytes[at..at + new.len()].copy_from_slice(&new);
        if !self.v6 {
            self.repair(10, &old, &new);
        }
        // ICMP's checksum covers the addresses in IPv6 only.
        if self.v6 || self.number != ICMP {
            self.repair_transport(&old, &new);
        }
    }

    fn repair_transport(&mut self, old: &[u8], new: &[u8]) {
        let at = self.transport
            + match self.number {
                TCP => 16,
                UDP => 6,
                _ => 2,
            };
        // Of a packet quoted in an error it may be cut off; in UDP over IPv4 a
        // zero means that there is none.
        let Some(checksum) = self.bytes.get(at..at + 2) else { return };
        if self.number == UDP && checksum == [0, 0] {
            return;
        }
        self.repair(at, old, new);
        if self.number == UDP && self.bytes[at..at + 2] == [0, 0] {
            self.bytes[at..at + 2].fill(0xff);
        }
    }

    fn repair(&mut self, at: usize, old: &[u8], new: &[u8]) {
        let checksum = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        let repaired = repaired(checksum, old, new).to_be_bytes();
        self.bytes[at..at + 2].copy_from_slice(&repaired);
    }

    fn address_at(&self, end: End) -> usize {
        match (self.v6, end) {
            (false, End::Source) => 12,
            (false, End::Destination) => 16,
            (true, End::Source) => 8,
            (true, End::Destination) => 24,
        }
    }

    fn port_at(&self, end: End) -> usize {
        self.transport
            + match (self.number, end) {
                (TCP | UDP, End::Source) => 0,
                (TCP | UDP, End::Destination) => 2,
                _ => 4,
            }
    }
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
