//! Telling the peer where we are: a Tunnel Request by every way that may work.

use super::cx::Cx;
use super::remote::Remote;
use super::tunnel::Tunnel;
use crate::address::Leg;
use crate::machine::Backoff;
use crate::wire::{Control, Token, TunnelRequest};

/// Direct ways that a Tunnel Request is sent by at once.
const MOST_TARGETS: usize = 4;

/// Ways that one Tunnel Request is ever sent by.
const MOST_ASKED: usize = 32;

/// Our Tunnel Request that the peer has not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Update {
    /// Whom it was sent to, each with a token of its own: the answer proves the
    /// address that was asked, wherever it seems to come from.
    pub(super) asked: Vec<(Leg, Token)>,
    pub(super) backoff: Backoff,
}

impl Update {
    /// What is to be echoed from there; `None` if too many were asked already.
    fn token_for(&mut self, leg: &Leg, cx: &mut Cx<'_>) -> Option<Token> {
        if let Some((_, token)) = self.asked.iter().find(|(asked, _)| asked.same_remote(leg)) {
            return Some(*token);
        }
        let token = cx.rng.bytes();
        (self.asked.len() < MOST_ASKED).then(|| self.asked.push((leg.unpinned(), token)))?;
        Some(token)
    }
}

impl Tunnel {
    /// Sends a Tunnel Request by every way that may work; says by which.
    pub(super) fn begin_update(&mut self, cx: &mut Cx<'_>) -> Vec<Leg> {
        let backoff = Backoff::urgent(cx.now, &self.rtt());
        self.update = Some(Update { asked: Vec::new(), backoff });
        self.send_update(cx)
    }

    pub(super) fn send_update(&mut self, cx: &mut Cx<'_>) -> Vec<Leg> {
        let legs = self.update_targets(cx);
        if let Some(update) = &mut self.update {
            update.backoff.sent(cx.now, cx.rng);
        }
        for leg in &legs {
            self.send_update_by(cx, leg);
        }
        legs
    }

    pub(super) fn send_update_by(&mut self, cx: &mut Cx<'_>, leg: &Leg) {
        let Some(update) = &mut self.update else { return };
        let Some(challenge) = update.token_for(leg, cx) else { return };
        let request = Control::TunnelRequest(TunnelRequest {
            epoch: cx.epoch,
            challenge,
            old_gone: self.old_gone,
            candidates: cx.own_candidates(),
        });
        self.note_told(cx, leg);
        self.say(cx, leg, &request);
    }

    /// The way in use, the best of the others, and every relay that is bound.
    fn update_targets(&self, cx: &Cx<'_>) -> Vec<Leg> {
        let mut legs: Vec<Leg> = self.selected.iter().map(|selected| selected.leg).collect();
        // Not where something merely seemed to come from: nobody there has asked
        // for more than a challenge.
        let known = |remote: &&Remote| remote.named.is_some() || remote.confirmed.is_some();
        let mut direct: Vec<_> =
            self.remotes.iter().filter(|remote| remote.relay.is_none()).filter(known).collect();
        direct.sort_by_key(|remote| {
            let at = remote.confirmed.map(|confirmed| confirmed.at);
            std::cmp::Reverse((at, remote.noted))
        });
        for remote in direct {
            if legs.len() < MOST_TARGETS && !legs.iter().any(|leg| leg.same_remote(&remote.leg)) {
                legs.push(remote.leg);
            }
        }
        for leg in self.relay_legs() {
            if !legs.iter().any(|known| known.same_remote(&leg)) {
                legs.push(leg);
            }
        }
        legs.retain(|leg| cx.surroundings.may_reach(leg.remote.ip()));
        legs
    }
}
