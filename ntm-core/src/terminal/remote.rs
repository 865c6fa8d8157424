use std::time::Duration;

use super::contest::Surprise;
use super::width::Width;
use crate::address::Leg;
use crate::id::Epoch;
use crate::machine::{Backoff, Rtt};
use crate::wire::{RelayId, Token};
use crate::{Rng, Time};

/// Ways known for one tunnel.
const MOST_REMOTES: usize = 12;

/// How long an address stays proved after it answered last.
pub(super) const VALIDITY: Duration = Duration::from_secs(60);

/// Unanswered challenges after which a way is not proved.
pub(super) const PROBES: u32 = 3;

/// Copies of a challenge that are told apart by their answers.
const MOST_TOLD_APART: usize = 16;

/// A way to the peer, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Remote {
    pub(super) leg: Leg,
    /// The relay that it goes through.
    pub(super) relay: Option<RelayId>,
    /// The peer's epoch for which the coordinator or the peer itself has named it, if
    /// it was not only seen.
    pub(super) named: Option<Epoch>,
    pub(super) confirmed: Option<Confirmed>,
    pub(super) probe: Option<Probe>,
    /// Packets came by it while another was in use.
    pub(super) surprise: Option<Surprise>,
    /// Bytes of authenticated control messages that came from there.
    pub(super) received: u64,
    pub(super) rtt: Rtt,
    pub(super) width: Width,
    /// When it was last heard from, or named to us.
    pub(super) noted: Time,
}

/// The peer has answered a challenge on this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Confirmed {
    pub(super) at: Time,
    /// The peer's epoch at that time.
    pub(super) peer: Epoch,
    /// Ours.
    pub(super) own: Epoch,
}

/// A challenge under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Probe {
    /// The token of the first copy. Those after it count up, so that an answer
    /// tells which one it is to: also where copies are lost, or overtaken by the
    /// next, the round trip is known.
    first: u64,
    /// When the copies were sent.
    sent: Vec<Time>,
    pub(super) backoff: Backoff,
    pub(super) why: Why,
}

/// What a challenge is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// Is this address real?
    Proof,
    /// Does the path still live?
    Liveness,
}

/// The ways known for a tunnel; at most one for each leg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Remotes(Vec<Remote>);

impl Remote {
    /// Whether it answered within the last 60 s.
    pub(super) fn is_proved(&self, now: Time) -> bool {
        self.confirmed.is_some_and(|confirmed| now.since(confirmed.at) < VALIDITY)
    }

    /// Whether it answered since both ends last moved.
    pub(super) fn is_current(&self, peer: Epoch, own: Epoch) -> bool {
        self.confirmed.is_some_and(|c| c.peer >= peer && c.own >= own)
    }

    /// Takes note that it was named as a way to the peer in this epoch.
    pub(super) fn name(&mut self, epoch: Epoch) {
        self.named = self.named.max(Some(epoch));
    }

    /// A challenge that is sent this way now; a copy of the one under way if there
    /// is one. Whether the path lives is asked at a pace of its own.
    pub(super) fn challenge(&mut self, now: Time, rng: &mut Rng, why: Why) -> Token {
        if why == Why::Liveness {
            self.probe.take_if(|probe| probe.why == Why::Proof);
        }
        let rtt = &self.rtt;
        let probe = self.probe.get_or_insert_with(|| Probe {
            first: rng.number(),
            sent: Vec::new(),
            backoff: match why {
                Why::Proof => Backoff::patient(now, rtt),
                Why::Liveness => Backoff::insistent(now, rtt),
            },
            why,
        });
        if probe.sent.len() < MOST_TOLD_APART {
            probe.sent.push(now);
        }
        probe.backoff.sent(now, rng);
        let nth = probe.sent.len() as u64 - 1;
        probe.first.wrapping_add(nth).to_be_bytes()
    }

    /// Takes the answer to our challenge, if it is that.
    pub(super) fn answered(&mut self, now: Time, token: &Token) -> bool {
        let nth = |probe: &Probe| u64::from_be_bytes(*token).wrapping_sub(probe.first);
        let is_ours = |probe: &mut Probe| nth(probe) < probe.sent.len() as u64;
        let Some(probe) = self.probe.take_if(is_ours) else { return false };
        let sent = usize::try_from(nth(&probe)).ok().and_then(|nth| probe.sent.get(nth));
        if let Some(sent) = sent.filter(|_| probe.backoff.copies() as usize == probe.sent.len()) {
            self.rtt.sample(now.since(*sent));
        }
        true
    }
}

impl Probe {
    /// Whether enough copies have stayed without an answer.
    pub(super) fn is_hopeless(&self) -> bool {
        let most = match self.why {
            Why::Proof => PROBES,
            Why::Liveness => Backoff::INSISTENT,
        };
        self.backoff.copies() >= most
    }
}

impl Remotes {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Remote> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Remote> {
        self.0.iter_mut()
    }

    pub(super) fn get(&self, leg: &Leg) -> Option<&Remote> {
        self.0.iter().find(|remote| remote.leg.same_remote(leg))
    }

    pub(super) fn get_mut(&mut self, leg: &Leg) -> Option<&mut Remote> {
        self.0.iter_mut().find(|remote| remote.leg.same_remote(leg))
    }

