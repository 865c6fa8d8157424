//! NTMobile as pure state. (map follows)
#![forbid(unsafe_code)]

pub mod address;
pub mod client;
pub mod coordinator;
pub mod crypto;
pub mod id;
pub mod machine;
pub mod packet;
pub mod plugin;
pub mod relay;
mod rng;
mod surroundings;
pub mod terminal;
mod time;
pub mod tunnel;
pub mod wire;

pub use rng::Rng;
pub use time::Time;
