use std::time::Duration;

use super::contest::Contest;
use super::cx::Cx;
use super::event::{TerminalEvent, Way};
use super::liveness::Liveness;
use super::movement::{Burst, Ping};
use super::overlap::{Lag, Tried};
use super::phase::Rebuilding;
use super::recovery::Recovery;
use super::relaying::RelayUse;
use super::remote::{Remote, Remotes};
use super::session::Session;
use super::setup::{Attempt, HalfOpen};
use super::update::Update;
use super::upgrade::Upgrade;
use crate::Time;
use crate::address::{Leg, LocalPin, Vips};
use crate::id::{Epoch, PathId, Side};
use crate::machine::{Rtt, Spoken};
use crate::tunnel::{Pointing, Proof, TableEvent};
use crate::wire::{Control, PathRef, PeerInfo};

/// A tunnel as the terminal machine knows it: who the peer is, the sessions
/// with it, the ways to it, and which of them is in use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tunnel {
    pub(super) path: PathId,
    pub(super) side: Side,
    pub(super) own: Vips,
    pub(super) peer: PeerInfo,
    /// The highest epoch that the peer itself has told us, authenticated.
    pub(super) peer_epoch: Epoch,
    /// The session that we send in.
    pub(super) current: Option<Session>,
    /// Sessions whose packets are still accepted.
    pub(super) older: Vec<Session>,
    /// Sessions that the peer began and has not confirmed yet.
    pub(super) half_open: Vec<HalfOpen>,
    /// A session that we are beginning.
    pub(super) attempt: Option<Attempt>,
    pub(super) last_slot: u8,
    pub(super) remotes: Remotes,
    pub(super) selected: Option<Selected>,
    /// The largest packet for the way in use, as the table was told.
    pub(super) limit: Option<u16>,
    pub(super) relays: Vec<RelayUse>,
    pub(super) update: Option<Update>,
    /// Where we were when the peer answered our Tunnel Request last, nothing arrives any
    /// more.
    pub(super) old_gone: bool,
    pub(super) burst: Option<Burst>,
    pub(super) contest: Option<Contest>,
    /// While a relay or a worse transport is in use: the next look for something better.
    pub(super) upgrade: Option<Upgrade>,
    /// The coordinator's plan for where both ends are now knows no direct path:
    /// the epoch in which the peer is there.
    pub(super) by_relay_only: Option<Epoch>,
    /// The newest plan: the peer's epoch in it, and the serial of its tickets.
    pub(super) planned: (Epoch, u64),
    /// Our epoch in it.
    pub(super) planned_in: Epoch,
    pub(super) ping: Option<Ping>,
    pub(super) liveness: Liveness,
    pub(super) recovery: Recovery,
    /// What we have said lately.
    pub(super) spoken: Spoken,
    /// When a move last earned credit beyond the bound for unproved addresses.
    pub(super) credited: Option<Time>,
    /// When the coordinator was last asked on this tunnel's behalf.
    pub(super) asked_direction: Option<Time>,
    /// The epoch of our move after which the path is not known to work yet.
    pub(super) rebuilding: Option<Rebuilding>,
    /// The peer's epoch whose place it has not proved yet.
    pub(super) following: Option<Epoch>,
    /// Whether the way in use works by a better link, too: asked.
    pub(super) tried: Option<Tried>,
    /// Packets still leave by the link that was used before the last move.
    pub(super) lag: Option<Lag>,
}

/// The way in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Selected {
    pub(super) leg: Leg,
    /// What the table was told to hold its packets to.
    pub(super) pin: Option<LocalPin>,
    /// Whether the table was told that it is proved.
    pub(super) proved: bool,
    /// If it is not proved by then, back to the way before it.
    pub(super) revert: Option<(Time, Option<Leg>)>,
    pub(super) since: Time,
}

