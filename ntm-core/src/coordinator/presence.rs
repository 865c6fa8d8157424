use std::time::Duration;

use crate::address::{Candidate, Leg, Location, Observed};
use crate::id::Epoch;
use crate::wire::Token;
use crate::{Rng, Time};

/// An unproved location lapses to the last proved one after this.
const PROOF_WITHIN: Duration = Duration::from_secs(5);

/// Where a station is, on its own word and on ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Presence {
    pub(super) epoch: Epoch,
    pub(super) location: Location,
    /// Where its last registration came from: the way we speak to it.
    pub(super) leg: Leg,
    /// When the registration ends.
    pub(super) expires: Time,
    /// Challenges to the observed addresses that have not been returned.
    challenges: Vec<(Candidate, Token)>,
    /// Since when the location has been waiting for its proof.
    unproved: Option<Time>,
    /// The location proved last before this one; or, where that counts again, this one:
    /// its proof may only be late.
    before: Option<(Location, Leg)>,
}

/// What a registration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Older than what is known: nothing.
    Stale,
    /// The same place again.
    Nothing,
    /// Another place.
    Moved,
}

impl Presence {
    pub(super) fn new(
        now: Time,
        epoch: Epoch,
        claimed: Vec<Candidate>,
        observed: Candidate,
        leg: Leg,
    ) -> Self {
        let observed = vec![Observed { candidate: observed, proved: false }];
        Self {
            epoch,
            location: Location { claimed, observed },
            leg,
            expires: now,
            challenges: Vec::new(),
            unproved: Some(now),
            before: None,
        }
    }

    /// Takes in a registration: the newest epoch counts, and within it what was
    /// said last.
    pub(super) fn update(
        &mut self,
        now: Time,
        epoch: Epoch,
        claimed: Vec<Candidate>,
        observed: Candidate,
        leg: Leg,
    ) -> News {
        if epoch < self.epoch {
            return News::Stale;
        }
        let known = self.location.observed.iter().any(|seen| seen.candidate == observed);
        if epoch == self.epoch && known {
            self.before.take_if(|_| self.unproved.is_none());
            self.leg = leg;
            self.location.claimed = claimed;
            return News::Nothing;
        }
        let is_new_way = epoch == self.epoch
            && self.location.observed(observed.kind, observed.addr.is_ipv6()).is_none();
        if is_new_way {
            // The same registration, seen through the other family or another
            // transport as well; the one before may not work any more.
            self.leg = leg;
            self.location.observed.push(Observed { candidate: observed, proved: false });
            return News::Moved;
        }
        if self.is_proved() {
            self.before = Some((self.location.clone(), self.leg));
        }
        let mut fresh = Self::new(now, epoch, claimed, observed, leg);
        if epoch == self.epoch {
            // A NAT in between has changed its mind in this family only.
            let others = self.location.observed.iter();
            let others = others.filter(|seen| !seen.candidate.is_same_way(&observed));
            fresh.location.observed.extend(others);
        }
        fresh.before = self.before.take();
        fresh.expires = self.expires;
        *self = fresh;
        News::Moved
    }

    /// It has said something else from there: of the ways that it is known by, the
    /// one that it uses now.
    pub(super) fn heard(&mut self, observed: &Candidate, leg: Leg) {
        if self.location.observed.iter().any(|seen| seen.candidate == *observed) {
            self.leg = leg;
        }
    }

    /// Whether the station has proved that it receives where it registered from.
    pub(super) fn is_proved(&self) -> bool {
        self.location.observed.iter().any(|seen| seen.proved)
    }

    /// Whether the station has proved that it receives at this address.
    pub(super) fn is_proved_at(&self, observed: &Candidate) -> bool {
        self.location.observed.iter().any(|seen| seen.proved && seen.candidate == *observed)
    }

    /// Whether a NAT lies before it, as seen at this address.
    pub(super) fn is_natted(&self, observed: &Candidate) -> bool {
        !self.location.claims(observed)
    }

