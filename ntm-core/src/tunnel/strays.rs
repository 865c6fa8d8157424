//! Telling the senders of datagrams that belong to no session here.

use std::time::Duration;

use crate::Time;
use crate::wire::{Kind, UnknownSession};

/// Who goes on is told this often,
const EVERY: Duration = Duration::from_millis(250);
/// and so many different ones in that time.
const MOST: usize = 64;

/// Which senders have been told lately. A stranger gets less than he sends, and at
/// most some hundred notices a second are sent in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Strays(Vec<(Time, Kind, [u8; 16])>);

impl Strays {
    /// The answer to a datagram that belongs to no session, if it gets one.
    pub(crate) fn answer(&mut self, now: Time, datagram: &[u8]) -> Option<UnknownSession> {
        let notice = UnknownSession::to(datagram)?;
        let kind = Kind::of(datagram).ok()?;
        let told = self.0.iter_mut().find(|(_, of, id)| (*of, *id) == (kind, notice.id));
        if let Some((at, ..)) = told {
            let again = now.since(*at) >= EVERY;
            if again {
                *at = now;
            }
            return again.then_some(notice);
        }
        if self.0.len() == MOST {
            self.0.retain(|(at, ..)| now.since(*at) < EVERY);
        }
        (self.0.len() < MOST).then(|| self.0.push((now, kind, notice.id)))?;
        Some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Epoch, Side};
    use crate::wire::{Envelope, Header};

    fn datagram(kind: Kind, path: u8) -> Vec<u8> {
        let envelope = Envelope::new(kind, Side::Lower, [path; 16]);
        let mut datagram = Header::new(envelope, Epoch(1), 7).emit().to_vec();
        datagram.extend_from_slice(&[path; 16]);
        datagram
    }

    #[test]
    fn a_sender_is_told_at_once_and_then_four_times_a_second() {
        let mut strays = Strays::default();
        let told = (0..1000)
            .filter(|ms| {
                let now = Time::ZERO + Duration::from_millis(*ms);
                strays.answer(now, &datagram(Kind::Capsule, 1)).is_some()
            })
            .count();
        assert_eq!(told, 4);
        let now = Time::ZERO + Duration::from_secs(1);
        let notice = strays.answer(now, &datagram(Kind::Control, 1)).unwrap();
        assert_eq!((notice.id, notice.side, notice.seal), ([1; 16], Side::Higher, [1; 16]));
    }

    #[test]
    fn many_senders_get_few_notices_and_fill_nothing() {
        let mut strays = Strays::default();
        let told = (0..=u8::MAX)
            .filter(|path| strays.answer(Time::ZERO, &datagram(Kind::Capsule, *path)).is_some())
            .count();
        assert_eq!((told, strays.0.len()), (MOST, MOST));
        let later = Time::ZERO + EVERY;
        assert!(strays.answer(later, &datagram(Kind::Capsule, 200)).is_some(), "room again");
    }

    #[test]
    fn what_is_not_sealed_is_not_answered() {
        let mut strays = Strays::default();
        for kind in [Kind::Punch, Kind::UnknownSession, Kind::Handshake1, Kind::BindAck] {
            assert_eq!(strays.answer(Time::ZERO, &datagram(kind, 1)), None);
        }
    }
}