    /// The way, known from now on. `keep` is never forgotten to make room.
    pub(super) fn note(
        &mut self,
        now: Time,
        leg: &Leg,
        relay: Option<RelayId>,
        keep: Option<Leg>,
    ) -> &mut Remote {
        if let Some(at) = self.0.iter().position(|remote| remote.leg.same_remote(leg)) {
            let remote = &mut self.0[at];
            remote.noted = now;
            remote.relay = relay.or(remote.relay);
            return &mut self.0[at];
        }
        if self.0.len() >= MOST_REMOTES {
            self.forget_one(now, keep);
        }
        self.0.push(Remote {
            leg: leg.unpinned(),
            relay,
            named: None,
            confirmed: None,
            probe: None,
            surprise: None,
            received: 0,
            rtt: Rtt::default(),
            width: Width::default(),
            noted: now,
        });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    fn forget_one(&mut self, now: Time, keep: Option<Leg>) {
        let worth = |remote: &Remote| (remote.relay.is_some(), remote.is_proved(now), remote.noted);
        let least = (0..self.0.len())
            .filter(|at| !keep.is_some_and(|keep| keep.same_remote(&self.0[*at].leg)))
            .min_by_key(|at| worth(&self.0[*at]));
        if let Some(least) = least {
            self.0.remove(least);
        }
    }

    /// The way through a relay leads to another address of it from now on.
    pub(super) fn relocate(&mut self, from: &Leg, to: &Leg) {
        self.0.retain(|remote| !remote.leg.same_remote(to));
        if let Some(remote) = self.get_mut(from) {
            (remote.leg, remote.confirmed, remote.probe) = (to.unpinned(), None, None);
            remote.width = Width::default();
        }
    }

    /// Forgets the ways through a relay that is not granted any more.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Remote) -> bool) {
        self.0.retain(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::TransportId;

    fn leg(port: u16) -> Leg {
        Leg::to(TransportId(0), ([203, 0, 113, 1], port).into())
    }

    #[test]
    fn room_is_made_at_the_cost_of_the_oldest_unproved_way() {
        let mut remotes = Remotes::default();
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        for port in 1..=MOST_REMOTES as u16 {
            remotes.note(at(port.into()), &leg(port), None, None);
        }
        let proof = Confirmed { at: at(20), peer: Epoch(0), own: Epoch(0) };
        remotes.get_mut(&leg(1)).unwrap().confirmed = Some(proof);
        remotes.note(at(20), &leg(100), None, Some(leg(2)));
        assert!(remotes.get(&leg(1)).is_some(), "proved");
        assert!(remotes.get(&leg(2)).is_some(), "to be kept");
        assert!(remotes.get(&leg(3)).is_none(), "the oldest of the others");
        assert_eq!(remotes.iter().count(), MOST_REMOTES);
    }

    #[test]
    fn a_proof_lasts_a_minute_and_belongs_to_its_epochs() {
        let mut remotes = Remotes::default();
        let remote = remotes.note(Time::ZERO, &leg(1), None, None);
        assert!(!remote.is_proved(Time::ZERO));
        remote.confirmed = Some(Confirmed { at: Time::ZERO, peer: Epoch(5), own: Epoch(9) });
        assert!(remote.is_proved(Time::ZERO + Duration::from_secs(59)));
        assert!(!remote.is_proved(Time::ZERO + VALIDITY));
        assert!(remote.is_current(Epoch(5), Epoch(9)));
        assert!(!remote.is_current(Epoch(6), Epoch(9)));
        assert!(!remote.is_current(Epoch(5), Epoch(10)));
    }

    #[test]
    fn only_the_token_that_was_asked_for_is_an_answer() {
        let mut remotes = Remotes::default();
        let mut rng = Rng::from_seed([1; 32]);
        let remote = remotes.note(Time::ZERO, &leg(1), None, None);
        let token = remote.challenge(Time::ZERO, &mut rng, Why::Proof);
        assert!(!remote.answered(Time::ZERO, &[0; 8]));
        let later = Time::ZERO + Duration::from_millis(7);
        assert!(remote.answered(later, &token));
        assert_eq!(remote.rtt.smoothed(), Some(Duration::from_millis(7)));
        assert!(!remote.answered(later, &token), "once");
    }

    #[test]
    fn an_answer_tells_which_copy_it_is_to() {
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let mut rng = Rng::from_seed([1; 32]);
        for (answered, rtt) in [(0, 300), (1, 50)] {
            let mut remotes = Remotes::default();
            let remote = remotes.note(Time::ZERO, &leg(1), None, None);
            let tokens = [0, 250].map(|ms| remote.challenge(at(ms), &mut rng, Why::Proof));
            assert_ne!(tokens[0], tokens[1]);
            assert!(remote.answered(at(300), &tokens[answered]));
            assert_eq!(remote.rtt.smoothed(), Some(Duration::from_millis(rtt)));
        }
    }

    #[test]
    fn copies_beyond_those_told_apart_prove_and_measure_nothing() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut remotes = Remotes::default();
        let remote = remotes.note(Time::ZERO, &leg(1), None, None);
        let tokens: Vec<_> =
            (0..100).map(|_| remote.challenge(Time::ZERO, &mut rng, Why::Proof)).collect();
        assert!(remote.answered(Time::ZERO, &tokens[99]));
        assert_eq!(remote.rtt.smoothed(), None);
    }

    #[test]
    fn whether_a_path_lives_is_asked_anew_beside_the_question_for_proof() {
        let mut rng = Rng::from_seed([1; 32]);
        let mut remotes = Remotes::default();
        let remote = remotes.note(Time::ZERO, &leg(1), None, None);
        for _ in 0..2 {
            remote.challenge(Time::ZERO, &mut rng, Why::Proof);
        }
        remote.challenge(Time::ZERO, &mut rng, Why::Liveness);
        assert_eq!(remote.probe.as_ref().map(|probe| probe.backoff.copies()), Some(1));
    }
}
