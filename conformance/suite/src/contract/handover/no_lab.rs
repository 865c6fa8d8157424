//! Whole nodes on real kernels need network namespaces.

use crate::case::Case;
use crate::outcome::{Stop, Verdict};

fn nowhere() -> Verdict {
    Err(Stop::not_tried("the lab is Linux's alone"))
}

pub(super) fn fast(_: &Case) -> Verdict {
    nowhere()
}

pub(super) fn seed(_: &Case) -> Verdict {
    nowhere()
}

pub(super) fn both_at_once(_: &Case) -> Verdict {
    nowhere()
}

pub(super) fn killed(_: &Case) -> Verdict {
    nowhere()
}
