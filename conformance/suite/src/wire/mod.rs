//! Another implementation of the protocol, tried over the wire alone: a coordinator
//! at an address, which has the key of whoever tries it as that of a member.
//!
//! A [`WireCheck`] speaks to it as terminals do, and as nobody should, and looks at
//! what comes back. The reference are the codecs and the Noise handshake of `ntm-core`.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever comes in the place of what has to come is a finding"
)]

mod handshake;
mod location;
mod peer;
mod refused;
mod session;
mod signalling;

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use ntm_core::crypto::Identity;
use ntm_core::id::{NodeName, PublicKey};

use crate::outcome::{Outcome, Stop, Verdict};
use crate::report::{Report, Tried};
use crate::requirement::Requirement;
use crate::runner::Progress;

/// The node under test, and who may speak to it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it takes UDP datagrams.
    pub address: SocketAddr,
    /// Its public key.
    pub key: PublicKey,
    /// A member of its domain, as a terminal alone.
    pub member: Member,
    /// Another one.
    pub other: Option<Member>,
}

/// A member of the domain, whose key is known here.
#[derive(Clone)]
pub struct Member {
    /// Its name.
    pub name: NodeName,
    /// Its key pair.
    pub identity: Identity,
}

/// Without the key.
impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.name).finish()
    }
}

/// One requirement of the protocol, and how it is tried.
#[derive(Clone, Copy)]
pub struct WireCheck {
    /// The requirement; of no kind of plugin.
    pub requirement: Requirement,
    run: fn(&Node) -> Verdict,
}

const fn check(
    id: &'static str,
    title: &'static str,
    why: &'static str,
    run: fn(&Node) -> Verdict,
) -> WireCheck {
    let section = "docs/PROTOCOL.md#125-tried-over-the-wire";
    WireCheck { requirement: Requirement { id, kinds: &[], section, title, why }, run }
}

/// Every check there is.
pub const CHECKS: &[WireCheck] = &[
    check(
        "WIRE-1",
        "what is no message is dropped in silence",
        "strangers find nodes, use them to answer others, or stop them",
        refused::no_message_is_answered,
    ),
    check(
        "WIRE-2",
        "a member's Handshake 1 gets the node's own Handshake 2, and the same one again",
        "nobody gets a session, or a lost answer ends one",
        handshake::a_member_gets_a_session,
    ),
    check(
        "WIRE-3",
        "who cannot be a member gets no session",
        "strangers take part, or members cannot tell why they do not",
        handshake::others_get_none,
    ),
    check(
        "WIRE-4",
        "a registration gets virtual addresses, and the same ones again",
        "conversations end with every registration",
        location::a_registration_is_answered_alike,
    ),
    check(
        "WIRE-5",
        "a registration of an older epoch changes nothing",
        "a datagram that comes late takes a node back to where it was",
        location::an_older_epoch_does_not_win,
    ),
    check(
        "WIRE-6",
        "a signalling datagram counts once, and only unchanged",
        "whoever sees a datagram can do again, or change, what it did",
        signalling::replayed_and_damaged_ones_are_dropped,
    ),
    check(
        "WIRE-7",
        "a Direction Request that cannot be served is refused with the code for that",
        "nodes repeat what cannot be, or do not do what would help",
        signalling::refusals_have_their_codes,
    ),
    check(
        "WIRE-8",
        "of two members the one asked for is directed first, the asker when it has understood",
        "the asker's first datagrams find nobody who expects them",
        signalling::the_other_end_is_directed_first,
    ),
    check(
        "WIRE-9",
        "to an unproved address goes at most three times what came from it",
        "nodes are used to flood others",
        location::little_goes_to_an_unproved_address,
    ),
];

/// Tries these on the node, one after another.
pub fn run(node: &Node, checks: &[WireCheck], mut progress: impl FnMut(Progress)) -> Report {
    let mut tried: Vec<Tried> = Vec::new();
    let of = checks.len();
    for (done, check) in checks.iter().enumerate() {
        let failed = tried.iter().filter(|it| it.failed()).count();
        progress(Progress { done, of, failed, id: check.requirement.id });
        let begin = Instant::now();
        let outcome = Outcome::from((check.run)(node));
        tried.push(Tried { requirement: check.requirement, outcome, took: begin.elapsed() });
    }
    let failed = tried.iter().filter(|it| it.failed()).count();
    progress(Progress { done: of, of, failed, id: "" });
    let (name, origin) = (node.address.to_string(), "over the wire".to_owned());
    Report { name, kind: "coordinator", origin, tried }
}

/// Nothing may have come besides what was asked for.
fn silence(unasked: &[String], to: &str) -> Result<(), Stop> {
    match unasked.first() {
        None => Ok(()),
        Some(first) => {
            Err(Stop::broken(format!("{} datagrams came upon {to}: {first}", unasked.len())))
        }
    }
}
