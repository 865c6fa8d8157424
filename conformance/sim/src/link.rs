use std::time::Duration;

use ntm_core::{Rng, Time};

/// How a host's datagrams fare between it and the middle of the network, each
/// direction for itself.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// One way.
    pub delay: Duration,
    /// Added at random, up to this; datagrams may overtake each other.
    pub jitter: Duration,
    /// Of a thousand datagrams, so many are lost.
    pub loss_permille: u32,
    /// Losses that come together.
    pub bursts: Option<Bursts>,
    /// Of a thousand datagrams, so many arrive twice.
    pub duplicate_permille: u32,
    /// Of a thousand datagrams, so many are held back,
    pub late_permille: u32,
    /// for this long, while others overtake them.
    pub late_by: Duration,
    /// Bytes per second; what waits longer than [`Link::QUEUE`] is lost.
    pub rate: Option<u64>,
    /// The largest IP packet in bytes. The host is told by its routes; what others
    /// send that is larger is lost without a word.
    pub mtu: u32,
}

/// Losses in bursts: the two states of Gilbert and Elliott, changed datagram by
/// datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// Of a thousand datagrams in good times, before so many a burst begins.
    pub begin_permille: u32,
    /// Of a thousand datagrams in a burst, after so many it ends.
    pub end_permille: u32,
    /// Of a thousand datagrams in a burst, so many are lost.
    pub loss_permille: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(100),
            jitter: Duration::ZERO,
            loss_permille: 0,
            bursts: None,
            duplicate_permille: 0,
            late_permille: 0,
            late_by: Duration::ZERO,
            rate: None,
            mtu: 1500,
        }
    }
}

impl Link {
    /// The longest that something waits for a link with a rate.
    pub const QUEUE: Duration = Duration::from_millis(200);
}

/// One direction of a link: what it remembers of the datagrams before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    in_burst: bool,
    free_at: Time,
}

impl Wire {
    /// Sends an IP packet at `at`; when it comes out, once, twice or never.
    pub(crate) fn pass(
        &mut self,
        link: &Link,
        at: Time,
        bytes: usize,
        rng: &mut Rng,
    ) -> impl Iterator<Item = Time> {
        let begins = self.free_at.max(at);
        let waited = begins.since(at);
        let fits = bytes <= link.mtu as usize && (link.rate.is_none() || waited <= Link::QUEUE);
        let mut leaves = at;
        if let Some(rate) = link.rate.filter(|_| fits) {
            let nanos = bytes as u64 * 1_000_000_000 / rate.max(1);
            leaves = begins + Duration::from_nanos(nanos);
            self.free_at = leaves;
        }
        let copies = if happens(rng, link.duplicate_permille) { 2 } else { 1 };
        let mut arrivals = [None; 2];
        for arrival in arrivals.iter_mut().take(copies) {
            if !fits || self.loses(link, rng) {
                continue;
            }
            let jitter = match u64::try_from(link.jitter.as_nanos()).unwrap_or(u64::MAX) {
                0 => Duration::ZERO,
                nanos => Duration::from_nanos(rng.number() % nanos),
            };
            let late = if happens(rng, link.late_permille) { link.late_by } else { Duration::ZERO };
            *arrival = Some(leaves + link.delay + jitter + late);
        }
        arrivals.into_iter().flatten()
    }

    fn loses(&mut self, link: &Link, rng: &mut Rng) -> bool {
        if let Some(bursts) = link.bursts {
            let turns = if self.in_burst { bursts.end_permille } else { bursts.begin_permille };
            self.in_burst ^= happens(rng, turns);
            if self.in_burst && happens(rng, bursts.loss_permille) {
                return true;
            }
        }
        happens(rng, link.loss_permille)
    }
}

fn happens(rng: &mut Rng, permille: u32) -> bool {
    permille > 0 && rng.number() % 1000 < u64::from(permille)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn send(link: &Link, count: u64, bytes: usize) -> Vec<Vec<Time>> {
        let mut rng = Rng::from_seed([7; 32]);
        let mut wire = Wire::default();
        let at = |n: u64| Time::ZERO + MS * n as u32;
        (0..count).map(|n| wire.pass(link, at(n), bytes, &mut rng).collect()).collect()
    }

    #[test]
    fn a_plain_link_only_delays() {
        let link = Link { delay: 5 * MS, ..Link::default() };
        for (n, arrivals) in send(&link, 10, 100).into_iter().enumerate() {
            assert_eq!(arrivals, [Time::ZERO + MS * n as u32 + 5 * MS]);
        }
    }

    #[test]
    fn losses_of_a_burst_come_together() {
        let bursts = Bursts { begin_permille: 10, end_permille: 100, loss_permille: 1000 };
        let link = Link { bursts: Some(bursts), ..Link::default() };
        let lost: Vec<bool> = send(&link, 20_000, 100).iter().map(Vec::is_empty).collect();
        let all = lost.iter().filter(|lost| **lost).count();
        let runs = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        // One in eleven is lost, in runs of ten.
        assert!((1_300..2_400).contains(&all), "{all}");
        assert!((6..15).contains(&(all / runs)), "{all} in {runs} runs");
    }

    #[test]
    fn duplicates_and_late_ones_come_as_often_as_asked() {
        let link = Link {
            duplicate_permille: 100,
            late_permille: 50,
            late_by: 30 * MS,
            ..Link::default()
        };
        let sent = send(&link, 10_000, 100);
        let twice = sent.iter().filter(|arrivals| arrivals.len() == 2).count();
        assert!((800..1_200).contains(&twice), "{twice}");
        let firsts: Vec<Time> = sent.iter().map(|arrivals| arrivals[0]).collect();
        let overtaken = firsts.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((350..650).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn a_narrow_link_queues_and_then_drops() {
        // Takes one datagram in ten milliseconds, and gets one a millisecond.
        let link = Link { rate: Some(100_000), ..Link::default() };
        let sent = send(&link, 1_000, 1_000);
        let arrived = sent.iter().filter(|arrivals| !arrivals.is_empty()).count();
        assert!((100..=125).contains(&arrived), "{arrived}");
        let gaps = sent.iter().flatten().collect::<Vec<_>>();
        assert!(gaps.windows(2).all(|pair| pair[1].since(*pair[0]) == 10 * MS));
    }

    #[test]
    fn what_is_too_large_does_not_arrive() {
        let link = Link { mtu: 1280, ..Link::default() };
        assert_eq!(send(&link, 1, 1280)[0].len(), 1);
        assert!(send(&link, 1, 1281)[0].is_empty());
    }
}
