use std::time::Duration;

use super::forward::{BoundEnd, ForwardEvent, Limits};
use crate::address::Leg;
use crate::id::{Epoch, PathId, Side};
use crate::tunnel::AMPLIFICATION;
use crate::wire::{Bind, BindStatus, Ticket, Token};
use crate::{Rng, Time};

/// A pair that neither end refreshes is over after this.
const IDLE: Duration = Duration::from_secs(300);
/// A pair that both ends refresh goes on without a fresh ticket for this long,
/// however long the coordinator is away.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The first message for an end that is not bound yet waits this long,
const HELD_FOR: Duration = Duration::from_secs(2);
/// and is at most this long.
const HELD_BYTES: usize = 1536;
/// After a move, an end is still heard from where it was for this long.
const OVERLAP: Duration = Duration::from_secs(5);
/// Of what may be sent to an unproved end for each byte that came from it, one
/// byte is for what Binds carry,
const CARRIED: u64 = 1;
/// and the rest for what is forwarded.
const FORWARDED: u64 = AMPLIFICATION - CARRIED;

/// A relayed path: its two ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    serial: u64,
    rate: u64,
    quota: u64,
    /// When the ticket in use was first shown.
    since: Time,
    exhausted: bool,
    lower: End,
    higher: End,
}

/// One end of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct End {
    bound: Option<Bound>,
    /// A first message that came before the other end was bound.
    held: Option<(Time, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Bound {
    leg: Leg,
    epoch: Epoch,
    proved: bool,
    /// Bytes that came from there in Binds.
    received: u64,
    /// Bytes sent there that the other end's Binds carried.
    carried: u64,
    refreshed: Time,
    /// To be returned from this address.
    challenge: Option<Token>,
    /// Another address of the same epoch, not believed before it returns the
    /// challenge that was sent there.
    rival: Option<(Leg, Token)>,
    /// Where it was before, and until when it is still heard from there.
    before: Option<(Leg, Time)>,
}

/// What follows from a Bind.
pub(super) struct Reply {
    pub(super) status: BindStatus,
    pub(super) challenge: Option<Token>,
    /// Datagrams to hand on, with the way.
    pub(super) deliver: Vec<(Leg, Vec<u8>)>,
}

impl Pair {
    pub(super) fn new(now: Time, ticket: &Ticket) -> Self {
        Self {
            serial: ticket.serial,
            rate: ticket.rate,
            quota: ticket.quota,
            since: now,
            exhausted: false,
            lower: End::default(),
            higher: End::default(),
        }
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn exhaust(&mut self) {
        self.exhausted = true;
    }

    fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Lower => &mut self.lower,
            Side::Higher => &mut self.higher,
        }
    }

    /// A genuine Bind of an end; `expired`: its ticket may begin nothing new.
    pub(super) fn bind(
        &mut self,
        now: Time,
        leg: &Leg,
        bind: &Bind,
        bytes: usize,
        expired: bool,
        rng: &mut Rng,
    ) -> Reply {
        let refused = |status| Reply { status, challenge: None, deliver: Vec::new() };
        if bind.ticket.serial > self.serial && !expired {
            // A fresh ticket: a fresh quota.
            self.serial = bind.ticket.serial;
            (self.rate, self.quota) = (bind.ticket.rate, bind.ticket.quota);
            (self.since, self.exhausted) = (now, false);
        }
        if self.exhausted {
            return refused(BindStatus::Quota);
        }
        if expired && now.since(self.since) >= LONGEST {
            return refused(BindStatus::Expired);
        }
        let end = self.end(bind.side);
        let leg = leg.back();
        let status = end.update(now, leg, bind, bytes, rng);
        if status == BindStatus::Stale {
            return refused(status);
        }
        let challenge = end.bound.as_ref().and_then(|bound| bound.challenge_for(&leg));
        let mut deliver = Vec::new();
        // What waited for this end.
        let held = self.end(bind.side.other()).held.take();
        if let Some((_, datagram)) = held.filter(|(since, _)| now.since(*since) < HELD_FOR) {
            deliver.extend(self.end(bind.side).carry(datagram));
        }
        if !bind.carried.is_empty() {
            let carried = bind.carried.clone();
            if self.end(bind.side.other()).bound.is_some() {
                deliver.extend(self.end(bind.side.other()).carry(carried));
            } else if carried.len() <= HELD_BYTES {
                self.end(bind.side).held = Some((now, carried));
            }
        }
        Reply { status, challenge, deliver }
    }

    /// What workers need to know.
    pub(super) fn forward(&self, path: PathId) -> ForwardEvent {
        let end = |end: &End| {
            end.bound.as_ref().map(|bound| BoundEnd {
                leg: bound.leg,
                budget: (!bound.proved).then_some(bound.received * FORWARDED),
                before: bound.before,
            })
        };
        let limits = Limits { serial: self.serial, rate: self.rate, quota: self.quota };
        ForwardEvent::Set { path, lower: end(&self.lower), higher: end(&self.higher), limits }
    }

    /// When the pair ends if no Bind comes.
    pub(super) fn expires(&self) -> Time {
        let refreshed =
            [&self.lower, &self.higher].into_iter().filter_map(|end| end.bound.as_ref());
        refreshed.map(|bound| bound.refreshed).max().unwrap_or(self.since) + IDLE
    }
}

