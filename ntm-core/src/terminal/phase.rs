//! The steps of moves, ours and peers', told as they happen: why one took as long as it
//! did. Nothing is decided by them.

use super::cx::Cx;
use super::event::{Phase, TerminalEvent, Way};
use super::tunnel::Tunnel;
use crate::address::Leg;
use crate::id::Epoch;
use crate::wire::RouteDirection;

/// What made a path work again after our move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Winner {
    /// The peer answered where we had asked it ourselves.
    Update,
    /// It answered where we asked it only because the coordinator said so.
    Direction,
    /// It spoke first.
    Peer,
}

/// How it was noticed that a peer has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// It said so.
    Word,
    /// Its packets came from elsewhere, and only there it answered.
    Rebinding,
}

/// The steps of a peer's move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerPhase {
    /// Noticed; packets go to the new place from now on.
    Noticed {
        /// By what.
        by: Notice,
        /// The way before.
        from: Option<Way>,
        /// The way now.
        to: Way,
    },
    /// The coordinator says where it is now; this may be quicker than its own word.
    Directed,
    /// It has proved that it receives at the new place.
    Proved,
    /// It has not, and packets go by an older way again.
    Reverted,
}

/// Our move after which a path is not known to work yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rebuilding {
    epoch: Epoch,
    /// Where we have asked the peer of our own accord.
    asked: Vec<Leg>,
    /// The coordinator's direction has arrived.
    directed: bool,
}

impl Rebuilding {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self { epoch, asked: Vec::new(), directed: false }
    }
}

impl Tunnel {
    /// Our Tunnel Request is about to be sent by this way.
    pub(super) fn note_told(&mut self, cx: &mut Cx<'_>, leg: &Leg) {
        let Some(rebuilding) = &mut self.rebuilding else { return };
        let is_known = rebuilding.asked.iter().any(|asked| asked.same_remote(leg));
        if rebuilding.directed || is_known {
            return;
        }
        rebuilding.asked.push(leg.unpinned());
        if rebuilding.asked.len() == 1 {
            let (epoch, phase, at) = (rebuilding.epoch, Phase::Told(self.path), cx.now);
            cx.event(TerminalEvent::Phase { epoch, phase, at });
        }
    }

    /// A direction for this tunnel, before anything is done about it.
    pub(super) fn note_directed(&mut self, cx: &mut Cx<'_>, direction: &RouteDirection) {
        if let Some(rebuilding) = &mut self.rebuilding {
            rebuilding.directed |= direction.own_epoch >= rebuilding.epoch;
        }
        let is_news = direction.peer_epoch > self.peer_epoch && self.peer_epoch.start() > 0
            || self.following == Some(direction.peer_epoch);
        if is_news && self.is_live(cx.now) {
            self.peer_phase(cx, direction.peer_epoch, PeerPhase::Directed);
        }
    }

    /// The path works from where we are now: the peer has been heard by this way.
    pub(super) fn rebuilt(&mut self, cx: &mut Cx<'_>, leg: &Leg, by_itself: bool) {
        let Some(rebuilding) = self.rebuilding.take() else { return };
        let was_asked = rebuilding.asked.iter().any(|asked| asked.same_remote(leg));
        let by = match (by_itself, was_asked, rebuilding.directed) {
            (true, _, _) => Winner::Peer,
            (false, false, true) => Winner::Direction,
            (false, _, _) => Winner::Update,
        };
        let (epoch, phase, at) = (rebuilding.epoch, Phase::Rebuilt(self.path, by), cx.now);
        cx.event(TerminalEvent::Phase { epoch, phase, at });
    }

    /// The peer is elsewhere, and packets follow it.
    pub(super) fn note_followed(&mut self, cx: &mut Cx<'_>, by: Notice, from: Option<Way>) {
        let Some(selected) = self.selected else { return };
        let to = self.way(&selected.leg);
        self.peer_phase(cx, self.peer_epoch, PeerPhase::Noticed { by, from, to });
        self.following = Some(self.peer_epoch);
        // A relay's address is nothing that the peer could prove.
        match (to.relayed, selected.proved) {
            (true, _) => self.following = None,
            (false, true) => self.end_following(cx, PeerPhase::Proved),
            (false, false) => {}
        }
    }

    /// The way in use has been proved, or given up.
    pub(super) fn end_following(&mut self, cx: &mut Cx<'_>, phase: PeerPhase) {
        if let Some(epoch) = self.following.take() {
            self.peer_phase(cx, epoch, phase);
        }
    }

    fn peer_phase(&self, cx: &mut Cx<'_>, epoch: Epoch, phase: PeerPhase) {
        cx.event(TerminalEvent::PeerPhase { path: self.path, epoch, phase, at: cx.now });
    }
}
