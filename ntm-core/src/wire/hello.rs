//! What travels, sealed, inside the two handshake messages. All are fields
//! (tag 1 byte, length 2 bytes, value); unknown tags below 128 are ignored.

use super::codec::{Put as _, Reader, field};
use super::{Refusal, WireError};
use crate::crypto::{Suite, Suites};
use crate::id::{Epoch, NodeName, SessionId};
use crate::plugin::MemberRole;

const EPOCH: u8 = 1;
const SLOT: u8 = 2;
const SUITES: u8 = 3;
const NAME: u8 = 4;
const ROLE: u8 = 5;
const SESSION: u8 = 6;
const REFUSAL: u8 = 7;
const BEGAN: u8 = 8;

/// In message 1 between terminals: epoch (tag 1, 8 bytes), when it was made
/// (tag 8, 8 bytes), the key slot that the sender will receive with (tag 2, 1
/// byte, 0–15), offered suites (tag 3, 1 byte, one bit each).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelHello {
    /// The sender's epoch.
    pub epoch: Epoch,
    /// The sender's clock in nanoseconds. Tells only which of two messages of
    /// one epoch is the newer one, so that replays do not push it out.
    pub began: u64,
    /// Chosen by the receiver of what will be sealed for it: by the sender of
    /// this message.
    pub slot: u8,
    /// What the sender can do well.
    pub suites: Suites,
}

/// In message 2 between terminals: epoch, slot, and the chosen suite (tag 3, 1
/// byte, its number).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelAnswer {
    /// The sender's epoch.
    pub epoch: Epoch,
    /// The key slot that the sender of this message will receive with.
    pub slot: u8,
    /// For both directions.
    pub suite: Suite,
}

/// In message 1 towards a coordinator: epoch, when it was made (tag 8), name
/// (tag 4), role (tag 5, 1 byte: 1 terminal, 2 relay).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeHello {
    /// The sender's epoch.
    pub epoch: Epoch,
    /// As in [`TunnelHello`].
    pub began: u64,
    /// What it calls itself; the coordinator compares with its registry.
    pub name: NodeName,
    /// What it wants to be.
    pub role: MemberRole,
}

/// In message 2 from a coordinator: the session's id (tag 6, 16 bytes), or why
/// there is none (tag 7, 1 byte: the code of a [`Refusal`]).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CoordinatorAnswer {
    /// Drawn by the coordinator, stands in the header of all that follows.
    pub session: Result<SessionId, Refusal>,
}

/// The fields any of the four may have.
#[derive(Default)]
struct Draft<'a> {
    epoch: Option<Epoch>,
    slot: Option<u8>,
    suites: Option<u8>,
    name: Option<&'a str>,
    role: Option<u8>,
    session: Option<SessionId>,
    refusal: Option<Refusal>,
    began: Option<u64>,
}

fn read(bytes: &[u8]) -> Result<Draft<'_>, WireError> {
    let mut draft = Draft::default();
    for item in Reader::new(bytes).fields() {
        let (tag, mut value) = item?;
        match tag {
            EPOCH => draft.epoch = Some(Epoch(value.u64()?)),
            SLOT => draft.slot = Some(value.u8()?),
            SUITES => draft.suites = Some(value.u8()?),
            NAME => draft.name = Some(value.text()?),
            ROLE => draft.role = Some(value.u8()?),
            SESSION => draft.session = Some(SessionId(value.array()?)),
            REFUSAL => draft.refusal = Some(Refusal::from_code(value.u8()?)?),
            BEGAN => draft.began = Some(value.u64()?),
            other => Reader::unknown(other)?,
        }
    }
    Ok(draft)
}

impl Draft<'_> {
    fn epoch(&self) -> Result<Epoch, WireError> {
        self.epoch.ok_or(WireError::Missing("epoch"))
    }

    fn began(&self) -> Result<u64, WireError> {
        self.began.ok_or(WireError::Missing("time of the handshake"))
    }

    fn slot(&self) -> Result<u8, WireError> {
        let slot = self.slot.ok_or(WireError::Missing("slot"))?;
        if slot < 16 { Ok(slot) } else { Err(WireError::Value("slot")) }
    }
}

fn put_epoch_and_slot(out: &mut Vec<u8>, epoch: Epoch, slot: u8) {
    field(out, EPOCH, |out| out.put(&epoch.0.to_be_bytes()));
    field(out, SLOT, |out| out.put(&[slot]));
}

