//! What may go wrong, and how it ends.

use std::time::Duration;

use ntm_core::terminal::{TerminalCommand, TunnelState};
use ntm_core::wire::Target;

use super::{End, World};
use crate::host::{TERMINALS, Who, socket};
use crate::scenario::{Budget, Scenario, Start};

/// Where the stranger is.
const STRANGER: [u8; 4] = [203, 0, 113, 99];

impl World {
    /// The datagrams that arrive at any moment.
    pub(crate) fn late(&self) -> usize {
        self.late.len()
    }

    /// Whether what may go wrong is over before anything else happens.
    pub(crate) fn is_over(&self) -> bool {
        self.next_at() > self.until
    }

    /// From now on things go wrong.
    pub(crate) fn begin(&mut self, scenario: &Scenario) {
        self.left = scenario.budget;
        self.until = self.now + scenario.horizon;
        self.talk = scenario.talk.map(|every| (self.now + every, every));
        self.seal();
    }

    pub(crate) fn lose(&mut self) {
        self.left.losses -= 1;
        self.now = self.next_at();
        self.lane.remove(0);
    }

    pub(crate) fn double(&mut self, scenario: &Scenario) {
        self.left.doubles -= 1;
        self.now = self.next_at();
        let flight = self.lane.remove(0);
        self.late.push(flight.clone());
        self.arrive(scenario, &flight, None);
    }

    pub(crate) fn delay(&mut self) {
        self.left.delays -= 1;
        self.now = self.next_at();
        let flight = self.lane.remove(0);
        self.late.push(flight);
    }

    pub(crate) fn deliver_late(&mut self, scenario: &Scenario, at: usize) {
        let flight = self.late.remove(at);
        self.arrive(scenario, &flight, None);
    }

    pub(crate) fn capture(&mut self, scenario: &Scenario) {
        self.left.captures -= 1;
        self.now = self.next_at();
        let flight = self.lane[0].clone();
        self.arrive(scenario, &flight, Some(socket(STRANGER.into())));
    }

    /// A terminal moves, or calls its peer.
    pub(crate) fn act(&mut self, scenario: &Scenario, who: Who) {
        self.left.moves -= 1;
        self.until = self.now + scenario.horizon;
        if scenario.start == Start::Strangers {
            let target = Target::Name(who.peer().name().parse().expect("a name"));
            self.with(scenario, who, |host, now, _| {
                host.terminal_mut().handle_command(now, TerminalCommand::Connect(target));
            });
            return;
        }
        let host = self.hosts[who as usize].get_mut();
        let before = host.ip;
        host.moves += 1;
        host.ip = who.ip(host.moves);
        let ip = host.ip;
        // What is under way to where it was arrives nowhere.
        self.lane.retain(|flight| flight.to.ip() != before);
        self.late.retain(|flight| flight.to.ip() != before);
        self.with(scenario, who, |host, now, _| host.look(now));
        let epoch = self.host(who).terminal().status(self.now).epoch;
        self.knowledge.arrived(who, epoch, ip);
    }

    /// Whether this terminal may move or call now.
    pub(crate) fn may_act(&self, scenario: &Scenario, who: Who) -> bool {
        self.left.moves > 0
            && (scenario.start == Start::Tunnel
                || self.host(who).terminal().status(self.now).tunnels.is_empty())
    }

    /// Whether nothing has gone wrong yet.
    pub(crate) fn is_fresh(&self, scenario: &Scenario) -> bool {
        self.left == scenario.budget
    }

    /// From now on nothing goes wrong and the applications talk; how that ends.
    pub(crate) fn settle(&mut self, scenario: &Scenario) {
        const TALK: Duration = Duration::from_millis(100);
        const LONGEST: Duration = Duration::from_secs(40);
        self.left = Budget::default();
        self.late.clear();
        if self.path.is_none() {
            self.end = Some(End::Agreed);
            return;
        }
        self.talk = Some((self.now, TALK));
        let began = self.now;
        let mut calm = None;
        while self.now.since(began) < LONGEST {
            self.step(scenario);
            let since = *calm.get_or_insert(self.now);
            if !self.agree() {
                calm = None;
            } else if self.now.since(since) >= scenario.calm {
                self.end = Some(End::Agreed);
                return;
            }
        }
        self.end = Some(End::Apart);
    }

    /// Whether both ends use one path, and packets arrive both ways.
    pub(crate) fn agree(&self) -> bool {
        const FRESH: Duration = Duration::from_millis(250);
        let ways = TERMINALS.map(|who| {
            let host = self.host(who);
            let status = host.terminal().status(self.now);
            let hears = host.heard.is_some_and(|at| self.now.since(at) < FRESH);
            let tunnel = status.tunnels.first().filter(|_| hears)?;
            let way = tunnel.way.filter(|_| tunnel.state == TunnelState::Live)?;
            Some((way.leg.remote.ip(), way.relayed))
        });
        match ways {
            [Some((to_cn, false)), Some((to_mn, false))] => {
                to_cn == self.host(Who::Cn).ip && to_mn == self.host(Who::Mn).ip
            }
            [Some((_, true)), Some((_, true))] => true,
            _ => false,
        }
    }
}
