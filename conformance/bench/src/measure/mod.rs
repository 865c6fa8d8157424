//! The probes: the same for all.

pub(crate) mod echo;
pub(crate) mod flow;
pub(crate) mod host;
pub(crate) mod metric;
pub(crate) mod search;
pub(crate) mod stream;
pub(crate) mod suite;
