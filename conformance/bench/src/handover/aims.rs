//! What is aimed at, and what came of it.

use super::figures::Moved;
use super::report::Row;
use super::variant::Variant;
use crate::stats::{median, quantile};

/// A bound on something of every move.
#[derive(Clone, Debug)]
pub(crate) struct Aim {
    pub(crate) what: String,
    pub(crate) limit: f64,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
    /// Which share of the moves has to keep it.
    share: f64,
}

impl Aim {
    /// What at most that share of the moves exceeds is at most the limit.
    pub(crate) fn is_met(&self) -> bool {
        self.judged().is_some_and(|value| value <= self.limit)
    }

    /// The value that decides.
    pub(crate) fn judged(&self) -> Option<f64> {
        match self.share {
            0.5 => median(&self.values),
            share => quantile(&self.values, share),
        }
    }

    /// How many moves kept it.
    pub(crate) fn kept(&self) -> usize {
        self.values.iter().filter(|value| **value <= self.limit).count()
    }
}

/// All that a run can tell of.
pub(crate) fn all(rows: &[Row]) -> Vec<Aim> {
    let mut aims = Vec::new();
    // While the old address is still there, nothing is done before the new one has answered.
    let at_once = |row: &&Row| row.tunnel == "ntm" && row.variant != Variant::Overlap;
    let ours = rows.iter().filter(at_once);
    let moves = |row: &Row| row.moves().to_vec();
    let acted: Vec<_> = ours.flat_map(moves).filter_map(|moved| moved.account.acted).collect();
    if !acted.is_empty() {
        for (share, limit, which) in [(0.5, 0.5, "median"), (0.99, 3.0, "99th percentile")] {
            let (what, values) = (format!("address change → acts, {which}"), acted.clone());
            aims.push(Aim { what, limit, unit: "ms", values, share });
        }
    }
    for row in rows {
        aims.extend(of_row(row));
    }
    aims
}

fn of_row(row: &Row) -> Vec<Aim> {
    let rtt = row.round_trip;
    let moves = row.moves();
    let aim = |what: &str, limit: f64, value: fn(&Moved) -> Option<f64>| {
        let what = format!("{:.0} ms, {}: {what}", rtt, row.variant.title());
        let values: Vec<_> = moves.iter().filter_map(value).collect();
        (!values.is_empty()).then_some(Aim { what, limit, unit: "ms", values, share: 0.5 })
    };
    // From the first datagram on: how long it takes to notice is an aim of its own.
    let silence = |moved: &Moved| Some(moved.mover_silent - moved.account.acted?);
    let all = match (row.tunnel, row.variant) {
        ("ntm-seed", Variant::Plain) => vec![aim(
            "seed mode, rebuilt (2 RTT(MN–DC) + RTT(DC–CN) + RTT(MN–CN) + 5 ms)",
            4.0 * rtt + 5.0,
            |moved| moved.account.rebuilt,
        )],
        ("ntm", Variant::Plain | Variant::Listening | Variant::Download) => vec![
            aim("the peer re-points (½ RTT + 1 ms)", rtt / 2.0 + 1.0, |m| m.account.repointed),
            aim("silence of the mover (RTT + 2 ms)", rtt + 2.0, silence),
        ],
        ("ntm", Variant::Lossy) => {
            vec![aim("silence of the mover (RTT + 22 ms)", rtt + 22.0, silence)]
        }
        ("ntm", Variant::Both) => {
            vec![aim("silence of either (2 RTT + 10 ms)", 2.0 * rtt + 10.0, |moved| {
                Some(moved.mover_silent.max(moved.peer_silent?))
            })]
        }
        ("ntm", Variant::Overlap) => {
            let lost = |moved: &Moved| Some((moved.lost_to_mover + moved.lost_to_peer) as f64);
            let none_lost = aim("packets lost", 0.0, lost);
            vec![none_lost.map(|aim| Aim { unit: "packets", share: 1.0, ..aim })]
        }
        _ => Vec::new(),
    };
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_by_the_share_that_it_is_about() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let aim = |limit, share| Aim {
            what: String::new(),
            limit,
            unit: "ms",
            values: values.clone(),
            share,
        };
        assert!(aim(51.0, 0.5).is_met() && !aim(50.0, 0.5).is_met());
        assert!(aim(99.0, 0.99).is_met() && !aim(98.0, 0.99).is_met());
        assert!(aim(100.0, 1.0).is_met() && !aim(99.0, 1.0).is_met());
        assert_eq!(aim(30.0, 0.5).kept(), 30);
        let nothing = Aim { values: Vec::new(), ..aim(1.0, 0.5) };
        assert!(!nothing.is_met(), "nothing was measured");
    }
}
