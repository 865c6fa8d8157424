//! What an interface promises: application packets in and out.

mod device;
mod life;
mod packets;
mod settings;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

const fn promise(id: &'static str, title: &'static str, why: &'static str) -> Requirement {
    let section = "docs/plugins/PROMISES.md#interface";
    Requirement { id, kinds: &[Kind::Interface], section, title, why }
}

pub(crate) const CAPABILITIES: &[Capability] = &[Capability {
    name: "system",
    kind: Kind::Interface,
    what: "is an interface of the system, which every program on this machine can use",
}];

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "IFC-1",
            "its name, index, lanes and offload are the same at every call, a lane for each worker",
            "a worker polls what nothing arrives at",
        ),
        |case| Box::pin(settings::constant(case)),
    ),
    Check::new(
        promise(
            "IFC-2",
            "its name and index are those of the system",
            "the terminal takes virtual addresses for real ones, or the tunnel for a way out",
        ),
        |case| Box::pin(settings::index(case)),
    )
    .needs(&["system"]),
    Check::new(
        promise(
            "IFC-3",
            "`configure` gives it the addresses, the ranges and the largest packet, and takes away the old ones",
            "applications cannot be reached, or send packets that do not fit",
        ),
        |case| Box::pin(settings::configured(case)),
    )
    .needs(&["system"]),
    Check::new(
        promise(
            "IFC-4",
            "settings that cannot be had leave it with the old ones, or with none",
            "half a configuration leads packets nowhere",
        ),
        |case| Box::pin(settings::refused(case)),
    )
    .needs(&["system"]),
    Check::new(
        promise(
            "IFC-5",
            "a packet of an application comes out whole, and an answer reaches its sender",
            "nothing goes through the tunnel",
        ),
        |case| Box::pin(packets::both_ways(case)),
    )
    .needs(&["system"]),
    Check::new(
        promise(
            "IFC-6",
            "packets come out in order, and the descriptor is readable for as long as there are any",
            "packets lie until the next one comes, or a worker spins",
        ),
        |case| Box::pin(packets::order(case)),
    )
    .needs(&["system"]),
    Check::new(
        promise(
            "IFC-7",
            "what is no IP packet is refused or dropped, and the lane goes on behind it",
            "one bad packet of a peer silences the tunnel",
        ),
        |case| Box::pin(packets::nonsense(case)),
    )
    .needs(&["system"]),
    Check::new(
        promise(
            "IFC-8",
            "`close` takes it away; lanes then answer with an error and wake who polls them",
            "a worker waits for ever, and the interface is in the way of the next start",
        ),
        |case| Box::pin(life::close(case)),
    ),
    Check::new(
        promise(
            "IFC-9",
            "dropping the future of `configure` leaves it with the old settings or the new ones",
            "half a configuration leads packets nowhere",
        ),
        |case| Box::pin(life::cancelled(case)),
    )
    .needs(&["system"]),
];
