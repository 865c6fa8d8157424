use std::time::Duration;

use super::super::codec::{Fields, Put as _, Reader, field};
use super::super::{RelayId, TICKET, Ticket, WireError};
use crate::address::{Candidate, Vips};
use crate::crypto::Secret;
use crate::id::{Epoch, NodeName, PathId, PublicKey};

/// "Build this path": each end learns of the other what it needs, and nothing
/// of itself that it did not say.
///
/// | tag | value |
/// |---|---|
/// | 1 | Path ID, 16; each end computes it again from the addresses below |
/// | 2 | flags, 1: 1 you begin · 2 the peer's location is not proved · 4 the peer asked (you are CN) |
/// | 3 | why, 1: 1 start, 2 move |
/// | 4, 5 | your virtual IPv4, IPv6 address |
/// | 6 | the peer's name |
/// | 7 | the peer's public key, 32 |
/// | 8, 9 | the peer's virtual IPv4, IPv6 address |
/// | 10 | the peer's epoch, 8 |
/// | 11 | your epoch as the coordinator knows it, 8 |
/// | 12 | where the peer may be reached, best first; repeated, at most 8 |
/// | 13 | milliseconds between checks of two candidates, 2 |
/// | 14 | a relay: ticket 128, your key 32, then its addresses, at most 4; repeated, at most 2: the one to use, the stand-by |
///
/// Paper: Route Direction, to CN first, then to MN (section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RouteDirection {
    /// The path.
    pub path: PathId,
    /// Whether the receiver sends the first tunnel packet.
    pub begin: bool,
    /// Whether the peer has proved that it receives where it says it is.
    pub unproved: bool,
    /// Whether the peer asked for this path.
    pub peer_asked: bool,
    /// Why it is sent.
    pub reason: Reason,
    /// The receiver's virtual addresses.
    pub own: Vips,
    /// The receiver's epoch, as the coordinator knows it.
    pub own_epoch: Epoch,
    /// The other end.
    pub peer: PeerInfo,
    /// The other end's epoch; an end that knows a newer one ignores the
    /// candidates.
    pub peer_epoch: Epoch,
    /// Where the other end may be reached, best first.
    pub candidates: Vec<Candidate>,
    /// The least time between checks of two candidates.
    pub pacing: Duration,
    /// The relay to use and the stand-by.
    pub relays: Vec<RelayGrant>,
}

/// Why a direction is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// A Direction Request.
    Start = 1,
    /// One of the ends has registered anew.
    Move = 2,
}

/// Who the other end is, on the coordinator's word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerInfo {
    /// Its name.
    pub name: NodeName,
    /// Its static key.
    pub key: PublicKey,
    /// Its virtual addresses.
    pub vips: Vips,
}

/// The right to use a relay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayGrant {
    /// What is shown to the relay.
    pub ticket: Ticket,
    /// What proves the receiver to the relay.
    pub key: Secret,
    /// Where the relay listens.
    pub candidates: Vec<Candidate>,
}

const PATH: u8 = 1;
const FLAGS: u8 = 2;
const REASON: u8 = 3;
const OWN4: u8 = 4;
const OWN6: u8 = 5;
const PEER_NAME: u8 = 6;
const PEER_KEY: u8 = 7;
const PEER4: u8 = 8;
const PEER6: u8 = 9;
const PEER_EPOCH: u8 = 10;
const OWN_EPOCH: u8 = 11;
const CANDIDATE: u8 = 12;
const PACING: u8 = 13;
const RELAY: u8 = 14;

const BEGIN: u8 = 1;
const UNPROVED: u8 = 2;
const PEER_ASKED: u8 = 4;

impl RelayGrant {
    /// Addresses of one relay in one message.
    pub const MOST_CANDIDATES: usize = 4;

    /// Which relay it is for.
    pub fn relay(&self) -> RelayId {
        self.ticket.relay
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.put(&self.ticket.emit());
        out.put(self.key.expose());
        for candidate in self.candidates.iter().take(Self::MOST_CANDIDATES) {
            out.put_candidate(candidate);
        }
    }

    fn parse(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let ticket = Ticket::parse(reader.bytes(TICKET)?)?;
        let key = Secret::new(reader.array()?);
        let mut candidates = Vec::new();
        while !reader.rest().is_empty() {
            candidates.push(reader.candidate()?);
        }
        if candidates.len() > Self::MOST_CANDIDATES {
            return Err(WireError::Value("number of relay addresses"));
        }
        Ok(Self { ticket, key, candidates })
    }
}

