//! How large a packet a way carries. Small challenges tell whether it lives, and
//! alone decide what is used after a move; some ways carry these and lose what is
//! larger without a word. So a way that has answered is asked once more, with a
//! challenge as large as the largest capsule.
//!
//! Not before it has answered: to an address that is not proved nothing large goes
//! that nobody there has asked for.

use std::time::Duration;

use super::cx::{Cx, LEAST_LIMIT};
use super::remote::{PROBES, Remote, Why};
use super::tunnel::Tunnel;
use crate::address::Leg;
use crate::id::Epoch;
use crate::wire::{Control, Token};
use crate::{Rng, Time};

/// Copies of a large challenge, one PTO apart, before its size is too large: a single
/// loss narrows nothing.
const COPIES: u32 = PROBES - 1;

/// A way that does not carry everything is asked again after this,
const FIRST: Duration = Duration::from_secs(1);
/// and then after twice as long each time, up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// What a way carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Size {
    /// Challenges and the like, and no packet of 1,280 bytes.
    Small,
    /// Packets of 1,280 bytes.
    Least,
    /// As much as our own link takes.
    #[default]
    Full,
}

/// What is known of a way's width.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Width {
    /// What is taken for true: everything, until something is lost.
    carries: Size,
    /// What it has answered.
    answered: Option<Size>,
    /// The epochs of the peer and of ourselves in which that was found out.
    epochs: Option<(Epoch, Epoch)>,
    /// What may be answered, however late.
    tokens: Vec<(Size, Token)>,
    asked: Option<Asked>,
    again: Option<Time>,
    wait: Duration,
}

/// A large challenge under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Asked {
    size: Size,
    copies: u32,
    /// When to send it again, or to give its size up.
    next: Time,
}

impl Width {
    /// What is taken for true of it.
    pub(super) fn carries(&self) -> Size {
        self.carries
    }

    /// Whether it is known, for where both ends are, to carry nothing large.
    fn is_blocked(&self, epochs: (Epoch, Epoch)) -> bool {
        self.carries == Size::Small && self.epochs == Some(epochs)
    }

    /// Whether it has not been asked since either end moved, or is to be asked again.
    fn is_due(&self, now: Time, epochs: (Epoch, Epoch)) -> bool {
        self.epochs != Some(epochs)
            || self.asked.is_none() && self.again.is_some_and(|at| at <= now)
    }

    fn begin(&mut self, epochs: (Epoch, Epoch)) {
        if self.epochs.replace(epochs) != Some(epochs) {
            self.wait = FIRST;
            self.answered = None;
        }
        self.again = None;
        self.tokens.clear();
    }

    /// The challenge for this size; the same one while it is under way.
    fn token(&mut self, size: Size, rng: &mut Rng) -> Token {
        let known = self.tokens.iter().find(|(of, _)| *of == size);
        let token = known.map_or_else(|| rng.bytes(), |(_, token)| *token);
        if known.is_none() {
            self.tokens.push((size, token));
        }
        token
    }

    /// Takes the answer to a large challenge, if it is that.
    fn take_answer(&mut self, now: Time, token: &Token) -> bool {
        let Some((size, _)) = self.tokens.iter().find(|(_, of)| of == token).copied() else {
            return false;
        };
        self.tokens.retain(|(of, _)| *of > size);
        self.answered = self.answered.max(Some(size));
        self.carries = self.carries.max(size);
        if self.asked.is_none_or(|asked| asked.size <= size) {
            self.rest(now);
        }
        true
    }

    /// It cannot be found out now.
    fn postpone(&mut self, now: Time) {
        self.asked = None;
        self.again = Some(now + FIRST);
    }

    /// Asks nothing for a while: for good, if there is nothing more to find out.
    fn rest(&mut self, now: Time) {
        self.asked = None;
        let narrow = self.carries < Size::Full;
        self.again = narrow.then_some(now + self.wait);
        self.wait = if narrow { (2 * self.wait).min(LONGEST) } else { FIRST };
    }
}

impl Tunnel {
    /// The largest inner packet for this way.
    pub(super) fn limit_by(&self, cx: &Cx<'_>, leg: &Leg) -> u16 {
        let limit = cx.limit_to(leg);
        match self.remotes.get(leg).map(|remote| remote.width.carries()) {
            Some(Size::Small | Size::Least) => limit.min(LEAST_LIMIT),
            Some(Size::Full) | None => limit,
        }
    }

    fn epochs(&self, cx: &Cx<'_>) -> (Epoch, Epoch) {
        (self.peer_epoch, cx.epoch)
    }

    /// A way has answered something small: what else does it carry?
    pub(super) fn measure(&mut self, cx: &mut Cx<'_>, leg: &Leg) {
        let epochs = self.epochs(cx);
        let current = |remote: &&mut Remote| remote.is_current(epochs.0, epochs.1);
        let Some(remote) = self.remotes.get_mut(leg).filter(current) else { return };
        if remote.width.is_due(cx.now, epochs) {
            remote.width.begin(epochs);
            self.ask_size(cx, leg, Asked { size: Size::Full, copies: 0, next: cx.now });
        }
    }

    /// Asks (again) with a challenge as large as a capsule with a packet of this size.
    fn ask_size(&mut self, cx: &mut Cx<'_>, leg: &Leg, asked: Asked) {
        let bytes = match asked.size {
            Size::Full => cx.limit_to(leg),
            Size::Least | Size::Small => LEAST_LIMIT,
        };
        let needs_bind = self.needs_bind(cx, leg);
        let Some(remote) = self.remotes.get_mut(leg) else { return };
        // The Bind around it would make it larger than what is asked about.
        if needs_bind {
            return remote.width.postpone(cx.now);
        }
        let next = cx.now + remote.rtt.pto();
        remote.width.asked = Some(Asked { copies: asked.copies + 1, next, ..asked });
        let token = remote.width.token(asked.size, cx.rng);
        let control = Control::Challenge { epoch: cx.epoch, token };
        self.say_padded(cx, leg, &control, bytes.into());
    }

