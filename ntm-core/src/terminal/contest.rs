//! Packets that suddenly come from elsewhere.

use super::cx::Cx;
use super::remote::Why;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::Leg;

/// The peer's packets suddenly come from elsewhere although it has not said
/// that it moved: both ways are asked, and the old one stays if it answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Contest {
    pub(super) challenger: Leg,
    /// The new way has answered; if the old one has not by then, it wins.
    pub(super) decide_at: Option<Time>,
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
        if self.remotes.get(leg).is_none_or(|remote| remote.probe.is_none()) {
            self.probe(cx, leg, Why::Proof);
        }
        let is_new = self.contest.as_ref().is_none_or(|c| !c.challenger.same_remote(leg));
        // After a move of either end, whatever answers first is right.
        let settled =
            self.selected_remote().is_some_and(|r| r.is_current(self.peer_epoch, cx.epoch));
        // A direct way that is no surprise is better than the relay, and so is the
        // relay that both ends take if they can.
        let direct =
            self.remotes.get(leg).is_some_and(|remote| remote.named && remote.relay.is_none());
        let upgrade = self.is_relayed() && self.by_relay_only.is_none() && direct
            || self.comes_first(leg, &selected.leg)
            || self.selected_remote().is_some_and(|used| self.is_blocked(cx, used));
        if ahead == 0 && is_new && settled && !upgrade {
            self.probe(cx, &selected.leg, Why::Proof);
            self.contest = Some(Contest { challenger: leg.unpinned(), decide_at: None });
        }
    }

    pub(super) fn contest_timeout(&mut self, cx: &mut Cx<'_>) {
        if let Some(contest) =
            self.contest.take_if(|contest| contest.decide_at.is_some_and(|at| at <= cx.now))
        {
            self.select(cx, &contest.challenger, None);
        }
    }
}
