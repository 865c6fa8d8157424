//! What a transport promises: datagrams between real addresses.

mod control;
mod datagrams;
mod ends;
mod flood;
mod lanes;
mod life;
mod runs;

use std::time::Duration;

use crate::claims::Capability;
use crate::kind::Kind;
use crate::requirement::{Check, Requirement};

const fn promise(id: &'static str, title: &'static str, why: &'static str) -> Requirement {
    let section = "docs/plugins/PROMISES.md#transport";
    Requirement { id, kinds: &[Kind::Transport], section, title, why }
}

const fn can(name: &'static str, what: &'static str) -> Capability {
    Capability { name, kind: Kind::Transport, what }
}

pub(crate) const CAPABILITIES: &[Capability] = &[
    can("order", "keeps the datagrams of a flow in order where the network does"),
    can("largest_payload", "knows the largest datagram that fits (`max_payload`)"),
    can("rebind", "can make new sockets and go on with them (`rebind`)"),
    can("ecn", "carries the congestion mark of a datagram"),
    can("source", "sends from the source address that a packet names"),
    can("both_families", "serves IPv4 and IPv6 at once, as it is configured here"),
    can("own_port", "has a port that nobody else can take meanwhile"),
];

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        promise(
            "TRN-1",
            "datagrams arrive unaltered, with their boundaries",
            "an altered datagram is one that is lost: every one is authenticated above",
        ),
        |case| Box::pin(datagrams::boundaries(case)),
    ),
    Check::new(
        promise(
            "TRN-2",
            "an answer to where a datagram came from reaches its sender",
            "nobody behind a NAT is ever answered",
        ),
        |case| Box::pin(datagrams::answers(case)),
    ),
    Check::new(
        promise(
            "TRN-3",
            "a flow stays in order, in batches and one by one",
            "TCP inside takes disorder for loss and slows down",
        ),
        |case| Box::pin(datagrams::order(case)),
    )
    .needs(&["order"]),
    Check::new(
        promise(
            "TRN-4",
            "a batch is taken from its beginning, and the count says how far",
            "packets are lost or sent twice",
        ),
        |case| Box::pin(lanes::batches(case)),
    ),
    Check::new(
        promise(
            "TRN-5",
            "an error is about the first packet not taken, and the lane goes on behind it",
            "one peer that cannot be reached silences all others",
        ),
        |case| Box::pin(lanes::bad_entry(case)),
    ),
    Check::new(
        promise(
            "TRN-6",
            "a run arrives as its datagrams, the last perhaps shorter",
            "bulk transfers, which go in runs, lose packets",
        ),
        |case| Box::pin(runs::runs(case)),
    ),
    Check::new(
        promise(
            "TRN-7",
            "a run of 64 KiB is carried whole, or refused with an error",
            "what counts as taken and is lost in silence costs throughput that nobody can explain",
        ),
        |case| Box::pin(runs::super_packet(case)),
    ),
    Check::new(
        promise(
            "TRN-8",
            "a datagram too large is refused or lost, never cut, and nothing else with it",
            "a cut datagram is noise to its receiver",
        ),
        |case| Box::pin(runs::too_large(case)),
    ),
    Check::new(
        promise(
            "TRN-9",
            "a flood blocks nobody: what finds no room is refused with `WouldBlock` or dropped",
            "the packet worker, and all peers with it, wait for one",
        ),
        |case| Box::pin(flood::flood(case)),
    ),
    Check::new(
        promise(
            "TRN-10",
            "a lane's descriptor is readable for exactly as long as there is something",
            "a packet lies until the next one comes, or a worker spins",
        ),
        |case| Box::pin(lanes::readiness(case)),
    ),
    Check::new(
        promise(
            "TRN-11",
            "whoever waits for a datagram is woken by it, each time",
            "a packet lies until the next one comes",
        ),
        |case| Box::pin(flood::wake_ups(case)),
    ),
    Check::new(
        promise(
            "TRN-12",
            "what does not fit a slot is cut off, and the next datagram is whole",
            "memory behind the slot is written, or a later packet is lost",
        ),
        |case| Box::pin(lanes::small_slot(case)),
    ),
    Check::new(
        promise(
            "TRN-13",
            "there is a lane for each worker, the same and with the same descriptor at every call",
            "a worker polls what nothing arrives at",
        ),
        |case| Box::pin(lanes::every_lane(case)),
    ),
    Check::new(
        promise(
            "TRN-14",
            "it says where it listens: always the same, the port never 0",
            "peers are told of an address where nobody is",
        ),
        |case| Box::pin(control::local_addrs(case)),
    ),
    Check::new(
        promise(
            "TRN-15",
            "a datagram says at which address it arrived, or nothing, but nothing wrong",
            "a coordinator answers from an address that a NAT does not let in",
        ),
        |case| Box::pin(control::arrived_at(case)),
    ),
    Check::new(
        promise(
            "TRN-16",
            "its kind is always the same, and questions are answered at once",
            "the control task stands still with the question",
        ),
        |case| Box::pin(control::at_once(case)),
    ),
    Check::new(
        promise(
            "TRN-17",
            "a datagram of the largest payload arrives",
            "large packets are lost, small ones pass: transfers hang",
        ),
        |case| Box::pin(control::largest(case)),
    )
    .needs(&["largest_payload"]),
    Check::new(
        promise(
            "TRN-18",
            "after `rebind` it works at the same port, with the same lanes and descriptors",
            "a transport that went silent stays so",
        ),
        |case| Box::pin(life::rebind(case)),
    )
    .needs(&["rebind"]),
    Check::new(
        promise(
            "TRN-19",
            "after `moved`, at either end, both ends hear each other",
            "a move ends the conversation",
        ),
        |case| Box::pin(life::moved(case)),
    ),
    Check::new(
        promise(
            "TRN-20",
            "dropping the future of `rebind` leaves it as before the call or as after it",
            "a node that ran out of patience has no transport any more",
        ),
        |case| Box::pin(life::cancelled(case)),
    )
    .needs(&["rebind"]),
    Check::new(
        promise(
            "TRN-21",
            "`close` frees the port; lanes then answer with an error and wake who polls them",
            "a worker waits for ever, and the node cannot be started again",
        ),
        |case| Box::pin(life::close(case)),
    ),
    Check::new(
        promise(
            "TRN-22",
            "a port that somebody else has is refused as busy",
            "a person looks for the mistake in the wrong place",
        ),
        |case| Box::pin(life::busy(case)),
    )
    .needs(&["own_port"]),
    Check::new(
        promise(
            "TRN-23",
            "congestion marks arrive as they were sent",
            "congestion is not told, and queues fill",
        ),
        |case| Box::pin(datagrams::marks(case)),
    )
    .needs(&["ecn"]),
    Check::new(
        promise(
            "TRN-24",
            "a packet leaves from the source address that it names, or is sent from another",
            "of two links the wrong one is used, or an answer does not pass a NAT",
        ),
        |case| Box::pin(datagrams::sources(case)),
    )
    .needs(&["source"]),
    Check::new(
        promise(
            "TRN-25",
            "IPv4 and IPv6 are served at once, and addresses are shown as what they are",
            "an end of the other family is not heard",
        ),
        |case| Box::pin(datagrams::families(case)),
    )
    .needs(&["both_families"]),
    Check::new(
        promise(
            "TRN-26",
            "`try_send` may be called from several threads at once",
            "signalling and packets spoil one another",
        ),
        |case| Box::pin(flood::threads(case)),
    )
    .limit(Duration::from_secs(60)),
];
