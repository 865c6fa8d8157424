//! What is under way of the route decision: pairs being directed, and messages
//! that wait for their acknowledgement. Each is found by what concerns it, so
//! that a move costs the same among few and among many.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::members::Station;
use super::relays::Relay;
use crate::Time;
use crate::id::{Epoch, PathId, PublicKey};
use crate::machine::Backoff;
use crate::wire::{Reason, RequestId, RouteDirection, SignalBody};

/// An answer is repeated on demand for this long.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Names an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ExchangeId(u64);

impl ExchangeId {
    const FIRST: Self = Self(0);
    const LAST: Self = Self(u64::MAX);
}

/// How to tell whether the ends of a pair, the initiator first, are where they were:
/// their epochs, and by how many addresses they are seen.
pub(super) type Places = [Option<(Epoch, usize)>; 2];

/// A pair being directed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    pub(super) path: PathId,
    pub(super) initiator: PublicKey,
    pub(super) responder: PublicKey,
    pub(super) reason: Reason,
    /// The initiator's own request, which the direction to it answers.
    pub(super) answers: Option<RequestId>,
    /// Where both ends were when the plan was asked for.
    pub(super) places: Places,
    /// The relays that the plan's numbers mean.
    pub(super) relays: Vec<Relay>,
    /// The direction for the initiator, waiting for the responder's Ack or kept
    /// for repetition.
    pub(super) for_initiator: Option<RouteDirection>,
    pub(super) answered: Option<Time>,
    pub(super) began: Time,
}

impl Exchange {
    fn over_at(&self) -> Time {
        self.answered.unwrap_or(self.began) + REMEMBERED
    }
}

/// The pairs being directed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Exchanges {
    by_id: BTreeMap<ExchangeId, Exchange>,
    of_path: BTreeSet<(PathId, ExchangeId)>,
    by_initiator: BTreeMap<PublicKey, Begun>,
    by_request: BTreeMap<(PublicKey, RequestId), ExchangeId>,
    by_end: BTreeSet<(Time, ExchangeId)>,
    next: u64,
}

/// How many one node has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Begun {
    /// Of which the other end has not acknowledged.
    pub(super) under_way: usize,
    /// Under way, or answered and remembered.
    pub(super) all: usize,
}

impl Exchanges {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: ExchangeId) -> Option<&Exchange> {
        self.by_id.get(&id)
    }

    /// Those of a pair, the oldest first.
    pub(super) fn of_path(&self, path: PathId) -> impl Iterator<Item = (ExchangeId, &Exchange)> {
        let range = (path, ExchangeId::FIRST)..=(path, ExchangeId::LAST);
        let ids = self.of_path.range(range).map(|(_, id)| *id);
        ids.filter_map(|id| Some((id, self.by_id.get(&id)?)))
    }

    /// How many a node has begun.
    pub(super) fn begun_by(&self, key: &PublicKey) -> Begun {
        self.by_initiator.get(key).copied().unwrap_or_default()
    }

    /// The one that answers this request of this node.
    pub(super) fn answering(&self, key: PublicKey, request: RequestId) -> Option<&Exchange> {
        self.by_id.get(self.by_request.get(&(key, request))?)
    }

    pub(super) fn add(&mut self, exchange: Exchange) -> ExchangeId {
        let id = ExchangeId(self.next);
        self.next += 1;
        self.of_path.insert((exchange.path, id));
        let begun = self.by_initiator.entry(exchange.initiator).or_default();
        begun.all += 1;
        begun.under_way += usize::from(exchange.answered.is_none());
        if let Some(request) = exchange.answers {
            self.by_request.insert((exchange.initiator, request), id);
        }
        self.by_end.insert((exchange.over_at(), id));
        self.by_id.insert(id, exchange);
        id
    }

    pub(super) fn remove(&mut self, id: ExchangeId) -> Option<Exchange> {
        let exchange = self.by_id.remove(&id)?;
        self.of_path.remove(&(exchange.path, id));
        if let Some(begun) = self.by_initiator.get_mut(&exchange.initiator) {
            begun.all -= 1;
            begun.under_way -= usize::from(exchange.answered.is_none());
            if begun.all == 0 {
                self.by_initiator.remove(&exchange.initiator);
            }
        }
        if let Some(request) = exchange.answers {
            self.by_request.remove(&(exchange.initiator, request));
        }
        self.by_end.remove(&(exchange.over_at(), id));
        Some(exchange)
    }

    /// What the initiator will be told, once the responder has acknowledged.
    pub(super) fn keep_for_initiator(&mut self, id: ExchangeId, direction: RouteDirection) {
        if let Some(exchange) = self.by_id.get_mut(&id) {
            exchange.for_initiator = Some(direction);
        }
    }

    /// The responder has acknowledged: the answer is remembered from now on.
    pub(super) fn answered(&mut self, now: Time, id: ExchangeId) -> Option<&Exchange> {
        let exchange = self.by_id.get_mut(&id)?;
        self.by_end.remove(&(exchange.over_at(), id));
        if exchange.answered.is_none()
            && let Some(begun) = self.by_initiator.get_mut(&exchange.initiator)
        {
            begun.under_way -= 1;
        }
        exchange.answered = Some(now);
        self.by_end.insert((exchange.over_at(), id));
        Some(exchange)
    }

    /// Forgets what has been remembered long enough.
    pub(super) fn forget_past(&mut self, now: Time) {
        while let Some((_, id)) = self.by_end.first().copied().filter(|(at, _)| *at <= now) {
            self.remove(id);
        }
    }

    /// Drops what concerns a node.
    pub(super) fn forget(&mut self, key: &PublicKey) {
        let concerned =
            |exchange: &Exchange| [exchange.initiator, exchange.responder].contains(key);
        let with_it: Vec<_> =
            self.by_id.iter().filter(|(_, e)| concerned(e)).map(|(id, _)| *id).collect();
        with_it.into_iter().for_each(|id| _ = self.remove(id));
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.by_end.first().map(|(at, _)| *at)
    }
}

