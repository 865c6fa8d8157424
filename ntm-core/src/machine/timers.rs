use std::collections::{BTreeMap, BTreeSet};

use crate::Time;

/// Deadlines, at most one for each reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Timers<K: Ord> {
    by_time: BTreeSet<(Time, K)>,
    by_reason: BTreeMap<K, Time>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_reason: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Moves the deadline for `reason`, or takes it away.
    pub(crate) fn set(&mut self, reason: K, at: Option<Time>) {
        let before = match at {
            Some(at) => self.by_reason.insert(reason, at),
            None => self.by_reason.remove(&reason),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, reason));
        }
        if let Some(at) = at {
            self.by_time.insert((at, reason));
        }
    }

    /// Whether there is a deadline for `reason`.
    pub(crate) fn is_set(&self, reason: &K) -> bool {
        self.by_reason.contains_key(reason)
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<(Time, K)> {
        self.by_time.first().copied()
    }

    /// Takes one deadline that has come.
    pub(crate) fn expired(&mut self, now: Time) -> Option<K> {
        let (at, reason) = self.next()?;
        (at <= now).then(|| {
            self.set(reason, None);
            reason
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_earliest_comes_first_and_once() {
        let at = |ms| Time::ZERO + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set('a', Some(at(5)));
        timers.set('b', Some(at(3)));
        timers.set('a', Some(at(4)));
        timers.set('c', Some(at(1)));
        timers.set('c', None);
        assert_eq!(timers.next(), Some((at(3), 'b')));
        assert_eq!(timers.expired(at(2)), None);
        assert_eq!(timers.expired(at(9)), Some('b'));
        assert_eq!(timers.expired(at(9)), Some('a'));
        assert_eq!(timers.expired(at(9)), None);
        assert_eq!(timers, Timers::default());
    }
}
