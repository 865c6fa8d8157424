//! Driving a node: one input, then every output, then wait.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::time::Duration;

use ntm_core::Time;
use ntm_core::address::{Leg, Nat64, TransportId};
use ntm_core::coordinator::CoordinatorEvent;
use ntm_core::id::{PathId, SessionId};
use ntm_core::machine::{Effect, EffectId, Outcome};
use ntm_core::plugin::{Change, Fault, Interface, InterfaceSettings, PluginError, Snapshot};
use ntm_core::relay::RelayEvent;
use ntm_core::terminal::{Cause, Phase, Terminal, TerminalCommand, TerminalEvent};
use ntm_core::tunnel::{Traffic, addressed};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::changes::Changes;
use super::control::{Call, Response};
use super::machines::{Asker, Output};
use super::overlap::Overlap;
use super::ping::Ping;
use super::silence::Silence;
use super::sleep::Sleep;
use super::{Node, log, nat64};
use crate::clock;
use crate::config::Problem;
use crate::error::{Exit, StartError};
use crate::worker::{Broken, Delivery};

/// DHCP clients add an address and its route in two steps: after an event, look
/// again this much later.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Routes that the watcher could not tell are asked for again this much later.
const ROUTES_AGAIN: Duration = Duration::from_millis(500);
/// A watcher that takes longer is not waited for.
const WATCHER_PATIENCE: Duration = Duration::from_millis(500);
/// Sockets are made in less than a millisecond.
const TRANSPORT_PATIENCE: Duration = Duration::from_secs(1);
/// An interface is set up in milliseconds; meanwhile nothing else is heard.
const INTERFACE_PATIENCE: Duration = Duration::from_secs(5);
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
    payloads: Vec<(Leg, usize)>,
    settings: Option<InterfaceSettings>,
    session: [Option<SessionId>; 2],
    snapshot: Snapshot,
    /// How IPv4 is reached where there is none.
    nat64: nat64::Search,
    /// What was told last of networks here.
    overlap: Option<Overlap>,
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

    /// The watcher has something to say: look at once, and again in a moment.
    async fn changed(&mut self, change: Result<Change, PluginError>) {
        let now = clock::now();
        match change {
            Ok(change) => {
                debug!(?change, "addresses, links or routes changed");
                self.handovers.note_event(now);
                self.look(now).await;
                self.waiting.look = Some(clock::now() + LOOK_AGAIN);
            }
            Err(error) => {
                self.waiting.fatal = Some(StartError {
                    exit: Exit::Failed,
                    message: format!("the watcher is blind: {error}"),
                });
            }
        }
    }

    /// Asks the system what the addresses and routes are now.
    async fn look(&mut self, now: Time) {
        let destinations = self.machines.destinations();
        let (watcher, machines) = (&mut self.watcher, &self.machines);
        let looked = timeout(WATCHER_PATIENCE, async {
            let snapshot = watcher.snapshot().await?;
            let mut routes = watcher.routes(&destinations).await?;
            if routes.iter().any(Option::is_some) && routes.iter().any(Option::is_none) {
                // A route may have come between two answers, and the rest would
                // look like a second move.
                routes = watcher.routes(&destinations).await?;
            }
            let routes: Vec<_> = destinations.into_iter().zip(routes).collect();
            let mut links = Vec::new();
            for (link, to) in machines.links_in_question(&snapshot, &routes) {
                let by_it = watcher.routes_by(link, &to).await?;
                links.extend(to.into_iter().zip(by_it).filter_map(|(ip, way)| Some((ip, way?))));
            }
            Ok::<_, PluginError>((snapshot, routes, links))
        });
        match looked.await {
            Ok(Ok((snapshot, routes, links))) => {
                let source = routes.iter().find_map(|(_, route)| Some(route.as_ref()?.source));
                self.handovers.note_source(source);
                self.waiting.snapshot.clone_from(&snapshot);
                self.machines.handle_addresses(now, &snapshot, &routes, links);
                self.tell_of_overlap();
                let ipv6_only = self.machines.terminal.as_ref().is_some_and(Terminal::is_ipv6_only);
                self.waiting.nat64.look(ipv6_only, &self.waiting.snapshot);
                for (asker, id, ips) in std::mem::take(&mut self.waiting.unanswered) {
                    self.answer_routes(now, asker, id, ips).await;
                }
                return;
            }
            Ok(Err(error)) => warn!(%error, "the watcher cannot tell the addresses"),
            Err(_) => warn!("the watcher does not answer"),
        }
        if !self.waiting.unanswered.is_empty() {
            // Machines do not ask twice.
            self.waiting.look.get_or_insert(clock::now() + ROUTES_AGAIN);
        }
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

    /// Takes every output until there is none.
    async fn drain(&mut self) {
        self.look_after_pings();
        let mut tables_changed = false;
        while self.drain_once().await {
            tables_changed = true;
            // Another way may have less room, or more.
            if !self.look_after_payloads() {
                break;
            }
        }
        if tables_changed {
            self.workers.wake();
        }
    }

    /// Takes what machines have to say now; whether tables have changed.
    async fn drain_once(&mut self) -> bool {
        let mut tables_changed = false;
        while let Some(output) = self.machines.poll() {
            let now = clock::now();
            match output {
                Output::Terminal(event) => {
                    tables_changed |= matches!(event, TerminalEvent::Table(_));
                    self.hear_terminal(now, event).await;
                }
                Output::Coordinator(event) => {
                    log::coordinator(now, &event);
                    match event {
                        CoordinatorEvent::Session { id, open } => self.mailbox.set_known(id, open),
                        CoordinatorEvent::MembersChanged { name, .. } => {
                            self.waiting.members.end(&name, Response::Ok(Value::Null));
                        }
                        CoordinatorEvent::MemberNotStored { name, failure } => {
                            let message = format!("not stored: {}", log::said(&failure));
                            let response = Response::Error(message);
                            match failure.said {
                                Some(_) => self.waiting.members.end(&name, response),
                                None => self.waiting.members.late(&name, response),
                            }
                        }
                        CoordinatorEvent::Ready { .. }
                        | CoordinatorEvent::Signal(_)
                        | CoordinatorEvent::Registered { .. }
                        | CoordinatorEvent::Gone { .. }
                        | CoordinatorEvent::Directed { .. }
                        | CoordinatorEvent::Refused { .. }
                        | CoordinatorEvent::Failure(_) => {}
                    }
                }
                Output::Relay(event) => {
                    log::relay(now, &event);
                    match event {
                        RelayEvent::Forward(event) => self.forwards.apply(now, &event),
                        RelayEvent::Session(id) => self.note_session(1, id),
                        RelayEvent::Signal(_)
                        | RelayEvent::Registered { .. }
                        | RelayEvent::CoordinatorUnreachable
                        | RelayEvent::RegistrationRefused(_) => {}
                    }
                }
                Output::Send(leg, datagram) => self.send(now, &leg, &datagram),
                Output::Ask(asker, id, Effect::Routes(ips)) => {
                    self.answer_routes(now, asker, id, ips).await;
                }
                Output::Ask(asker, id, effect) => self.questions.ask(asker, id, effect),
            }
        }
        tables_changed
    }

    /// Tells the terminal what transports say of the ways in use; whether that is news.
    fn look_after_payloads(&mut self) -> bool {
        let Some(terminal) = &mut self.machines.terminal else { return false };
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let mut payloads = Vec::new();
        for ((_, transport), at) in self.transports.iter().zip(0..) {
            // One that knows nothing of any way is not asked about each.
            if transport.max_payload(anywhere).is_some() {
                let legs = terminal.legs_by(TransportId(at)).into_iter();
                payloads
                    .extend(legs.filter_map(|leg| Some((leg, transport.max_payload(leg.remote)?))));
            }
        }
        let is_news = payloads != self.waiting.payloads;
        if is_news {
            terminal.handle_payloads(clock::now(), &payloads);
            self.waiting.payloads = payloads;
        }
        is_news
    }

    /// Answers a question about routes. A watcher that does not know is asked
    /// again shortly: "no route" would be believed until the next move.
    pub(super) async fn answer_routes(
        &mut self,
        now: Time,
        asker: Asker,
        id: EffectId,
        ips: Vec<IpAddr>,
    ) {
        // One that did not answer just now would only take up more time.
        if self.waiting.unanswered.is_empty() {
            match timeout(WATCHER_PATIENCE, self.watcher.routes(&ips)).await {
                Ok(Ok(routes)) => {
                    let outcome = Outcome::Routed(ips.into_iter().zip(routes).collect());
                    return self.machines.handle_outcome(now, asker, id, outcome);
                }
                Ok(Err(error)) => debug!(%error, "the watcher cannot tell the routes"),
                Err(_) => debug!("the watcher does not tell the routes"),
            }
        }
        self.waiting.unanswered.push((asker, id, ips));
        let again = clock::now() + ROUTES_AGAIN;
        self.waiting.look = Some(self.waiting.look.map_or(again, |look| look.min(again)));
    }

    fn note_session(&mut self, at: usize, id: Option<SessionId>) {
        if let Some(before) = std::mem::replace(&mut self.waiting.session[at], id) {
            self.mailbox.set_known(before, false);
        }
        if let Some(id) = id {
            self.mailbox.set_known(id, true);
        }
    }

    pub(super) async fn hear_terminal(&mut self, now: Time, event: TerminalEvent) {
        log::terminal(now, &event);
        match event {
            TerminalEvent::Table(event) => self.table.apply(now, &event),
            TerminalEvent::Session(id) => self.note_session(0, id),
            TerminalEvent::Registered { vips, ranges, .. } => {
                self.configure(InterfaceSettings { vips, ranges, mtu: self.mtu }).await;
            }
            TerminalEvent::Phase { epoch, phase, at } => {
                if matches!(phase, Phase::Detected(Cause::Local { .. })) {
                    self.transports.iter().for_each(|(_, transport)| transport.moved());
                }
                if phase == Phase::Detected(Cause::DeadPath) {
                    self.waiting.silence.note_failure();
                }
                self.handovers.note(epoch, phase, at, &self.table, self.mailbox.stats());
            }
            TerminalEvent::PeerPhase { path, epoch, phase, at } => {
                let stats = self.mailbox.stats();
                self.handovers.note_peer((path, epoch), phase, at, &self.table, stats);
            }
            TerminalEvent::Connected { path, peer, way, .. } => {
                self.handovers.note_way(path, peer, way);
            }
            TerminalEvent::Pong { path, way, rtt } => self.answer_ping(path, &way, rtt),
            TerminalEvent::NoDirection { target, refusal } => {
                let reason =
                    refusal.map_or("the coordinator does not answer".into(), |r| r.to_string());
                self.refuse_pings(now, &target, &reason);
            }
            TerminalEvent::CoordinatorUnreachable => self.waiting.silence.note_failure(),
            TerminalEvent::Signal(_)
            | TerminalEvent::RegistrationRefused(_)
            | TerminalEvent::Disconnected { .. }
            | TerminalEvent::KeyChanged { .. }
            | TerminalEvent::Link { .. } => {}
        }
    }

    /// Gives the interface its addresses, unless it has them.
    async fn configure(&mut self, settings: InterfaceSettings) {
        let Some(interface) = self.interface.clone() else { return };
        if self.waiting.settings.as_ref() == Some(&settings) {
            return;
        }
        if let Some(clash) = self.clash(&settings, interface.ifindex()) {
            self.waiting.fatal = Some(clash);
            return;
        }
        match set_up(&*interface, &settings, INTERFACE_PATIENCE).await {
            Ok(()) => {
                let facts = interface.facts().into_iter().filter(|(key, _)| key != "interface");
                let in_use: Vec<_> = facts.map(|(key, value)| format!("{key}: {value}")).collect();
                let in_use = in_use.join("; ");
                info!(interface = interface.name(), vips = %settings.vips, in_use, "ready");
                self.waiting.settings = Some(settings);
            }
            Err(error) => {
                self.waiting.fatal = Some(StartError {
                    exit: error.fault.into(),
                    message: format!("the virtual interface cannot be set up: {error}"),
                });
            }
        }
    }

    /// Why these ranges cannot be used where this node starts.
    fn clash(&self, settings: &InterfaceSettings, own: u32) -> Option<StartError> {
        let found = Overlap::find(&settings.ranges, &self.waiting.snapshot, own)?;
        let Overlap { range, network, interface } = found;
        let message = format!(
            "the virtual range {range} of this coordinator's domain overlaps the network {network} \
             on {interface}; set another range in [vip.config] of the coordinator, or leave that \
             network"
        );
        let problem = Problem { place: self.dc.clone(), message };
        Some(StartError { exit: Exit::Usage, message: problem.to_string() })
    }

    /// Tells once of a network that was entered later.
    fn tell_of_overlap(&mut self) {
        let own = self.interface.as_ref().map_or(0, |interface| interface.ifindex());
        let settings = self.waiting.settings.as_ref();
        let found = settings.and_then(|s| Overlap::find(&s.ranges, &self.waiting.snapshot, own));
        if let Some(Overlap { range, network, interface }) = &found
            && found != self.waiting.overlap
        {
            warn!(
                "the network {network} on {interface} overlaps the virtual range {range}: nodes \
                 with virtual addresses in both are out of reach until this node leaves that network"
            );
        }
        self.waiting.overlap = found;
    }

    fn send(&mut self, now: Time, leg: &Leg, datagram: &[u8]) {
        let Some((_, transport)) = self.transports.get(usize::from(leg.transport.0)) else {
            return;
        };
        let lanes = transport.lanes();
        let Some(lane) = lanes.first() else { return };
        let packet = addressed(leg, datagram, 0);
        let sent = lane.try_send(&[packet]);
        let error = sent.as_ref().err().map(std::io::Error::kind);
        self.waiting.silence.note_sent(now, leg.transport.0.into(), error);
        match sent {
            Ok(_) => self.handovers.note_sent(now),
            Err(error) => {
                debug!(%error, remote = %leg.remote, "the network would not take a datagram");
                // Sometimes the first to notice that the network has changed.
                let gone = matches!(
                    error.kind(),
                    ErrorKind::NetworkUnreachable
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkDown
                        | ErrorKind::AddrNotAvailable
                );
                if gone && self.waiting.look.is_none() {
                    self.waiting.look = Some(now + LOOK_AGAIN);
                }
            }
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

async fn set_up(
    interface: &dyn Interface,
    settings: &InterfaceSettings,
    patience: Duration,
) -> Result<(), PluginError> {
    timeout(patience, interface.configure(settings)).await.unwrap_or_else(|_| {
        let message = format!("{} was not ready within {patience:?}", interface.name());
        Err(PluginError::new(
            Fault::System,
            message,
            "look what keeps it, and start the node again",
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use ntm_core::address::Vips;
    use ntm_core::plugin::Lane;

    use super::*;

    /// An interface that never gets ready.
    struct Stuck;

    #[async_trait]
    impl Interface for Stuck {
        fn name(&self) -> String {
            "ntm0".into()
        }

        fn ifindex(&self) -> u32 {
            1
        }

        fn lanes(&self) -> Vec<Arc<dyn Lane>> {
            Vec::new()
        }

        async fn configure(&self, _: &InterfaceSettings) -> Result<(), PluginError> {
            std::future::pending().await
        }

        async fn close(&self) {}
    }

    #[tokio::test]
    async fn an_interface_that_does_not_get_ready_is_given_up() {
        let vips = Vips { v4: Some([198, 18, 0, 1].into()), v6: None };
        let settings = InterfaceSettings { vips, ranges: Vec::new(), mtu: 1400 };
        let error = set_up(&Stuck, &settings, Duration::from_millis(10)).await.unwrap_err();
        assert!(error.to_string().contains("ntm0 was not ready within 10ms"), "{error}");
    }
}