impl Tunnel {
    /// A tunnel without a session, which the table has been told of.
    pub(super) fn new(now: Time, path: PathId, side: Side, own: Vips, peer: PeerInfo) -> Self {
        Self {
            path,
            side,
            own,
            peer,
            peer_epoch: Epoch::default(),
            current: None,
            older: Vec::new(),
            half_open: Vec::new(),
            attempt: None,
            last_slot: 0,
            remotes: Remotes::default(),
            selected: None,
            limit: None,
            relays: Vec::new(),
            update: None,
            old_gone: false,
            burst: None,
            contest: None,
            upgrade: None,
            by_relay_only: None,
            planned: Default::default(),
            planned_in: Epoch::default(),
            ping: None,
            liveness: Liveness::new(now),
            recovery: Recovery::default(),
            spoken: Spoken::default(),
            credited: None,
            asked_direction: None,
            rebuilding: None,
            tried: None,
            lag: None,
            following: None,
        }
    }

    /// How the coordinator is told which tunnel is meant.
    pub(super) fn reference(&self) -> Option<PathRef> {
        self.peer.vips.iter().next().map(|peer| PathRef { path: self.path, peer })
    }

    /// Whether there is a session to send in.
    pub(super) fn is_live(&self, now: Time) -> bool {
        self.current.as_ref().is_some_and(|session| session.is_live(now))
    }

    /// The way in use.
    pub(super) fn selected_remote(&self) -> Option<&Remote> {
        self.selected.and_then(|selected| self.remotes.get(&selected.leg))
    }

    pub(super) fn is_selected(&self, leg: &Leg) -> bool {
        self.selected.is_some_and(|selected| selected.leg.same_remote(leg))
    }

    /// Whether the way in use goes through a relay.
    pub(super) fn is_relayed(&self) -> bool {
        self.selected_remote().is_some_and(|remote| remote.relay.is_some())
    }

    /// Round trips on the way in use, or on any.
    pub(super) fn rtt(&self) -> Rtt {
        let selected = self.selected_remote().map(|remote| remote.rtt);
        let any = || {
            self.remotes
                .iter()
                .map(|remote| remote.rtt)
                .filter(|rtt| rtt.smoothed().is_some())
                .min_by_key(|rtt| rtt.smoothed())
        };
        selected.filter(|rtt| rtt.smoothed().is_some()).or_else(any).unwrap_or_default()
    }

    pub(super) fn way(&self, leg: &Leg) -> Way {
        let relayed = self.remotes.get(leg).is_some_and(|remote| remote.relay.is_some());
        Way { leg: leg.unpinned(), relayed }
    }

    /// Says something to the peer by this way, inside the session.
    pub(super) fn say(&mut self, cx: &mut Cx<'_>, leg: &Leg, control: &Control) {
        self.say_padded(cx, leg, control, 0);
    }

    /// The same, with zeros after it, so that the datagram is as large as a capsule
    /// with a packet of `bytes`.
    pub(super) fn say_padded(
        &mut self,
        cx: &mut Cx<'_>,
        leg: &Leg,
        control: &Control,
        bytes: usize,
    ) {
        let Some(session) = self.current.as_mut().filter(|session| session.is_live(cx.now)) else {
            return;
        };
        let datagram = session.seal_padded(self.path, self.side, cx.epoch, control, bytes);
        self.spoken.note(cx.now, &datagram);
        self.emit(cx, leg, control.name(), datagram);
        if self.is_selected(leg) {
            self.liveness.spoke(cx.now);
        }
    }

    /// Sends a datagram for the peer by this way; through a relay that does not
    /// know our present address yet, inside a Bind.
    pub(super) fn emit(
        &mut self,
        cx: &mut Cx<'_>,
        leg: &Leg,
        name: &'static str,
        datagram: Vec<u8>,
    ) {
        match self.remotes.get(leg).and_then(|remote| remote.relay) {
            Some(relay) => self.emit_relayed(cx, relay, name, datagram),
            None => cx.out.send(leg.unpinned(), name, datagram),
        }
    }

