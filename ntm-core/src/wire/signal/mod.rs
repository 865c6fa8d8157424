//! What a node and its coordinator say to each other inside their session.
//!
//! Sealed behind a [`super::Header`] whose id is the session; the plaintext:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | type |
//! | 1 | 8 | request id, echoed by the answer; the highest bit is set in those drawn by the coordinator |
//! | 9 | … | fields: tag 1, length 2, value |
//!
//! Every request may arrive twice and does the same as once.

mod direction_request;
mod refusal;
mod registration_request;
mod registration_response;
mod relay_direction;
mod route_direction;

pub use direction_request::{DirectionRequest, Target};
pub use refusal::Refusal;
pub use registration_request::{PathRef, RegistrationRequest};
pub use registration_response::RegistrationResponse;
pub use relay_direction::RelayDirection;
pub use route_direction::{PeerInfo, Reason, RelayGrant, RouteDirection};

use super::codec::{Fields, Put as _, Reader, field};
use super::{Token, WireError};
use crate::address::Candidate;
use crate::id::PublicKey;

/// Pairs an answer with its request; drawn by whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl RequestId {
    const COORDINATOR: u64 = 1 << 63;

    /// A number drawn by a node.
    pub fn of_node(random: u64) -> Self {
        Self(random & !Self::COORDINATOR)
    }

    /// A number drawn by a coordinator.
    pub fn of_coordinator(random: u64) -> Self {
        Self(random | Self::COORDINATOR)
    }

    /// Whether the coordinator drew it, so that the node has to acknowledge.
    pub fn is_coordinators(self) -> bool {
        self.0 & Self::COORDINATOR != 0
    }
}

/// A message between a node and its coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Signal {
    /// Which request it is, or answers.
    pub request: RequestId,
    /// What it says.
    pub body: SignalBody,
}

/// What a [`Signal`] says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SignalBody {
    /// Node → coordinator (1): where I am.
    RegistrationRequest(RegistrationRequest),
    /// Coordinator → node (2): what you are called and how I see you.
    RegistrationResponse(RegistrationResponse),
    /// MN → coordinator (3): how do I reach that node?
    DirectionRequest(DirectionRequest),
    /// Coordinator → both ends (4): build this path.
    RouteDirection(RouteDirection),
    /// Node → coordinator (5): understood.
    Ack,
    /// Coordinator → relay (6): expect, or drop, this pair.
    RelayDirection(RelayDirection),
    /// Node → coordinator (7): still here; returns the challenge, if there was one.
    KeepAlive {
        /// What the last Registration Response asked for.
        token: Option<Token>,
    },
    /// Coordinator → node (8): still here.
    KeepAliveAck {
        /// Where the keep-alive came from.
        observed: Candidate,
    },
    /// Node → coordinator (9): I am leaving.
    Goodbye,
    /// Coordinator → node (10): no, and why.
    Refusal(Refusal),
    /// Coordinator → terminal (11): the node with this key is no member any
    /// more; end what connects you with it.
    Revocation {
        /// The former member.
        key: PublicKey,
    },
}

const REGISTRATION_REQUEST: u8 = 1;
const REGISTRATION_RESPONSE: u8 = 2;
const DIRECTION_REQUEST: u8 = 3;
const ROUTE_DIRECTION: u8 = 4;
const ACK: u8 = 5;
const RELAY_DIRECTION: u8 = 6;
const KEEP_ALIVE: u8 = 7;
const KEEP_ALIVE_ACK: u8 = 8;
const GOODBYE: u8 = 9;
const REFUSAL: u8 = 10;
const REVOCATION: u8 = 11;

/// The only field of a keep-alive, of its answer, and of a revocation.
const TOKEN: u8 = 1;
const OBSERVED: u8 = 1;
const KEY: u8 = 1;

