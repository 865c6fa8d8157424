//! A sequence chart of signalling, made from what nodes logged as sent and
//! received, and from nothing else.

use std::net::IpAddr;
use std::time::Duration;

use ntm_core::Time;

use super::node::Signal;

/// A message that was received later than this after it was sent is another one.
const LATEST: Duration = Duration::from_secs(3);
/// Characters between two columns.
const WIDTH: usize = 22;
/// What a relay calls what it hands on out of a Bind.
const FORWARDED: &str = "Forwarded";

/// Who is who: the columns of a chart, and the addresses they are seen at.
pub(super) struct Cast {
    pub(super) columns: Vec<String>,
    pub(super) addresses: Vec<(IpAddr, String)>,
}

/// An arrow of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrow {
    sent: Time,
    arrived: Option<Time>,
    from: usize,
    to: usize,
    /// The column it passes through.
    via: Option<usize>,
    message: String,
}

impl Cast {
    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    fn at(&self, ip: IpAddr) -> Option<usize> {
        let (_, name) = self.addresses.iter().find(|(address, _)| *address == ip)?;
        self.column(name)
    }

    /// The chart of what was sent in the 5 ms before a moment and from then until
    /// `end`, a line a message, with times in milliseconds since that moment.
    pub(super) fn draw(&self, signals: &[Signal], zero: Time, end: Time) -> Vec<String> {
        let mut arrows = self.arrows(signals, zero - Duration::from_millis(5), end);
        arrows.sort_by_key(|arrow| arrow.sent);
        let mut head = String::from("      ms ");
        for column in &self.columns {
            head.push_str(&format!("{column:<WIDTH$}"));
        }
        let mut lines = vec![head.trim_end().to_owned()];
        lines.extend(arrows.iter().map(|arrow| self.line(arrow, zero)));
        lines
    }

    fn arrows(&self, signals: &[Signal], begin: Time, end: Time) -> Vec<Arrow> {
        let mut unmatched: Vec<&Signal> = signals.iter().filter(|signal| !signal.out).collect();
        unmatched.sort_by_key(|signal| signal.at);
        let mut sent: Vec<&Signal> = signals.iter().filter(|signal| signal.out).collect();
        sent.sort_by_key(|signal| signal.at);
        let mut arrows = Vec::new();
        for out in sent {
            let (Some(from), Some(to)) = (self.column(&out.node), self.at(out.remote.ip())) else {
                continue;
            };
            // What a relay hands on out of a Bind, it cannot read.
            let forwarded = out.message == FORWARDED;
            let is_copy = |signal: &&Signal, node: usize| {
                (signal.message == out.message.trim_end_matches(" with message")
                    || forwarded && signal.message != "Bind Ack")
                    && self.column(&signal.node) == Some(node)
                    && signal.at >= out.at
                    && signal.at.since(out.at) < LATEST
            };
            let direct = unmatched.iter().position(|signal| {
                is_copy(signal, to) && self.at(signal.remote.ip()) == Some(from)
            });
            // A relay forwards what is not for itself, and logs nothing of it.
            let relayed = || {
                unmatched.iter().position(|signal| {
                    let node = self.column(&signal.node);
                    node.is_some_and(|node| node != from && node != to && is_copy(signal, node))
                        && signal.remote.ip() == out.remote.ip()
                })
            };
            let (matched, via) = match direct {
                Some(at) => (Some(at), None),
                None => (relayed(), Some(to)),
            };
            let arrived = matched.map(|at| unmatched.remove(at));
            let matched_message = arrived.map(|signal| signal.message.clone());
            let (to, via) = match arrived {
                Some(signal) => (self.column(&signal.node).unwrap_or(to), via),
                None => (to, None),
            };
            if out.at >= begin && out.at <= end {
                let (sent, arrived) = (out.at, arrived.map(|signal| signal.at));
                let message = match matched_message {
                    Some(message) if forwarded => message,
                    Some(_) | None => out.message.clone(),
                };
                arrows.push(Arrow { sent, arrived, from, to, via, message });
            }
        }
        arrows
    }

