use std::time::Duration;

use serde::Serialize;

use super::{Phases, Ways};
use crate::scenario::domain::Mode;

/// What the design allows, and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Budget {
    /// What is bounded.
    pub what: &'static str,
    /// In microseconds.
    pub limit_us: u64,
    /// In microseconds.
    pub measured_us: Option<u64>,
    /// Whether it is kept.
    pub kept: bool,
}

/// The budgets of the design for a path through the RS, as it is before each
/// move into the DC's network. `rtt` is between any two hosts.
pub(super) fn all(
    mode: Mode,
    rtt: Duration,
    medians: &Phases,
    p99s: &Phases,
    silence_ms: Ways<f64>,
) -> Vec<Budget> {
    let measured = |what, limit: Duration, measured_us: Option<u64>| {
        let limit_us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        let kept = measured_us.is_some_and(|measured| measured <= limit_us);
        Budget { what, limit_us, measured_us, kept }
    };
    let ms = Duration::from_millis;
    let mut budgets = vec![measured(
        "address change to first datagram, median",
        Duration::from_micros(500),
        medians.detected,
    )];
    if p99s.detected.is_some() {
        let what = "address change to first datagram, 99th percentile";
        budgets.push(measured(what, ms(3), p99s.detected));
    }
    let micros = |ms: f64| ms.is_finite().then_some((ms * 1e3) as u64);
    match mode {
        Mode::Seed => budgets.push(measured(
            "seed mode, tunnel rebuilt: 4 round trips + 5 ms",
            4 * rtt + ms(5),
            medians.rebuilt,
        )),
        Mode::Fast => budgets.extend([
            measured(
                "fast mode, RS sends to the new address: 1/2 round trip + 1 ms",
                rtt / 2 + ms(1),
                medians.relayed,
            ),
            measured(
                "fast mode, MN hears CN again: 1 round trip to the RS + 2 ms",
                rtt + ms(2),
                micros(silence_ms.down),
            ),
        ]),
    }
    budgets
}
