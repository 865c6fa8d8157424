//! What a watcher promises: this machine's own addresses, and when they change.

mod changes;
mod look;
mod machine;
mod patience;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

const fn promise(id: &'static str, title: &'static str, why: &'static str) -> Requirement {
    let section = "docs/plugins/PROMISES.md#watcher";
    Requirement { id, kinds: &[Kind::Watcher], section, title, why }
}

const fn can(name: &'static str, what: &'static str) -> Capability {
    Capability { name, kind: Kind::Watcher, what }
}

pub(crate) const CAPABILITIES: &[Capability] = &[
    can("addresses", "tells of addresses that come and go"),
    can("links", "tells of links that go up and down, and of carriers"),
    can("routes", "tells of routes that change"),
    can("route_by_interface", "knows how a destination is reached by one interface (`routes_by`)"),
    can("generation", "counts how often an interface may have come to another network"),
];

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "WAT-1",
            "a snapshot has every interface once, with all its usable addresses, in a stable order",
            "an address that is missing is not claimed: peers get the relay and no direct path",
        ),
        |case| Box::pin(look::snapshot(case)),
    ),
    Check::new(
        promise(
            "WAT-2",
            "routes are answered one for one, in the order of the questions, as the system would send",
            "the terminal moves too early, too late or not at all",
        ),
        |case| Box::pin(look::routes(case)),
    ),
    Check::new(
        promise(
            "WAT-3",
            "tunnels are in the snapshot like any other interface",
            "the terminal takes its own virtual address for a real one, or cannot tell which it is",
        ),
        |case| Box::pin(look::tunnels(case)),
    ),
    Check::new(
        promise(
            "WAT-4",
            "an address that comes or goes is told, and then seen",
            "a move is noticed when a keep-alive fails, after half a minute",
        ),
        |case| Box::pin(changes::addresses(case)),
    )
    .needs(&["addresses"]),
    Check::new(
        promise(
            "WAT-5",
            "a link that goes down or loses its carrier, and comes back, is told, and then seen",
            "packets leave by a link that leads nowhere",
        ),
        |case| Box::pin(changes::links(case)),
    )
    .needs(&["links"]),
    Check::new(
        promise(
            "WAT-6",
            "a default route that moves to another link is told, and then seen",
            "the commonest move of a phone is missed",
        ),
        |case| Box::pin(changes::routes(case)),
    )
    .needs(&["routes"]),
    Check::new(
        promise(
            "WAT-7",
            "a burst of changes is told, and after it everything is seen",
            "the last of many changes, which counts, is missed",
        ),
        |case| Box::pin(changes::burst(case)),
    )
    .needs(&["addresses"]),
    Check::new(
        promise(
            "WAT-8",
            "after more changes than anybody listened to, something is told and the truth is seen",
            "a node goes on with addresses that it has no more",
        ),
        |case| Box::pin(changes::storm(case)),
    )
    .needs(&["addresses"]),
    Check::new(
        promise(
            "WAT-9",
            "no event is lost by dropping `next`, a thousand times if need be",
            "a node drops it at every other input: moves under load are missed",
        ),
        |case| Box::pin(patience::dropped_next(case)),
    )
    .needs(&["addresses"]),
    Check::new(
        promise(
            "WAT-10",
            "what a snapshot or a route has shown is still told by `next`",
            "a change that a glance happened to show is never acted upon",
        ),
        |case| Box::pin(patience::shown_and_told(case)),
    )
    .needs(&["addresses"]),
    Check::new(
        promise(
            "WAT-11",
            "dropping the futures of `snapshot` and `routes` costs their answers and no more",
            "a node that ran out of patience is blind from then on",
        ),
        |case| Box::pin(patience::dropped_questions(case)),
    ),
    Check::new(
        promise(
            "WAT-12",
            "where nothing changes it falls silent",
            "a node that is at rest empties its battery",
        ),
        |case| Box::pin(patience::silence(case)),
    ),
    Check::new(
        promise(
            "WAT-13",
            "for one interface it says how a destination is reached, or that it is not",
            "of two links the one in use is left before the other has answered",
        ),
        |case| Box::pin(look::by_interface(case)),
    )
    .needs(&["route_by_interface"]),
    Check::new(
        promise(
            "WAT-14",
            "the generation of an interface grows when its carrier was lost and found",
            "a cable that is plugged into another network under the same address is no move",
        ),
        |case| Box::pin(changes::generation(case)),
    )
    .needs(&["generation", "links"]),
    Check::new(
        promise(
            "WAT-15",
            "a link that comes or goes is told, and then seen",
            "a dock or a dongle is not used",
        ),
        |case| Box::pin(changes::plugged(case)),
    )
    .needs(&["links"]),
];
