use super::Token;
use crate::id::Epoch;
use crate::wire::WireError;
use crate::wire::codec::{Put as _, Reader};

/// "I saw you there", sent back to where the request came from.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 1 | type: 2 |
/// | 1 | 8 | the sender's epoch |
/// | 9 | 8 | the request's challenge |
/// | 17 | 8 | a challenge to the requester's address, or zeros if it is proved |
///
/// Paper: Tunnel Response after a move (Fig. 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelResponse {
    /// The sender's epoch.
    pub epoch: Epoch,
    /// What the request said.
    pub echo: Token,
    /// To be returned with a Challenge Response.
    pub challenge: Option<Token>,
}

impl TunnelResponse {
    /// Length in bytes, type included.
    pub(super) const LEN: usize = 25;

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.put(&self.epoch.0.to_be_bytes());
        out.put(&self.echo);
        out.put(&self.challenge.unwrap_or_default());
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let epoch = Epoch(reader.u64()?);
        let echo = reader.array()?;
        let challenge = Some(reader.array()?).filter(|token| *token != Token::default());
        Ok(Self { epoch, echo, challenge })
    }
}
