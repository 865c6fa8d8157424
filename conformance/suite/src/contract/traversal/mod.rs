//! What [`Traversal`](ntm_core::plugin::Traversal) promises.
//!
//! Tried with every row of the decision table, in both families, and with locations
//! that follow from seeds: claims that lead nowhere, ends that nobody has seen,
//! relays that nobody reaches.

mod asked;
mod calls;
mod facts;
mod plans;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

const fn promise(id: &'static str, title: &'static str, why: &'static str) -> Requirement {
    let section = "docs/plugins/PROMISES.md#traversal";
    Requirement { id, kinds: &[Kind::Traversal], section, title, why }
}

pub(crate) const CAPABILITIES: &[Capability] = &[Capability {
    name: "decision-table",
    kind: Kind::Traversal,
    what: "plans by the decision table, row by row",
}];

/// The checks, in the order of their identifiers.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "TRV-1",
            "there is a plan for every pair of locations",
            "without one the pair gets the relays only, and a move is not directed at all",
        ),
        |case| Box::pin(calls::total(case)),
    ),
    Check::new(
        promise(
            "TRV-2",
            "the same question gets the same answer",
            "ends that are directed twice would be told different things",
        ),
        |case| Box::pin(calls::the_same(case)),
    ),
    Check::new(
        promise(
            "TRV-3",
            "calls that overlap each get the answer to their own question",
            "one pair would be told where another one is",
        ),
        |case| Box::pin(calls::overlapping(case)),
    ),
    Check::new(
        promise(
            "TRV-4",
            "a call that is given up spoils nothing",
            "a coordinator gives up what takes too long, and asks about other pairs",
        ),
        |case| Box::pin(calls::given_up(case)),
    ),
    Check::new(
        promise(
            "TRV-5",
            "a plan comes within 2 s",
            "after that the coordinator plans the relay by itself",
        ),
        |case| Box::pin(calls::in_time(case)),
    ),
    Check::new(
        promise(
            "TRV-6",
            "candidates towards an end are its own: claimed, or where it was seen",
            "checks would be sent to somebody who has nothing to do with it",
        ),
        |case| Box::pin(plans::own_candidates(case)),
    ),
    Check::new(
        promise(
            "TRV-7",
            "no candidate leads nowhere (D-ROW-8)",
            "loopback, link-local, multicast, port 0: each costs a check that fails",
        ),
        |case| Box::pin(plans::somewhere(case)),
    ),
    Check::new(
        promise(
            "TRV-8",
            "a candidate is of a transport and family that the other end has",
            "the other end has nothing to send to it by",
        ),
        |case| Box::pin(plans::common_way(case)),
    ),
    Check::new(
        promise(
            "TRV-9",
            "no candidate is named twice",
            "an end is told eight; a double keeps a real one out",
        ),
        |case| Box::pin(plans::candidates_once(case)),
    ),
    Check::new(
        promise(
            "TRV-10",
            "relays are named by indices of the request, each once",
            "others are passed over, and with them the stand-by",
        ),
        |case| Box::pin(plans::relays_exist(case)),
    ),
    Check::new(
        promise(
            "TRV-11",
            "a relay of the plan is in reach of both ends",
            "an end that does not reach it waits for nothing",
        ),
        |case| Box::pin(plans::relays_of_both(case)),
    ),
    Check::new(
        promise(
            "TRV-12",
            "where there is no direct path, and a relay that both reach, it is in the plan",
            "a plan with neither is a refusal",
        ),
        |case| Box::pin(plans::relay_where_needed(case)),
    ),
    Check::new(
        promise(
            "TRV-13",
            "the one end that is under a NAT begins (D-ROW-2, D-ROW-3)",
            "the other one's first packet would not pass the NAT",
        ),
        |case| Box::pin(plans::natted_begins(case)),
    ),
    Check::new(
        promise(
            "TRV-14",
            "of an end under a NAT and one in the open the same begins whoever asks",
            "the NAT does not care who asked",
        ),
        |case| Box::pin(plans::one_begins(case)),
    ),
    Check::new(
        promise(
            "TRV-15",
            "whoever asks, the paths between two ends are the same",
            "a move of one end would lose the paths that a move of the other had found",
        ),
        |case| Box::pin(plans::symmetric(case)),
    ),
    Check::new(
        promise(
            "TRV-16",
            "ends in the open are told where the other one was seen (D-ROW-1)",
            "they would be relayed, for no reason",
        ),
        |case| Box::pin(plans::direct_where_open(case)),
    ),
    Check::new(
        promise(
            "TRV-17",
            "every row is the one of the decision table",
            "the paper's rule, as coordinators of others apply it",
        ),
        |case| Box::pin(plans::table(case)),
    )
    .needs(&["decision-table"]),
];
