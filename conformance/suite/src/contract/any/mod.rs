//! What every plugin promises, of whatever kind: opening and closing.

mod leaks;
mod open;

use std::time::Duration;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

const fn promise(id: &'static str, title: &'static str, why: &'static str) -> Requirement {
    let section = "docs/plugins/PROMISES.md#every-kind";
    Requirement { id, kinds: &Kind::ALL, section, title, why }
}

const fn strict(kind: Kind) -> Capability {
    Capability {
        name: "strict_config",
        kind,
        what: "refuses a key of its configuration that there is not",
    }
}

pub(crate) const CAPABILITIES: &[Capability] = &[
    strict(Kind::Transport),
    strict(Kind::Watcher),
    strict(Kind::Traversal),
    strict(Kind::Vip),
    strict(Kind::Interface),
    strict(Kind::Registry),
];

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "ANY-1",
            "it opens with its configuration, and what goes away leaves nothing open",
            "a node that opens it again after each mistake runs out of descriptors or threads",
        ),
        |case| Box::pin(leaks::leaks(case)),
    )
    .limit(Duration::from_secs(60)),
    Check::new(
        promise(
            "ANY-2",
            "a mistake in the configuration is told as one, with its key, and opens nothing",
            "a person is shown no line to look at",
        ),
        |case| Box::pin(open::mistake(case)),
    )
    .needs(&["strict_config"]),
];
