//! Clients that wait for a sign of life from a peer.

use std::time::Duration;

use ntm_core::Time;
use ntm_core::id::{NodeName, PathId};
use ntm_core::terminal::{TerminalCommand, TunnelState, Way};
use ntm_core::wire::Target;
use serde_json::json;
use tokio::sync::oneshot;

use super::control::Response;
use super::{Node, status};
use crate::clock;

/// A ping that is not answered is repeated after this.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A client that waits for a sign of life.
pub(super) struct Ping {
    name: NodeName,
    pub(super) until: Time,
    /// Which tunnel was asked, and when to ask again.
    pub(super) asked: Option<(PathId, Time)>,
    /// Why the coordinator has nothing to direct.
    refused: Option<String>,
    answer: oneshot::Sender<Response>,
}

/// What a ping needs now.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Ask(PathId),
    Wait,
    GiveUp(String),
}

impl Ping {
    /// What to do now, as the tunnel to this peer is.
    fn step(&mut self, now: Time, tunnel: Option<(PathId, TunnelState)>) -> Step {
        let live = tunnel.filter(|(_, state)| *state == TunnelState::Live).map(|(path, _)| path);
        // By what is known of a peer it may be reached without a direction.
        let hopeless = tunnel.is_none_or(|(_, state)| state == TunnelState::Resting);
        if live.is_some() {
            self.refused = None;
        } else {
            // An alarm for a tunnel that cannot be asked would go off for ever.
            self.asked = None;
        }
        if let Some(reason) = self.refused.as_ref().filter(|_| hopeless || self.until <= now) {
            return Step::GiveUp(format!("{}: {reason}", self.name));
        }
        if self.until <= now {
            return Step::GiveUp(format!("no answer from {} in time", self.name));
        }
        match live.filter(|path| self.asked.is_none_or(|(at, again)| at != *path || again <= now)) {
            Some(path) => {
                self.asked = Some((path, now + ASK_AGAIN));
                Step::Ask(path)
            }
            None => Step::Wait,
        }
    }
}

impl Node {
    pub(super) fn begin_ping(
        &mut self,
        now: Time,
        name: NodeName,
        timeout_ms: u64,
        answer: oneshot::Sender<Response>,
    ) {
        let Some(terminal) = &mut self.machines.terminal else {
            let _gone = answer.send(Response::Error("this node is no terminal".into()));
            return;
        };
        terminal.handle_command(now, TerminalCommand::Connect(Target::Name(name.clone())));
        let until = now + Duration::from_millis(timeout_ms.min(60_000));
        self.waiting.pings.push(Ping { name, until, asked: None, refused: None, answer });
    }

    /// Pings go out when their tunnels are there, and are given up in time.
    pub(super) fn look_after_pings(&mut self) {
        if self.waiting.pings.is_empty() {
            return;
        }
        let now = clock::now();
        let Some(terminal) = &mut self.machines.terminal else { return };
        let status = terminal.status(now);
        for mut ping in std::mem::take(&mut self.waiting.pings) {
            let tunnel = status.tunnels.iter().find(|tunnel| tunnel.peer == ping.name);
            match ping.step(now, tunnel.map(|tunnel| (tunnel.path, tunnel.state))) {
                Step::GiveUp(message) => drop(ping.answer.send(Response::Error(message))),
                Step::Ask(path) => {
                    terminal.handle_command(now, TerminalCommand::Ping(path));
                    self.waiting.pings.push(ping);
                }
                Step::Wait => self.waiting.pings.push(ping),
            }
        }
    }

    pub(super) fn answer_ping(&mut self, path: PathId, way: &Way, rtt: Duration) {
        let vips = self.table.get(&path).map(|tunnel| tunnel.peer.iter().collect::<Vec<_>>());
        let (answered, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting.pings)
            .into_iter()
            .partition(|ping| ping.asked.is_some_and(|(asked, _)| asked == path));
        self.waiting.pings = others;
        for ping in answered {
            let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
            let pong = json!({
                "name": ping.name,
                "path_id": path,
                "vips": vips,
                "path": status::path_report(way, true, &self.transports),
                "rtt_us": rtt_us,
            });
            let _gone = ping.answer.send(Response::Ok(pong));
        }
    }

    /// The coordinator directs nothing for this target.
    pub(super) fn refuse_pings(&mut self, now: Time, target: &Target, reason: &str) {
        let Some(terminal) = &self.machines.terminal else { return };
        let name = match target {
            Target::Name(name) => Some(name.clone()),
            // Who has had a tunnel is asked for by virtual address.
            Target::Vip(vip) => {
                let mut tunnels = terminal.status(now).tunnels.into_iter();
                tunnels.find(|tunnel| tunnel.vips.iter().any(|of| of == *vip)).map(|t| t.peer)
            }
        };
        for ping in &mut self.waiting.pings {
            if Some(&ping.name) == name.as_ref() {
                ping.refused = Some(reason.to_owned());
            }
        }
        self.look_after_pings();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: PathId = PathId::from_bytes([1; 16]);

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn ping() -> Ping {
        let name = "cn.example".parse().unwrap();
        let (answer, _) = oneshot::channel();
        Ping { name, until: at(5000), asked: None, refused: None, answer }
    }

    fn tunnel(state: TunnelState) -> Option<(PathId, TunnelState)> {
        Some((PATH, state))
    }

    #[test]
    fn a_ping_whose_tunnel_is_gone_waits_without_an_alarm() {
        let mut ping = ping();
        assert_eq!(ping.step(at(0), None), Step::Wait);
        assert_eq!(ping.step(at(10), tunnel(TunnelState::Live)), Step::Ask(PATH));
        assert_eq!(ping.step(at(20), tunnel(TunnelState::Live)), Step::Wait);
        assert!(ping.asked.is_some());
        for state in [TunnelState::Searching, TunnelState::Connecting, TunnelState::Resting] {
            assert_eq!(ping.step(at(600), tunnel(state)), Step::Wait);
            assert_eq!(ping.asked, None);
        }
        assert_eq!(ping.step(at(700), tunnel(TunnelState::Live)), Step::Ask(PATH));
        assert_eq!(ping.step(at(1200), tunnel(TunnelState::Live)), Step::Ask(PATH), "again");
        let given_up = ping.step(at(5000), tunnel(TunnelState::Live));
        assert_eq!(given_up, Step::GiveUp("no answer from cn.example in time".into()));
    }

    #[test]
    fn a_refused_ping_tells_why_once_nothing_is_tried() {
        let refused = || Ping { refused: Some("absent".into()), ..ping() };
        let told = Step::GiveUp("cn.example: absent".into());
        assert_eq!(refused().step(at(1), None), told);
        assert_eq!(refused().step(at(1), tunnel(TunnelState::Resting)), told);
        let mut ping = refused();
        assert_eq!(ping.step(at(1), tunnel(TunnelState::Connecting)), Step::Wait);
        assert_eq!(ping.step(at(5000), tunnel(TunnelState::Connecting)), told);
        let mut ping = refused();
        assert_eq!(ping.step(at(1), tunnel(TunnelState::Live)), Step::Ask(PATH));
        let silent = ping.step(at(5000), tunnel(TunnelState::Live));
        assert_eq!(silent, Step::GiveUp("no answer from cn.example in time".into()));
    }
}
