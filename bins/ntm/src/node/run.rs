//! Driving a node: one input, then every output, then wait.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use ntm_core::Time;
use ntm_core::address::{Leg, Nat64};
use ntm_core::id::{PathId, SessionId};
use ntm_core::machine::EffectId;
use ntm_core::plugin::{InterfaceSettings, Snapshot};
use ntm_core::terminal::TerminalCommand;
use ntm_core::tunnel::Traffic;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::changes::Changes;
use super::control::Call;
use super::look::LOOK_AGAIN;
use super::machines::{Asker, Output};
use super::overlap::Overlap;
use super::ping::Ping;
use super::silence::Silence;
use super::sleep::Sleep;
use super::{Node, nat64};
use crate::clock;
use crate::error::{Exit, StartError};
use crate::worker::{Broken, Delivery};

/// Sockets are made in less than a millisecond.
const TRANSPORT_PATIENCE: Duration = Duration::from_secs(1);
/// How often tunnels with traffic are looked after,
const TRAFFIC: Duration = Duration::from_millis(250);
/// and those without.
const IDLE: Duration = Duration::from_secs(1);

/// What clients and the loop itself are waiting for.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(super) pings: Vec<Ping>,
    pub(super) members: Changes,
    pub(super) look: Option<Time>,
    pub(super) silence: Silence,
    /// Questions about routes that the watcher could not answer yet.
    pub(super) unanswered: Vec<(Asker, EffectId, Vec<IpAddr>)>,
    traffic: BTreeMap<PathId, Traffic>,
    /// The largest datagrams by single ways, as transports said last.
    pub(super) payloads: Vec<(Leg, usize)>,
    pub(super) settings: Option<InterfaceSettings>,
    pub(super) session: [Option<SessionId>; 2],
    pub(super) snapshot: Snapshot,
    /// How IPv4 is reached where there is none.
    pub(super) nat64: nat64::Search,
    /// What was told last of networks here.
    pub(super) overlap: Option<Overlap>,
    /// Why the node has to stop.
    pub(super) fatal: Option<StartError>,
}

