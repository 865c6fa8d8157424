//! What a plugin promises, tested from outside.
//!
//! A [`Subject`] is a plugin, linked or in a library, with its configuration and
//! its [`Claims`]: what it says it can do. A [`Check`] is a [`Requirement`] (one
//! promise, with its identifier and the place where it stands) and a function that
//! tries it on instances of the subject. [`Runner::run`] tries them one after another, each
//! on a thread of its own and in a network namespace of its own where that can
//! be had, and gives a [`Report`].
//!
//! | to read on | |
//! | --- | --- |
//! | what is promised, and how each promise is tried | [`contract`], a folder a kind |
//! | what a check works with | [`Case`], [`Outcome`], [`ensure!`](crate::ensure) |
//! | what can be tested | [`Subject`], [`Source`] |
//! | what comes out | [`Report`] |
//! | another implementation of the protocol, tried over the wire | [`wire`] |
#![forbid(unsafe_code)]

mod built_in;
mod case;
mod claims;
pub mod contract;
mod kind;
mod library;
mod outcome;
mod report;
mod requirement;
mod runner;
mod subject;
mod wait;
pub mod wire;
mod world;

pub use built_in::{BUILT_IN, decode};
pub use case::Case;
pub use claims::{Capability, Claims, capabilities};
pub use contract::commit_if_called;
pub use kind::Kind;
pub use outcome::{Note, Outcome, Stop, Verdict};
pub use report::{Report, Tried};
pub use requirement::{Check, Requirement, Try};
pub use runner::{Progress, Runner};
pub use subject::{Source, Subject};
pub use wait::{PATIENCE, at_once, begin_and_drop, until, within};
pub use world::World;