impl End {
    /// The way that a carried datagram takes to this end, unless it would be
    /// more than an unproved address may be sent.
    fn carry(&mut self, datagram: Vec<u8>) -> Option<(Leg, Vec<u8>)> {
        let bound = self.bound.as_mut()?;
        let carried = bound.carried + datagram.len() as u64;
        if !bound.proved && carried > bound.received * CARRIED {
            return None;
        }
        bound.carried = carried;
        Some((bound.leg, datagram))
    }

    fn update(
        &mut self,
        now: Time,
        leg: Leg,
        bind: &Bind,
        bytes: usize,
        rng: &mut Rng,
    ) -> BindStatus {
        let Some(bound) = &mut self.bound else {
            self.bound = Some(Bound::new(now, leg, bind.epoch, bytes, rng));
            return BindStatus::Challenge;
        };
        if bind.epoch < bound.epoch {
            return BindStatus::Stale;
        }
        let returned = bind.token.is_some() && bind.token == bound.challenge_for(&leg);
        if bind.epoch > bound.epoch && !leg.same_remote(&bound.leg) {
            // It has moved, on its own authenticated word; what it has sent from the
            // old place is still under way.
            let here = bound.proved.then_some((bound.leg, now + OVERLAP));
            let before = here.or(bound.before);
            *bound = Bound { before, ..Bound::new(now, leg, bind.epoch, bytes, rng) };
            if returned {
                // It had asked from there before it moved.
                (bound.proved, bound.challenge) = (true, None);
                return BindStatus::Bound;
            }
            return BindStatus::Challenge;
        }
        bound.epoch = bind.epoch;
        if leg.same_remote(&bound.leg) {
            bound.leg = leg;
            bound.refreshed = now;
            bound.received += bytes as u64;
            if returned {
                bound.proved = true;
                bound.challenge = None;
            }
            return if bound.proved { BindStatus::Bound } else { BindStatus::Challenge };
        }
        // The same epoch from elsewhere: a NAT has changed its mind, or somebody
        // repeats what he has overheard. Only proof tells.
        if returned {
            *bound = Bound {
                proved: true,
                challenge: None,
                ..Bound::new(now, leg, bind.epoch, bytes, rng)
            };
            return BindStatus::Bound;
        }
        if bound.rival.is_none_or(|(rival, _)| !rival.same_remote(&leg)) {
            bound.rival = Some((leg, rng.bytes()));
        }
        BindStatus::Challenge
    }
}

impl Bound {
    fn new(now: Time, leg: Leg, epoch: Epoch, bytes: usize, rng: &mut Rng) -> Self {
        Self {
            leg,
            epoch,
            proved: false,
            received: bytes as u64,
            carried: 0,
            refreshed: now,
            challenge: Some(rng.bytes()),
            rival: None,
            before: None,
        }
    }

