//! What is promised, a folder a kind; a check a function.

mod handover;
mod traversal;
mod vip;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::Check;

/// Every capability, kind by kind.
pub(crate) const CAPABILITIES: &[&[Capability]] = &[traversal::CAPABILITIES, vip::CAPABILITIES];

/// Every check, kind by kind.
const CHECKS: &[&[Check]] = &[traversal::CHECKS, vip::CHECKS, handover::CHECKS];

/// Every check there is.
pub fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.iter().copied().flatten()
}

/// Those for a kind.
pub fn of(kind: Kind) -> impl Iterator<Item = &'static Check> {
    all().filter(move |check| check.requirement.kinds.contains(&kind))
}
