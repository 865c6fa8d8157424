use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::crypto::{Secret, mac16, same};
use crate::wire::{CookieValue, NO_COOKIE};
use crate::{Rng, Time};

/// Handshakes a second without asking for a cookie: a tenth of one core.
const FREE_PER_SECOND: u32 = 1000;

/// Handshakes a second with a cookie: about half of one core.
const MOST_PER_SECOND: u32 = 5000;

/// A cookie is good for this long, and for as long again.
const LIFETIME: Duration = Duration::from_secs(120);

/// Decides whether a first handshake message is worth a key agreement. Under
/// load the sender has to show that it receives at its address first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Gate {
    secrets: [Secret; 2],
    renewed: Time,
    second: Time,
    taken: u32,
    rng: Rng,
}

/// What to do with a first handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Read it.
    Enter,
    /// Answer with this cookie and forget it.
    Ask(CookieValue),
    /// Forget it.
    Drop,
}

impl Gate {
    pub(crate) fn new(mut rng: Rng) -> Self {
        let secrets = [Secret::new(rng.bytes()), Secret::new(rng.bytes())];
        Self { secrets, renewed: Time::ZERO, second: Time::ZERO, taken: 0, rng }
    }

    pub(crate) fn admit(&mut self, now: Time, from: SocketAddr, cookie: &CookieValue) -> Admission {
        if now.since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.taken = 0;
        }
        if self.taken < FREE_PER_SECOND {
            self.taken += 1;
            return Admission::Enter;
        }
        self.renew(now);
        let genuine = *cookie != NO_COOKIE
            && self.secrets.iter().any(|secret| same(cookie, &cookie_for(secret, from)));
        if !genuine {
            return Admission::Ask(cookie_for(&self.secrets[0], from));
        }
        if self.taken < MOST_PER_SECOND {
            self.taken += 1;
            Admission::Enter
        } else {
            Admission::Drop
        }
    }

    fn renew(&mut self, now: Time) {
        let age = now.since(self.renewed);
        if age >= LIFETIME {
            let fresh = Secret::new(self.rng.bytes());
            let before =
                if age < 2 * LIFETIME { self.secrets[0] } else { Secret::new(self.rng.bytes()) };
            self.secrets = [fresh, before];
            self.renewed = now;
        }
    }
}

fn cookie_for(secret: &Secret, from: SocketAddr) -> CookieValue {
    let port = from.port().to_be_bytes();
    match from.ip() {
        IpAddr::V4(ip) => mac16(secret, &[b"ntm cookie v1", &port, &ip.octets()]),
        IpAddr::V6(ip) => mac16(secret, &[b"ntm cookie v1", &port, &ip.octets()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(last: u8) -> SocketAddr {
        ([203, 0, 113, last], 4330).into()
    }

    fn loaded(now: Time) -> Gate {
        let mut gate = Gate::new(Rng::from_seed([2; 32]));
        for _ in 0..FREE_PER_SECOND {
            assert_eq!(gate.admit(now, addr(9), &NO_COOKIE), Admission::Enter);
        }
        gate
    }

    fn asked(gate: &mut Gate, now: Time, from: SocketAddr) -> CookieValue {
        match gate.admit(now, from, &NO_COOKIE) {
            Admission::Ask(cookie) => cookie,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn under_load_a_cookie_is_asked_for_and_taken_from_its_address_alone() {
        let now = Time::ZERO + Duration::from_secs(1000);
        let mut gate = loaded(now);
        let cookie = asked(&mut gate, now, addr(1));
        assert_eq!(gate.admit(now, addr(1), &cookie), Admission::Enter);
        assert!(matches!(gate.admit(now, addr(2), &cookie), Admission::Ask(_)));
    }

    #[test]
    fn a_cookie_ages() {
        let start = Time::ZERO + Duration::from_secs(1000);
        let mut gate = loaded(start);
        let cookie = asked(&mut gate, start, addr(1));
        let admitted = |gate: &mut Gate, age| {
            let now = start + Duration::from_secs(age);
            for _ in 0..FREE_PER_SECOND {
                gate.admit(now, addr(9), &NO_COOKIE);
            }
            gate.admit(now, addr(1), &cookie) == Admission::Enter
        };
        assert!(admitted(&mut gate, 100));
        assert!(admitted(&mut gate, 200));
        assert!(!admitted(&mut gate, 500));
    }

    #[test]
    fn there_is_a_limit_even_with_cookies() {
        let now = Time::ZERO + Duration::from_secs(1000);
        let mut gate = loaded(now);
        let cookie = asked(&mut gate, now, addr(1));
        let entered = (0..2 * MOST_PER_SECOND)
            .filter(|_| gate.admit(now, addr(1), &cookie) == Admission::Enter)
            .count();
        assert_eq!(entered, (MOST_PER_SECOND - FREE_PER_SECOND) as usize);
        assert_eq!(gate.admit(now, addr(1), &cookie), Admission::Drop);
        let next = now + Duration::from_secs(1);
        assert_eq!(gate.admit(next, addr(1), &NO_COOKIE), Admission::Enter);
    }
}
