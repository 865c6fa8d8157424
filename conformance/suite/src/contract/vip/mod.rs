//! What [`Vip`](ntm_core::plugin::Vip) promises.
//!
//! Every promise is tried in every configuration that the claims give; those about the
//! end of the ranges in the ones whose ranges are small.

mod allocator;
mod calls;
mod given;
mod restart;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

const fn promise(id: &'static str, title: &'static str, why: &'static str) -> Requirement {
    Requirement { id, kinds: &[Kind::Vip], section: "docs/plugins/PROMISES.md#vip", title, why }
}

pub(crate) const CAPABILITIES: &[Capability] = &[
    Capability { name: "ipv4", kind: Kind::Vip, what: "has a range of IPv4 addresses" },
    Capability { name: "ipv6", kind: Kind::Vip, what: "has a range of IPv6 addresses" },
];

/// The checks, in the order of their identifiers.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "VIP-1",
            "an address lies in a range, and is neither its first nor its last",
            "others are not routed into the tunnel interface: nobody reaches that node",
        ),
        |case| Box::pin(given::inside(case)),
    ),
    Check::new(
        promise(
            "VIP-2",
            "no two live leases share an address",
            "the second node is refused, and has no addresses at all",
        ),
        |case| Box::pin(given::one_by_one(case)),
    ),
    Check::new(
        promise(
            "VIP-3",
            "leases that are asked for at once share nothing",
            "nodes register at the same time: after a power cut, all of them",
        ),
        |case| Box::pin(calls::at_once(case)),
    ),
    Check::new(
        promise(
            "VIP-4",
            "leases that several threads ask for share nothing",
            "as VIP-3, on another runtime",
        ),
        |case| Box::pin(calls::on_threads(case)),
    ),
    Check::new(
        promise(
            "VIP-5",
            "it has at most one range of a family, and the same ones always",
            "terminals route the ranges into their tunnel interface, and are told once",
        ),
        |case| Box::pin(given::ranges_stay(case)),
    ),
    Check::new(
        promise(
            "VIP-6",
            "a lease has an address of every family that has a range, and of no other",
            "a node without an address of the common family has no Path ID with others",
        ),
        |case| Box::pin(given::every_family(case)),
    ),
    Check::new(
        promise(
            "VIP-7",
            "an allocation fails when the ranges are used up, and only then, and says so",
            "the coordinator refuses the node with that reason, and asks again later",
        ),
        |case| Box::pin(given::used_up(case)),
    ),
    Check::new(
        promise(
            "VIP-8",
            "addresses that were given back are handed out again",
            "a domain whose nodes come and go would run out of addresses",
        ),
        |case| Box::pin(given::given_back(case)),
    ),
    Check::new(
        promise(
            "VIP-9",
            "addresses that are not taken are passed over when they are given back",
            "otherwise somebody else's lease is free, and handed out twice",
        ),
        |case| Box::pin(given::strangers(case)),
    ),
    Check::new(
        promise(
            "VIP-10",
            "a restored lease is not handed out to anybody else",
            "after a restart of the coordinator two nodes would have one address",
        ),
        |case| Box::pin(restart::restored(case)),
    ),
    Check::new(
        promise(
            "VIP-11",
            "a restored lease can be given back",
            "addresses of removed nodes would be lost with every restart",
        ),
        |case| Box::pin(restart::released(case)),
    ),
    Check::new(
        promise(
            "VIP-12",
            "a lease outside of the ranges is refused, in words",
            "after a change of configuration nodes would keep addresses that lead nowhere",
        ),
        |case| Box::pin(restart::outside_refused(case)),
    ),
    Check::new(
        promise(
            "VIP-13",
            "of leases that are refused together none is taken",
            "the coordinator admits nobody, and tries again with the same list",
        ),
        |case| Box::pin(restart::all_or_none(case)),
    ),
    Check::new(
        promise(
            "VIP-14",
            "a call that is given up leaves the allocator at work",
            "a coordinator gives up what takes too long, and goes on asking for others",
        ),
        |case| Box::pin(calls::given_up(case)),
    ),
    Check::new(
        promise(
            "VIP-15",
            "an allocation is answered within 2 s",
            "after that the node is refused until it asks again",
        ),
        |case| Box::pin(calls::in_time(case)),
    ),
];
