use std::io::ErrorKind;
use std::time::Duration;

use ntm_core::Time;

/// Ways that failed one after the other, without anything heard from anybody: a
/// peer and the coordinator, a direct way and a relay.
const FAILURES: u32 = 2;
/// Nothing has been heard for this long, whatever the round trips.
const SILENT: Duration = Duration::from_secs(2);
/// Sends that failed one after the other, over at least [`SILENT`].
const ERRORS: u32 = 8;
/// A network that is away looks the same: no transport is rebuilt more often,
const REST: Duration = Duration::from_secs(60);
/// and less and less often while it does not help.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Notices transports that have fallen silent although their sends succeed, or
/// that take nothing any more.
#[derive(Debug, Default)]
pub(crate) struct Silence(Vec<Ear>);

#[derive(Debug)]
struct Ear {
    /// Datagrams heard so far,
    count: u64,
    /// and the first that was sent since there were more than before: one that nobody
    /// uses has nothing to hear.
    asked: Option<Time>,
    /// Ways that failed since.
    failures: u32,
    /// Sends that failed since one did not, and the first of them.
    errors: u32,
    failing: Time,
    /// When it was rebuilt, how long it is left alone then,
    rebuilt: Option<(Time, Duration)>,
    /// and whether it has heard anything since.
    helped: bool,
}

impl Silence {
    /// What each transport has heard so far, in their order.
    pub(crate) fn hear(&mut self, now: Time, counts: impl IntoIterator<Item = u64>) {
        for (at, count) in counts.into_iter().enumerate() {
            match self.0.get_mut(at) {
                None => self.0.push(Ear {
                    count,
                    asked: None,
                    failures: 0,
                    errors: 0,
                    failing: now,
                    rebuilt: None,
                    helped: false,
                }),
                Some(ear) if ear.count != count => {
                    (ear.count, ear.asked, ear.failures) = (count, None, 0);
                    ear.rebuilt = ear.rebuilt.map(|(at, _)| (at, REST));
                    ear.helped = true;
                }
                Some(_) => {}
            }
        }
    }

    /// Nobody answers on some way, although it was asked several times.
    pub(crate) fn note_failure(&mut self) {
        let asked = self.0.iter_mut().filter(|ear| ear.asked.is_some());
        asked.for_each(|ear| ear.failures += 1);
    }

    /// A transport has taken a datagram, or has not.
    pub(crate) fn note_sent(&mut self, now: Time, transport: usize, error: Option<ErrorKind>) {
        let Some(ear) = self.0.get_mut(transport) else { return };
        ear.asked.get_or_insert(now);
        // These are about the network and the destination, not about the socket.
        let is_socket = |kind: &ErrorKind| {
            !matches!(
                kind,
                ErrorKind::WouldBlock
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkDown
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::ConnectionRefused
                    | ErrorKind::PermissionDenied
                    | ErrorKind::InvalidInput
            )
        };
        match error.filter(is_socket) {
            None if error.is_none() => ear.errors = 0,
            None => {}
            Some(_) => {
                if ear.errors == 0 {
                    ear.failing = now;
                }
                ear.errors += 1;
            }
        }
    }

    /// The transports to rebuild now; they are taken for rebuilt.
    pub(crate) fn rebuild(&mut self, now: Time) -> Vec<usize> {
        let due = |ear: &mut Ear| {
            let unheard = ear.asked.is_some_and(|asked| now.since(asked) >= SILENT);
            let silent = ear.failures >= FAILURES && unheard;
            let refusing = ear.errors >= ERRORS && now.since(ear.failing) >= SILENT;
            let rests = ear.rebuilt.is_some_and(|(at, rest)| now.since(at) < rest);
            let is_due = (silent || refusing) && !rests;
            if is_due {
                let before = ear.rebuilt.filter(|_| !ear.helped);
                let rest = before.map_or(REST, |(_, rest)| (2 * rest).min(LONGEST_REST));
                (ear.rebuilt, ear.helped) = (Some((now, rest)), false);
                (ear.failures, ear.errors) = (0, 0);
            }
            is_due
        };
        let ears = self.0.iter_mut().enumerate();
        ears.filter_map(|(at, ear)| due(ear).then_some(at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn fails(silence: &mut Silence) {
        (0..FAILURES).for_each(|_| silence.note_failure());
    }

    #[test]
    fn one_that_hears_nothing_while_several_ways_fail_is_rebuilt_and_no_other() {
        let mut silence = Silence::default();
        silence.hear(at(0), [5, 7]);
        (0..2).for_each(|transport| silence.note_sent(at(0), transport, None));
        silence.note_failure();
        assert!(silence.rebuild(at(10)).is_empty(), "one way may be dead");
        silence.note_failure();
        silence.hear(at(10), [5, 8]);
        assert_eq!(silence.rebuild(at(10)), [0]);
    }

    #[test]
    fn while_it_does_not_help_it_is_done_less_and_less_often() {
        let mut silence = Silence::default();
        silence.hear(at(0), [0]);
        silence.note_sent(at(0), 0, None);
        let rebuilt = |silence: &mut Silence, seconds: std::ops::Range<u64>| -> Vec<u64> {
            seconds
                .filter(|second| {
                    fails(silence);
                    !silence.rebuild(at(*second)).is_empty()
                })
                .collect()
        };
        assert_eq!(rebuilt(&mut silence, 10..500), [10, 70, 190, 430]);
        silence.hear(at(500), [1]);
        silence.note_sent(at(500), 0, None);
        assert_eq!(rebuilt(&mut silence, 500..600), [502, 562], "it has helped once");
    }

    #[test]
    fn sends_that_fail_without_end_are_about_the_socket_unless_they_say_otherwise() {
        for (kind, rebuilds) in [(ErrorKind::BrokenPipe, true), (ErrorKind::HostUnreachable, false)]
        {
            let mut silence = Silence::default();
            silence.hear(at(0), [0]);
            for second in 0..10 {
                silence.note_sent(at(second), 0, Some(kind));
            }
            assert_eq!(!silence.rebuild(at(10)).is_empty(), rebuilds, "{kind:?}");
        }
        let mut silence = Silence::default();
        silence.hear(at(0), [0]);
        for second in 0..100 {
            let error = (second % 2 == 0).then_some(ErrorKind::BrokenPipe);
            silence.note_sent(at(second), 0, error);
        }
        assert!(silence.rebuild(at(100)).is_empty(), "every other one is taken");
    }

    #[test]
    fn a_transport_that_nobody_has_used_is_not_taken_for_silent() {
        let mut silence = Silence::default();
        silence.hear(at(0), [5, 0]);
        silence.note_sent(at(1), 0, None);
        fails(&mut silence);
        assert_eq!(silence.rebuild(at(10)), [0]);
        silence.note_sent(at(10), 1, None);
        fails(&mut silence);
        assert!(silence.rebuild(at(11)).is_empty(), "it may still be heard");
        assert_eq!(silence.rebuild(at(12)), [1]);
    }
}
