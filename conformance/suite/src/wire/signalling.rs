use ntm_core::id::NodeName;
use ntm_core::wire::{
    DirectionRequest, HEADER, Reason, Refusal, RequestId, RouteDirection, SignalBody, Target,
};

use super::peer::{Peer, odd};
use super::session::random;
use super::{Node, silence};
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

/// W-HDR-1, W-HDR-3, W-SIG-1.
pub(super) fn replayed_and_damaged_ones_are_dropped(node: &Node) -> Verdict {
    let mut peer = Peer::registered(node, &node.member)?;
    let (keep_alive, _) = peer.ask(SignalBody::KeepAlive { token: None })?;
    let (registration, _) = peer.ask(peer.request(peer.epoch))?;
    let replayed = [&keep_alive, &registration, &keep_alive, &registration].map(Clone::clone);
    silence(&peer.unasked(&replayed)?, "replayed datagrams (W-HDR-3)")?;

    let next = |peer: &mut Peer<'_>| {
        let request = RequestId::of_node(u64::from_be_bytes(random()));
        let body = SignalBody::KeepAlive { token: None };
        peer.seal(&ntm_core::wire::Signal { request, body }.emit())
    };
    let genuine = next(&mut peer);
    // The epoch and all that follows the session's id.
    let places = (2..4).chain(HEADER - 8..genuine.len());
    let mut damaged: Vec<_> = places
        .map(|at| {
            let mut damaged = genuine.clone();
            damaged[at] ^= 1;
            damaged
        })
        .collect();
    damaged.push(genuine[..genuine.len() - 1].to_vec());
    damaged.push([&genuine[..], &[0]].concat());
    silence(&peer.unasked(&damaged)?, "damaged datagrams (W-SIG-1)")?;
    Ok(Note(format!("{} replayed, {} damaged", replayed.len(), damaged.len())))
}

fn asking(name: &NodeName) -> SignalBody {
    let target = Target::Name(name.clone());
    SignalBody::DirectionRequest(DirectionRequest { target, path: None })
}

/// D-KA-1, D-DIR-1.
pub(super) fn refusals_have_their_codes(node: &Node) -> Verdict {
    let unknown: NodeName =
        "nobody-at-all.invalid".parse().map_err(|_| Stop::not_tried("no other name"))?;
    let mut peer = Peer::registered(node, &node.member)?;
    peer.goodbye();
    peer.shake()?;
    let keep_alive = SignalBody::KeepAlive { token: None };
    refused(&mut peer, keep_alive, Refusal::Unregistered, "a Keep-alive after a Goodbye")?;
    let what = "a request before the registration";
    refused(&mut peer, asking(&unknown), Refusal::Unregistered, what)?;
    peer.register_and_prove()?;
    refused(&mut peer, asking(&unknown), Refusal::Unknown, "a request for nobody")?;
    let own = asking(&node.member.name);
    refused(&mut peer, own, Refusal::Unknown, "a request for the asker itself")?;
    if let Some(other) = &node.other {
        Peer::registered(node, other)?.goodbye();
        let what = "a request for one that has gone";
        refused(&mut peer, asking(&other.name), Refusal::Absent, what)?;
    }
    Ok(Note::NONE)
}

fn refused(peer: &mut Peer<'_>, body: SignalBody, wanted: Refusal, what: &str) -> Result<(), Stop> {
    match peer.ask(body)?.1 {
        SignalBody::Refusal(got) if got == wanted => Ok(()),
        SignalBody::Refusal(got) => {
            let (got, wanted) = (got as u8, wanted as u8);
            Err(Stop::broken(format!("{what} got refusal {got} instead of {wanted}")))
        }
        other => Err(odd(&format!("refusal {} of {what}", wanted as u8), &other)),
    }
}

/// D-DIR-2, 7.4.
pub(super) fn the_other_end_is_directed_first(node: &Node) -> Verdict {
    let Some(other) = &node.other else {
        return Err(Stop::not_tried("takes a second member"));
    };
    let (mut mn, mut cn) = (Peer::registered(node, &node.member)?, Peer::registered(node, other)?);
    mn.listen(super::peer::LINGER);
    let request = RequestId::of_node(u64::from_be_bytes(random()));
    mn.say(request, asking(&other.name));
    // Nothing is answered to the asker before this one has understood.
    let Some((id, to_cn)) = direction(&mut cn)? else {
        return match mn.ask_as(request, asking(&other.name))?.1 {
            SignalBody::Refusal(Refusal::NoPath) => {
                Err(Stop::not_tried("the node knows no way between the two (refusal 6)"))
            }
            other => Err(odd("a Route Direction to the node asked for", &other)),
        };
    };
    mn.listen(super::peer::LINGER);
    ensure!(mn.left(request) == 1, "the asker was answered before the other's Ack (D-DIR-2)");
    cn.say(id, SignalBody::Ack);
    let to_mn = match mn.ask_as(request, asking(&other.name))?.1 {
        SignalBody::RouteDirection(direction) => direction,
        answer => return Err(odd("a Route Direction", &answer)),
    };
    fits(&to_mn, &to_cn, (&node.member.name, &other.name))
}

/// The next direction to a node that was asked for; others are of an earlier run.
fn direction(cn: &mut Peer<'_>) -> Result<Option<(RequestId, RouteDirection)>, Stop> {
    while let Some(told) = cn.next_told() {
        match told.body {
            SignalBody::RouteDirection(direction)
                if direction.peer_asked && direction.reason == Reason::Start =>
            {
                return Ok(Some((told.request, direction)));
            }
            SignalBody::RouteDirection(_) => cn.say(told.request, SignalBody::Ack),
            other => return Err(odd("a Route Direction", &other)),
        }
    }
    Ok(None)
}

/// Each is told of the other, under one Path ID.
fn fits(
    to_mn: &RouteDirection,
    to_cn: &RouteDirection,
    (mn, cn): (&NodeName, &NodeName),
) -> Verdict {
    ensure!(to_mn.path == to_cn.path, "two Path IDs, {} and {}", to_mn.path, to_cn.path);
    ensure!(to_mn.peer.name == *cn, "the asker was told of {}", to_mn.peer.name);
    ensure!(to_cn.peer.name == *mn, "the node asked for was told of {}", to_cn.peer.name);
    ensure!(to_mn.begin != to_cn.begin, "both begin, or neither");
    ensure!(to_mn.reason == Reason::Start, "the reason is not the start");
    Ok(Note::NONE)
}
