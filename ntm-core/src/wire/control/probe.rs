//! Challenge and Challenge Response share one layout.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | type: 3 or 4 |
//! | 1 | 8 | the sender's epoch |
//! | 9 | 8 | token |

use super::Token;
use crate::id::Epoch;
use crate::wire::WireError;
use crate::wire::codec::{Put as _, Reader};

pub(super) fn emit(epoch: Epoch, token: &Token, out: &mut Vec<u8>) {
    out.put(&epoch.0.to_be_bytes());
    out.put(token);
}

pub(super) fn parse(mut reader: Reader<'_>) -> Result<(Epoch, Token), WireError> {
    Ok((Epoch(reader.u64()?), reader.array()?))
}
