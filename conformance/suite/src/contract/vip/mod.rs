//! What a vip promises: virtual addresses that nobody else has.

mod addresses;

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

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "VIP-1",
            "every address lies inside the ranges, and is no network's or broadcast address",
            "others are not routed into the tunnel interface: nobody reaches that node",
        ),
        |case| Box::pin(addresses::inside(case)),
    ),
    Check::new(
        promise(
            "VIP-2",
            "no two live leases share an address, also under concurrent calls",
            "the coordinator refuses the second node, which then has no addresses at all",
        ),
        |case| Box::pin(addresses::apart(case)),
    ),
];
