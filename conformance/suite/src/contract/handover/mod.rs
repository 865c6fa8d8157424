//! The hand-over: two terminals, a coordinator and a relay around the plugin, moved while
//! they talk.
//!
//! Without `--lab` the nodes and their network are simulated, and the plugin's instances
//! are real: what a coordinator asks, they answer, and every datagram goes through
//! transports on the loopback of this machine. Moves are those of the simulated
//! network; so watchers and interfaces, which live on the system's own, are tried
//! with `--lab` alone.

#[cfg(target_os = "linux")]
mod lab;
#[cfg(not(target_os = "linux"))]
#[path = "no_lab.rs"]
mod lab;
mod plugged;
mod simulated;
mod stage;

use std::time::Duration;

use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

/// Those that can be put into a simulated world.
const SIMULATED: &[Kind] = &[Kind::Transport, Kind::Traversal, Kind::Vip, Kind::Registry];
/// Those that can be put into whole nodes, whatever their configuration is.
const IN_NODES: &[Kind] = &[Kind::Transport, Kind::Watcher, Kind::Traversal, Kind::Interface];
/// Those that only a coordinator has and that remember something.
const STORING: &[Kind] = &[Kind::Vip, Kind::Registry];

const fn promise(
    id: &'static str,
    kinds: &'static [Kind],
    title: &'static str,
    why: &'static str,
) -> Requirement {
    let section = "docs/PROTOCOL.md#118-tried-with-plugins";
    Requirement { id, kinds, section, title, why }
}

/// What a simulated world may take.
const SOME_TIME: Duration = Duration::from_secs(120);

/// What whole nodes on a real kernel may take.
const LONG: Duration = Duration::from_secs(400);

/// The checks, in the order of their identifiers.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "HND-1",
            SIMULATED,
            "moves keep Path ID and virtual addresses, and every byte arrives, in order (P-ID-3, H-MOVE-1)",
            "it is what all of this is for",
        ),
        |case| Box::pin(async { simulated::fast(case) }),
    )
    .limit(SOME_TIME),
    Check::new(
        promise(
            "HND-2",
            SIMULATED,
            "the same with the paper's own sequence (H-SEED-1, H-SEED-2)",
            "every move goes through the coordinator, and its plugins, there",
        ),
        |case| Box::pin(async { simulated::seed(case) }),
    )
    .limit(SOME_TIME),
    Check::new(
        promise(
            "HND-3",
            SIMULATED,
            "the same when both ends move at once (H-FAST-3)",
            "neither knows where the other one is",
        ),
        |case| Box::pin(async { simulated::both_at_once(case) }),
    )
    .limit(SOME_TIME),
    Check::new(
        promise(
            "HND-4",
            SIMULATED,
            "one way at a time, and no old one again (H-MOVE-2)",
            "packets by two ways overtake each other, and what goes by an old one is lost",
        ),
        |case| Box::pin(async { simulated::exclusive(case) }),
    )
    .limit(SOME_TIME),
    Check::new(
        promise(
            "HND-5",
            SIMULATED,
            "the plugin breaks while both talk: with another instance they go on, under the same Path ID",
            "a broken plugin costs a path, and no conversation",
        ),
        |case| Box::pin(async { simulated::killed(case) }),
    )
    .limit(SOME_TIME),
    Check::new(
        promise(
            "HND-6",
            STORING,
            "the coordinator starts again: virtual addresses and Path IDs are the same (D-LOC-6)",
            "who has another address after a restart has lost all conversations",
        ),
        |case| Box::pin(async { simulated::restarted(case) }),
    )
    .limit(SOME_TIME),
    Check::new(
        promise(
            "HND-7",
            &[Kind::Transport],
            "made to work again while both talk, it loses no conversation",
            "that is what a node does with a transport that has fallen silent",
        ),
        |case| Box::pin(async { simulated::rebound(case) }),
    )
    .limit(SOME_TIME),
    Check::new(
        promise(
            "HND-8",
            IN_NODES,
            "whole nodes on the real kernel, a download that runs through moves: the same Path ID and addresses, every byte",
            "it is what all of this is for",
        ),
        |case| Box::pin(async { lab::fast(case) }),
    )
    .limit(LONG)
    .lab(),
    Check::new(
        promise(
            "HND-9",
            IN_NODES,
            "the same with the paper's own sequence",
            "every move goes through the coordinator there",
        ),
        |case| Box::pin(async { lab::seed(case) }),
    )
    .limit(LONG)
    .lab(),
    Check::new(
        promise(
            "HND-10",
            IN_NODES,
            "the same when both ends move at once",
            "neither knows where the other one is",
        ),
        |case| Box::pin(async { lab::both_at_once(case) }),
    )
    .limit(LONG)
    .lab(),
    Check::new(
        promise(
            "HND-11",
            IN_NODES,
            "a node that was ended by `kill -9` starts again, with the same Path ID and addresses",
            "what a plugin leaves behind keeps the next one from starting",
        ),
        |case| Box::pin(async { lab::killed(case) }),
    )
    .limit(LONG)
    .lab(),
];