    /// Uses this way from now on.
    pub(super) fn select(&mut self, cx: &mut Cx<'_>, leg: &Leg, fallback: Option<Leg>) {
        let leg = &self.came_by(leg);
        let (proved, received) = {
            let remote = self.remotes.note(cx.now, leg, None, Some(*leg));
            (remote.is_proved(cx.now) || remote.relay.is_some(), remote.received)
        };
        let before = self.selected.map(|selected| selected.leg);
        let proof = if proved {
            Proof::Proved
        } else {
            Proof::Unproved { received, credit: self.move_credit(cx) }
        };
        let patience = 3 * self.rtt().pto().max(Duration::from_millis(333));
        let revert = (!proved).then(|| (cx.now + patience, before.filter(|b| !b.same_remote(leg))));
        if before.is_none_or(|before| !before.same_remote(leg)) {
            self.tried = None;
            self.lag = None;
        }
        let pin = self.pin(cx, leg);
        self.selected = Some(Selected { leg: leg.unpinned(), pin, proved, revert, since: cx.now });
        self.contest = None;
        let perhaps_better = self.is_relayed() || self.has_better_transport();
        self.upgrade = perhaps_better.then(|| Upgrade::new(cx.now));
        self.liveness.restart();
        let limit = self.limit_by(cx, leg).min(self.limit_of_lag());
        self.limit = Some(limit);
        let fallback = fallback.map(|leg| leg.pinned(cx.surroundings.pin(leg.remote.ip())));
        let pointing = Pointing { leg: leg.pinned(pin), proof, fallback, limit };
        let (path, epoch) = (self.path, self.epoch_said(cx));
        cx.event(TerminalEvent::Table(TableEvent::Point { path, to: Some(pointing), epoch }));
        if before.is_none_or(|before| !before.same_remote(leg)) {
            let (peer, vips) = (self.peer.name.clone(), self.peer.vips);
            let way = self.way(leg);
            let suite = self.current.as_ref().map(|session| session.suite);
            cx.event(TerminalEvent::Connected { path, peer, vips, way, suite });
        }
    }

    /// Tells the table what it points to anew: the epoch, the proof or the limit
    /// has changed.
    pub(super) fn point_again(&mut self, cx: &mut Cx<'_>) {
        let Some(leg) = self.selected.map(|selected| selected.leg) else { return };
        let pin = self.pin(cx, &leg);
        let Some(selected) = &mut self.selected else { return };
        selected.pin = pin;
        let proved = self
            .remotes
            .get(&leg)
            .is_some_and(|remote| remote.is_proved(cx.now) || remote.relay.is_some());
        // What is in use stays proved until something speaks against it.
        selected.proved |= proved;
        if selected.proved {
            selected.revert = None;
        }
        let proof = if selected.proved {
            Proof::Proved
        } else {
            let received = self.remotes.get(&leg).map_or(0, |remote| remote.received);
            Proof::Unproved { received, credit: None }
        };
        let limit = self.limit_by(cx, &leg).min(self.limit_of_lag());
        self.limit = Some(limit);
        let to = Pointing { leg: leg.pinned(pin), proof, fallback: None, limit };
        let (path, epoch) = (self.path, self.epoch_said(cx));
        cx.event(TerminalEvent::Table(TableEvent::Point { path, to: Some(to), epoch }));
    }

    /// No way is used from now on; packets wait for a while.
    pub(super) fn deselect(&mut self, cx: &mut Cx<'_>) {
        self.limit = None;
        if self.selected.take().is_some() {
            let (path, epoch) = (self.path, cx.epoch);
            cx.event(TerminalEvent::Table(TableEvent::Point { path, to: None, epoch }));
            cx.event(TerminalEvent::Disconnected { path });
        }
        self.contest = None;
        self.upgrade = None;
        self.tried = None;
        self.lag = None;
    }

    /// The round trip by which a move earns credit: once in 30 s.
    fn move_credit(&mut self, cx: &Cx<'_>) -> Option<Duration> {
        const EVERY: Duration = Duration::from_secs(30);
        if self.credited.is_some_and(|at| cx.now.since(at) < EVERY) {
            return None;
        }
        let rtt = self.rtt().smoothed()?;
        self.credited = Some(cx.now);
        Some(rtt)
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        self.setup_timeout(cx);
        self.movement_timeout(cx);
        self.relaying_timeout(cx);
        self.liveness_timeout(cx);
        self.width_timeout(cx);
        self.lag_timeout(cx);
    }

    /// When something is due next, and what.
    pub(super) fn deadline(&self) -> Option<(Time, &'static str)> {
        let all = [
            self.setup_deadline(),
            self.movement_deadline(),
            self.relaying_deadline(),
            self.liveness_deadline(),
            self.width_deadline(),
            self.lag_deadline(),
        ];
        all.into_iter().flatten().min()
    }
}
