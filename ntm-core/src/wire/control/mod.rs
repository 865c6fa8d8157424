//! What the two ends of a tunnel say to each other inside their session.
//!
//! Sealed like a capsule, with the session's control keys; the plaintext is
//! one byte of type, the message, and zero bytes of padding that the reader
//! ignores. No answer is longer than what it answers.

mod probe;
mod tunnel_request;
mod tunnel_response;

pub use tunnel_request::TunnelRequest;
pub use tunnel_response::TunnelResponse;

use super::WireError;
use super::codec::Reader;
use crate::id::Epoch;

/// Eight random bytes that only the receiver of a datagram can return.
pub type Token = [u8; 8];

/// A message between the two ends of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// "I am here now" (1). Paper: Tunnel Request after a move.
    TunnelRequest(TunnelRequest),
    /// "I saw you there" (2). Paper: Tunnel Response after a move.
    TunnelResponse(TunnelResponse),
    /// "Do you receive there?" (3). Moves nothing.
    Challenge {
        /// The sender's epoch.
        epoch: Epoch,
        /// To be returned.
        token: Token,
    },
    /// "Yes" (4).
    ChallengeResponse {
        /// The sender's epoch.
        epoch: Epoch,
        /// What the challenge said.
        token: Token,
    },
    /// Keeps a NAT's mapping alive (5).
    KeepAlive,
    /// "I am leaving" (6).
    Close,
    /// "Your packets arrive", from an end that has none of its own to send (7).
    Report,
}

const TUNNEL_REQUEST: u8 = 1;
const TUNNEL_RESPONSE: u8 = 2;
const CHALLENGE: u8 = 3;
const CHALLENGE_RESPONSE: u8 = 4;
const KEEP_ALIVE: u8 = 5;
const CLOSE: u8 = 6;
const REPORT: u8 = 7;

impl Control {
    /// The plaintext.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        match self {
            Self::TunnelRequest(request) => {
                out.push(TUNNEL_REQUEST);
                request.emit(&mut out);
            }
            Self::TunnelResponse(response) => {
                out.push(TUNNEL_RESPONSE);
                response.emit(&mut out);
            }
            Self::Challenge { epoch, token } => {
                out.push(CHALLENGE);
                probe::emit(*epoch, token, &mut out);
            }
            Self::ChallengeResponse { epoch, token } => {
                out.push(CHALLENGE_RESPONSE);
                probe::emit(*epoch, token, &mut out);
            }
            Self::KeepAlive => out.push(KEEP_ALIVE),
            Self::Close => out.push(CLOSE),
            Self::Report => out.push(REPORT),
        }
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// Truncated, of an unknown type, or with an impossible value.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            TUNNEL_REQUEST => TunnelRequest::parse(reader).map(Self::TunnelRequest),
            TUNNEL_RESPONSE => TunnelResponse::parse(reader).map(Self::TunnelResponse),
            CHALLENGE => {
                probe::parse(reader).map(|(epoch, token)| Self::Challenge { epoch, token })
            }
            CHALLENGE_RESPONSE => {
                probe::parse(reader).map(|(epoch, token)| Self::ChallengeResponse { epoch, token })
            }
            KEEP_ALIVE => Ok(Self::KeepAlive),
            CLOSE => Ok(Self::Close),
            REPORT => Ok(Self::Report),
            other => Err(WireError::Kind(other)),
        }
    }

    /// What the message is called in logs and charts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TunnelRequest(_) => "Tunnel Request",
            Self::TunnelResponse(_) => "Tunnel Response",
            Self::Challenge { .. } => "Challenge",
            Self::ChallengeResponse { .. } => "Challenge Response",
            Self::KeepAlive => "Keep-alive",
            Self::Close => "Close",
            Self::Report => "Report",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    proptest! {
        #[test]
        fn there_and_back(control in arbitrary::control()) {
            prop_assert_eq!(Control::parse(&control.emit()), Ok(control));
        }

        #[test]
        fn padding_is_ignored(control in arbitrary::control(), padding in 0..100_usize) {
            let mut bytes = control.emit();
            bytes.resize(bytes.len() + padding, 0);
            prop_assert_eq!(Control::parse(&bytes), Ok(control));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = Control::parse(&bytes);
        }

        #[test]
        fn no_answer_is_longer_than_its_question(
            request in arbitrary::tunnel_request(),
            response in arbitrary::tunnel_response(),
            token: Token,
        ) {
            let epoch = Epoch(u64::MAX);
            prop_assert!(
                Control::TunnelResponse(response).emit().len()
                    <= Control::TunnelRequest(request).emit().len()
            );
            prop_assert_eq!(
                Control::ChallengeResponse { epoch, token }.emit().len(),
                Control::Challenge { epoch, token }.emit().len()
            );
        }
    }
}