    /// The challenge for this address, unless it is proved.
    pub(super) fn challenge(&mut self, observed: &Candidate, rng: &mut Rng) -> Option<Token> {
        let seen = self.location.observed.iter().find(|seen| seen.candidate == *observed)?;
        if seen.proved {
            return None;
        }
        if let Some((_, token)) = self.challenges.iter().find(|(at, _)| at == observed) {
            return Some(*token);
        }
        let token = rng.bytes();
        self.challenges.retain(|(at, _)| !at.is_same_way(observed));
        self.challenges.push((*observed, token));
        Some(token)
    }

    /// A returned challenge proves the address it was sent to, if it comes from
    /// there; whether it does.
    pub(super) fn prove(&mut self, observed: &Candidate, token: &Token) -> bool {
        if !self.challenges.contains(&(*observed, *token)) {
            return false;
        }
        self.challenges.retain(|(at, _)| at != observed);
        let is_there =
            |location: &Location| location.observed.iter().any(|seen| seen.candidate == *observed);
        if self.unproved.is_none()
            && let Some((location, leg)) = self.before.take_if(|(lapsed, _)| is_there(lapsed))
        {
            (self.location, self.leg) = (location, leg);
        }
        if let Some(seen) =
            self.location.observed.iter_mut().find(|seen| seen.candidate == *observed)
        {
            seen.proved = true;
            self.unproved = None;
            self.before = None;
        }
        true
    }

    /// When the location lapses if it is not proved.
    pub(super) fn lapses(&self) -> Option<Time> {
        self.before.as_ref()?;
        self.unproved.map(|since| since + PROOF_WITHIN)
    }

