use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::packet::{Content, End, Kind, Packet, content};
use super::table::{Protocol, Table};

/// Translates frames on the cable between a router and the outside. `None`
/// means that a frame is swallowed.
///
/// What the router itself sends or is sent passes (its neighbours, echoes), but
/// it has no connections of its own. Fragments are swallowed: they have no
/// ports.
pub(super) struct Translator<'a> {
    pub(super) table: &'a mut Table,
    /// The router's outer addresses, at most one a family. What is of another
    /// family is passed on as it is.
    pub(super) own: &'a [IpAddr],
    pub(super) now: Instant,
}

impl Translator<'_> {
    /// A frame to the outside.
    pub(super) fn outward(&mut self, frame: &mut [u8]) -> Option<()> {
        let mut packet = match content(frame) {
            Content::NotIp => return Some(()),
            Content::Opaque => return None,
            Content::Packet(packet) => packet,
        };
        let source = packet.address(End::Source);
        if self.own.contains(&source) || is_local(source) {
            return Some(());
        }
        let Some(outer) = self.outer(source) else { return Some(()) };
        match packet.kind() {
            Kind::Flow(protocol) => self.leave(&mut packet, protocol, outer),
            Kind::EchoRequest => self.leave(&mut packet, Protocol::Echo, outer),
            Kind::Error => {
                let mut culprit = packet.culprit()?;
                let (protocol, remote, inner) = ends(&culprit, End::Source)?;
                let port = self.table.port(self.now, protocol, inner, remote)?;
                culprit.rewrite(End::Destination, SocketAddr::new(outer, port));
                packet.rewrite_error(End::Source, outer);
                Some(())
            }
            Kind::Other => None,
        }
    }

    /// A frame from the outside.
    pub(super) fn inward(&mut self, frame: &mut [u8]) -> Option<()> {
        let mut packet = match content(frame) {
            Content::NotIp => return Some(()),
            Content::Opaque => return None,
            Content::Packet(packet) => packet,
        };
        let destination = packet.address(End::Destination);
        if !self.own.contains(&destination) {
            let passes = is_local(destination) || self.outer(destination).is_none();
            return passes.then_some(());
        }
        match packet.kind() {
            Kind::Flow(protocol) => {
                let (remote, outer) = flow_ends(&packet, protocol, End::Source);
                let inner = self.table.enter(self.now, protocol, outer.port(), remote)?;
                packet.rewrite(End::Destination, inner);
                Some(())
            }
            Kind::Error => {
                let inner = self.culprit_inside(&mut packet);
                if let Some(inner) = inner {
                    packet.rewrite_error(End::Destination, inner.ip());
                }
                // Else it is about something of the router's.
                Some(())
            }
            Kind::EchoRequest | Kind::Other => Some(()),
        }
    }

    /// The router's outer address of the family of another one.
    fn outer(&self, of: IpAddr) -> Option<IpAddr> {
        self.own.iter().find(|own| own.is_ipv4() == of.is_ipv4()).copied()
    }

    fn leave(&mut self, packet: &mut Packet<'_>, protocol: Protocol, outer: IpAddr) -> Option<()> {
        let (remote, inner) = flow_ends(packet, protocol, End::Destination);
        let port = self.table.leave(self.now, protocol, inner, remote)?;
        packet.rewrite(End::Source, SocketAddr::new(outer, port));
        Some(())
    }

    /// Gives the packet that an error from outside is about its inner source
    /// back, and says which that is.
    fn culprit_inside(&mut self, error: &mut Packet<'_>) -> Option<SocketAddr> {
        let mut culprit = error.culprit()?;
        let (protocol, remote, outer) = ends(&culprit, End::Destination)?;
        let inner = self.table.look(self.now, protocol, outer.port(), remote)?;
        culprit.rewrite(End::Source, inner);
        Some(inner)
    }
}