impl RouteDirection {
    /// Candidates of the peer in one message.
    pub const MOST_CANDIDATES: usize = 8;
    /// Relays in one message.
    pub const MOST_RELAYS: usize = 2;

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        field(out, PATH, |out| out.put(self.path.as_bytes()));
        let flags = (if self.begin { BEGIN } else { 0 })
            | (if self.unproved { UNPROVED } else { 0 })
            | (if self.peer_asked { PEER_ASKED } else { 0 });
        field(out, FLAGS, |out| out.put(&[flags]));
        field(out, REASON, |out| out.put(&[self.reason as u8]));
        for (vips, tag4, tag6) in [(&self.own, OWN4, OWN6), (&self.peer.vips, PEER4, PEER6)] {
            if let Some(v4) = vips.v4 {
                field(out, tag4, |out| out.put(&v4.octets()));
            }
            if let Some(v6) = vips.v6 {
                field(out, tag6, |out| out.put(&v6.octets()));
            }
        }
        field(out, PEER_NAME, |out| out.put(self.peer.name.as_str().as_bytes()));
        field(out, PEER_KEY, |out| out.put(self.peer.key.as_bytes()));
        field(out, PEER_EPOCH, |out| out.put(&self.peer_epoch.0.to_be_bytes()));
        field(out, OWN_EPOCH, |out| out.put(&self.own_epoch.0.to_be_bytes()));
        for candidate in self.candidates.iter().take(Self::MOST_CANDIDATES) {
            field(out, CANDIDATE, |out| out.put_candidate(candidate));
        }
        let pacing = u16::try_from(self.pacing.as_millis()).unwrap_or(u16::MAX);
        field(out, PACING, |out| out.put(&pacing.to_be_bytes()));
        for relay in self.relays.iter().take(Self::MOST_RELAYS) {
            field(out, RELAY, |out| relay.emit(out));
        }
    }

    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, WireError> {
        let (mut path, mut flags, mut reason, mut pacing) = (None, None, None, None);
        let (mut name, mut key, mut peer_epoch, mut own_epoch) = (None, None, None, None);
        let (mut own, mut vips) = (Vips::default(), Vips::default());
        let (mut candidates, mut relays) = (Vec::new(), Vec::new());
        for item in fields {
            let (tag, mut value) = item?;
            match tag {
                PATH => path = Some(PathId::from_bytes(value.array()?)),
                FLAGS => flags = Some(value.u8()?),
                REASON => reason = Some(Reason::parse(value.u8()?)?),
                OWN4 => own.v4 = Some(value.array::<4>()?.into()),
                OWN6 => own.v6 = Some(value.array::<16>()?.into()),
                PEER_NAME => {
                    let text = value.text()?;
                    name = Some(text.parse().map_err(|_| WireError::Value("name"))?);
                }
                PEER_KEY => key = Some(PublicKey::from_bytes(value.array()?)),
                PEER4 => vips.v4 = Some(value.array::<4>()?.into()),
                PEER6 => vips.v6 = Some(value.array::<16>()?.into()),
                PEER_EPOCH => peer_epoch = Some(Epoch(value.u64()?)),
                OWN_EPOCH => own_epoch = Some(Epoch(value.u64()?)),
                CANDIDATE => candidates.push(value.candidate()?),
                PACING => pacing = Some(Duration::from_millis(value.u16()?.into())),
                RELAY => relays.push(RelayGrant::parse(value)?),
                other => Reader::unknown(other)?,
            }
        }
        if candidates.len() > Self::MOST_CANDIDATES || relays.len() > Self::MOST_RELAYS {
            return Err(WireError::Value("number of candidates or relays"));
        }
        let flags = flags.ok_or(WireError::Missing("flags"))?;
        let peer = PeerInfo {
            name: name.ok_or(WireError::Missing("peer's name"))?,
            key: key.ok_or(WireError::Missing("peer's key"))?,
            vips,
        };
        Ok(Self {
            path: path.ok_or(WireError::Missing("Path ID"))?,
            begin: flags & BEGIN != 0,
            unproved: flags & UNPROVED != 0,
            peer_asked: flags & PEER_ASKED != 0,
            reason: reason.ok_or(WireError::Missing("reason"))?,
            own,
            own_epoch: own_epoch.ok_or(WireError::Missing("own epoch"))?,
            peer,
            peer_epoch: peer_epoch.ok_or(WireError::Missing("peer's epoch"))?,
            candidates,
            pacing: pacing.ok_or(WireError::Missing("pacing"))?,
            relays,
        })
    }
}

impl Reason {
    fn parse(number: u8) -> Result<Self, WireError> {
        [Self::Start, Self::Move]
            .into_iter()
            .find(|reason| *reason as u8 == number)
            .ok_or(WireError::Value("reason"))
    }
}
