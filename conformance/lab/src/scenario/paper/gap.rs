//! The hole that a move leaves in a stream of numbered packets.

use ntm_core::Time;

use super::{Move, Ways};
use crate::traffic::{Arrival, Flow, Flows};

/// A hole.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Hole {
    /// Milliseconds without a packet.
    outage: f64,
    /// The same since the move's first datagram.
    silence: f64,
    /// Packets that never came.
    lost: u64,
}

/// Finds a move in the streams towards MN (`there`) and from it (`back`); the
/// next one begins at `end`.
pub(super) fn measure(one: &mut Move, flows: &Flows, end: Option<Time>) {
    let end = end.unwrap_or(Time::from_nanos(u64::MAX));
    let (left, sent) = (one.left, one.sent);
    // What reaches MN after its first datagram came by the new way; what MN sent
    // after it left did so too, while older packets may still be under way.
    let down = hole(&flows.there, left, sent, end, |arrival| arrival.arrived >= sent);
    let up = hole(&flows.back, left, sent, end, |arrival| arrival.sent >= left);
    one.outage_ms = Ways { down: down.outage, up: up.outage };
    one.silence_ms = Ways { down: down.silence, up: up.silence };
    one.lost = Ways { down: down.lost, up: up.lost };
}

fn hole(flow: &Flow, left: Time, sent: Time, end: Time, is_new: impl Fn(&Arrival) -> bool) -> Hole {
    let ms = |from: Time, to: Time| to.since(from).as_secs_f64() * 1e3;
    let arrivals = flow.arrivals.as_slice();
    let Some(at) = arrivals.iter().position(|arrival| arrival.sent < end && is_new(arrival)) else {
        return Hole { outage: f64::INFINITY, silence: f64::INFINITY, lost: flow.lost };
    };
    let first = arrivals[at];
    let last_old = arrivals[..at].iter().map(|arrival| arrival.arrived).max();
    let old = arrivals.iter().filter(|arrival| arrival.sent < left).map(|arrival| arrival.number);
    let begin = old.max().map_or(0, |number| number + 1);
    let mut numbers: Vec<u64> = arrivals
        .iter()
        .filter(|arrival| arrival.sent >= left && arrival.sent < end)
        .map(|arrival| arrival.number)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let expected = numbers.last().map_or(0, |last| (last + 1).saturating_sub(begin));
    Hole {
        outage: last_old.map_or(f64::INFINITY, |old| ms(old, first.arrived)),
        silence: ms(sent, first.arrived),
        lost: expected.saturating_sub(numbers.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    /// Number n is sent at n ms; these arrive, each at its moment.
    fn flow(arrivals: &[(u64, u64)]) -> Flow {
        let arrivals: Vec<_> = arrivals
            .iter()
            .map(|(number, ms)| Arrival { number: *number, sent: at(*number), arrived: at(*ms) })
            .collect();
        Flow {
            sent: 100,
            received: arrivals.len() as u64,
            lost: 100 - arrivals.len() as u64,
            duplicates: 0,
            reordered: 0,
            longest_gap: Duration::ZERO,
            gap_start: at(0),
            arrivals,
        }
    }

    #[test]
    fn a_hole_lies_between_the_last_packet_before_and_the_first_one_after() {
        // Left at 10, first datagram at 20; 9 was under way, 10 to 24 are lost.
        let flow = flow(&[(7, 12), (8, 13), (25, 30), (26, 31)]);
        let found = hole(&flow, at(10), at(20), at(1000), |arrival| arrival.arrived >= at(20));
        assert_eq!(found, Hole { outage: 17.0, silence: 10.0, lost: 16 });
    }

    #[test]
    fn a_packet_from_before_the_move_does_not_end_it() {
        let flow = flow(&[(8, 13), (9, 22), (21, 31)]);
        let found = hole(&flow, at(10), at(20), at(1000), |arrival| arrival.sent >= at(10));
        assert_eq!(found, Hole { outage: 9.0, silence: 11.0, lost: 11 });
    }

    #[test]
    fn the_next_move_is_not_counted() {
        let flow = flow(&[(8, 9), (21, 22), (23, 24), (60, 61)]);
        let found = hole(&flow, at(10), at(20), at(50), |arrival| arrival.sent >= at(10));
        assert_eq!(found.lost, 13);
    }

    #[test]
    fn without_a_packet_after_it_a_hole_has_no_end() {
        let found = hole(&flow(&[(8, 9)]), at(10), at(20), at(50), |_| false);
        assert!(found.outage.is_infinite() && found.lost == 99);
    }
}