    fn line(&self, arrow: &Arrow, zero: Time) -> String {
        let ms = (arrow.sent.nanos() as f64 - zero.nanos() as f64) / 1e6;
        let (left, right) = (arrow.from.min(arrow.to), arrow.from.max(arrow.to));
        let mut cells: Vec<char> = vec![' '; self.columns.len() * WIDTH];
        for column in 0..self.columns.len() {
            cells[column * WIDTH] = '|';
        }
        let (start, stop) = (left * WIDTH + 1, right * WIDTH);
        for cell in &mut cells[start..stop] {
            *cell = '-';
        }
        if let Some(via) = arrow.via
            && (left..right).contains(&via)
            && via != left
        {
            cells[via * WIDTH] = '+';
        }
        let head = match (arrow.arrived, arrow.to > arrow.from) {
            (None, _) => 'x',
            (Some(_), true) => '>',
            (Some(_), false) => '<',
        };
        cells[if arrow.to > arrow.from { stop - 1 } else { start }] = head;
        let label: Vec<char> = format!(" {} ", arrow.message).chars().collect();
        let room = stop - start;
        if label.len() + 2 <= room {
            let at = start + (room - label.len()) / 2;
            cells[at..at + label.len()].copy_from_slice(&label);
        }
        let drawn: String = cells.into_iter().collect();
        let tail = if label.len() + 2 > room { arrow.message.as_str() } else { "" };
        format!("{ms:8.2} {} {tail}", drawn.trim_end()).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast() -> Cast {
        let addresses = [("198.51.100.1", "mn"), ("203.0.113.1", "dc"), ("203.0.113.2", "rs")];
        Cast {
            columns: ["mn", "dc", "rs", "cn"].map(String::from).to_vec(),
            addresses: addresses
                .iter()
                .chain(&[("203.0.113.9", "cn")])
                .map(|(ip, name)| (ip.parse().unwrap(), (*name).to_owned()))
                .collect(),
        }
    }

    fn signal(us: u64, node: &str, out: bool, message: &str, remote: &str) -> Signal {
        Signal {
            at: Time::from_nanos(us * 1000),
            node: node.into(),
            out,
            message: message.into(),
            remote: format!("{remote}:4330").parse().unwrap(),
            bytes: 100,
        }
    }

    fn shape(signals: &[Signal]) -> Vec<(usize, usize, Option<usize>, bool)> {
        let end = Time::from_nanos(u64::MAX);
        let arrows = cast().arrows(signals, Time::ZERO, end);
        arrows.iter().map(|a| (a.from, a.to, a.via, a.arrived.is_some())).collect()
    }

    #[test]
    fn what_was_sent_meets_what_was_received() {
        let signals = [
            signal(1, "mn", true, "Direction Request", "203.0.113.1"),
            signal(5, "dc", false, "Direction Request", "198.51.100.1"),
            signal(6, "dc", true, "Route Direction", "203.0.113.9"),
        ];
        assert_eq!(shape(&signals), [(0, 1, None, true), (1, 3, None, false)]);
    }

    #[test]
    fn a_message_through_the_relay_is_one_arrow() {
        let signals = [
            signal(1, "mn", true, "Tunnel Request", "203.0.113.2"),
            signal(9, "cn", false, "Tunnel Request", "203.0.113.2"),
        ];
        assert_eq!(shape(&signals), [(0, 3, Some(2), true)]);
    }

    #[test]
    fn what_the_relay_hands_on_is_what_arrives() {
        let signals = [
            signal(1, "mn", true, "Bind with message", "203.0.113.2"),
            signal(5, "rs", false, "Bind", "198.51.100.1"),
            signal(6, "rs", true, "Bind Ack", "198.51.100.1"),
            signal(6, "rs", true, "Forwarded", "203.0.113.9"),
            signal(9, "cn", false, "Tunnel Request", "203.0.113.2"),
        ];
        let arrows = cast().arrows(&signals, Time::ZERO, Time::from_nanos(u64::MAX));
        let last = arrows.last().unwrap();
        assert_eq!((last.from, last.to, last.message.as_str()), (2, 3, "Tunnel Request"));
    }

    #[test]
    fn a_repeated_message_meets_its_own_copy() {
        let signals = [
            signal(1, "mn", true, "Tunnel Request", "203.0.113.9"),
            signal(2, "mn", true, "Tunnel Request", "203.0.113.9"),
            signal(7, "cn", false, "Tunnel Request", "198.51.100.1"),
        ];
        assert_eq!(shape(&signals), [(0, 3, None, true), (0, 3, None, false)]);
    }

    #[test]
    fn the_picture_has_an_arrow_with_its_name() {
        let signals = [
            signal(1000, "mn", true, "Direction Request", "203.0.113.1"),
            signal(1500, "dc", false, "Direction Request", "198.51.100.1"),
        ];
        let lines = cast().draw(&signals, Time::ZERO, Time::from_nanos(u64::MAX));
        assert_eq!(
            lines[1],
            "    1.00 |- Direction Request >|                     |                     |"
        );
    }
}
