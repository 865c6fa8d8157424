use super::Token;
use crate::address::Candidate;
use crate::id::Epoch;
use crate::wire::WireError;
use crate::wire::codec::{Put as _, Reader};

/// "I am here now": authenticated inside the live session, so that keys,
/// counters and replay window survive the move.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 1 | type: 1 |
/// | 1 | 8 | the sender's epoch |
/// | 9 | 8 | challenge |
/// | 17 | 1 | flags; 1: the old address is gone |
/// | 18 | 1 | number of candidates, at most 8 |
/// | 19 | 8 or 20 each | candidates: transport 1, port 2, family 1, address 4 or 16 |
/// | … | … | zeros, so that the whole is at least as long as the response |
///
/// Paper: Tunnel Request after a move (Fig. 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelRequest {
    /// The sender's epoch: higher than before when it has moved.
    pub epoch: Epoch,
    /// To be returned.
    pub challenge: Token,
    /// Nothing sent to the sender's old address will arrive.
    pub old_gone: bool,
    /// Where else the sender may be reached.
    pub candidates: Vec<Candidate>,
}

impl TunnelRequest {
    /// Candidates in one message.
    pub const MOST_CANDIDATES: usize = 8;

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.put(&self.epoch.0.to_be_bytes());
        out.put(&self.challenge);
        let candidates = &self.candidates[..self.candidates.len().min(Self::MOST_CANDIDATES)];
        out.put(&[self.old_gone.into(), candidates.len() as u8]);
        for candidate in candidates {
            out.put_candidate(candidate);
        }
        if out.len() < super::TunnelResponse::LEN {
            out.resize(super::TunnelResponse::LEN, 0);
        }
    }

    pub(super) fn parse(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let epoch = Epoch(reader.u64()?);
        let challenge = reader.array()?;
        let old_gone = reader.u8()? & 1 != 0;
        let count = usize::from(reader.u8()?);
        if count > Self::MOST_CANDIDATES {
            return Err(WireError::Value("number of candidates"));
        }
        let candidates = (0..count).map(|_| reader.candidate()).collect::<Result<_, _>>()?;
        Ok(Self { epoch, challenge, old_gone, candidates })
    }
}