    /// Takes the answer to a large challenge; returns the way that it is about.
    pub(super) fn size_answered(&mut self, cx: &mut Cx<'_>, token: &Token) -> Option<Leg> {
        let answered = |remote: &mut Remote| remote.width.take_answer(cx.now, token);
        let leg = self.remotes.iter_mut().find_map(|r| answered(r).then_some(r.leg))?;
        if self.is_selected(&leg) {
            self.point_again(cx);
        }
        Some(leg)
    }

    /// Whether this way, that has just answered, is to be used instead of the one in
    /// use because it carries more. What it said before that was chosen does not count.
    pub(super) fn is_wider(&self, cx: &Cx<'_>, leg: &Leg) -> bool {
        let (Some(selected), Some(used)) = (self.selected, self.selected_remote()) else {
            return false;
        };
        self.remotes.get(leg).is_some_and(|new| {
            self.carries_more(cx, new, used)
                && new.is_current(self.peer_epoch, cx.epoch)
                && new.confirmed.is_some_and(|confirmed| confirmed.at >= selected.since)
                && (new.relay.is_some() || self.by_relay_only.is_none())
        })
    }

    /// Whether one way carries packets and the other none, or more than the other where
    /// both are direct.
    fn carries_more(&self, cx: &Cx<'_>, one: &Remote, other: &Remote) -> bool {
        let blocked = self.is_blocked(cx, other);
        // A better transport is not left for a packet's size.
        let both_direct = one.relay.is_none()
            && other.relay.is_none()
            && one.leg.transport <= other.leg.transport;
        (blocked || both_direct)
            && one.width.answered.is_some_and(|size| size > other.width.carries())
    }

    /// Whether no packet of 1,280 bytes passes this way, from where both ends are now.
    pub(super) fn is_blocked(&self, cx: &Cx<'_>, remote: &Remote) -> bool {
        remote.width.is_blocked(self.epochs(cx))
    }

    pub(super) fn width_timeout(&mut self, cx: &mut Cx<'_>) {
        let due = |remote: &&Remote| {
            remote.width.asked.as_ref().is_some_and(|asked| asked.next <= cx.now)
        };
        let due: Vec<Leg> = self.remotes.iter().filter(due).map(|remote| remote.leg).collect();
        for leg in due {
            self.size_unanswered(cx, &leg);
        }
        let selected = self.selected.map(|selected| selected.leg);
        if self.measure_at().is_some_and(|at| at <= cx.now)
            && let Some(leg) = selected
        {
            if self.liveness.is_in_use(cx.now) {
                self.measure(cx, &leg);
            }
            if let Some(remote) = self.remotes.get_mut(&leg).filter(|r| r.width.asked.is_none()) {
                remote.width.rest(cx.now);
            }
        }
    }

    /// A large challenge has not been answered within a PTO.
    fn size_unanswered(&mut self, cx: &mut Cx<'_>, leg: &Leg) {
        let (peer, own) = self.epochs(cx);
        let full = cx.limit_to(leg);
        let Some(remote) = self.remotes.get_mut(leg) else { return };
        let Some(asked) = remote.width.asked else { return };
        // Lost to a move, or with the way; the next small answer asks anew.
        if !remote.is_current(peer, own) {
            remote.width.asked = None;
            remote.width.epochs = None;
            return;
        }
        if asked.copies < COPIES {
            return self.ask_size(cx, leg, asked);
        }
        let smaller = match asked.size {
            Size::Full if full > LEAST_LIMIT => Size::Least,
            Size::Full | Size::Least | Size::Small => Size::Small,
        };
        remote.width.carries = remote.width.carries.min(smaller);
        if smaller == Size::Small {
            remote.width.rest(cx.now);
        } else {
            self.ask_size(cx, leg, Asked { size: smaller, copies: 0, next: cx.now });
        }
        if self.is_selected(leg) {
            self.point_again(cx);
            self.look_for_wider(cx);
        }
    }

    /// The way in use has turned out narrow: ways that have carried more are asked
    /// whether they still live, and where it carries nothing, relays too.
    fn look_for_wider(&mut self, cx: &mut Cx<'_>) {
        let Some(used) = self.selected_remote() else { return };
        let mut legs = Vec::new();
        if self.is_blocked(cx, used) {
            legs = self.relay_legs();
            legs.retain(|relay| !relay.same_remote(&used.leg));
        }
        let lost = self.is_blocked(cx, used) && legs.is_empty();
        let wider = self.remotes.iter().filter(|other| self.carries_more(cx, other, used));
        legs.extend(wider.filter(|other| other.relay.is_none()).map(|other| other.leg));
        if lost {
            self.ask_direction(cx);
        }
        for leg in legs {
            self.probe(cx, &leg, Why::Proof);
        }
    }

    /// When the way in use is asked again, because it is narrow.
    fn measure_at(&self) -> Option<Time> {
        let width = &self.selected_remote()?.width;
        width.again.filter(|_| width.asked.is_none() && self.current.is_some())
    }

    pub(super) fn width_deadline(&self) -> Option<(Time, &'static str)> {
        let asked = self.remotes.iter().filter_map(|remote| remote.width.asked.as_ref());
        let next = asked.map(|asked| asked.next).min().map(|at| (at, "large challenge"));
        let again = self.measure_at().map(|at| (at, "a wider path"));
        [next, again].into_iter().flatten().min()
    }
}
