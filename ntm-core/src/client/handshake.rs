use std::time::Duration;

use super::addresses::CoordinatorAddress;
use crate::Time;
use crate::address::Leg;
use crate::crypto::{Established, Initiator};
use crate::id::{SessionId, Side};
use crate::machine::{Backoff, Context, Rtt, SignalTrace};
use crate::plugin::MemberRole;
use crate::wire::{
    CookieValue, CoordinatorAnswer, Handshake1, Handshake2, NO_COOKIE, NodeHello, Refusal, RoleTag,
};

/// Copies of a first message after which the coordinator is taken for dead.
const MOST_COPIES: u32 = 6;

/// A handshake with a coordinator under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    id: [u8; 16],
    initiator: Initiator,
    cookie: CookieValue,
    /// A cookie has been answered since the last copy that was due.
    hastened: bool,
    backoff: Backoff,
}

impl Attempt {
    pub(super) fn new<E>(
        cx: &mut Context<'_, E>,
        coordinator: &CoordinatorAddress,
        role: MemberRole,
        rtt: &Rtt,
    ) -> Self {
        let (epoch, began, name) = (cx.epoch, cx.now.nanos(), cx.node.name.clone());
        let hello = NodeHello { epoch, began, name, role };
        let initiator = Initiator {
            seed: cx.rng.bytes(),
            responder: coordinator.key,
            prologue: prologue(),
            payload: hello.emit(),
        };
        let backoff = Backoff::patient(cx.now, rtt);
        Self { id: cx.rng.bytes(), initiator, cookie: NO_COOKIE, hastened: false, backoff }
    }

    pub(super) fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// How often it was sent.
    pub(super) fn copies(&self) -> u32 {
        self.backoff.copies()
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.backoff.is_due(now)
    }

    pub(super) fn is_hopeless(&self) -> bool {
        self.backoff.copies() >= MOST_COPIES
    }

    pub(super) fn deadline(&self) -> Time {
        self.backoff.next()
    }

    /// The round trip, if the answer can only be to the one copy that was sent.
    pub(super) fn round_trip(&self, now: Time) -> Option<Duration> {
        (self.backoff.copies() == 1 && !self.hastened).then(|| now.since(self.backoff.started()))
    }

    pub(super) fn send<E: From<SignalTrace>>(&mut self, cx: &mut Context<'_, E>, legs: &[Leg]) {
        self.backoff.sent(cx.now, cx.rng);
        self.hastened = false;
        self.emit(cx, legs);
    }

    pub(super) fn repeat_with<E: From<SignalTrace>>(
        &mut self,
        cx: &mut Context<'_, E>,
        cookie: CookieValue,
        legs: &[Leg],
    ) {
        // Forged ones cost one repetition for each copy, and no copies.
        if self.cookie != cookie && !self.hastened {
            self.cookie = cookie;
            self.hastened = true;
            self.emit(cx, legs);
        }
    }

    fn emit<E: From<SignalTrace>>(&self, cx: &mut Context<'_, E>, legs: &[Leg]) {
        let Ok(noise) = self.initiator.message(&cx.node.identity) else { return };
        let message = Handshake1 {
            role: RoleTag::Coordinator,
            id: self.id,
            side: Side::Higher,
            cookie: self.cookie,
            noise,
        };
        for leg in legs {
            cx.out.send(*leg, "Handshake 1", message.emit());
        }
    }

    /// The keys, and the session's id or why there is none.
    pub(super) fn finish<E>(
        &self,
        cx: &Context<'_, E>,
        message: &Handshake2,
    ) -> Option<(Established, Result<SessionId, Refusal>)> {
        let keys = self.initiator.finish(&cx.node.identity, &message.noise).ok()?;
        let answer = CoordinatorAnswer::parse(&keys.payload).ok()?;
        Some((keys, answer.session))
    }
}

/// What both agree on beforehand: version and roles. The name travels sealed in
/// message 1, since the coordinator cannot know it before.
pub(crate) fn prologue() -> Vec<u8> {
    [&b"ntm v1 node to coordinator"[..], &[RoleTag::Coordinator as u8]].concat()
}
