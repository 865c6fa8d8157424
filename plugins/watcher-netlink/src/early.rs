use std::net::IpAddr;
use std::time::{Duration, Instant};

use ntm_core::plugin::PluginError;

use crate::event::Way;
use crate::query::Query;

/// IPv6 sources that the kernel has told of and does not take packets in for
/// yet, each since when we know. Its next news is the route that changes that.
#[derive(Debug, Default)]
pub(crate) struct Early(Vec<(IpAddr, Instant)>);

impl Early {
    /// Takes away the ways that begin at such a source.
    pub(crate) fn check(
        &mut self,
        query: &mut Query,
        ways: &mut [Option<Way>],
    ) -> Result<(), PluginError> {
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
        self.0.retain(|(early, _)| seen.iter().any(|(ip, _)| ip == early));
        Ok(())
    }

    /// Whether this source may be used.
    fn judge(&mut self, source: IpAddr, taken_in: bool, now: Instant) -> bool {
        let known = self.0.iter().position(|(ip, _)| *ip == source);
        match (taken_in, known) {
            (true, Some(at)) => {
                self.0.remove(at);
                true
            }
            (true, None) => true,
            (false, Some(at)) => now.duration_since(self.0[at].1) >= PATIENCE,
            (false, None) => {
                self.0.push((source, now));
                false
            }
        }
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
}
