use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ntm_core::Time;

use crate::host::{CAPSULE, Who};

/// To a place that has not shown that it receives, so many times what came from
/// it may be sent.
const FACTOR: u64 = 3;
/// A move earns credit this often.
const CREDIT_EVERY: Duration = Duration::from_secs(30);
/// A rate is what was sent within this time,
const RATE_OF: Duration = Duration::from_millis(200);
/// of which the busier half counts.
const RATE_HALF: Duration = Duration::from_millis(100);

/// What everybody has sent where, kept without asking the machines: a place
/// counts as proved to somebody when a datagram comes from there that was sent
/// after something of his had arrived there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    /// Who, there, has received something from there.
    heard: BTreeSet<(IpAddr, SocketAddr)>,
    proved: BTreeSet<(Who, SocketAddr)>,
    accounts: BTreeMap<(Who, SocketAddr), Account>,
    /// What each terminal has sent in capsules of late.
    recent: BTreeMap<Who, Vec<(Time, u64)>>,
    credited: BTreeMap<Who, Time>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Account {
    received: u64,
    sent: u64,
    credit: u64,
}

impl Ledger {
    /// Whether somebody at `from` has received something from `to`.
    pub(crate) fn has_heard(&self, from: IpAddr, to: SocketAddr) -> bool {
        self.heard.contains(&(from, to))
    }

    /// A datagram arrives; `answers`: its sender had received something from this
    /// place before.
    pub(crate) fn arrived(
        &mut self,
        who: Who,
        ip: IpAddr,
        from: SocketAddr,
        bytes: usize,
        answers: bool,
    ) {
        self.heard.insert((ip, from));
        if answers {
            self.proved.insert((who, from));
            self.accounts.remove(&(who, from));
        }
        if !self.proved.contains(&(who, from)) {
            self.accounts.entry((who, from)).or_default().received += bytes as u64;
        }
    }

    /// A terminal earns credit for what it sends there, because its peer moved.
    pub(crate) fn credit(&mut self, now: Time, who: Who, to: SocketAddr, rtt: Duration) {
        if self.credited.get(&who).is_some_and(|at| now.since(*at) < CREDIT_EVERY) {
            return;
        }
        self.credited.insert(who, now);
        let recent = self.recent.get(&who).map_or(&[][..], Vec::as_slice);
        let sent: u64 = recent.iter().map(|(_, bytes)| bytes).sum();
        let share = u128::from(sent) * rtt.as_nanos() / RATE_HALF.as_nanos();
        self.accounts.entry((who, to)).or_default().credit +=
            u64::try_from(share).unwrap_or(u64::MAX);
    }

    /// A datagram leaves; whether it was allowed. Bounded are capsules of
    /// terminals, what a relay hands on, and all that a coordinator says.
    pub(crate) fn departs(
        &mut self,
        now: Time,
        who: Who,
        to: SocketAddr,
        name: &str,
        bytes: usize,
    ) -> bool {
        let is_bounded = match who {
            Who::Mn | Who::Cn => name == CAPSULE,
            Who::Dc => true,
            Who::Rs => matches!(name, "forwarded" | "Forwarded"),
        };
        if !is_bounded {
            return true;
        }
        if name == CAPSULE {
            let recent = self.recent.entry(who).or_default();
            recent.retain(|(at, _)| now.since(*at) < RATE_OF);
            recent.push((now, bytes as u64));
        }
        if self.proved.contains(&(who, to)) {
            return true;
        }
        let account = self.accounts.entry((who, to)).or_default();
        account.sent += bytes as u64;
        account.sent <= FACTOR * account.received + account.credit
    }
}
