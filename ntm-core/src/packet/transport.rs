use super::checksum::sum;
use super::ip::{BadPacket, Flow, IPV4_HEADER, IPV6_HEADER};

/// What carries the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP (RFC 9293).
    Tcp = 6,
    /// UDP (RFC 768).
    Udp = 17,
}

/// Where the parts of a whole TCP or UDP packet begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) flow: Flow,
    pub(super) protocol: Protocol,
    /// Where the TCP or UDP header begins.
    pub(super) transport: usize,
    /// Where its payload begins.
    pub(super) payload: usize,
}

impl Layout {
    /// Finds them; the UDP length is not looked at.
    ///
    /// # Errors
    /// Not a whole packet, neither TCP nor UDP, an IPv4 fragment, or IPv6 with
    /// extension headers.
    pub(super) fn of(packet: &[u8]) -> Result<Self, BadPacket> {
        let flow = Flow::of(packet)?;
        let (transport, protocol) = if flow.source.is_ipv4() {
            let header: &[u8; IPV4_HEADER] = packet.first_chunk().ok_or(BadPacket)?;
            if u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0 {
                return Err(BadPacket);
            }
            (usize::from(header[0] & 0xf) * 4, header[9])
        } else {
            let header: &[u8; IPV6_HEADER] = packet.first_chunk().ok_or(BadPacket)?;
            (IPV6_HEADER, header[6])
        };
        let behind = packet.get(transport..).ok_or(BadPacket)?;
        let (protocol, header) = match protocol {
            6 => {
                let tcp: &[u8; 20] = behind.first_chunk().ok_or(BadPacket)?;
                (Protocol::Tcp, usize::from(tcp[12] >> 4) * 4)
            }
            17 => (Protocol::Udp, 8),
            _ => return Err(BadPacket),
        };
        if header > behind.len() || protocol == Protocol::Tcp && header < 20 {
            return Err(BadPacket);
        }
        Ok(Self { flow, protocol, transport, payload: transport + header })
    }

    /// The sum over the pseudo-header but for the length (RFC 9293, section 3.1;
    /// RFC 8200, section 8.1).
    pub(super) fn pseudo_header(&self, packet: &[u8]) -> u32 {
        let addresses =
            if self.flow.source.is_ipv4() { &packet[12..20] } else { &packet[8..IPV6_HEADER] };
        sum(addresses) + self.protocol as u32
    }
}
