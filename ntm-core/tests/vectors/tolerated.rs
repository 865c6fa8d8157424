//! What looks odd and must be taken all the same.

use serde::{Deserialize, Serialize};

use super::Vector;
use super::capsule::Receiver;
use super::hex::Hex;
use super::refused::parse;

/// Something to be accepted, and the requirement that says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ToleratedVector {
    name: String,
    pub(crate) requirement: String,
    #[serde(flatten)]
    case: Case,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case")]
enum Case {
    /// Both bytes read as the same message.
    Alike { message: String, bytes: Hex, plain: Hex },
    /// The capsule opens.
    Opens { receiver: Box<Receiver>, bytes: Hex, packet: Hex },
}

impl Vector for ToleratedVector {
    fn name(&self) -> &str {
        &self.name
    }

    fn complete(&mut self) {}

    fn read(&self) {
        match &self.case {
            Case::Alike { message, bytes, plain } => {
                assert_ne!(bytes, plain, "{}", self.name);
                let plain = parse(message, &plain.0).expect("a plain message");
                assert_eq!(parse(message, &bytes.0), Ok(plain), "{}", self.name);
            }
            Case::Opens { receiver, bytes, packet } => {
                assert_eq!(receiver.open(bytes), Ok(packet.0.clone()), "{}", self.name);
            }
        }
    }
}
