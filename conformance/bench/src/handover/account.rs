//! What nodes of ours say of a move, to be laid beside what the probe saw.

use ntm_core::Time;
use ntm_lab::Result;
use ntm_lab::scenario::handovers;
use serde_json::Value;

use super::figures::millis;
use super::ground::Moment;
use crate::tunnel::Running;

/// In milliseconds; `None`: nobody said so.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Account {
    /// From the change to the first datagram about it,
    pub(crate) acted: Option<f64>,
    /// from there until the other end sent to the new address,
    pub(crate) repointed: Option<f64>,
    /// and until the end that moved knew that the path works.
    pub(crate) rebuilt: Option<f64>,
}

impl Account {
    /// Nothing, if the tunnel is none of ours.
    ///
    /// # Errors
    /// A node does not answer.
    pub(super) fn of(running: &Running, moment: Moment) -> Result<Self> {
        let Some([left, right]) = &running.sockets else { return Ok(Self::default()) };
        Ok(Self::from_records(&handovers(left)?, &handovers(right)?, moment.left_usable))
    }

    fn from_records(left: &[Value], right: &[Value], usable: Time) -> Self {
        let time = |value: &Value| value.as_u64().map(Time::from_nanos);
        let is = |record: &&Value, cause, since| {
            record["cause"] == cause && time(&record["detected_ns"]).is_some_and(|at| at >= since)
        };
        // The watcher's first news is of the old address.
        let own = left.iter().rev().find(|record| {
            record["cause"] == "local" && time(&record["sent_ns"]).is_some_and(|at| at >= usable)
        });
        let Some(own) = own else { return Self::default() };
        let Some(sent) = time(&own["sent_ns"]) else { return Self::default() };
        let peers = right.iter().find(|record| is(record, "peer", sent));
        let repointed = peers.and_then(|record| time(&record["detected_ns"]));
        let rebuilt = own["tunnels"][0]["rebuilt"].as_f64();
        Self {
            acted: Some(millis(sent.since(usable))),
            repointed: repointed.map(|at| millis(at.since(sent))),
            rebuilt: rebuilt.map(|micros| micros / 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_move_is_found_among_others() {
        let own = |sent: u64, rebuilt| {
            json!({ "cause": "local", "detected_ns": sent - 1, "sent_ns": sent,
                    "tunnels": [{ "rebuilt": rebuilt }] })
        };
        let left = [own(1_000_000, 9), json!({ "cause": "peer" }), own(5_300_000, 20_500)];
        let peer = |at: u64| json!({ "cause": "peer", "detected_ns": at });
        let right = [peer(2_000_000), peer(15_400_000), peer(99_000_000)];
        let account = Account::from_records(&left, &right, Time::from_nanos(5_000_000));
        let expected = Account { acted: Some(0.3), repointed: Some(10.1), rebuilt: Some(20.5) };
        assert_eq!(account, expected);
        let none = Account::from_records(&left, &right, Time::from_nanos(6_000_000));
        assert_eq!(none, Account::default());
    }
}
