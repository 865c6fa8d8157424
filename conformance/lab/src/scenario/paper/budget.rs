use std::time::Duration;

use serde::Serialize;

use super::{Options, Phases, Ways};
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

/// The budgets for this measurement. Before the move the path leads through the
/// RS, so that half of a round trip between MN and CN is one between two hosts.
pub(super) fn all(
    options: &Options,
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
    let micros = |ms: f64| (ms.is_finite()).then_some((ms * 1e3) as u64);
    match options.mode {
        Mode::Seed => budgets.push(measured(
            "seed mode, tunnel rebuilt: four round trips and 5 ms",
            4 * options.rtt + ms(5),
            medians.rebuilt,
        )),
        Mode::Fast => budgets.extend([
            measured(
                "fast mode, CN hears MN again: half a round trip between them (through the RS) and 1 ms",
                options.rtt + ms(1),
                micros(silence_ms.up),
            ),
            measured(
                "fast mode, MN hears CN again: one round trip to the RS and 2 ms",
                options.rtt + ms(2),
                micros(silence_ms.down),
            ),
        ]),
    }
    budgets
}
