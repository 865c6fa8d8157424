//! What is made of arrivals.

use std::time::Duration;

use ntm_core::Time;
use ntm_lab::traffic::Flow;

use super::account::Account;
use super::ground::Moment;
use super::run::PACE;
use super::variant::Variant;

/// One tunnel in one variant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) moves: Vec<Moved>,
    /// The last move was not recovered from in time, and none followed.
    pub(crate) cut: bool,
}

/// Both streams of the probe.
pub(crate) struct Flows {
    pub(crate) started: Time,
    /// Between the ends.
    pub(crate) round_trip: Duration,
    pub(crate) to_mover: Flow,
    pub(crate) to_peer: Flow,
}

/// A move. In milliseconds, where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Moved {
    /// How long the change itself took: without an address, or with the old one.
    pub(crate) change: f64,
    /// The longest time without a packet, since the new address was usable: at the end
    /// that moved and at the other. Without an end, up to when it was given up.
    pub(crate) mover_silent: f64,
    /// The same of the other end; `None` if nothing is sent there.
    pub(crate) peer_silent: Option<f64>,
    /// Packets that never arrived.
    pub(crate) lost_to_mover: u64,
    pub(crate) lost_to_peer: u64,
    /// What the nodes say of it, of ours alone.
    pub(crate) account: Account,
}

impl Moved {
    /// What became of packets from a move to the next one, or to the end.
    pub(super) fn of(moment: &Moment, end: Time, variant: Variant, flows: &Flows) -> Self {
        let silent = |flow| millis(silence(flow, moment.usable, end));
        // What is under way when the old address goes is lost by the move as well.
        let [from, to] = [moment.begin, end].map(|at| earlier(at, flows.round_trip));
        let lost = |flow| lost(flow, flows.started, from, to);
        let both = variant.mover_sends();
        Self {
            change: millis(moment.usable.since(moment.begin)),
            mover_silent: silent(&flows.to_mover),
            peer_silent: both.then(|| silent(&flows.to_peer)),
            lost_to_mover: lost(&flows.to_mover),
            lost_to_peer: if both { lost(&flows.to_peer) } else { 0 },
            ..Self::default()
        }
    }
}

/// The longest time without an arrival between these moments.
fn silence(flow: &Flow, from: Time, to: Time) -> Duration {
    let arrivals = flow.arrivals.iter().map(|arrival| arrival.arrived);
    let mut last = from;
    let mut longest = Duration::ZERO;
    for at in arrivals.filter(|at| (from..to).contains(at)).chain([to]) {
        longest = longest.max(at.since(last));
        last = at;
    }
    longest
}

/// Packets that were sent between these moments, by the schedule, and did not arrive.
fn lost(flow: &Flow, started: Time, from: Time, to: Time) -> u64 {
    let number = |at: Time| (at.since(started).as_nanos() / PACE.as_nanos()) as u64;
    let range = number(from)..number(to).min(flow.sent);
    let mut arrived: Vec<_> =
        flow.arrivals.iter().map(|a| a.number).filter(|n| range.contains(n)).collect();
    arrived.sort_unstable();
    arrived.dedup();
    (range.end.saturating_sub(range.start)).saturating_sub(arrived.len() as u64)
}

fn earlier(at: Time, by: Duration) -> Time {
    Time::from_nanos(at.nanos().saturating_sub(by.as_nanos() as u64))
}

pub(super) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use ntm_lab::traffic::Arrival;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    fn flow(sent: u64, arrivals: &[(u64, u64)]) -> Flow {
        let arrival = |(number, ms): &(u64, u64)| Arrival {
            number: *number,
            sent: at(*number),
            arrived: at(*ms),
        };
        Flow {
            sent,
            received: 0,
            lost: 0,
            duplicates: 0,
            reordered: 0,
            longest_gap: Duration::ZERO,
            gap_start: at(0),
            arrivals: arrivals.iter().map(arrival).collect(),
        }
    }

    #[test]
    fn silence_counts_from_the_new_address_or_from_what_came_by_the_old_one() {
        let flow = flow(40, &[(1, 5), (2, 12), (20, 30), (21, 31), (35, 39)]);
        assert_eq!(silence(&flow, at(10), at(39)), Duration::from_millis(18));
        assert_eq!(silence(&flow, at(13), at(38)), Duration::from_millis(17));
        assert_eq!(silence(&flow, at(31), at(100)), Duration::from_millis(61), "never again");
    }

    #[test]
    fn what_is_lost_is_lost_by_the_move_in_whose_time_it_was_sent() {
        let flow = flow(40, &[(9, 14), (10, 15), (12, 17), (12, 18), (25, 31)]);
        assert_eq!(lost(&flow, at(0), at(10), at(15)), 3);
        assert_eq!(lost(&flow, at(0), at(30), at(90)), 10, "no more than were sent");
    }
}