impl Signal {
    /// The plaintext.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = vec![self.body.number()];
        out.put(&self.request.0.to_be_bytes());
        match &self.body {
            SignalBody::RegistrationRequest(message) => message.emit(&mut out),
            SignalBody::RegistrationResponse(message) => message.emit(&mut out),
            SignalBody::DirectionRequest(message) => message.emit(&mut out),
            SignalBody::RouteDirection(message) => message.emit(&mut out),
            SignalBody::RelayDirection(message) => message.emit(&mut out),
            SignalBody::KeepAlive { token } => {
                if let Some(token) = token {
                    field(&mut out, TOKEN, |out| out.put(token));
                }
            }
            SignalBody::KeepAliveAck { observed } => {
                field(&mut out, OBSERVED, |out| out.put_candidate(observed));
            }
            SignalBody::Ack | SignalBody::Goodbye => {}
            SignalBody::Refusal(message) => message.emit(&mut out),
            SignalBody::Revocation { key } => {
                field(&mut out, KEY, |out| out.put(key.as_bytes()));
            }
        }
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// Truncated, of an unknown type, or with a missing or impossible field.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let number = reader.u8()?;
        let request = RequestId(reader.u64()?);
        let fields = reader.fields();
        let body = match number {
            REGISTRATION_REQUEST => {
                SignalBody::RegistrationRequest(RegistrationRequest::parse(fields)?)
            }
            REGISTRATION_RESPONSE => {
                SignalBody::RegistrationResponse(RegistrationResponse::parse(fields)?)
            }
            DIRECTION_REQUEST => SignalBody::DirectionRequest(DirectionRequest::parse(fields)?),
            ROUTE_DIRECTION => SignalBody::RouteDirection(RouteDirection::parse(fields)?),
            ACK => SignalBody::Ack,
            RELAY_DIRECTION => SignalBody::RelayDirection(RelayDirection::parse(fields)?),
            KEEP_ALIVE => {
                let token = only(fields, TOKEN, |mut value| value.array())?;
                SignalBody::KeepAlive { token }
            }
            KEEP_ALIVE_ACK => {
                let observed = only(fields, OBSERVED, |mut value| value.candidate())?;
                let observed = observed.ok_or(WireError::Missing("observed address"))?;
                SignalBody::KeepAliveAck { observed }
            }
            GOODBYE => SignalBody::Goodbye,
            REFUSAL => SignalBody::Refusal(Refusal::parse(fields)?),
            REVOCATION => {
                let key = only(fields, KEY, |mut value| value.array())?;
                let key = PublicKey::from_bytes(key.ok_or(WireError::Missing("key"))?);
                SignalBody::Revocation { key }
            }
            other => return Err(WireError::Kind(other)),
        };
        Ok(Self { request, body })
    }
}

/// The value of the only field that a message may have.
fn only<'a, T>(
    fields: Fields<'a>,
    tag: u8,
    read: impl Fn(Reader<'a>) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    let mut found = None;
    for item in fields {
        let (field, value) = item?;
        if field == tag {
            found = Some(read(value)?);
        } else {
            Reader::unknown(field)?;
        }
    }
    Ok(found)
}

impl SignalBody {
    fn number(&self) -> u8 {
        match self {
            Self::RegistrationRequest(_) => REGISTRATION_REQUEST,
            Self::RegistrationResponse(_) => REGISTRATION_RESPONSE,
            Self::DirectionRequest(_) => DIRECTION_REQUEST,
            Self::RouteDirection(_) => ROUTE_DIRECTION,
            Self::Ack => ACK,
            Self::RelayDirection(_) => RELAY_DIRECTION,
            Self::KeepAlive { .. } => KEEP_ALIVE,
            Self::KeepAliveAck { .. } => KEEP_ALIVE_ACK,
            Self::Goodbye => GOODBYE,
            Self::Refusal(_) => REFUSAL,
            Self::Revocation { .. } => REVOCATION,
        }
    }

    /// What the message is called in logs and charts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RegistrationRequest(_) => "Registration Request",
            Self::RegistrationResponse(_) => "Registration Response",
            Self::DirectionRequest(_) => "Direction Request",
            Self::RouteDirection(_) => "Route Direction",
            Self::Ack => "Ack",
            Self::RelayDirection(_) => "Relay Direction",
            Self::KeepAlive { .. } => "Keep-alive",
            Self::KeepAliveAck { .. } => "Keep-alive Ack",
            Self::Goodbye => "Goodbye",
            Self::Refusal(_) => "Refusal",
            Self::Revocation { .. } => "Revocation",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{LARGEST, arbitrary};
    use super::*;

    proptest! {
        #[test]
        fn there_and_back(signal in arbitrary::signal()) {
            prop_assert_eq!(Signal::parse(&signal.emit()), Ok(signal));
        }

        #[test]
        fn every_cut_is_an_error_or_a_shorter_message(
            signal in arbitrary::signal(),
            at: prop::sample::Index,
        ) {
            let bytes = signal.emit();
            let cut = &bytes[..at.index(bytes.len())];
            prop_assert!(Signal::parse(cut).as_ref() != Ok(&signal));
        }

        #[test]
        fn a_damaged_message_is_read_without_panic(
            signal in arbitrary::signal(),
            at: prop::sample::Index,
            value: u8,
        ) {
            let mut bytes = signal.emit();
            let place = at.index(bytes.len());
            bytes[place] = value;
            let _ = Signal::parse(&bytes);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = Signal::parse(&bytes);
        }

        #[test]
        fn every_message_fits_a_datagram(signal in arbitrary::signal()) {
            prop_assert!(crate::wire::HEADER + signal.emit().len() + 16 <= LARGEST);
        }
    }
}
