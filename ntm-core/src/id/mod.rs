//! Names of things: nodes, keys, paths, sessions, moves.

mod epoch;
mod key;
mod name;
mod path;
mod session;

pub use epoch::Epoch;
pub use key::{BadKey, KeyHash, PublicKey};
pub use name::{BadName, NodeName};
pub use path::{PathId, Salt, Side};
pub use session::SessionId;
