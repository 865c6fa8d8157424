use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;
use crate::wire::seal_of;

/// What was sent is remembered this long,
const MEMORY: Duration = Duration::from_secs(10);
/// and no more of it.
const MOST: usize = 8;
/// A hint is followed this often.
const EVERY: Duration = Duration::from_secs(1);

/// The seals of what we said last, to see whether a notice that its session is
/// unknown comes from where it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spoken {
    recent: VecDeque<(Time, [u8; 16])>,
    followed: Option<Time>,
    doubted: Option<Time>,
}

/// What to make of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// It answers what we said.
    Ours,
    /// It may answer a capsule, whose seals nobody remembers.
    Perhaps,
    /// It comes too soon after the last one.
    Nothing,
}

impl Spoken {
    /// This is being sent.
    pub(crate) fn note(&mut self, now: Time, datagram: &[u8]) {
        if let Some(seal) = seal_of(datagram) {
            if self.recent.len() == MOST {
                self.recent.pop_front();
            }
            self.recent.push_back((now, seal));
        }
    }

    /// Somebody knows no session for what had this seal.
    pub(crate) fn hint(&mut self, now: Time, seal: &[u8; 16]) -> Hint {
        self.recent.retain(|(at, _)| now.since(*at) < MEMORY);
        let is_ours = self.recent.iter().any(|(_, ours)| ours == seal);
        let last = if is_ours { &mut self.followed } else { &mut self.doubted };
        if last.is_some_and(|at| now.since(at) < EVERY) {
            return Hint::Nothing;
        }
        *last = Some(now);
        if is_ours { Hint::Ours } else { Hint::Perhaps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(nth: u8) -> Vec<u8> {
        [[0; 28].as_slice(), &[nth; 16]].concat()
    }

    #[test]
    fn what_was_said_in_the_last_ten_seconds_is_known_again() {
        let mut spoken = Spoken::default();
        let at = |secs| Time::ZERO + Duration::from_secs(secs);
        spoken.note(at(0), &said(1));
        assert_eq!(spoken.hint(at(9), &[1; 16]), Hint::Ours);
        assert_eq!(spoken.hint(at(10), &[1; 16]), Hint::Perhaps);
        (2..20).for_each(|nth| spoken.note(at(11), &said(nth)));
        assert_eq!(spoken.recent.len(), MOST);
        assert_eq!(spoken.hint(at(12), &[19; 16]), Hint::Ours);
    }

    #[test]
    fn hints_of_either_kind_are_followed_once_a_second() {
        let mut spoken = Spoken::default();
        spoken.note(Time::ZERO, &said(1));
        let hints = [1, 1, 2, 2].map(|seal| spoken.hint(Time::ZERO, &[seal; 16]));
        assert_eq!(hints, [Hint::Ours, Hint::Nothing, Hint::Perhaps, Hint::Nothing]);
    }
}
