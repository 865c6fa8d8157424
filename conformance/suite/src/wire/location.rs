use std::time::Duration;

use ntm_core::id::Epoch;
use ntm_core::wire::{DirectionRequest, RequestId, SignalBody, Target};

use super::Node;
use super::peer::{Peer, odd, registration};
use super::session::random;
use crate::ensure;
use crate::outcome::{Note, Verdict};

/// 7.2, D-REG-1, D-LOC-6, W-SIG-3.
pub(super) fn a_registration_is_answered_alike(node: &Node) -> Verdict {
    let mut peer = Peer::new(node, &node.member)?;
    peer.shake()?;
    let first = peer.register_and_prove()?;
    let vips = first.vips;
    ensure!(vips.v4.is_some() || vips.v6.is_some(), "a terminal got no VIP (D-REG-1)");
    ensure!(first.lifetime > 0, "a registration that lasts for 0 s");
    let id = RequestId::of_node(u64::from_be_bytes(random()));
    for what in ["another registration", "the same request again"] {
        let next = registration(peer.ask_as(id, peer.request(peer.epoch))?.1)?;
        ensure!(next.vips == vips, "{what} got {:?} after {vips:?}", next.vips);
        ensure!(next.salt == first.salt, "{what} got another salt");
        ensure!(next.observed == first.observed, "{what} was seen at {}", next.observed);
        let (seen, own) = (next.epoch_seen, peer.epoch);
        ensure!(seen == own, "{what} of epoch {own:?} was answered with {seen:?}");
    }
    // In another session, from another address.
    let elsewhere = {
        let mut peer = Peer::new(node, &node.member)?;
        peer.shake()?;
        peer.register_and_prove()?
    };
    ensure!(elsewhere.vips == vips, "elsewhere it got {:?} after {vips:?}", elsewhere.vips);
    Ok(Note::NONE)
}

/// D-LOC-1, D-REG-2.
pub(super) fn an_older_epoch_does_not_win(node: &Node) -> Verdict {
    let mut peer = Peer::registered(node, &node.member)?;
    let older = peer.epoch;
    peer.epoch = older.next();
    let newer = peer.register_and_prove()?;
    for epoch in [older, Epoch(older.0.saturating_sub(1 << 32)), Epoch(0)] {
        let late = registration(peer.ask(peer.request(epoch))?.1)?;
        let (seen, own) = (late.epoch_seen, peer.epoch);
        ensure!(seen == own, "epoch {epoch:?} after {own:?} was answered with {seen:?} (D-LOC-1)");
        ensure!(late.vips == newer.vips, "an older epoch changed the virtual addresses");
    }
    // What is known has not gone: this one asks in the way that it has.
    match peer.ask(SignalBody::KeepAlive { token: None })?.1 {
        SignalBody::KeepAliveAck { .. } => Ok(Note::NONE),
        other => Err(odd("a Keep-alive Ack", &other)),
    }
}

/// W-GEN-5, D-LOC-7.
pub(super) fn little_goes_to_an_unproved_address(node: &Node) -> Verdict {
    let mut peer = Peer::new(node, &node.member)?;
    let begun = peer.begin();
    peer.answer(&begun)?.1.ok();
    peer.listen(super::peer::LINGER);
    let (sent, received) = (peer.sent, peer.received);
    ensure!(received <= sent, "{received} bytes upon {sent} of message 1 (W-GEN-5)");

    peer.shake()?;
    peer.register()?;
    // What others have for it has to wait.
    let mut other = match &node.other {
        Some(other) => Some(Peer::registered(node, other)?),
        None => None,
    };
    for _ in 0..12 {
        if let Some(other) = &mut other {
            let target = Target::Name(node.member.name.clone());
            let question = DirectionRequest { target, path: None };
            let id = RequestId::of_node(u64::from_be_bytes(random()));
            other.say(id, SignalBody::DirectionRequest(question));
        }
        peer.listen(Duration::from_millis(250));
    }
    let (sent, received) = (peer.sent, peer.received);
    ensure!(received <= 3 * sent, "{received} bytes upon {sent} (D-LOC-7)");
    Ok(Note(format!("{received} bytes upon {sent}")))
}