impl TunnelHello {
    /// The plaintext.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_epoch_and_slot(&mut out, self.epoch, self.slot);
        field(&mut out, SUITES, |out| out.put(&[self.suites.bits()]));
        field(&mut out, BEGAN, |out| out.put(&self.began.to_be_bytes()));
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// A field is missing, cut or impossible.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let draft = read(bytes)?;
        let suites = Suites::from_bits(draft.suites.ok_or(WireError::Missing("suites"))?);
        let (epoch, began) = (draft.epoch()?, draft.began()?);
        Ok(Self { epoch, began, slot: draft.slot()?, suites })
    }
}

impl TunnelAnswer {
    /// The plaintext.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_epoch_and_slot(&mut out, self.epoch, self.slot);
        field(&mut out, SUITES, |out| out.put(&[self.suite as u8]));
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// A field is missing, cut or impossible.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let draft = read(bytes)?;
        let number = draft.suites.ok_or(WireError::Missing("suite"))?;
        let suite = Suite::from_number(number).ok_or(WireError::Value("suite"))?;
        Ok(Self { epoch: draft.epoch()?, slot: draft.slot()?, suite })
    }
}

impl NodeHello {
    /// The plaintext.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        field(&mut out, EPOCH, |out| out.put(&self.epoch.0.to_be_bytes()));
        field(&mut out, NAME, |out| out.put(self.name.as_str().as_bytes()));
        let role = match self.role {
            MemberRole::Terminal => 1,
            MemberRole::Relay => 2,
        };
        field(&mut out, ROLE, |out| out.put(&[role]));
        field(&mut out, BEGAN, |out| out.put(&self.began.to_be_bytes()));
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// A field is missing, cut or impossible.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let draft = read(bytes)?;
        let name = draft.name.ok_or(WireError::Missing("name"))?;
        let name = name.parse().map_err(|_| WireError::Value("name"))?;
        let role = match draft.role.ok_or(WireError::Missing("role"))? {
            1 => MemberRole::Terminal,
            2 => MemberRole::Relay,
            _ => return Err(WireError::Value("role")),
        };
        Ok(Self { epoch: draft.epoch()?, began: draft.began()?, name, role })
    }
}

impl CoordinatorAnswer {
    /// The plaintext.
    pub fn emit(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.session {
            Ok(session) => field(&mut out, SESSION, |out| out.put(&session.0)),
            Err(refusal) => field(&mut out, REFUSAL, |out| out.put(&[refusal as u8])),
        }
        out
    }

    /// Reads the plaintext.
    ///
    /// # Errors
    /// Both are missing, or one is cut.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let draft = read(bytes)?;
        let session = match draft.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(draft.session.ok_or(WireError::Missing("session"))?),
        };
        Ok(Self { session })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary;
    use super::*;

    proptest! {
        #[test]
        fn there_and_back(
            epoch in arbitrary::epoch(),
            began: u64,
            slot in 0..16_u8,
            suite in arbitrary::suite(),
            name in arbitrary::name(),
            session: [u8; 16],
        ) {
            let hello = TunnelHello { epoch, began, slot, suites: Suites::ALL };
            prop_assert_eq!(TunnelHello::parse(&hello.emit()), Ok(hello));
            let answer = TunnelAnswer { epoch, slot, suite };
            prop_assert_eq!(TunnelAnswer::parse(&answer.emit()), Ok(answer));
            for role in [MemberRole::Terminal, MemberRole::Relay] {
                let hello = NodeHello { epoch, began, name: name.clone(), role };
                prop_assert_eq!(NodeHello::parse(&hello.emit()), Ok(hello));
            }
            for session in [Ok(SessionId(session)), Err(Refusal::NotMember)] {
                let answer = CoordinatorAnswer { session };
                prop_assert_eq!(CoordinatorAnswer::parse(&answer.emit()), Ok(answer));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let _ = (TunnelHello::parse(&bytes), TunnelAnswer::parse(&bytes));
            let _ = (NodeHello::parse(&bytes), CoordinatorAnswer::parse(&bytes));
        }
    }

    #[test]
    fn a_field_of_tomorrow_is_ignored_unless_it_is_critical() {
        let answer = CoordinatorAnswer { session: Ok(SessionId([7; 16])) };
        let mut bytes = answer.emit();
        field(&mut bytes, 0x7e, |out| out.put(b"new"));
        assert_eq!(CoordinatorAnswer::parse(&bytes), Ok(answer));
        field(&mut bytes, 0x80, |out| out.put(b"new"));
        assert_eq!(CoordinatorAnswer::parse(&bytes), Err(WireError::Critical(0x80)));
    }
}
