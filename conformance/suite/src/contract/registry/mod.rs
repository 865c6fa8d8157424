//! What a registry promises: what was acknowledged is there.

mod history;
mod killed;
mod state;

use std::time::Duration;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

pub use killed::commit_if_called;

const fn promise(id: &'static str, title: &'static str, why: &'static str) -> Requirement {
    let section = "docs/plugins/PROMISES.md#registry";
    Requirement { id, kinds: &[Kind::Registry], section, title, why }
}

pub(crate) const CAPABILITIES: &[Capability] = &[
    Capability {
        name: "durable",
        kind: Kind::Registry,
        what: "keeps what it was given when the process ends",
    },
    Capability {
        name: "files",
        kind: Kind::Registry,
        what: "keeps all of it in `{folder}`, and nowhere else",
    },
];

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "REG-1",
            "what was committed is loaded, each record once and in the same order each time",
            "a node loses its virtual addresses, and its conversations with them",
        ),
        |case| Box::pin(state::loaded(case)),
    ),
    Check::new(
        promise(
            "REG-2",
            "writes take effect in their order: a record replaces that with its key, and goes if it is there",
            "a removed member comes back, or one that was added is lost",
        ),
        |case| Box::pin(state::in_order(case)),
    ),
    Check::new(
        promise(
            "REG-3",
            "commits that overlap take effect in the order in which they were made",
            "an older state of a node wins over a newer one",
        ),
        |case| Box::pin(state::overlapping(case)),
    ),
    Check::new(
        promise(
            "REG-4",
            "a commit that is not waited for happens whole or not at all, and spoils no other",
            "one client that went away costs others their addresses",
        ),
        |case| Box::pin(state::dropped(case)),
    ),
    Check::new(
        promise(
            "REG-5",
            "what was committed is there after it was closed and opened again",
            "after a restart nobody has an address any more",
        ),
        |case| Box::pin(state::reopened(case)),
    )
    .needs(&["durable"]),
    Check::new(
        promise(
            "REG-6",
            "what was acknowledged has left the process: another one finds it",
            "what `kill -9` loses was promised to a node",
        ),
        |case| Box::pin(killed::copied(case)),
    )
    .needs(&["durable", "files"]),
    Check::new(
        promise(
            "REG-7",
            "after `kill -9` at any moment, the state is that after some prefix of the commits",
            "half a commit is a node without a key, or two with one address",
        ),
        |case| Box::pin(killed::killed(case)),
    )
    .needs(&["durable"])
    .limit(Duration::from_secs(60)),
    Check::new(
        promise(
            "REG-8",
            "what it writes is for its owner's eyes alone",
            "it holds the salt of the domain and everybody's keys",
        ),
        |case| Box::pin(state::owners_alone(case)),
    )
    .needs(&["files"]),
];
