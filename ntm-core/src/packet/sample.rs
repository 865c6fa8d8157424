//! Packets for tests, made field by field, with checksums that are made word by
//! word.

use proptest::prelude::*;

/// What a packet is made of. The default is a UDP packet without payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) v6: bool,
    pub(super) tcp: bool,
    pub(super) tos: u8,
    /// IPv4 alone.
    pub(super) id: u16,
    pub(super) ip_options: Vec<u8>,
    /// IPv6 alone.
    pub(super) flow_label: u16,
    pub(super) ttl: u8,
    pub(super) host: u8,
    pub(super) port: u16,
    /// TCP alone, from here to the options.
    pub(super) sequence: u32,
    pub(super) ack: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) urgent: u16,
    pub(super) options: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Sample {
    fn protocol(&self) -> u8 {
        if self.tcp { 6 } else { 17 }
    }

    fn addresses(&self) -> Vec<u8> {
        if self.v6 {
            let mut addresses = [0; 32];
            (addresses[0], addresses[15]) = (0xfd, self.host);
            (addresses[16], addresses[31]) = (0xfd, 2);
            addresses.to_vec()
        } else {
            vec![198, 18, 0, self.host, 198, 18, 0, 2]
        }
    }

    fn transport_header(&self) -> Vec<u8> {
        let len = (8 + self.payload.len()) as u16;
        let mut header = [self.port.to_be_bytes(), 443_u16.to_be_bytes()].concat();
        if self.tcp {
            header.extend(self.sequence.to_be_bytes());
            header.extend(self.ack.to_be_bytes());
            header.extend([((20 + self.options.len()) * 4) as u8, self.flags]);
            header.extend(self.window.to_be_bytes());
            header.extend([0, 0]);
            header.extend(self.urgent.to_be_bytes());
            header.extend(&self.options);
        } else {
            header.extend(len.to_be_bytes());
            header.extend([0, 0]);
        }
        header
    }

    /// Bytes of all its headers.
    pub(super) fn headers(&self) -> usize {
        let network = if self.v6 { 40 } else { 20 + self.ip_options.len() };
        network + self.transport_header().len()
    }

    /// The pseudo-header.
    fn pseudo(&self) -> Vec<u8> {
        let len = (self.transport_header().len() + self.payload.len()) as u16;
        [self.addresses(), len.to_be_bytes().to_vec(), vec![0, self.protocol()]].concat()
    }

    /// The complete packet.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut behind = [self.transport_header(), self.payload.clone()].concat();
        let made = match !sum(&[self.pseudo(), behind.clone()].concat()) {
            0 if !self.tcp => 0xffff,
            made => made,
        };
        self.set_checksum(&mut behind, made);
        self.with_network_header(&behind)
    }

    /// The same with a checksum that stands for the pseudo-header alone.
    pub(super) fn partial(&self) -> Vec<u8> {
        let mut behind = [self.transport_header(), self.payload.clone()].concat();
        self.set_checksum(&mut behind, sum(&self.pseudo()));
        self.with_network_header(&behind)
    }

    fn set_checksum(&self, behind: &mut [u8], made: u16) {
        let at = if self.tcp { 16 } else { 6 };
        behind[at..at + 2].copy_from_slice(&made.to_be_bytes());
    }

    fn with_network_header(&self, behind: &[u8]) -> Vec<u8> {
        let mut header = Vec::new();
        if self.v6 {
            header.extend([0x60 | self.tos >> 4, self.tos << 4]);
            header.extend(self.flow_label.to_be_bytes());
            header.extend((behind.len() as u16).to_be_bytes());
            header.extend([self.protocol(), self.ttl]);
            header.extend(self.addresses());
        } else {
            let len = 20 + self.ip_options.len();
            header.extend([0x40 | (len / 4) as u8, self.tos]);
            header.extend(((len + behind.len()) as u16).to_be_bytes());
            header.extend(self.id.to_be_bytes());
            header.extend([0x40, 0, self.ttl, self.protocol(), 0, 0]);
            header.extend(self.addresses());
            header.extend(&self.ip_options);
            let made = !sum(&header);
            header[10..12].copy_from_slice(&made.to_be_bytes());
        }
        [header, behind.to_vec()].concat()
    }

    /// The packets that this one stands for, if it is cut.
    pub(super) fn cut(&self, segment: usize) -> Vec<Self> {
        let mut pieces: Vec<_> = self.payload.chunks(segment).map(<[u8]>::to_vec).collect();
        if pieces.is_empty() {
            pieces.push(Vec::new());
        }
        let last = pieces.len() - 1;
        let piece = |(nth, payload): (usize, Vec<u8>)| {
            let mut flags = self.flags;
            if nth != 0 {
                flags &= 0b0111_1111;
            }
            if nth != last {
                flags &= 0b1111_0110;
            }
            Self {
                id: self.id.wrapping_add(nth as u16),
                sequence: self.sequence.wrapping_add((nth * segment) as u32),
                flags,
                payload,
                ..self.clone()
            }
        };
        pieces.into_iter().enumerate().map(piece).collect()
    }
}

/// RFC 1071, word by word.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

prop_compose! {
    /// Any TCP or UDP packet with less than so many bytes of payload.
    pub(super) fn any_sample(most: usize)(
        (v6, tcp, tos, ttl, host) in any::<(bool, bool, u8, u8, u8)>(),
        (id, flow_label, port, window, urgent) in any::<(u16, u16, u16, u16, u16)>(),
        (sequence, ack, flags) in any::<(u32, u32, u8)>(),
        ip_options in proptest::collection::vec(any::<[u8; 4]>(), 0..=10),
        options in proptest::collection::vec(any::<[u8; 4]>(), 0..=10),
        payload in proptest::collection::vec(any::<u8>(), 0..most),
    ) -> Sample {
        let (ip_options, options) = (ip_options.concat(), options.concat());
        Sample {
            v6, tcp, tos, id, ip_options, flow_label, ttl, host, port, sequence, ack, flags,
            window, urgent, options, payload,
        }
    }
}
