use std::net::IpAddr;

use crate::address::{Prefix, Vips};
use crate::id::{NodeName, PublicKey};
use crate::plugin::{Plan, PlanRequest, PluginError, Record, Route, Write};

/// Pairs an [`Outcome`] with its [`Effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub(crate) u64);

/// A question to a plugin. The driver asks it and hands the answer to
/// `handle_outcome`; after two seconds the machine goes on without.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Everything that is stored. Answer: [`Outcome::Loaded`].
    Load,
    /// Store these, all or nothing. Answer: [`Outcome::Stored`].
    Store(Vec<Write>),
    /// Virtual addresses for this node. Answer: [`Outcome::Leased`].
    Lease {
        /// The node's name.
        name: NodeName,
        /// The node's key.
        key: PublicKey,
    },
    /// Give these virtual addresses back to the allocator. Answer:
    /// [`Outcome::Stored`].
    Release(Vips),
    /// Paths for this pair. Answer: [`Outcome::Planned`].
    Plan(PlanRequest),
    /// How the system would reach these. Answer: [`Outcome::Routed`].
    Routes(Vec<IpAddr>),
}

/// A plugin's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To [`Effect::Load`]: the records, and the ranges that virtual addresses
    /// come from.
    Loaded(Result<(Vec<Record>, Vec<Prefix>), PluginError>),
    /// To [`Effect::Store`] and [`Effect::Release`].
    Stored(Result<(), PluginError>),
    /// To [`Effect::Lease`].
    Leased(Result<Vips, PluginError>),
    /// To [`Effect::Plan`].
    Planned(Result<Plan, PluginError>),
    /// To [`Effect::Routes`]: the questions and, in their order, the answers.
    Routed(Vec<(IpAddr, Option<Route>)>),
}
