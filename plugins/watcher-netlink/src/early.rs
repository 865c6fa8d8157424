use std::net::IpAddr;
use std::time::{Duration, Instant};

use ntm_core::plugin::PluginError;

use crate::event::Way;
use crate::query::Query;

/// IPv6 sources that the kernel has told of and does not take packets in for
/// yet. Its next news is the route that changes that, or none: so each has an
/// alarm.
#[derive(Debug, Default)]
pub(crate) struct Early(Vec<Source>);

#[derive(Debug)]
struct Source {
    ip: IpAddr,
    /// Since when we know of it.
    since: Instant,
    /// It has come of age, and that has been told.
    told: bool,
}

impl Early {
    /// Takes away the ways that begin at such a source; the sources that were
    /// looked at.
    pub(crate) fn check(
        &mut self,
        query: &mut Query,
        ways: &mut [Option<Way>],
    ) -> Result<Vec<IpAddr>, PluginError> {
        let mut seen: Vec<(IpAddr, bool)> = Vec::new();
        for slot in ways {
            let Some(source) = slot.map(|way| way.source).filter(IpAddr::is_ipv6) else { continue };
            let ready = match seen.iter().find(|(ip, _)| *ip == source) {
                Some((_, ready)) => *ready,
                None => {
                    let taken_in = query.is_taken_in(source)?;
                    let ready = self.judge(source, taken_in, Instant::now());
                    seen.push((source, ready));
                    ready
                }
            };
            slot.take_if(|_| !ready);
        }
        Ok(seen.into_iter().map(|(ip, _)| ip).collect())
    }

    /// Forgets the sources that this machine does not have any more.
    pub(crate) fn keep_only(&mut self, has: impl Fn(IpAddr) -> bool) {
        self.0.retain(|source| has(source.ip));
    }

    /// When the next source comes of age.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        self.0.iter().filter(|source| !source.told).map(|source| source.since + PATIENCE).min()
    }

    /// The alarm has gone off: those that are of age by now are told.
    pub(crate) fn tell(&mut self, now: Instant) {
        for source in &mut self.0 {
            source.told |= source.is_of_age(now);
        }
    }

    /// Whether this source may be used.
    pub(crate) fn judge(&mut self, ip: IpAddr, taken_in: bool, now: Instant) -> bool {
        let known = self.0.iter().position(|source| source.ip == ip);
        match (taken_in, known) {
            (true, Some(at)) => {
                self.0.remove(at);
                true
            }
            (true, None) => true,
            (false, Some(at)) => self.0[at].is_of_age(now),
            (false, None) => {
                self.0.push(Source { ip, since: now, told: false });
                false
            }
        }
    }
}

impl Source {
    fn is_of_age(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= PATIENCE
    }
}

/// Where routing is so peculiar that the kernel calls no address its own, nothing
/// is gained by waiting for longer than a lost answer would cost.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_used_when_it_is_taken_in_or_after_a_while() {
        let mut early = Early::default();
        let (one, two) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert!(early.judge(one, true, after(0)));
        assert!(!early.judge(two, false, after(0)));
        assert!(!early.judge(two, false, after(999)));
        assert!(early.judge(two, false, after(1000)));
        assert!(early.judge(two, true, after(1001)));
        assert!(!early.judge(two, false, after(1002)), "taken away and back: anew");
    }

    #[test]
    fn the_oldest_source_has_an_alarm_that_goes_off_once() {
        let mut early = Early::default();
        let (one, two) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(early.alarm(), None);
        early.judge(one, false, after(0));
        early.judge(two, false, after(300));
        assert_eq!(early.alarm(), Some(after(1000)));
        early.tell(after(1000));
        assert_eq!(early.alarm(), Some(after(1300)));
        early.tell(after(1300));
        assert_eq!(early.alarm(), None);
        assert!(early.judge(one, false, after(1301)), "and stays of age");
        early.judge(one, true, after(1302));
        early.judge(one, false, after(1400));
        assert_eq!(early.alarm(), Some(after(2400)), "anew");
    }

    #[test]
    fn only_a_source_that_is_gone_is_forgotten() {
        let mut early = Early::default();
        let (one, two) = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
        let start = Instant::now();
        early.judge(one, false, start);
        early.judge(two, false, start);
        early.keep_only(|ip| ip == one);
        let later = start + PATIENCE;
        assert!(early.judge(one, false, later));
        assert!(!early.judge(two, false, later));
    }
}
