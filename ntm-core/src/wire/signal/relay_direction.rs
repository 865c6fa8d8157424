use super::super::WireError;
use super::super::codec::{Fields, Put as _, Reader, field};
use crate::id::PathId;

/// "Expect this pair", or "drop it". The relay admits by ticket, whether this
/// arrived or not; what it cannot know by itself is that a ticket is revoked.
///
/// | tag | value |
/// |---|---|
/// | 1 | Path ID, 16 |
/// | 2 | serial of the ticket, 8; all up to this one are meant when revoking |
/// | 3 | 1 expect, 2 revoke |
///
/// Named for the message to the relay in NTMobile's relay sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RelayDirection {
    /// The path.
    pub path: PathId,
    /// The ticket.
    pub serial: u64,
    /// Drop the pair and refuse the ticket from now on.
    pub revoke: bool,
}

const PATH: u8 = 1;
const SERIAL: u8 = 2;
const ACTION: u8 = 3;

impl RelayDirection {
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        field(out, PATH, |out| out.put(self.path.as_bytes()));
        field(out, SERIAL, |out| out.put(&self.serial.to_be_bytes()));
        field(out, ACTION, |out| out.put(&[if self.revoke { 2 } else { 1 }]));
    }

    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, WireError> {
        let (mut path, mut serial, mut revoke) = (None, None, None);
        for item in fields {
            let (tag, mut value) = item?;
            match tag {
                PATH => path = Some(PathId::from_bytes(value.array()?)),
                SERIAL => serial = Some(value.u64()?),
                ACTION => {
                    revoke = Some(match value.u8()? {
                        1 => false,
                        2 => true,
                        _ => return Err(WireError::Value("action")),
                    });
                }
                other => Reader::unknown(other)?,
            }
        }
        Ok(Self {
            path: path.ok_or(WireError::Missing("Path ID"))?,
            serial: serial.ok_or(WireError::Missing("serial"))?,
            revoke: revoke.ok_or(WireError::Missing("action"))?,
        })
    }
}
