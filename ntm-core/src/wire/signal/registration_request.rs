use std::net::IpAddr;

use super::super::codec::{Fields, Put as _, Reader, field};
use super::super::{HEADER, LARGEST, Token, WireError};
use crate::address::Candidate;
use crate::crypto::TAG;
use crate::id::{Epoch, PathId};

/// "Where I am": a full snapshot, so that the newest alone counts.
///
/// | tag | value |
/// |---|---|
/// | 1 | epoch, 8 |
/// | 2 | a claimed address (transport 1, port 2, family 1, address); repeated, at most 16 |
/// | 3 | a tunnel to be directed anew: Path ID 16, then the peer's virtual address (family 1, address); repeated, at most 24 and as many as fit |
/// | 4 | token, 8: the last challenge, returned |
/// | 5 | padding: zeros that make the datagram 1,200 bytes long where tunnels are named, 256 otherwise |
///
/// Paper: Registration Request, at start and after each move (section 3). The
/// Path IDs are fast mode's: the coordinator directs both ends at once.
///
/// To an address that is not proved the coordinator sends at most three times
/// what came from it; the padding makes that enough for what it has to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegistrationRequest {
    /// The sender's epoch.
    pub epoch: Epoch,
    /// The addresses the sender has.
    pub claimed: Vec<Candidate>,
    /// Tunnels to be directed anew.
    pub paths: Vec<PathRef>,
    /// The last challenge, returned.
    pub token: Option<Token>,
}

/// A tunnel as a node names it to its coordinator, which may have forgotten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathRef {
    /// The Path ID.
    pub path: PathId,
    /// A virtual address of the peer.
    pub peer: IpAddr,
}

const EPOCH: u8 = 1;
const CLAIMED: u8 = 2;
const PATH: u8 = 3;
const TOKEN: u8 = 4;
const PADDING: u8 = 5;

/// Length of the plaintext, so that the datagram is 256 or 1,200 bytes long.
const SHORT: usize = 256 - HEADER - TAG;
const LONG: usize = 1200 - HEADER - TAG;
/// Longer than this it would not fit every path unfragmented.
const LONGEST: usize = LARGEST - HEADER - TAG;
/// Tag and length of a field.
const FIELD: usize = 3;

impl RegistrationRequest {
    /// Claimed addresses in one message.
    pub const MOST_CLAIMED: usize = 16;
    /// Path IDs in one message, and no more than fit a datagram; a node with more
    /// sends several.
    pub const MOST_PATHS: usize = 24;

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let mut rest = Vec::new();
        self.emit_unpadded(LONGEST - out.len(), &mut rest);
        let length = if self.paths.is_empty() { SHORT } else { LONG };
        if let Some(missing) = length.checked_sub(out.len() + FIELD + rest.len()) {
            field(out, PADDING, |out| out.put(&vec![0; missing]));
        }
        out.put(&rest);
    }

    /// Writes the fields, and of the paths as many as `room` bytes leave place for.
    fn emit_unpadded(&self, room: usize, out: &mut Vec<u8>) {
        field(out, EPOCH, |out| out.put(&self.epoch.0.to_be_bytes()));
        for claimed in self.claimed.iter().take(Self::MOST_CLAIMED) {
            field(out, CLAIMED, |out| out.put_candidate(claimed));
        }
        let token = self.token.map_or(0, |token| FIELD + token.len());
        for path in self.paths.iter().take(Self::MOST_PATHS) {
            let peer = if path.peer.is_ipv4() { 5 } else { 17 };
            if out.len() + FIELD + 16 + peer + token > room {
                break;
            }
            field(out, PATH, |out| {
                out.put(path.path.as_bytes());
                out.put_ip(path.peer);
            });
        }
        if let Some(token) = self.token {
            field(out, TOKEN, |out| out.put(&token));
        }
    }

    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, WireError> {
        let (mut epoch, mut token) = (None, None);
        let (mut claimed, mut paths) = (Vec::new(), Vec::new());
        for item in fields {
            let (tag, mut value) = item?;
            match tag {
                EPOCH => epoch = Some(Epoch(value.u64()?)),
                CLAIMED => claimed.push(value.candidate()?),
                PATH => {
                    let path = PathId::from_bytes(value.array()?);
                    paths.push(PathRef { path, peer: value.ip()? });
                }
                TOKEN => token = Some(value.array()?),
                PADDING => {}
                other => Reader::unknown(other)?,
            }
        }
        if claimed.len() > Self::MOST_CLAIMED || paths.len() > Self::MOST_PATHS {
            return Err(WireError::Value("number of addresses or paths"));
        }
        let epoch = epoch.ok_or(WireError::Missing("epoch"))?;
        Ok(Self { epoch, claimed, paths, token })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv6Addr, SocketAddr};

    use super::super::{RequestId, Signal, SignalBody};
    use super::*;

    #[test]
    fn paths_that_do_not_fit_are_left_out() {
        let claimed = Candidate::udp(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 1));
        let path = PathId::from_bytes([1; 16]);
        let full = RegistrationRequest {
            epoch: Epoch(1),
            claimed: vec![claimed; RegistrationRequest::MOST_CLAIMED],
            paths: vec![
                PathRef { path, peer: Ipv6Addr::LOCALHOST.into() };
                RegistrationRequest::MOST_PATHS
            ],
            token: Some([1; 8]),
        };
        let body = SignalBody::RegistrationRequest(full.clone());
        let signal = Signal { request: RequestId::of_node(1), body }.emit();
        assert!(signal.len() <= LONGEST);
        let Ok(SignalBody::RegistrationRequest(read)) = Signal::parse(&signal).map(|s| s.body)
        else {
            panic!("it can be read")
        };
        assert_eq!(read, RegistrationRequest { paths: vec![full.paths[0]; 21], ..full });
    }
}