/// A message that waits for its acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Unacknowledged {
    pub(super) to: Station,
    pub(super) body: SignalBody,
    pub(super) backoff: Backoff,
    /// The exchange that goes on when it is acknowledged.
    pub(super) then: Option<ExchangeId>,
    pub(super) path: PathId,
    /// It could not be said yet: the receiver has not proved where it is.
    pub(super) unsaid: bool,
}

/// The messages that wait for an acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Outstanding {
    by_id: BTreeMap<RequestId, Unacknowledged>,
    of_path: BTreeSet<(PathId, RequestId)>,
    of_station: BTreeSet<(Station, RequestId)>,
    by_due: BTreeSet<(Time, RequestId)>,
}

/// The lowest and the highest id.
fn all_ids() -> (RequestId, RequestId) {
    (RequestId::of_node(0), RequestId::of_coordinator(u64::MAX))
}

/// The ids of one key in an index.
fn of<K: Ord + Copy>(index: &BTreeSet<(K, RequestId)>, key: K) -> Vec<RequestId> {
    let (first, last) = all_ids();
    index.range((key, first)..=(key, last)).map(|(_, id)| *id).collect()
}

impl Outstanding {
    pub(super) fn get(&self, id: RequestId) -> Option<&Unacknowledged> {
        self.by_id.get(&id)
    }

    pub(super) fn add(&mut self, id: RequestId, waiting: Unacknowledged) {
        self.remove(id);
        self.of_path.insert((waiting.path, id));
        self.of_station.insert((waiting.to, id));
        self.by_due.insert((waiting.backoff.next(), id));
        self.by_id.insert(id, waiting);
    }

    pub(super) fn remove(&mut self, id: RequestId) -> Option<Unacknowledged> {
        let waiting = self.by_id.remove(&id)?;
        self.of_path.remove(&(waiting.path, id));
        self.of_station.remove(&(waiting.to, id));
        self.by_due.remove(&(waiting.backoff.next(), id));
        Some(waiting)
    }

    /// Changes a message, except for whom and what it concerns.
    pub(super) fn change<R>(
        &mut self,
        id: RequestId,
        change: impl FnOnce(&mut Unacknowledged) -> R,
    ) -> Option<R> {
        let waiting = self.by_id.get_mut(&id)?;
        self.by_due.remove(&(waiting.backoff.next(), id));
        let result = change(waiting);
        self.by_due.insert((waiting.backoff.next(), id));
        Some(result)
    }

    /// The messages about a pair.
    pub(super) fn of_path(&self, path: PathId) -> Vec<RequestId> {
        of(&self.of_path, path)
    }

    /// The messages for a station.
    pub(super) fn of_station(&self, station: Station) -> Vec<RequestId> {
        of(&self.of_station, station)
    }

    /// The messages to be said again now.
    pub(super) fn due(&self, now: Time) -> Vec<RequestId> {
        let due = self.by_due.range(..=(now, all_ids().1));
        due.map(|(_, id)| *id).collect()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.by_due.first().map(|(at, _)| *at)
    }
}
