use super::{Envelope, Kind};
use crate::id::{PathId, Side};

/// A datagram that opens the sender's NAT or firewall towards the receiver:
/// the envelope alone, 20 bytes, with the Path ID. Nobody acts on receiving
/// one, so a forged one does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Punch {
    /// The path that is to come.
    pub path: PathId,
    /// The sender's side of it.
    pub side: Side,
}

impl Punch {
    /// The bytes.
    pub fn emit(&self) -> Vec<u8> {
        Envelope::new(Kind::Punch, self.side, *self.path.as_bytes()).emit().to_vec()
    }
}
