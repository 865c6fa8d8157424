use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use ntm_core::Time;

use crate::host::HostId;
use crate::net::Arrival;

/// What will happen, in the order of its time.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    arrivals: BinaryHeap<Reverse<Pending>>,
    serial: u64,
    deadlines: BTreeSet<(Time, HostId)>,
    /// Of each host, the one in `deadlines`.
    of_host: Vec<Option<Time>>,
}

/// Ordered by time, then by the order of sending.
#[derive(Debug)]
struct Pending {
    serial: u64,
    arrival: Arrival,
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrival.at, self.serial).cmp(&(other.arrival.at, other.serial))
    }
}

impl Schedule {
    pub(crate) fn arrives(&mut self, arrival: Arrival) {
        self.serial += 1;
        self.arrivals.push(Reverse(Pending { serial: self.serial, arrival }));
    }

    pub(crate) fn next_arrival(&self) -> Option<Time> {
        self.arrivals.peek().map(|Reverse(pending)| pending.arrival.at)
    }

    pub(crate) fn take_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.pop().map(|Reverse(pending)| pending.arrival)
    }

    /// When a host next has something to do.
    pub(crate) fn set_deadline(&mut self, host: HostId, at: Option<Time>) {
        if self.of_host.len() <= host.0 {
            self.of_host.resize(host.0 + 1, None);
        }
        let before = std::mem::replace(&mut self.of_host[host.0], at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.deadlines.remove(&(before, host));
        }
        if let Some(at) = at {
            self.deadlines.insert((at, host));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<(Time, HostId)> {
        self.deadlines.first().copied()
    }
}
