use std::net::IpAddr;

use super::super::WireError;
use super::super::codec::{Fields, Put as _, Reader, field};
use crate::id::{NodeName, PathId};

/// "How do I reach that node?"
///
/// | tag | value |
/// |---|---|
/// | 1 | name of the node asked for |
/// | 2 | or its virtual address (family 1, address) |
/// | 3 | Path ID, 16, if the asker can compute it; a wrong one is refused |
///
/// Paper: Direction Request with the Path ID that MN generated (section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DirectionRequest {
    /// Who is asked for.
    pub target: Target,
    /// What the asker takes the Path ID to be.
    pub path: Option<PathId>,
}

/// Who is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The node of this name.
    Name(NodeName),
    /// The node with this virtual address.
    Vip(IpAddr),
}

const NAME: u8 = 1;
const VIP: u8 = 2;
const PATH: u8 = 3;

impl DirectionRequest {
    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        match &self.target {
            Target::Name(name) => field(out, NAME, |out| out.put(name.as_str().as_bytes())),
            Target::Vip(vip) => field(out, VIP, |out| out.put_ip(*vip)),
        }
        if let Some(path) = self.path {
            field(out, PATH, |out| out.put(path.as_bytes()));
        }
    }

    pub(super) fn parse(fields: Fields<'_>) -> Result<Self, WireError> {
        let (mut target, mut path) = (None, None);
        for item in fields {
            let (tag, mut value) = item?;
            match tag {
                NAME => {
                    let name = value.text()?.parse().map_err(|_| WireError::Value("name"))?;
                    target = Some(Target::Name(name));
                }
                VIP => target = Some(Target::Vip(value.ip()?)),
                PATH => path = Some(PathId::from_bytes(value.array()?)),
                other => Reader::unknown(other)?,
            }
        }
        Ok(Self { target: target.ok_or(WireError::Missing("target"))?, path })
    }
}
