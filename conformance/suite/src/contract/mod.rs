//! What is promised, a folder a kind; a check a function.

mod any;
mod handover;
mod interface;
mod lanes;
mod registry;
mod transport;
mod traversal;
mod vip;
mod watcher;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::Check;

pub use registry::commit_if_called;

/// Every capability, kind by kind.
pub(crate) const CAPABILITIES: &[&[Capability]] = &[
    any::CAPABILITIES,
    transport::CAPABILITIES,
    watcher::CAPABILITIES,
    traversal::CAPABILITIES,
    vip::CAPABILITIES,
    interface::CAPABILITIES,
    registry::CAPABILITIES,
];

/// Every check, kind by kind.
const CHECKS: &[&[Check]] = &[
    any::CHECKS,
    transport::CHECKS,
    watcher::CHECKS,
    traversal::CHECKS,
    vip::CHECKS,
    interface::CHECKS,
    registry::CHECKS,
    handover::CHECKS,
];

/// Every check there is.
pub fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().copied().flatten()
}

/// Those for a kind.
pub fn of(kind: Kind) -> impl Iterator<Item = &'static Check> {
    all().filter(move |check| check.requirement.kinds.contains(&kind))
}
