use super::super::codec::{Fields, Put as _, Reader, field};
use super::super::{Token, WireError};
use crate::address::{Candidate, Prefix, Vips};
use crate::crypto::Secret;
use crate::id::{Epoch, Salt};

/// "What you are called and how I see you."
///
/// | tag | value |
/// |---|---|
/// | 1 | the highest epoch of the node that the coordinator has seen, 8 |
/// | 2 | virtual IPv4 address, 4 |
/// | 3 | virtual IPv6 address, 16 |
/// | 4 | a range of virtual addresses (length 1, family 1, address); repeated, at most 4 |
/// | 5 | salt of the domain's Path IDs, 32 |
/// | 6 | observed source of the request (transport 1, port 2, family 1, address) |
/// | 7 | challenge, 8: to be returned from that address |
/// | 8 | lifetime of the registration, seconds, 4 |
/// | 9 | keep-alive interval, seconds, 2; 0: none needed |
/// | 10 | an address of the coordinator; repeated, at most 8 |
/// | 11 | the coordinator's calendar, seconds, 8 |
/// | 12 | to a relay: the key that its tickets are sealed with, 32 |
///
/// Paper: Registration Response (Fig. 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegistrationResponse {
    /// Higher than the node's own: the node must jump above it and register anew.
    pub epoch_seen: Epoch,
    /// The node's virtual addresses; none for a relay.
    pub vips: Vips,
    /// The ranges of the domain.
    pub ranges: Vec<Prefix>,
    /// What Path IDs are derived with.
    pub salt: Salt,
    /// Where the request came from.
    pub observed: Candidate,
    /// To be returned from that address.
    pub challenge: Option<Token>,
    /// Seconds the registration lasts.
    pub lifetime: u32,
    /// Seconds between keep-alives; 0: none needed.
    pub keep_alive: u16,
    /// Where the coordinator may be reached from now on.
    pub coordinators: Vec<Candidate>,
    /// Seconds of the coordinator's calendar.
    pub unix: u64,
    /// For a relay.
    pub ticket_key: Option<Secret>,
}

const EPOCH_SEEN: u8 = 1;
const VIP4: u8 = 2;
const VIP6: u8 = 3;
const RANGE: u8 = 4;
const SALT: u8 = 5;
const OBSERVED: u8 = 6;
const CHALLENGE: u8 = 7;
const LIFETIME: u8 = 8;
const KEEP_ALIVE: u8 = 9;
const COORDINATOR: u8 = 10;
const UNIX: u8 = 11;
const TICKET_KEY: u8 = 12;

impl RegistrationResponse {
    /// Ranges in one message.
    pub const MOST_RANGES: usize = 4;
    /// Coordinator addresses in one message.
    pub const MOST_COORDINATORS: usize = 8;

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        field(out, EPOCH_SEEN, |out| out.put(&self.epoch_seen.0.to_be_bytes()));
        if let Some(v4) = self.vips.v4 {
            field(out, VIP4, |out| out.put(&v4.octets()));
        }
        if let Some(v6) = self.vips.v6 {
            field(out, VIP6, |out| out.put(&v6.octets()));
        }
        for range in self.ranges.iter().take(Self::MOST_RANGES) {
            field(out, RANGE, |out| out.put_prefix(range));
        }
        field(out, SALT, |out| out.put(&self.salt));
        field(out, OBSERVED, |out| out.put_candidate(&self.observed));
        if let Some(challenge) = self.challenge {
            field(out, CHALLENGE, |out| out.put(&challenge));
        }
        field(out, LIFETIME, |out| out.put(&self.lifetime.to_be_bytes()));
        field(out, KEEP_ALIVE, |out| out.put(&self.keep_alive.to_be_bytes()));
        for coordinator in self.coordinators.iter().take(Self::MOST_COORDINATORS) {
            field(out, COORDINATOR, |out| out.put_candidate(coordinator));
        }
        field(out, UNIX, |out| out.put(&self.unix.to_be_bytes()));
        if let Some(key) = &self.ticket_key {
            field(out, TICKET_KEY, |out| out.put(key.expose()));
        }
    }

    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, WireError> {
        let (mut epoch_seen, mut salt, mut observed, mut challenge) = (None, None, None, None);
        let (mut lifetime, mut keep_alive, mut unix) = (None, None, None);
        let (mut vips, mut ticket_key) = (Vips::default(), None);
        let (mut ranges, mut coordinators) = (Vec::new(), Vec::new());
        for item in fields {
            let (tag, mut value) = item?;
            match tag {
                EPOCH_SEEN => epoch_seen = Some(Epoch(value.u64()?)),
                VIP4 => vips.v4 = Some(value.array::<4>()?.into()),
                VIP6 => vips.v6 = Some(value.array::<16>()?.into()),
                RANGE => ranges.push(value.prefix()?),
                SALT => salt = Some(value.array()?),
                OBSERVED => observed = Some(value.candidate()?),
                CHALLENGE => challenge = Some(value.array()?),
                LIFETIME => lifetime = Some(value.u32()?),
                KEEP_ALIVE => keep_alive = Some(value.u16()?),
                COORDINATOR => coordinators.push(value.candidate()?),
                UNIX => unix = Some(value.u64()?),
                TICKET_KEY => ticket_key = Some(Secret::new(value.array()?)),
                other => Reader::unknown(other)?,
            }
        }
        if ranges.len() > Self::MOST_RANGES || coordinators.len() > Self::MOST_COORDINATORS {
            return Err(WireError::Value("number of ranges or coordinators"));
        }
        Ok(Self {
            epoch_seen: epoch_seen.ok_or(WireError::Missing("epoch"))?,
            vips,
            ranges,
            salt: salt.ok_or(WireError::Missing("salt"))?,
            observed: observed.ok_or(WireError::Missing("observed address"))?,
            challenge,
            lifetime: lifetime.ok_or(WireError::Missing("lifetime"))?,
            keep_alive: keep_alive.ok_or(WireError::Missing("keep-alive"))?,
            coordinators,
            unix: unix.ok_or(WireError::Missing("calendar"))?,
            ticket_key,
        })
    }
}
