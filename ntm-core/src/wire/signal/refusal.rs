use super::super::WireError;
use super::super::codec::{Fields, Put as _, Reader, field};

/// "No", and why.
///
/// | tag | value |
/// |---|---|
/// | 1 | code, 1, as numbered here |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// No member has that name or address.
    #[error("no member of the domain has that name or address")]
    Unknown = 1,
    /// The node is a member but not registered now.
    #[error("that node is not registered now")]
    Absent = 2,
    /// These two may not talk.
    #[error("the coordinator's policy forbids it")]
    Forbidden = 3,
    /// The Path ID does not belong to this pair.
    #[error("the Path ID does not belong to this pair of addresses")]
    WrongPath = 4,
    /// Too much to do; try later.
    #[error("the coordinator is busy")]
    Busy = 5,
    /// No direct path, and no relay that both can reach.
    #[error("no direct path, and no relay that both ends can reach")]
    NoPath = 6,
    /// The registry or another plugin failed.
    #[error("the coordinator could not store or look up what it needs")]
    Failure = 7,
    /// The asker has to register first.
    #[error("the asking node is not registered")]
    Unregistered = 8,
    /// The asker's key is not a member's, or not in this role.
    #[error("the coordinator has no member with this key and role")]
    NotMember = 9,
    /// The asker's key is a member's, but of another name.
    #[error("the coordinator knows this key under another name")]
    WrongName = 10,
}

const CODE: u8 = 1;

impl Refusal {
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        field(out, CODE, |out| out.put(&[*self as u8]));
    }

    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, WireError> {
        let mut code = None;
        for item in fields {
            match item? {
                (CODE, mut value) => code = Some(value.u8()?),
                (other, _) => Reader::unknown(other)?,
            }
        }
        Self::from_code(code.ok_or(WireError::Missing("code"))?)
    }

    /// The refusal with this number.
    pub(in crate::wire) fn from_code(code: u8) -> Result<Self, WireError> {
        [
            Self::Unknown,
            Self::Absent,
            Self::Forbidden,
            Self::WrongPath,
            Self::Busy,
            Self::NoPath,
            Self::Failure,
            Self::Unregistered,
            Self::NotMember,
            Self::WrongName,
        ]
        .into_iter()
        .find(|refusal| *refusal as u8 == code)
        .ok_or(WireError::Value("refusal"))
    }
}
