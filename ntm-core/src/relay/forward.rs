use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::address::Leg;
use crate::id::{PathId, Side};
use crate::tunnel::KeyedHash;
use crate::tunnel::publish::{Publisher, Reader, Taken};
use crate::wire::Envelope;
use crate::{Rng, Time};

/// What the relay tells the owner of the forwarding table to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "almost all are of the largest kind")]
pub enum ForwardEvent {
    /// Forward this path between these ends from now on.
    Set {
        /// The path.
        path: PathId,
        /// The end with the lower virtual address, if it is bound.
        lower: Option<BoundEnd>,
        /// The other end, if it is bound.
        higher: Option<BoundEnd>,
        /// How much.
        limits: Limits,
    },
    /// Forward this path no longer.
    Remove {
        /// The path.
        path: PathId,
    },
}

/// Where an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BoundEnd {
    /// The way to it.
    pub leg: Leg,
    /// Bytes that may be sent there before it has proved its address; `None`:
    /// it has.
    pub budget: Option<u64>,
    /// Where it was before it moved, and until when what comes from there is still
    /// taken for its own.
    pub before: Option<(Leg, Time)>,
}

/// What a ticket allows; 0: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Which ticket: a new one starts a new count.
    pub serial: u64,
    /// Bytes per second.
    pub rate: u64,
    /// Bytes in all.
    pub quota: u64,
}

/// The forwarding table's writing end.
#[derive(Debug)]
pub struct ForwardTable(Publisher<Forwards>);

/// A packet worker's view of the forwarding table.
#[derive(Clone, Debug)]
pub struct Forwarder(Reader<Forwards>);

/// All relayed paths at one moment.
#[derive(Clone, Debug)]
pub struct Forwards(HashMap<PathId, Arc<Forward>, KeyedHash>);

#[derive(Debug)]
struct Forward {
    lower: Option<End>,
    higher: Option<End>,
    meter: Arc<Meter>,
}

#[derive(Debug)]
struct End {
    leg: Leg,
    budget: Option<Budget>,
    before: Option<(Leg, Time)>,
}

/// What may still be sent to an end that has not proved its address.
#[derive(Debug)]
struct Budget {
    left: Arc<AtomicI64>,
    /// What the relay has granted in all.
    granted: u64,
}

/// What a pair has used of its ticket.
#[derive(Debug)]
struct Meter {
    limits: Limits,
    used: AtomicU64,
    packets: AtomicU64,
    /// Token bucket of the rate: tokens, and up to when they were earned.
    tokens: AtomicI64,
    counted: AtomicU64,
}

/// What to do with a datagram that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not ours to forward.
    NotRelayed,
    /// Send it there, as it is.
    To(Leg),
    /// Drop it: over a limit, or the other end is not bound.
    Drop,
    /// Drop it, and tell the relay that the pair's quota is used up.
    Exhausted,
}

impl ForwardTable {
    /// An empty table.
    pub fn new(rng: &mut Rng) -> Self {
        Self(Publisher::new(Forwards(HashMap::with_hasher(KeyedHash::new(rng)))))
    }

    /// A view for a packet worker.
    pub fn reader(&self) -> Forwarder {
        Forwarder(self.0.reader())
    }

    /// Does what the relay says.
    pub fn apply(&mut self, now: Time, event: &ForwardEvent) {
        let mut forwards = self.0.current().clone();
        match event {
            ForwardEvent::Set { path, lower, higher, limits } => {
                let before = forwards.0.get(path);
                let meter = match before.filter(|before| before.meter.limits == *limits) {
                    Some(before) => before.meter.clone(),
                    None => Arc::new(Meter::new(now, *limits)),
                };
                let end = |bound: &Option<BoundEnd>, before: Option<&End>| {
                    bound.as_ref().map(|bound| End::new(bound, before))
                };
                let lower = end(lower, before.and_then(|before| before.lower.as_ref()));
                let higher = end(higher, before.and_then(|before| before.higher.as_ref()));
                let forward = Forward { lower, higher, meter };
                forwards.0.insert(*path, Arc::new(forward));
            }
            ForwardEvent::Remove { path } => {
                forwards.0.remove(path);
            }
        }
        self.0.publish(forwards);
    }
}

impl Forwarder {
    /// All relayed paths as they are now: take it once a batch.
    pub fn take(&self) -> Taken<Forwards> {
        self.0.take()
    }
}

