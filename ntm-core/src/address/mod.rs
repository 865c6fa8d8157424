//! Addresses: virtual ones that never change, real ones of the moment, and the
//! ways between them.

mod leg;
mod location;
mod nat64;
mod special;
mod vip;

pub use leg::{Candidate, Leg, LocalPin, TransportId, TransportKind};
pub use location::{Location, Observed};
pub use nat64::Nat64;
pub use special::Scope;
pub use vip::{BadPrefix, Prefix, Vips};