impl Node {
    /// Runs until `stop` is ready, then says farewell and takes everything away.
    ///
    /// # Errors
    /// Something without which the node is no use has failed.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let (calls, mut called) = mpsc::channel(16);
        let server = self.server.take().map(|server| tokio::spawn(server.serve(calls)));
        let mut stop = pin!(stop);
        let started = clock::now();
        self.look(started).await;
        let mut asleep = Sleep::new(started, clock::awake());
        let mut tick = pin!(sleep(TRAFFIC));
        asleep.expect(started + TRAFFIC);
        let result = loop {
            match self.turn(&mut called, tick.as_mut(), stop.as_mut()).await {
                Turn::End(result) => break result,
                Turn::Tick(next) => {
                    if let Some(slept) = asleep.check(clock::now(), clock::awake()) {
                        self.woke(slept).await;
                    }
                    self.look_after_transports(clock::now()).await;
                    self.look_after_workers();
                    asleep.expect(clock::now() + next);
                    tick.set(sleep(next));
                }
                Turn::Done => {}
            }
        };
        self.leave().await;
        if let Some(server) = server {
            server.abort();
            let _aborted = server.await;
        }
        info!("stopped");
        result
    }

    /// Every output, then one input. Whatever arrives from the network comes
    /// last: a flood of it stops neither clocks nor answers nor other tasks.
    pub(super) async fn turn(
        &mut self,
        called: &mut mpsc::Receiver<Call>,
        tick: Pin<&mut tokio::time::Sleep>,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Turn {
        self.drain().await;
        if self.until_deadline().is_zero() {
            self.handle_timeout().await;
            self.drain().await;
        }
        if let Some(fatal) = self.waiting.fatal.take() {
            return Turn::End(Err(fatal));
        }
        let wait = self.until_deadline();
        tokio::select! {
            biased;
            () = stop => return Turn::End(Ok(())),
            change = self.watcher.next() => self.changed(change).await,
            Some((asker, id, outcome)) = self.answers.recv() => {
                self.machines.handle_outcome(clock::now(), asker, id, outcome);
            }
            found = self.waiting.nat64.found() => self.translate(found).await,
            Some((request, answer)) = called.recv() => self.serve(request, answer),
            () = tick => return Turn::Tick(self.look_after_traffic()),
            // The next turn sees to it.
            () = sleep(wait) => {}
            () = self.mailbox.wait() => {
                let delivery = self.mailbox.take();
                self.deliver(delivery);
                tokio::task::yield_now().await;
            }
        }
        Turn::Done
    }

    /// The machine has slept: what is known of the network and of others is asked
    /// anew, whatever timers say.
    async fn woke(&mut self, slept: Duration) {
        info!(?slept, "the machine has slept");
        self.look(clock::now()).await;
        self.machines.handle_wake(clock::now());
        self.waiting.look = Some(clock::now() + LOOK_AGAIN);
    }

    /// Has transports make new sockets that have fallen silent.
    pub(super) async fn look_after_transports(&mut self, now: Time) {
        let heard = self.mailbox.heard().take(self.transports.len());
        self.waiting.silence.hear(now, heard);
        for at in self.waiting.silence.rebuild(now) {
            let Some((name, transport)) = self.transports.get(at) else { continue };
            warn!(transport = name, "nothing is heard any more: sockets are made anew");
            match timeout(TRANSPORT_PATIENCE, transport.rebind()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, transport = name, "it keeps the old ones"),
                Err(_) => warn!(transport = name, "it does not answer"),
            }
        }
    }

    /// A deadline has come.
    pub(super) async fn handle_timeout(&mut self) {
        let now = clock::now();
        if self.waiting.look.take_if(|at| *at <= now).is_some() {
            self.look(now).await;
        }
        if let Some(terminal) = &mut self.machines.terminal {
            for path in terminal.depending_on_traffic(now).collect::<Vec<_>>() {
                if let Some(tunnel) = self.table.get(&path) {
                    terminal.handle_traffic(now, &path, tunnel.traffic());
                }
            }
        }
        self.machines.handle_timeout(now);
    }

    fn until_deadline(&self) -> Duration {
        let machines = self.machines.deadline().map(|(at, _)| at);
        let pings = self.waiting.pings.iter();
        let pings = pings.map(|p| p.asked.map_or(p.until, |(_, again)| again.min(p.until))).min();
        let next = [machines, pings, self.waiting.look].into_iter().flatten().min();
        next.map_or(Duration::from_secs(3600), |at| at.since(clock::now()))
    }

    /// The network tells how it reaches IPv4.
    async fn translate(&mut self, nat64: Option<Nat64>) {
        let now = clock::now();
        if let Some(terminal) = &mut self.machines.terminal {
            terminal.set_nat64(now, nat64);
            self.look(now).await;
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        let now = clock::now();
        for post in delivery.posts {
            self.machines.handle_datagram(now, &post.leg, &post.datagram);
        }
        if let Some(terminal) = &mut self.machines.terminal {
            for seen in delivery.seen {
                terminal.handle_seen(now, &seen.path, &seen.leg, seen.epoch_low);
            }
            for vip in delivery.missed {
                terminal.handle_miss(now, vip);
            }
        }
        if let Some(relay) = &mut self.machines.relay {
            for path in delivery.exhausted {
                relay.handle_exhausted(path);
            }
        }
        if let Some(broken) = delivery.broken {
            let what = match broken {
                Broken::Interface => "the virtual interface",
                Broken::Transport => "a transport",
                Broken::Worker => "a packet worker",
            };
            let message = format!("{what} has gone; restart the node");
            self.waiting.fatal = Some(StartError { exit: Exit::Failed, message });
        }
    }

    /// Tells the terminal what its tunnels carried; how soon to do so again.
    fn look_after_traffic(&mut self) -> Duration {
        let now = clock::now();
        self.handovers.look(now, &self.table, self.mailbox.stats());
        // The next turn takes what follows.
        self.look_after_payloads();
        let Some(terminal) = &mut self.machines.terminal else { return IDLE };
        let mut active = false;
        let mut traffic = BTreeMap::new();
        for tunnel in self.table.tunnels() {
            let seen = tunnel.traffic();
            if self.waiting.traffic.get(&tunnel.path) != Some(&seen) {
                active = true;
                terminal.handle_traffic(now, &tunnel.path, seen);
            }
            traffic.insert(tunnel.path, seen);
        }
        self.waiting.traffic = traffic;
        if active { TRAFFIC } else { IDLE }
    }

    /// Says farewell and takes everything away that was set up.
    async fn leave(&mut self) {
        let now = clock::now();
        if let Some(terminal) = &mut self.machines.terminal {
            terminal.handle_command(now, TerminalCommand::Leave);
        }
        if let Some(relay) = &mut self.machines.relay {
            relay.leave(now);
        }
        while let Some(output) = self.machines.poll() {
            if let Output::Send(leg, datagram) = output {
                self.send(now, &leg, &datagram);
            }
        }
        // Nobody reads what is about to be closed.
        self.workers.end();
        if let Some(interface) = &self.interface {
            interface.close().await;
        }
        for (_, transport) in &self.transports {
            transport.close().await;
        }
    }
}

pub(super) enum Turn {
    /// Something has happened.
    Done,
    /// The traffic has been looked after; again in this time.
    Tick(Duration),
    /// It is time to go, or the node is no use any more.
    End(Result<(), StartError>),
}
