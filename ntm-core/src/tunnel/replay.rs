//! Nothing is accepted twice.

/// Whether a counter may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Higher than all before.
    Newest,
    /// Late, but within the window and not seen before.
    Late,
    /// Seen before, or too old to tell.
    Refused,
}

/// A sliding window over counters (RFC 6479 in spirit): remembers which of the
/// last `64 × (WORDS − 1)` up to the highest have been accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window<const WORDS: usize> {
    /// The lowest counter higher than all accepted.
    next: u64,
    /// Counter `n` is bit `n % 64` of word `n / 64 % WORDS`.
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Default for Window<WORDS> {
    fn default() -> Self {
        const { assert!(WORDS.is_power_of_two()) };
        Self { next: 0, seen: [0; WORDS] }
    }
}

impl<const WORDS: usize> Window<WORDS> {
    /// How far behind the highest a counter may be.
    pub const SPAN: u64 = 64 * (WORDS as u64 - if WORDS > 1 { 1 } else { 0 });

    /// Accepts `counter` unless it was accepted before or is too old. Call it
    /// only for what has authenticated.
    pub fn accept(&mut self, counter: u64) -> Replay {
        if WORDS == 1 {
            return self.accept_in_one_word(counter);
        }
        let Some(beyond) = counter.checked_add(1) else { return Replay::Refused };
        if beyond > self.next {
            self.clear_words(counter);
            self.next = beyond;
            self.set(counter);
            return Replay::Newest;
        }
        if self.next - counter > Self::SPAN || self.is_set(counter) {
            return Replay::Refused;
        }
        self.set(counter);
        Replay::Late
    }

    /// A window of exactly the last 64 counters: bit 0 of the word is the
    /// highest.
    fn accept_in_one_word(&mut self, counter: u64) -> Replay {
        let Some(beyond) = counter.checked_add(1) else { return Replay::Refused };
        if beyond > self.next {
            let shift = u32::try_from(beyond - self.next).unwrap_or(u32::MAX);
            self.seen[0] = self.seen[0].checked_shl(shift).unwrap_or(0) | 1;
            self.next = beyond;
            return Replay::Newest;
        }
        let age = self.next - beyond;
        if age >= 64 || self.seen[0] >> age & 1 == 1 {
            return Replay::Refused;
        }
        self.seen[0] |= 1 << age;
        Replay::Late
    }

    /// Empties the words that come into use when `counter` becomes the highest.
    fn clear_words(&mut self, counter: u64) {
        let (old, new) = (self.next / 64, counter / 64);
        // The word of `next` itself may hold lower counters, unless `next` is
        // the first of its word.
        let first = if self.next.is_multiple_of(64) { old } else { old + 1 };
        for word in first..=new.min(first.saturating_add(WORDS as u64 - 1)) {
            self.seen[word as usize % WORDS] = 0;
        }
    }

    fn set(&mut self, counter: u64) {
        self.seen[(counter / 64) as usize % WORDS] |= 1 << (counter % 64);
    }

    fn is_set(&self, counter: u64) -> bool {
        self.seen[(counter / 64) as usize % WORDS] >> (counter % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_counter_is_accepted_once() {
        let mut window = Window::<16>::default();
        assert_eq!(window.accept(5), Replay::Newest);
        assert_eq!(window.accept(5), Replay::Refused);
        assert_eq!(window.accept(4), Replay::Late);
        assert_eq!(window.accept(4), Replay::Refused);
        assert_eq!(window.accept(u64::MAX), Replay::Refused, "no counter follows it");
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut window = Window::<1024>::default();
        assert_eq!(window.accept(100_000), Replay::Newest);
        assert_eq!(window.accept(100_001 - Window::<1024>::SPAN), Replay::Late);
        assert_eq!(window.accept(100_000 - Window::<1024>::SPAN), Replay::Refused);
        assert_eq!(Window::<1024>::SPAN, 65_472);
        assert_eq!(Window::<1>::SPAN, 64);
    }

    /// The window agrees with a set of everything ever accepted.
    fn agrees_with_model<const WORDS: usize>(counters: &[u64]) {
        let mut window = Window::<WORDS>::default();
        let mut accepted = BTreeSet::new();
        for &counter in counters {
            let highest = accepted.last().copied();
            let expected = match highest {
                Some(high) if counter <= high => {
                    if high - counter >= Window::<WORDS>::SPAN || accepted.contains(&counter) {
                        Replay::Refused
                    } else {
                        Replay::Late
                    }
                }
                _ => Replay::Newest,
            };
            assert_eq!(window.accept(counter), expected, "{counter} after {highest:?}");
            if expected != Replay::Refused {
                accepted.insert(counter);
            }
        }
    }

    fn counters() -> impl Strategy<Value = Vec<u64>> {
        let step = prop_oneof![
            8 => -70_i64..70,
            2 => -1100_i64..1100,
            1 => -70_000_i64..70_000,
        ];
        proptest::collection::vec(step, 1..400).prop_map(|steps| {
            let mut at = 70_000_i64;
            steps
                .into_iter()
                .map(|step| {
                    at = (at + step).max(0);
                    at as u64
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn any_order_agrees_with_the_model(counters in counters()) {
            agrees_with_model::<1>(&counters);
            agrees_with_model::<2>(&counters);
            agrees_with_model::<16>(&counters);
            agrees_with_model::<1024>(&counters);
        }
    }
}