    /// Goes back to the location proved last; the epoch stays, so that the
    /// station's next word counts whatever it is. A late proof does, too.
    pub(super) fn lapse(&mut self) {
        if let Some((location, leg)) = &mut self.before {
            std::mem::swap(&mut self.location, location);
            std::mem::swap(&mut self.leg, leg);
            self.unproved = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{TransportId, TransportKind};

    fn candidate(last: u8) -> Candidate {
        Candidate::udp(([203, 0, 113, last], 4330).into())
    }

    fn leg(last: u8) -> Leg {
        Leg::to(TransportId(0), candidate(last).addr)
    }

    fn at(last: u8, epoch: u64) -> Presence {
        Presence::new(Time::ZERO, Epoch(epoch), vec![candidate(last)], candidate(last), leg(last))
    }

    fn proved(mut presence: Presence) -> Presence {
        let observed = presence.location.observed[0].candidate;
        let token = presence.challenge(&observed, &mut Rng::from_seed([1; 32])).unwrap();
        presence.prove(&observed, &token);
        assert!(presence.is_proved());
        presence
    }

    fn moves(presence: &mut Presence, last: u8, epoch: u64) -> News {
        let now = Time::ZERO + Duration::from_secs(1);
        presence.update(now, Epoch(epoch), vec![candidate(last)], candidate(last), leg(last))
    }

    #[test]
    fn an_older_epoch_changes_nothing() {
        let mut presence = proved(at(1, 5));
        let before = presence.clone();
        assert_eq!(moves(&mut presence, 2, 4), News::Stale);
        assert_eq!(presence, before);
    }

    #[test]
    fn a_location_that_is_not_proved_lapses_to_the_one_before() {
        let mut presence = proved(at(1, 5));
        assert_eq!(moves(&mut presence, 2, 6), News::Moved);
        assert!(!presence.is_proved());
        assert_eq!(presence.lapses(), Some(Time::ZERO + Duration::from_secs(6)));
        presence.lapse();
        assert_eq!(presence.location.observed[0].candidate, candidate(1));
        assert!(presence.is_proved() && presence.lapses().is_none());
        assert_eq!((presence.leg, presence.epoch), (leg(1), Epoch(6)));
    }

    #[test]
    fn a_proof_that_is_late_counts_unless_the_station_is_back() {
        let mut presence = proved(at(1, 5));
        moves(&mut presence, 2, 6);
        let token = presence.challenge(&candidate(2), &mut Rng::from_seed([1; 32])).unwrap();
        presence.lapse();
        let mut back = presence.clone();
        assert!(presence.prove(&candidate(2), &token));
        assert!(presence.is_proved_at(&candidate(2)) && presence.lapses().is_none());
        assert_eq!((presence.leg, presence.epoch), (leg(2), Epoch(6)));
        // It has said since that it is where it was before.
        assert_eq!(moves(&mut back, 1, 6), News::Nothing);
        back.prove(&candidate(2), &token);
        assert!(back.is_proved_at(&candidate(1)));
        assert_eq!(back.leg, leg(1));
    }

    #[test]
    fn a_challenge_counts_only_from_the_address_it_was_sent_to() {
        let mut presence = at(1, 5);
        let token = presence.challenge(&candidate(1), &mut Rng::from_seed([1; 32])).unwrap();
        presence.prove(&candidate(2), &token);
        presence.prove(&candidate(1), &[0; 8]);
        assert!(!presence.is_proved());
        presence.prove(&candidate(1), &token);
        assert!(presence.is_proved() && presence.lapses().is_none());
        let v6 = Candidate::udp("[2001:db8::1]:4330".parse().unwrap());
        presence.update(Time::ZERO, Epoch(5), vec![v6], v6, leg(1));
        let token = presence.challenge(&v6, &mut Rng::from_seed([2; 32])).unwrap();
        presence.prove(&candidate(1), &token);
        assert!(!presence.is_proved_at(&v6), "the other family proves itself");
        let mut both = at(1, 5);
        both.update(Time::ZERO, Epoch(5), vec![v6], v6, leg(1));
        let token = both.challenge(&v6, &mut Rng::from_seed([3; 32])).unwrap();
        assert!(!both.prove(&candidate(1), &token) && !both.is_proved());
    }

    #[test]
    fn the_other_family_adds_to_the_same_registration() {
        let mut presence = proved(at(1, 5));
        let v6 = Candidate::udp("[2001:db8::1]:4330".parse().unwrap());
        let claimed = vec![candidate(1), v6];
        let news = presence.update(Time::ZERO, Epoch(5), claimed, v6, leg(1));
        assert_eq!(news, News::Moved);
        assert_eq!(presence.location.observed.len(), 2);
        assert!(presence.is_proved(), "the first family still is");
        assert_eq!(moves(&mut presence, 1, 5), News::Nothing);
    }

    #[test]
    fn another_transport_adds_to_the_same_registration_and_is_spoken_to_by() {
        let mut presence = proved(at(1, 5));
        let quic = Candidate { kind: TransportKind::QUIC, ..candidate(1) };
        let by_quic = Leg::to(TransportId(1), quic.addr);
        let news = presence.update(Time::ZERO, Epoch(5), vec![quic], quic, by_quic);
        assert_eq!((news, presence.leg), (News::Moved, by_quic), "UDP may be blocked by now");
        assert_eq!(presence.location.observed.len(), 2);
        presence.heard(&candidate(1), leg(1));
        assert_eq!(presence.leg, leg(1), "it uses UDP again");
        presence.heard(&candidate(2), leg(2));
        assert_eq!(presence.leg, leg(1), "not registered from there");
    }

    #[test]
    fn a_rebound_nat_replaces_only_its_own_family() {
        let mut presence = proved(at(1, 5));
        let v6 = Candidate::udp("[2001:db8::1]:4330".parse().unwrap());
        presence.update(Time::ZERO, Epoch(5), vec![], v6, leg(1));
        assert_eq!(moves(&mut presence, 7, 5), News::Moved);
        let seen: Vec<_> = presence.location.observed.iter().map(|seen| seen.candidate).collect();
        assert_eq!(seen, [candidate(7), v6]);
    }
}