impl Forwards {
    /// Whether a datagram with this envelope, `bytes` long in all, that arrived
    /// by `from`, is to be forwarded, and where to. Only what comes from a bound
    /// end goes to the other one.
    pub fn verdict(&self, now: Time, from: &Leg, envelope: &Envelope, bytes: usize) -> Verdict {
        let mut verdict = Verdict::NotRelayed;
        self.verdicts(now, from, envelope, bytes, bytes, |_, it| verdict = it);
        verdict
    }

    /// The same for datagrams of one kind, side and path that arrived together:
    /// `bytes` in all, `stride` bytes each but for the last. `tell` gets
    /// what is to become of which bytes: in order, neighbours of one fate together.
    pub fn verdicts(
        &self,
        now: Time,
        from: &Leg,
        envelope: &Envelope,
        bytes: usize,
        stride: usize,
        mut tell: impl FnMut(Range<usize>, Verdict),
    ) {
        let Some(forward) = self.0.get(&PathId::from_bytes(envelope.id)) else {
            return tell(0..bytes, Verdict::NotRelayed);
        };
        let (own, other) = match envelope.side() {
            Side::Lower => (&forward.lower, &forward.higher),
            Side::Higher => (&forward.higher, &forward.lower),
        };
        let Some(own) = own.as_ref().filter(|own| own.is_at(now, from)) else {
            return tell(0..bytes, Verdict::NotRelayed);
        };
        if own.leg.same_remote(from) {
            own.earn(bytes as u64);
        }
        let Some(other) = other else { return tell(0..bytes, Verdict::Drop) };
        match forward.pass(now, other, bytes, bytes.div_ceil(stride.max(1))) {
            verdict @ (Verdict::Drop | Verdict::Exhausted) if stride < bytes => {
                let mut alike = (0..0, verdict);
                for start in (0..bytes).step_by(stride.max(1)) {
                    let end = bytes.min(start + stride);
                    let verdict = forward.pass(now, other, end - start, 1);
                    if verdict != alike.1 {
                        let (done, before) = std::mem::replace(&mut alike, (start..start, verdict));
                        if !done.is_empty() {
                            tell(done, before);
                        }
                    }
                    alike.0.end = end;
                }
                tell(alike.0, alike.1);
            }
            verdict @ (Verdict::To(_)
            | Verdict::NotRelayed
            | Verdict::Drop
            | Verdict::Exhausted) => {
                tell(0..bytes, verdict);
            }
        }
    }

    /// Whether this path is relayed.
    pub fn knows(&self, path: &PathId) -> bool {
        self.0.contains_key(path)
    }

    /// Packets and bytes forwarded for a path so far, under its present ticket.
    pub fn forwarded(&self, path: &PathId) -> Option<(u64, u64)> {
        let meter = &self.0.get(path)?.meter;
        Some((meter.packets.load(Ordering::Relaxed), meter.used.load(Ordering::Relaxed)))
    }

    /// How many paths there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Forward {
    /// What becomes of so many bytes towards an end, which are paid for.
    fn pass(&self, now: Time, other: &End, bytes: usize, packets: usize) -> Verdict {
        let bytes = bytes as u64;
        if self.meter.is_exhausted(bytes) {
            return Verdict::Exhausted;
        }
        if !other.spend(bytes) {
            return Verdict::Drop;
        }
        if !self.meter.is_within_rate(now, bytes) {
            other.refund(bytes);
            return Verdict::Drop;
        }
        self.meter.count(bytes, packets as u64);
        Verdict::To(other.leg)
    }
}