/// Protocol, remote end and other end of a packet that belongs to a flow.
fn ends(packet: &Packet<'_>, remote: End) -> Option<(Protocol, SocketAddr, SocketAddr)> {
    let protocol = match packet.kind() {
        Kind::Flow(protocol) => protocol,
        Kind::EchoRequest => Protocol::Echo,
        Kind::Error | Kind::Other => return None,
    };
    let (remote, other) = flow_ends(packet, protocol, remote);
    Some((protocol, remote, other))
}

fn flow_ends(packet: &Packet<'_>, protocol: Protocol, remote: End) -> (SocketAddr, SocketAddr) {
    let other = match remote {
        End::Source => End::Destination,
        End::Destination => End::Source,
    };
    let (mut remote, other) = (packet.socket(remote), packet.socket(other));
    if protocol == Protocol::Echo {
        remote.set_port(0);
    }
    (remote, other)
}

/// Only meant for the link, which no translation crosses.
fn is_local(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    link_local || ip.is_multicast() || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::super::checksum::{fold, sum};
    use super::*;
    use crate::nat::Nat;

    /// Router, host behind it, server outside.
    const V4: [&str; 3] = ["203.0.113.7", "192.168.1.2", "198.51.100.9"];
    const V6: [&str; 3] = ["2001:db8::7", "fd00::2", "2001:db8:9::9"];

    struct World {
        table: Table,
        own: Vec<IpAddr>,
        host: IpAddr,
        server: IpAddr,
    }

    fn worlds() -> [World; 2] {
        [V4, V6].map(|addresses| {
            let [own, host, server] = addresses.map(|address| address.parse().unwrap());
            World { table: Table::new(Nat::Symmetric), own: vec![own], host, server }
        })
    }

    impl World {
        fn outward(&mut self, frame: &mut [u8]) -> bool {
            self.translator().outward(frame).is_some()
        }

        fn inward(&mut self, frame: &mut [u8]) -> bool {
            self.translator().inward(frame).is_some()
        }

        fn translator(&mut self) -> Translator<'_> {
            Translator { table: &mut self.table, own: &self.own, now: Instant::now() }
        }
    }

    /// A frame with right checksums. `number` is the protocol's; the checksum's
    /// place in the transport part depends on it.
    fn frame(from: IpAddr, to: IpAddr, number: u8, transport: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        let length = transport.len() as u16;
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut header = vec![0x45, 0];
                header.extend((20 + length).to_be_bytes());
                header.extend([0, 0, 0, 0, 64, number, 0, 0]);
                header.extend(from.octets());
                header.extend(to.octets());
                let checksum = fold(sum(&header)).to_be_bytes();
                header[10..12].copy_from_slice(&checksum);
                frame.extend([0x08, 0x00]);
                frame.extend(header);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(length.to_be_bytes());
                frame.extend([number, 64]);
                frame.extend(from.octets());
                frame.extend(to.octets());
            }
            _ => panic!("two families"),
        }
        let at = frame.len();
        frame.extend(transport);
        let place = at + checksum_place(number);
        let checksum = transport_sum(&frame);
        frame[place..place + 2].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    fn checksum_place(number: u8) -> usize {
        match number {
            6 => 16,
            17 => 6,
            _ => 2,
        }
    }

    /// The checksum over the transport part; 0 where a right one is in place.
    fn transport_sum(frame: &[u8]) -> u16 {
        let v6 = frame[12] == 0x86;
        let (at, number) = if v6 { (54, frame[20]) } else { (34, frame[23]) };
        let mut total = sum(&frame[at..]);
        if number != 1 {
            let addresses = if v6 { &frame[22..54] } else { &frame[26..34] };
            total += sum(addresses) + (frame.len() - at) as u64 + u64::from(number);
        }
        fold(total)
    }

    fn assert_sums_right(frame: &[u8]) {
        assert_eq!(transport_sum(frame), 0, "transport checksum");
        if frame[12] == 0x08 {
            assert_eq!(fold(sum(&frame[14..34])), 0, "header checksum");
        }
    }

    fn udp(from: u16, to: u16) -> Vec<u8> {
        let length = 8 + 5_u16;
        let fields = [from, to, length, 0].map(u16::to_be_bytes);
        [fields.concat(), b"hello".to_vec()].concat()
    }

    fn tcp(from: u16, to: u16) -> Vec<u8> {
        let mut segment = [from.to_be_bytes(), to.to_be_bytes()].concat();
        segment.resize(20, 0);
        segment.extend(b"hello");
        segment
    }

    fn echo(v6: bool, request: bool, id: u16) -> (u8, Vec<u8>) {
        let (number, kind) = match (v6, request) {
            (false, true) => (1, 8),
            (false, false) => (1, 0),
            (true, true) => (58, 128),
            (true, false) => (58, 129),
        };
        let mut message = vec![kind, 0, 0, 0];
        message.extend(id.to_be_bytes());
        message.extend([0, 1]);
        message.extend(b"ping");
        (number, message)
    }

    /// "Port unreachable" about the IP packet in a frame, of which it quotes
    /// what fits.
    fn unreachable(about: &[u8], from: IpAddr, to: IpAddr) -> Vec<u8> {
        let (number, kind, code) = if from.is_ipv4() { (1, 3, 3) } else { (58, 1, 4) };
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        message.extend(&about[14..]);
        frame(from, to, number, &message)
    }

    fn ends_of(frame: &mut [u8]) -> (SocketAddr, SocketAddr) {
        match content(frame) {
            Content::Packet(packet) => {
                (packet.socket(End::Source), packet.socket(End::Destination))
            }
            Content::NotIp | Content::Opaque => panic!("not a packet"),
        }
    }

    #[test]
    fn udp_and_tcp_go_out_and_their_answers_come_back() {
        for mut world in worlds() {
            for (number, make) in [(17, udp as fn(u16, u16) -> Vec<u8>), (6, tcp)] {
                let mut out = frame(world.host, world.server, number, &make(4330, 53));
                assert!(world.outward(&mut out));
                assert_sums_right(&out);
                let (outer, remote) = ends_of(&mut out);
                assert_eq!((outer.ip(), remote), (world.own[0], (world.server, 53).into()));
                assert_ne!(outer.port(), 4330);

                let mut back = frame(world.server, outer.ip(), number, &make(53, outer.port()));
                assert!(world.inward(&mut back));
                assert_sums_right(&back);
                assert_eq!(ends_of(&mut back).1, (world.host, 4330).into());
            }
        }
    }

    #[test]
    fn an_echo_goes_out_and_comes_back() {
        for mut world in worlds() {
            let v6 = world.host.is_ipv6();
            let (number, request) = echo(v6, true, 77);
            let mut out = frame(world.host, world.server, number, &request);
            assert!(world.outward(&mut out));
            assert_sums_right(&out);
            let outer = ends_of(&mut out).0;
            let (number, reply) = echo(v6, false, outer.port());
            let mut back = frame(world.server, outer.ip(), number, &reply);
            assert!(world.inward(&mut back));
            assert_sums_right(&back);
            assert_eq!(ends_of(&mut back).1, (world.host, 77).into());
        }
    }

    #[test]
    fn an_error_about_what_went_out_finds_its_sender() {
        for mut world in worlds() {
            let mut out = frame(world.host, world.server, 17, &udp(4330, 53));
            let sent = out.clone();
            world.outward(&mut out);
            let mut error = unreachable(&out, world.server, world.own[0]);
            assert!(world.inward(&mut error));
            assert_sums_right(&error);
            // It quotes exactly what the host sent.
            assert_eq!(error, unreachable(&sent, world.server, world.host));
        }
    }

    #[test]
    fn an_error_about_what_came_in_looks_as_if_the_router_sent_it() {
        for mut world in worlds() {
            let mut out = frame(world.host, world.server, 17, &udp(4330, 53));
            world.outward(&mut out);
            let outer = ends_of(&mut out).0;
            let answer = frame(world.server, outer.ip(), 17, &udp(53, outer.port()));
            let mut entered = answer.clone();
            assert!(world.inward(&mut entered));
            let mut error = unreachable(&entered, world.host, world.server);
            assert!(world.outward(&mut error));
            assert_eq!(error, unreachable(&answer, outer.ip(), world.server));
        }
    }

    #[test]
    fn what_nobody_asked_for_is_swallowed() {
        for mut world in worlds() {
            for (number, transport) in [(17, udp(53, 4330)), (6, tcp(53, 4330))] {
                let mut frame = frame(world.server, world.own[0], number, &transport);
                assert!(!world.inward(&mut frame));
            }
            // Nor does an inner address help that somebody guessed.
            let mut guessed = frame(world.server, world.host, 17, &udp(53, 4330));
            assert!(!world.inward(&mut guessed));
        }
    }

    #[test]
    fn a_family_without_an_outer_address_is_not_translated() {
        let [mut world, other] = worlds();
        for (from, to) in [(other.host, other.server), (other.server, other.host)] {
            let sent = frame(from, to, 17, &udp(4330, 53));
            let mut passed = sent.clone();
            assert!(world.outward(&mut passed) && world.inward(&mut passed));
            assert_eq!(passed, sent);
        }
    }

    #[test]
    fn what_the_router_needs_itself_passes_unchanged() {
        for mut world in worlds() {
            let v6 = world.host.is_ipv6();
            let (number, request) = echo(v6, true, 77);
            let ping = frame(world.server, world.own[0], number, &request);
            let mut same = ping.clone();
            assert!(world.inward(&mut same) && same == ping);
            let mut answer = frame(world.own[0], world.server, number, &request);
            assert!(world.outward(&mut answer));
        }
        let mut arp = [vec![0xff; 12], vec![0x08, 0x06], vec![0; 28]].concat();
        assert!(worlds()[0].outward(&mut arp) && worlds()[0].inward(&mut arp));
        let solicitation = [vec![135, 0, 0, 0], vec![0; 20]].concat();
        let [_, mut world] = worlds();
        let group = "ff02::1:ff00:9".parse().unwrap();
        let mut out = frame(world.own[0], group, 58, &solicitation);
        assert!(world.outward(&mut out) && world.inward(&mut out));
    }

    #[test]
    fn fragments_and_stumps_are_swallowed() {
        for mut world in worlds() {
            let whole = frame(world.host, world.server, 17, &udp(4330, 53));
            for length in 14..whole.len() {
                let mut stump = whole[..length].to_vec();
                assert!(!world.outward(&mut stump), "{length} bytes");
            }
        }
        let [mut world, mut world6] = worlds();
        let mut fragment = frame(world.host, world.server, 17, &udp(4330, 53));
        fragment[14 + 6] = 0x20;
        assert!(!world.outward(&mut fragment));
        let mut fragment = frame(world6.host, world6.server, 44, &[17, 0, 0, 1, 0, 0, 0, 1]);
        assert!(!world6.outward(&mut fragment));
    }

    #[test]
    fn damaged_frames_break_nothing() {
        let mut rng = ntm_core::Rng::from_seed([3; 32]);
        for mut world in worlds() {
            let v6 = world.host.is_ipv6();
            let mut out = frame(world.host, world.server, 17, &udp(4330, 53));
            world.outward(&mut out);
            let error = unreachable(&out, world.server, world.own[0]);
            let (number, request) = echo(v6, true, 77);
            let ping = frame(world.host, world.server, number, &request);
            let samples = [out, error, ping, frame(world.host, world.server, 6, &tcp(1, 2))];
            for round in 0..40_000 {
                let mut damaged = samples[round % samples.len()].clone();
                for _ in 0..=rng.number() % 4 {
                    let at = 14 + rng.number() as usize % (damaged.len() - 14);
                    damaged[at] = rng.number() as u8;
                }
                damaged.truncate(14 + rng.number() as usize % (damaged.len() - 13));
                world.outward(&mut damaged.clone());
                world.inward(&mut damaged);
            }
        }
    }

    #[test]
    fn a_udp_packet_without_a_checksum_stays_so() {
        let [mut world, _] = worlds();
        let mut out = frame(world.host, world.server, 17, &udp(4330, 53));
        out[34 + 6..34 + 8].fill(0);
        assert!(world.outward(&mut out));
        assert_eq!(out[34 + 6..34 + 8], [0, 0]);
    }
}
