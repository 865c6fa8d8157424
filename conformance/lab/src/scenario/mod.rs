//! What is done with real nodes in networks of real kernels.
//!
//! A scenario runs the `ntm` program itself, a process a node, and asks it over
//! its control socket; it knows nothing else of it.

mod ask;
mod chart;
pub mod domain;
pub mod grid;
mod mover;
mod node;
mod outfit;
mod pair;
pub mod paper;
mod plot;
mod program;
pub mod rows;
mod stats;

pub use ask::{handovers, until};
pub use mover::Mover;
pub use outfit::{Outfit, library};
pub use program::program;
