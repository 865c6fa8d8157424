//! Plugins that each break one promise: that the suite finds it, is what shows
//! that the suite can fail.
//!
//! Each goes through a built-in plugin and does one thing wrong. `FAULTS` names them
//! and what they break; `matrix` tries them, linked and out of libraries. Those are
//! made of this crate without its feature `matrix`, which brings the suite along.
#![forbid(unsafe_code)]

#[cfg(feature = "matrix")]
mod faults;
pub mod interface;
#[cfg(feature = "matrix")]
pub mod matrix;
pub mod registry;
pub mod transport;
pub mod traversal;
pub mod vip;
pub mod watcher;

#[cfg(feature = "matrix")]
pub use faults::{FAULTS, Fault, Mistake};