    /// The challenge under way to this address.
    fn challenge_for(&self, leg: &Leg) -> Option<Token> {
        if leg.same_remote(&self.leg) {
            return self.challenge;
        }
        self.rival.filter(|(rival, _)| rival.same_remote(leg)).map(|(_, token)| token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::TransportId;
    use crate::wire::RelayId;

    fn leg(port: u16) -> Leg {
        Leg::to(TransportId(0), ([203, 0, 113, 1], port).into())
    }

    fn ticket(serial: u64) -> Ticket {
        Ticket {
            relay: RelayId([0; 16]),
            serial,
            not_after: 0,
            rate: 0,
            quota: 0,
            lower: [1; 32],
            higher: [2; 32],
            mac: [0; 16],
        }
    }

    fn bind(side: Side, epoch: u64, token: Option<Token>, carried: &[u8]) -> Bind {
        Bind {
            path: PathId::from_bytes([1; 16]),
            side,
            ticket: ticket(1),
            epoch: Epoch(epoch),
            nonce: [0; 8],
            token,
            carried: carried.to_vec(),
        }
    }

    struct World {
        pair: Pair,
        rng: Rng,
        now: Time,
    }

    impl World {
        fn new() -> Self {
            let now = Time::ZERO;
            Self { pair: Pair::new(now, &ticket(1)), rng: Rng::from_seed([1; 32]), now }
        }

        fn bind(&mut self, from: u16, bind: &Bind) -> Reply {
            self.pair.bind(self.now, &leg(from), bind, 200, false, &mut self.rng)
        }

        fn bind_and_prove(&mut self, from: u16, side: Side, epoch: u64) {
            let reply = self.bind(from, &bind(side, epoch, None, b""));
            assert_eq!(reply.status, BindStatus::Challenge);
            let proof = self.bind(from, &bind(side, epoch, reply.challenge, b""));
            assert_eq!(proof.status, BindStatus::Bound);
        }

        /// The ends' ports and budgets.
        fn ends(&self) -> [Option<(u16, Option<u64>)>; 2] {
            let ForwardEvent::Set { lower, higher, .. } =
                self.pair.forward(PathId::from_bytes([1; 16]))
            else {
                panic!("a pair is set")
            };
            let show = |end: BoundEnd| (end.leg.remote.port(), end.budget);
            [lower.map(show), higher.map(show)]
        }
    }

    #[test]
    fn an_end_is_served_little_until_it_has_proved_its_address() {
        let mut world = World::new();
        let reply = world.bind(1, &bind(Side::Lower, 5, None, b""));
        assert_eq!(world.ends(), [Some((1, Some(400))), None]);
        world.bind(1, &bind(Side::Lower, 5, reply.challenge, b""));
        assert_eq!(world.ends(), [Some((1, None)), None]);
    }

    #[test]
    fn a_first_message_waits_for_the_other_end() {
        let mut world = World::new();
        assert!(world.bind(1, &bind(Side::Lower, 5, None, b"first")).deliver.is_empty());
        let reply = world.bind(2, &bind(Side::Higher, 7, None, b"second"));
        assert_eq!(reply.deliver, [(leg(2), b"first".to_vec()), (leg(1), b"second".to_vec())]);
    }

    #[test]
    fn a_move_is_followed_at_once_and_an_older_epoch_never() {
        let mut world = World::new();
        world.bind_and_prove(1, Side::Lower, 5);
        let reply = world.bind(9, &bind(Side::Lower, 6, None, b""));
        assert_eq!(reply.status, BindStatus::Challenge);
        assert_eq!(world.ends()[0], Some((9, Some(400))));
        assert_eq!(world.bind(1, &bind(Side::Lower, 5, None, b"")).status, BindStatus::Stale);
        assert_eq!(world.ends()[0], Some((9, Some(400))));
    }

    #[test]
    fn who_has_asked_from_another_place_before_moving_there_is_proved_at_once() {
        let mut world = World::new();
        world.bind_and_prove(1, Side::Lower, 5);
        let asked = world.bind(2, &bind(Side::Lower, 5, None, b""));
        assert_eq!(world.ends()[0], Some((1, None)), "asking moves nothing");
        let reply = world.bind(2, &bind(Side::Lower, 6, asked.challenge, b""));
        assert_eq!((reply.status, reply.challenge), (BindStatus::Bound, None));
        assert_eq!(world.ends()[0], Some((2, None)));
        // What somebody else has overheard of it proves nothing for him.
        let asked = world.bind(3, &bind(Side::Lower, 6, None, b""));
        let reply = world.bind(4, &bind(Side::Lower, 7, asked.challenge, b""));
        assert_eq!(reply.status, BindStatus::Challenge);
    }

    #[test]
    fn after_a_move_the_place_before_it_that_was_proved_is_still_heard() {
        let mut world = World::new();
        let before = |world: &World| match world.pair.forward(PathId::from_bytes([1; 16])) {
            ForwardEvent::Set { lower, .. } => {
                lower.unwrap().before.map(|(leg, until)| (leg.remote.port(), until))
            }
            ForwardEvent::Remove { .. } => panic!("a pair is set"),
        };
        world.bind_and_prove(1, Side::Lower, 5);
        assert_eq!(before(&world), None);
        world.bind(2, &bind(Side::Lower, 6, None, b""));
        assert_eq!(before(&world), Some((1, world.now + OVERLAP)));
        // One that was never proved does not displace it.
        world.bind(3, &bind(Side::Lower, 7, None, b""));
        assert_eq!(before(&world), Some((1, world.now + OVERLAP)));
    }

    #[test]
    fn the_same_epoch_from_elsewhere_moves_nothing_without_proof() {
        let mut world = World::new();
        world.bind_and_prove(1, Side::Lower, 5);
        let reply = world.bind(9, &bind(Side::Lower, 5, None, b""));
        assert_eq!(reply.status, BindStatus::Challenge);
        assert_eq!(world.ends()[0], Some((1, None)));
        let forged = world.bind(9, &bind(Side::Lower, 5, Some([1; 8]), b""));
        assert_eq!(forged.status, BindStatus::Challenge);
        assert_eq!(world.ends()[0], Some((1, None)));
        let proof = world.bind(9, &bind(Side::Lower, 5, reply.challenge, b""));
        assert_eq!(proof.status, BindStatus::Bound);
        assert_eq!(world.ends()[0], Some((9, None)));
    }

    #[test]
    fn a_repeated_bind_does_not_spoil_the_proof_under_way() {
        let mut world = World::new();
        let first = bind(Side::Lower, 5, None, b"");
        let reply = world.bind(1, &first);
        assert_eq!(world.bind(9, &first).status, BindStatus::Challenge);
        let proof = world.bind(1, &bind(Side::Lower, 5, reply.challenge, b""));
        assert_eq!(proof.status, BindStatus::Bound);
        assert_eq!(world.ends()[0], Some((1, None)));
        assert_eq!(world.bind(9, &first).status, BindStatus::Challenge);
        assert_eq!(world.ends()[0], Some((1, None)));
    }

    #[test]
    fn what_binds_carry_to_an_unproved_end_is_bounded_too() {
        let mut world = World::new();
        world.bind_and_prove(1, Side::Lower, 5);
        let carrying = bind(Side::Lower, 5, None, &[7; 150]);
        assert!(world.bind(1, &carrying).deliver.is_empty(), "nobody is there yet");
        let reply = world.bind(2, &bind(Side::Higher, 7, None, b""));
        assert_eq!(reply.deliver.len(), 1, "150 bytes for 200");
        for _ in 0..10 {
            assert!(world.bind(1, &carrying).deliver.is_empty(), "and no more");
        }
        world.bind(2, &bind(Side::Higher, 7, reply.challenge, b""));
        assert_eq!(world.bind(1, &carrying).deliver.len(), 1, "it is proved");
        let long = bind(Side::Lower, 6, None, &[7; 1500]);
        let mut fresh = World::new();
        fresh.bind(1, &long);
        assert!(fresh.bind(2, &bind(Side::Higher, 7, None, b"")).deliver.is_empty());
    }

    #[test]
    fn a_pair_ends_when_nobody_refreshes_it() {
        let mut world = World::new();
        world.bind_and_prove(1, Side::Lower, 5);
        world.now += Duration::from_secs(200);
        world.bind(1, &bind(Side::Lower, 5, None, b""));
        assert_eq!(world.pair.expires(), Time::ZERO + Duration::from_secs(200) + IDLE);
    }

    #[test]
    fn an_expired_ticket_keeps_a_pair_going_for_a_day() {
        let mut world = World::new();
        world.bind_and_prove(1, Side::Lower, 5);
        let mut again = |after| {
            let now = Time::ZERO + after;
            let bind = bind(Side::Lower, 5, None, b"");
            world.pair.bind(now, &leg(1), &bind, 200, true, &mut world.rng).status
        };
        assert_eq!(again(LONGEST - Duration::from_secs(1)), BindStatus::Bound);
        assert_eq!(again(LONGEST), BindStatus::Expired);
    }

    #[test]
    fn a_used_up_quota_is_renewed_by_a_fresh_ticket_only() {
        let mut world = World::new();
        world.bind_and_prove(1, Side::Lower, 5);
        world.pair.exhaust();
        assert_eq!(world.bind(1, &bind(Side::Lower, 5, None, b"")).status, BindStatus::Quota);
        let fresh = Bind { ticket: ticket(2), ..bind(Side::Lower, 5, None, b"") };
        assert_eq!(world.bind(1, &fresh).status, BindStatus::Bound);
    }
}