impl End {
    /// The same unproved end as before goes on with what it has left.
    fn new(bound: &BoundEnd, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.leg.same_remote(&bound.leg));
        let before = before.and_then(|before| before.budget.as_ref());
        let budget = bound.budget.map(|granted| {
            let (left, accounted) =
                before.map_or_else(Default::default, |b| (b.left.clone(), b.granted));
            let news = i64::try_from(granted.saturating_sub(accounted));
            left.fetch_add(news.unwrap_or(i64::MAX), Ordering::Relaxed);
            Budget { left, granted: granted.max(accounted) }
        });
        Self { leg: bound.leg, budget, before: bound.before }
    }

    /// Whether what comes from there is this end's.
    fn is_at(&self, now: Time, from: &Leg) -> bool {
        let was = self.before.is_some_and(|(leg, until)| now < until && leg.same_remote(from));
        was || self.leg.same_remote(from)
    }

    fn earn(&self, bytes: u64) {
        if let Some(budget) = &self.budget {
            let earned = i64::try_from(bytes.saturating_mul(crate::tunnel::AMPLIFICATION));
            budget.left.fetch_add(earned.unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }

    fn spend(&self, bytes: u64) -> bool {
        let Some(budget) = &self.budget else { return true };
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes).filter(|left| *left >= 0)
            })
            .is_ok()
    }

    /// Gives back what was spent on what does not go after all.
    fn refund(&self, bytes: u64) {
        if let Some(budget) = &self.budget {
            budget.left.fetch_add(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}

impl Meter {
    fn new(now: Time, limits: Limits) -> Self {
        Self {
            limits,
            used: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            tokens: AtomicI64::new(i64::try_from(limits.rate).unwrap_or(i64::MAX)),
            counted: AtomicU64::new(now.nanos()),
        }
    }

    fn count(&self, bytes: u64, packets: u64) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn is_exhausted(&self, bytes: u64) -> bool {
        self.limits.quota != 0
            && self.used.load(Ordering::Relaxed).saturating_add(bytes) > self.limits.quota
    }

    /// A bucket of one second's worth.
    fn is_within_rate(&self, now: Time, bytes: u64) -> bool {
        if self.limits.rate == 0 {
            return true;
        }
        let rate = i64::try_from(self.limits.rate).unwrap_or(i64::MAX);
        let earned = self.earned(now);
        let cost = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.tokens
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tokens| {
                let full = tokens.saturating_add(earned).min(rate);
                Some(if full >= cost { full - cost } else { full })
            })
            .is_ok_and(|before| before.saturating_add(earned).min(rate) >= cost)
    }

    /// Tokens of the time since they were last earned, for this caller alone. What
    /// is too short for a whole token is left for later.
    fn earned(&self, now: Time) -> i64 {
        const SECOND: u128 = 1_000_000_000;
        let rate = u128::from(self.limits.rate);
        let worth = |since: u64| u128::from(now.nanos().saturating_sub(since)) * rate / SECOND;
        let since = self.counted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |since| {
            let whole = worth(since);
            // No more than has passed, since it was rounded down before.
            let nanos = u64::try_from((whole * SECOND).div_ceil(rate)).unwrap_or(u64::MAX);
            (whole > 0).then(|| since.saturating_add(nanos))
        });
        since.map_or(0, |since| i64::try_from(worth(since)).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::address::TransportId;
    use crate::wire::Kind;

    const PATH: PathId = PathId::from_bytes([1; 16]);

    fn leg(port: u16) -> Leg {
        Leg::to(TransportId(0), ([203, 0, 113, 1], port).into())
    }

    fn end(port: u16, budget: Option<u64>) -> Option<BoundEnd> {
        Some(BoundEnd { leg: leg(port), budget, before: None })
    }

    fn table(lower: Option<BoundEnd>, higher: Option<BoundEnd>, limits: Limits) -> ForwardTable {
        let mut table = ForwardTable::new(&mut Rng::from_seed([0; 32]));
        table.apply(Time::ZERO, &ForwardEvent::Set { path: PATH, lower, higher, limits });
        table
    }

    fn verdict(table: &ForwardTable, at: Duration, from: u16, side: Side, bytes: usize) -> Verdict {
        let envelope = Envelope::new(Kind::Capsule, side, *PATH.as_bytes());
        table.reader().take().verdict(Time::ZERO + at, &leg(from), &envelope, bytes)
    }

    const FREE: Limits = Limits { serial: 1, rate: 0, quota: 0 };

    /// What becomes of a run of datagrams of 100 bytes: how many go, how many do not.
    fn run(table: &ForwardTable, datagrams: usize) -> (usize, usize) {
        let envelope = Envelope::new(Kind::Capsule, Side::Lower, *PATH.as_bytes());
        let (mut gone, mut dropped) = (0, 0);
        let forwards = table.reader().take();
        forwards.verdicts(
            Time::ZERO,
            &leg(1),
            &envelope,
            datagrams * 100,
            100,
            |bytes, verdict| match verdict {
                Verdict::To(to) => {
                    assert_eq!((to, bytes.start), (leg(2), gone * 100), "in order");
                    gone += bytes.len() / 100;
                }
                Verdict::Drop | Verdict::Exhausted => dropped += bytes.len() / 100,
                Verdict::NotRelayed => panic!("both are bound"),
            },
        );
        (gone, dropped)
    }

    #[test]
    fn of_a_run_goes_what_the_limits_allow() {
        let (lower, higher) = (end(1, None), end(2, None));
        let free = Limits { serial: 1, rate: 0, quota: 0 };
        let table_of = |higher, limits| table(lower, higher, limits);
        let unlimited = table_of(higher, free);
        assert_eq!(run(&unlimited, 45), (45, 0));
        assert_eq!(unlimited.reader().take().forwarded(&PATH), Some((45, 4500)));
        assert_eq!(run(&table_of(higher, Limits { rate: 1000, ..free }), 45), (10, 35));
        assert_eq!(run(&table_of(higher, Limits { quota: 2050, ..free }), 45), (20, 25));
        assert_eq!(run(&table_of(end(2, Some(350)), free), 45), (3, 42));
    }

    #[test]
    fn neighbours_of_one_fate_are_told_of_together() {
        let told = |limits| {
            let table = table(end(1, None), end(2, None), limits);
            let envelope = Envelope::new(Kind::Capsule, Side::Lower, *PATH.as_bytes());
            let mut told = Vec::new();
            let forwards = table.reader().take();
            forwards.verdicts(Time::ZERO, &leg(1), &envelope, 1050, 100, |bytes, verdict| {
                told.push((bytes, verdict));
            });
            told
        };
        let gone = Verdict::To(leg(2));
        assert_eq!(told(FREE), [(0..1050, gone)]);
        let quota = |quota| told(Limits { quota, ..FREE });
        assert_eq!(
            quota(450),
            [(0..400, gone), (400..1000, Verdict::Exhausted), (1000..1050, gone)]
        );
        assert_eq!(quota(99), [(0..1000, Verdict::Exhausted), (1000..1050, gone)]);
        assert_eq!(quota(30), [(0..1050, Verdict::Exhausted)]);
    }

    #[test]
    fn a_run_earns_its_sender_as_much_as_its_datagrams_would() {
        let limits = Limits { serial: 1, rate: 1000, quota: 0 };
        let table = table(end(1, Some(0)), end(2, None), limits);
        run(&table, 20);
        assert_eq!(verdict(&table, Duration::ZERO, 2, Side::Higher, 6001), Verdict::Drop);
        let later = Duration::from_secs(10);
        assert_eq!(verdict(&table, later, 2, Side::Higher, 1000), Verdict::To(leg(1)));
        let forwards = table.reader().take();
        let end = forwards.0[&PATH].lower.as_ref().unwrap();
        assert_eq!(end.budget.as_ref().unwrap().left.load(Ordering::Relaxed), 5000);
    }

    #[test]
    fn an_end_is_heard_from_where_it_was_for_a_while_and_earns_nothing_by_it() {
        let until = Time::ZERO + Duration::from_secs(5);
        let moved = end(1, Some(0)).map(|end| BoundEnd { before: Some((leg(3), until)), ..end });
        let table = table(moved, end(2, None), FREE);
        let second = Duration::from_secs(1);
        assert_eq!(verdict(&table, 4 * second, 3, Side::Lower, 100), Verdict::To(leg(2)));
        assert_eq!(verdict(&table, 4 * second, 2, Side::Higher, 1), Verdict::Drop);
        assert_eq!(verdict(&table, 5 * second, 3, Side::Lower, 100), Verdict::NotRelayed);
        assert_eq!(verdict(&table, 5 * second, 1, Side::Lower, 100), Verdict::To(leg(2)));
    }

    #[test]
    fn only_a_bound_end_is_forwarded_and_only_to_the_other() {
        let table = table(end(1, None), end(2, None), FREE);
        let at = Duration::ZERO;
        assert_eq!(verdict(&table, at, 1, Side::Lower, 100), Verdict::To(leg(2)));
        assert_eq!(verdict(&table, at, 2, Side::Higher, 100), Verdict::To(leg(1)));
        assert_eq!(verdict(&table, at, 2, Side::Lower, 100), Verdict::NotRelayed);
        assert_eq!(verdict(&table, at, 9, Side::Lower, 100), Verdict::NotRelayed);
        assert_eq!(table.reader().take().forwarded(&PATH), Some((2, 200)));
    }

    #[test]
    fn an_unproved_end_gets_three_times_what_it_sent() {
        let table = table(end(1, None), end(2, Some(300)), FREE);
        let at = Duration::ZERO;
        assert_eq!(verdict(&table, at, 1, Side::Lower, 300), Verdict::To(leg(2)));
        assert_eq!(verdict(&table, at, 1, Side::Lower, 1), Verdict::Drop);
        assert_eq!(verdict(&table, at, 2, Side::Higher, 50), Verdict::To(leg(1)));
        assert_eq!(verdict(&table, at, 1, Side::Lower, 150), Verdict::To(leg(2)));
        assert_eq!(verdict(&table, at, 1, Side::Lower, 1), Verdict::Drop);
    }

    #[test]
    fn a_bind_of_the_other_end_gives_an_unproved_one_no_second_budget() {
        let mut table = table(end(1, None), end(2, Some(300)), FREE);
        let at = Duration::ZERO;
        assert_eq!(verdict(&table, at, 1, Side::Lower, 300), Verdict::To(leg(2)));
        let mut set = |higher| {
            let lower = end(1, None);
            let set = ForwardEvent::Set { path: PATH, lower, higher, limits: FREE };
            table.apply(Time::ZERO, &set);
            (100..=600)
                .rev()
                .find(|bytes| verdict(&table, at, 1, Side::Lower, *bytes) == Verdict::To(leg(2)))
        };
        assert_eq!(set(end(2, Some(300))), None);
        assert_eq!(set(end(2, Some(500))), Some(200), "what its own Binds have earned since");
    }

    #[test]
    fn a_quota_is_the_ticket_s_and_outlives_a_move() {
        let limits = Limits { serial: 1, rate: 0, quota: 250 };
        let mut table = table(end(1, None), end(2, None), limits);
        let at = Duration::ZERO;
        assert_eq!(verdict(&table, at, 1, Side::Lower, 200), Verdict::To(leg(2)));
        let set = |limits| ForwardEvent::Set {
            path: PATH,
            lower: end(7, None),
            higher: end(2, None),
            limits,
        };
        table.apply(Time::ZERO, &set(limits));
        assert_eq!(verdict(&table, at, 7, Side::Lower, 100), Verdict::Exhausted);
        table.apply(Time::ZERO, &set(Limits { serial: 2, ..limits }));
        assert_eq!(verdict(&table, at, 7, Side::Lower, 100), Verdict::To(leg(2)));
    }

    #[test]
    fn the_rate_is_kept_over_time() {
        let table = table(end(1, None), end(2, None), Limits { rate: 1_000, ..FREE });
        let sent = (0..5_000)
            .filter(|ms| {
                let at = Duration::from_millis(*ms);
                verdict(&table, at, 1, Side::Lower, 10) == Verdict::To(leg(2))
            })
            .count();
        // Five seconds' worth and the bucket that was full at the start.
        assert!((590..=610).contains(&sent), "{sent}");
    }

    #[test]
    fn the_rate_is_earned_however_often_it_is_asked_for() {
        const RATE: u64 = 100_000;
        let table = table(end(1, None), end(2, None), Limits { rate: RATE, ..FREE });
        // Half a token's time each, and every other worker is late by more.
        let sent = (1..=200_000_u64)
            .filter(|asked| {
                let late = if asked % 2 == 0 { 25_000 } else { 0 };
                let at = Duration::from_nanos((asked * 5_000).saturating_sub(late));
                verdict(&table, at, 1, Side::Lower, 1000) == Verdict::To(leg(2))
            })
            .count();
        // A second's worth and the bucket that was full at the start.
        assert!((199..=200).contains(&sent), "{sent}");
    }

    #[test]
    fn what_does_not_go_costs_nothing() {
        let limits = Limits { rate: 10_000, ..FREE };
        let table_of = |budget| table(end(1, None), end(2, budget), limits);
        // 300 of 4500 bytes go: the pair's other end has the rest of the rate.
        let unproved = table_of(Some(350));
        assert_eq!(run(&unproved, 45), (3, 42));
        let at = Duration::ZERO;
        assert_eq!(verdict(&unproved, at, 2, Side::Higher, 9700), Verdict::To(leg(1)));
        // 10,000 of 20,000 go: the unproved end has the rest of its budget.
        let slow = table_of(Some(30_000));
        assert_eq!(run(&slow, 200), (100, 100));
        let later = Duration::from_secs(10);
        assert_eq!(verdict(&slow, later, 1, Side::Lower, 10_000), Verdict::To(leg(2)));
        let later = Duration::from_secs(20);
        assert_eq!(verdict(&slow, later, 1, Side::Lower, 10_000), Verdict::To(leg(2)));
    }

    #[test]
    fn what_is_removed_is_not_relayed() {
        let mut table = table(end(1, None), end(2, None), FREE);
        table.apply(Time::ZERO, &ForwardEvent::Remove { path: PATH });
        assert_eq!(verdict(&table, Duration::ZERO, 1, Side::Lower, 1), Verdict::NotRelayed);
        assert!(table.reader().take().is_empty());
    }
}
