//! The highest pace without loss.

use ntm_lab::Result;

use super::flow::Outcome;

/// The share of packets that may be lost.
pub(crate) const TOLERATED: f64 = 0.001;
/// The slowest pace that is tried, in packets a second.
const SLOWEST: f64 = 500.0;
const FIRST: f64 = 8_000.0;

/// The highest pace, in packets a second, at which no more than [`TOLERATED`] is
/// lost, found within the `precision` (a ratio, such as 1.05); 0 if there is none.
/// A pace is given up when it has failed twice: a machine that is called away for a
/// moment loses packets too.
///
/// # Errors
/// As `try_at` returns.
pub(crate) fn loss_free(
    precision: f64,
    mut try_at: impl FnMut(f64) -> Result<Outcome>,
) -> Result<f64> {
    let mut attempt = |pace: f64| {
        for _ in 0..2 {
            let outcome = try_at(pace)?;
            if outcome.loss() <= TOLERATED {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    };
    let (mut good, mut bad) = (0.0, f64::INFINITY);
    let mut pace = FIRST;
    loop {
        match attempt(pace)? {
            // The sender itself cannot go faster, and nothing is lost.
            Some(outcome) if outcome.offered() < 0.9 * pace => {
                return Ok(outcome.offered().max(good));
            }
            Some(_) => good = pace,
            None => bad = pace,
        }
        pace = match (good > 0.0, bad.is_finite()) {
            (true, false) => good * 2.0,
            (false, _) if pace < 2.0 * SLOWEST => return Ok(0.0),
            (false, _) => bad / 4.0,
            (true, true) if bad / good <= precision => return Ok(good),
            (true, true) => (good * bad).sqrt(),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn found(limit: f64, sender: f64) -> f64 {
        let second = Duration::from_secs(1);
        let outcome = loss_free(1.05, |pace| {
            let sent = pace.min(sender);
            let received = sent.min(limit) as u64;
            Ok(Outcome { sent: sent as u64, received, sending: second, receiving: second })
        });
        outcome.expect("nothing here can fail")
    }

    #[test]
    fn the_limit_is_found_from_below() {
        for limit in [1_000.0, 7_999.0, 123_456.0, 2_000_000.0] {
            let rate = found(limit, f64::INFINITY);
            assert!(rate <= limit * (1.0 + TOLERATED) && rate * 1.06 >= limit, "{rate} of {limit}");
        }
    }

    #[test]
    fn a_sender_at_its_end_is_no_loss() {
        assert_eq!(found(f64::INFINITY, 100_000.0), 100_000.0);
    }

    #[test]
    fn a_way_that_loses_at_any_pace_has_no_such_rate() {
        assert_eq!(found(10.0, f64::INFINITY), 0.0);
    }

    #[test]
    fn one_bad_moment_is_forgiven() {
        let second = Duration::from_secs(1);
        let mut trials = 0;
        let rate = loss_free(1.05, |pace| {
            trials += 1;
            let lost = if trials == 2 { 100 } else { 0 };
            let sent = pace.min(64_000.0) as u64;
            Ok(Outcome { sent, received: sent - lost, sending: second, receiving: second })
        });
        assert_eq!(rate.expect("nothing here can fail"), 64_000.0);
    }
}
