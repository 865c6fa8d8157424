//! Packets that suddenly come from elsewhere.

use std::time::Duration;

use super::cx::Cx;
use super::event::TerminalEvent;
use super::phase::Notice;
use super::remote::Why;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;
use crate::id::{Epoch, Side};
use crate::tunnel::TableEvent;

/// A way that packets come by although another is in use is asked again after this,
const FIRST: Duration = Duration::from_millis(250);
/// and then twice as long each time, up to this, while neither end moves.
const LONGEST: Duration = Duration::from_secs(8);

/// The peer's packets suddenly come from elsewhere although it has not said
/// that it moved: both ways are asked, and the old one stays if it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Contest {
    pub(super) challenger: Leg,
    /// The new way has answered; if the old one has not by then, it wins.
    pub(super) decide_at: Option<Time>,
    /// The new way wins with its answer, whatever the old one says.
    pub(super) follows: bool,
}

/// When a way was asked because packets came by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Surprise {
    peer: Epoch,
    own: Epoch,
    next: Time,
    wait: Duration,
}

impl Surprise {
    /// Whether packets by a way give reason to ask it now, and how long they give
    /// none: two ends may use two ways that both work, and each packet would ask.
    fn renews(before: &mut Option<Self>, now: Time, peer: Epoch, own: Epoch) -> bool {
        let wait = match *before {
            Some(same) if (same.peer, same.own) == (peer, own) => {
                if now < same.next {
                    return false;
                }
                (2 * same.wait).min(LONGEST)
            }
            Some(_) | None => FIRST,
        };
        *before = Some(Self { peer, own, next: now + wait, wait });
        true
    }
}

impl Tunnel {
    /// Workers report a capsule from another address than the one in use, newer
    /// than all before.
    pub(super) fn seen(&mut self, cx: &mut Cx<'_>, leg: &Leg, epoch_low: u16) {
        let Some(selected) = self.selected else { return };
        if selected.leg.same_remote(leg) || !self.is_live(cx.now) {
            return;
        }
        let ahead = epoch_low.wrapping_sub(self.peer_epoch.low()) as i16;
        if ahead < 0 {
            return;
        }
        let (peer, own, relay) = (self.peer_epoch, cx.epoch, self.relay_at(leg));
        let remote = self.remotes.note(cx.now, leg, relay, Some(selected.leg));
        if !Surprise::renews(&mut remote.surprise, cx.now, peer, own) {
            return;
        }
        if remote.probe.is_none() {
            self.probe(cx, leg, Why::Proof);
        }
        let is_new = self.contest.as_ref().is_none_or(|c| !c.challenger.same_remote(leg));
        // After a move of either end, whatever answers first is right.
        let settled =
            self.selected_remote().is_some_and(|r| r.is_current(self.peer_epoch, cx.epoch));
        // A direct way is better than the relay, and so is the relay that both ends
        // take if they can.
        let remote = self.remotes.get(leg);
        let direct = remote.is_some_and(|remote| remote.relay.is_none());
        let named = remote.is_some_and(|remote| remote.named.is_some());
        let upgrade = self.is_relayed() && self.by_relay_only.is_none() && direct
            || self.comes_first(leg, &selected.leg)
            || self.selected_remote().is_some_and(|used| self.is_blocked(cx, used));
        if ahead == 0 && is_new && settled && !upgrade && !self.is_other_transport(leg) {
            // Of two direct ways that are no surprise both ends take the lower one's.
            let follows = direct && named && !self.is_relayed() && self.side == Side::Higher;
            let challenger = leg.unpinned();
            if !follows {
                self.probe(cx, &selected.leg, Why::Proof);
            }
            self.contest = Some(Contest { challenger, decide_at: None, follows });
            if !follows {
                self.mirror(cx, Some(challenger));
            }
        }
    }

    /// The old way has answered, or the new one will not.
    pub(super) fn end_contest(&mut self, cx: &mut Cx<'_>) {
        if self.contest.take().is_some() {
            self.mirror(cx, None);
        }
    }

    /// Packets go this way as well, or no longer: whichever is the right one, nothing
    /// is lost meanwhile.
    fn mirror(&self, cx: &mut Cx<'_>, to: Option<Leg>) {
        cx.event(TerminalEvent::Table(TableEvent::Mirror { path: self.path, to }));
    }

    pub(super) fn contest_timeout(&mut self, cx: &mut Cx<'_>) {
        if let Some(contest) =
            self.contest.take_if(|contest| contest.decide_at.is_some_and(|at| at <= cx.now))
        {
            let before = self.selected.map(|selected| self.way(&selected.leg));
            self.select(cx, &contest.challenger, None);
            self.note_followed(cx, Notice::Rebinding, before);
        }
    }
}
