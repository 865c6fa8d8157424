//! Sealed datagrams: capsules through the tunnel table, control and signalling
//! messages through the cipher.

use std::net::IpAddr;

use ntm_core::address::Vips;
use ntm_core::crypto::{DataKey, Secret, Suite};
use ntm_core::id::{Epoch, PathId, Side};
use ntm_core::tunnel::{Direction, OpenError, SendKey, Table, TableEvent, seal};
use ntm_core::wire::{Envelope, HEADER, Header};
use ntm_core::{Rng, Time};
use serde::{Deserialize, Serialize};

use super::Vector;
use super::hex::{Bytes, Hex};
use super::message::{kind, side};

/// An application's packet and its capsule.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CapsuleVector {
    name: String,
    suite: u8,
    key: Bytes<32>,
    path: PathId,
    sender_is_lower: bool,
    sender: Vips,
    receiver: Vips,
    slot: u8,
    epoch: Bytes<8>,
    counter: Bytes<8>,
    packet: Hex,
    #[serde(default)]
    datagram: Hex,
}

/// A control or signalling message and its datagram.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SealedVector {
    name: String,
    r#type: u8,
    key: Bytes<32>,
    id: Bytes<16>,
    lower: bool,
    slot: u8,
    epoch: Bytes<8>,
    counter: Bytes<8>,
    plaintext: Hex,
    #[serde(default)]
    datagram: Hex,
}

/// A receiver of capsules, as a refused one finds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Receiver {
    suite: u8,
    key: Bytes<32>,
    path: PathId,
    receiver_is_lower: bool,
    sender: Vips,
    receiver: Vips,
    slot: u8,
    /// Capsules that it has accepted.
    accepted: Vec<Hex>,
}

fn table(path: PathId, side: Side, own: Vips, peer: Vips) -> Table {
    let mut table = Table::new(&mut Rng::from_seed([0; 32]));
    table.apply(Time::ZERO, &TableEvent::Open { path, side, own, peer });
    table
}

impl Receiver {
    fn table(&self) -> Table {
        let side = side(self.receiver_is_lower);
        let mut table = table(self.path, side, self.receiver, self.sender);
        let install = TableEvent::Install {
            path: self.path,
            direction: Direction::Receive,
            slot: self.slot,
            suite: Suite::from_number(self.suite).expect("a suite"),
            key: Secret::new(self.key.0),
        };
        table.apply(Time::ZERO, &install);
        table
    }

    /// What comes of a capsule after those accepted before.
    pub(crate) fn open(&self, datagram: &Hex) -> Result<Vec<u8>, OpenError> {
        let table = self.table();
        let tunnel = table.get(&self.path).expect("just opened");
        let open = |datagram: &Hex| {
            let mut capsule = datagram.0.clone();
            let header = Header::parse(&capsule).map_err(|_| OpenError::Forged)?;
            let opened = tunnel.open(&tunnel.state(), &header, &mut capsule)?;
            Ok::<_, OpenError>(opened.packet.to_vec())
        };
        for before in &self.accepted {
            open(before).expect("accepted before");
        }
        open(datagram)
    }
}

impl Vector for CapsuleVector {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&mut self) {
        let side = side(self.sender_is_lower);
        let mut table = table(self.path, side, self.sender, self.receiver);
        let epoch = Epoch(self.epoch.number());
        table.apply(Time::ZERO, &TableEvent::Point { path: self.path, to: None, epoch });
        let tunnel = table.get(&self.path).expect("just opened");
        let suite = Suite::from_number(self.suite).expect("a suite");
        let key = SendKey::new(suite, &Secret::new(self.key.0), self.slot);
        let mut datagram = Vec::new();
        let counter = self.counter.number();
        seal(tunnel, &tunnel.state(), &key, counter, &self.packet.0, &mut datagram);
        self.datagram = Hex(datagram);
    }

    fn read(&self) {
        let receiver = Receiver {
            suite: self.suite,
            key: self.key,
            path: self.path,
            receiver_is_lower: !self.sender_is_lower,
            sender: self.sender,
            receiver: self.receiver,
            slot: self.slot,
            accepted: Vec::new(),
        };
        assert_eq!(receiver.open(&self.datagram), Ok(self.packet.0.clone()));
        let inner = ntm_core::packet::Flow::of(&self.packet.0).expect("an IP packet");
        let is_one_of = |vips: &Vips, ip: IpAddr| vips.contains(ip);
        assert!(is_one_of(&self.sender, inner.source));
        assert!(is_one_of(&self.receiver, inner.destination));
    }
}

impl SealedVector {
    fn header(&self) -> Header {
        let envelope = Envelope {
            kind: kind(self.r#type),
            lower: self.lower,
            slot: self.slot,
            short: 0,
            id: self.id.0,
        };
        Header::new(envelope, Epoch(self.epoch.number()), self.counter.number())
    }

    fn cipher(&self) -> DataKey {
        DataKey::new(Suite::ChaCha20Poly1305, &Secret::new(self.key.0))
    }
}

impl Vector for SealedVector {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&mut self) {
        let (header, mut text) = (self.header().emit(), self.plaintext.0.clone());
        let tag = self.cipher().seal(self.counter.number(), &header, &mut text);
        self.datagram = Hex([&header[..], &text, &tag].concat());
    }

    fn read(&self) {
        let header = Header::parse(&self.datagram.0).expect("a sealed datagram");
        assert_eq!(header, self.header());
        let (head, sealed) = self.datagram.0.split_at(HEADER);
        let mut sealed = sealed.to_vec();
        let opened = self.cipher().open(header.counter, head, &mut sealed);
        assert_eq!(opened.as_deref(), Some(&self.plaintext.0[..]));
    }
}
