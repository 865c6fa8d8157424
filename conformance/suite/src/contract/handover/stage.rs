//! Two terminals, a coordinator and a relay on a simulated network, with the plugin under
//! test among them.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use ntm_core::address::Vips;
use ntm_core::coordinator::{Clocks, RelayQuota};
use ntm_core::id::PathId;
use ntm_core::plugin::Plan;
use ntm_core::plugin::PlanRequest;
use ntm_core::plugin::memory::Direct;
use ntm_core::terminal::Mode;
use ntm_core::wire::Kind as Message;
use ntm_sim::explore::Stream;
use ntm_sim::{Attachment, HostId, Nat, NatId, Setup, World, payload_of};

use super::plugged::{Plugins, Roads};
use crate::case::Case;
use crate::ensure;
use crate::kind::Kind;
use crate::outcome::{Stop, Verdict};

/// Between two packets of an application.
const EVERY: Duration = Duration::from_millis(10);
/// Virtual time after which everything has to be well again.
const WELL: Duration = Duration::from_secs(75);

/// Where a terminal can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// In the open; networks are told apart by a number.
    Open(u8),
    /// Behind the NAT with this number.
    Natted(usize),
}

/// The stage, and what its terminals talk.
pub(super) struct Stage<'a> {
    case: &'a Case,
    pub(super) world: World,
    pub(super) dc: HostId,
    pub(super) rs: HostId,
    pub(super) mn: HostId,
    pub(super) cn: HostId,
    nats: Vec<NatId>,
    pub(super) plugins: Plugins,
    roads: Roads,
    streams: [Stream; 2],
    heard: [usize; 2],
}

/// What a move must not change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    path: PathId,
    vips: [Vips; 2],
}

fn never(request: &PlanRequest) -> Plan {
    Direct::decide(request)
}

/// Plays on a thread of its own: a world waits for plugins, and has no runtime around
/// it.
pub(super) fn play(case: &Case, scene: impl FnOnce(&Case) -> Verdict + Send) -> Verdict {
    thread::scope(|scope| {
        let played = scope.spawn(|| scene(case)).join();
        played.unwrap_or_else(|_| Err(Stop::broken("the scene ended with a panic")))
    })
}

impl<'a> Stage<'a> {
    /// Both ends in the open, registered and connected.
    pub(super) fn new(case: &'a Case, mode: Mode) -> Result<Self, Stop> {
        let plugins = Plugins::built_in()?;
        let (clocks, quota) = (Clocks::default(), RelayQuota::default());
        let mut world = World::new(Setup { seed: 1, decide: never, mode, clocks, quota });
        open(case, &plugins)?;
        world.set_answers(Box::new(plugins.clone()));
        let roads = Roads::default();
        let at = |last: u8| Attachment::global([203, 0, 113, last]);
        let is_transport = case.subject().kind() == Kind::Transport;
        if is_transport {
            for host in 0..4 {
                roads.set(HostId(host), Some(case.transport(1)?));
            }
            world.set_road(Box::new(roads.clone()));
        }
        let dc = world.add_host("dc.example", &["coordinator"], &[at(1)]);
        ensure!(
            world.is_ready(),
            "the coordinator cannot read its registry, or restore its leases"
        );
        let rs = world.add_host("rs.example", &["relay"], &[at(2)]);
        let nats = (0..3)
            .map(|nth| world.add_nat(Nat::like_linux(&[IpAddr::from([203, 0, 113, 100 + nth])])))
            .collect();
        let mn = world.add_host("mn.example", &["terminal"], &[at(10)]);
        let cn = world.add_host("cn.example", &["terminal"], &[at(20)]);
        for host in [dc, rs, mn, cn] {
            world.host_mut(host).link.delay = Duration::from_micros(2500);
        }
        let (streams, heard) = Default::default();
        let mut stage = Self { case, world, dc, rs, mn, cn, nats, plugins, roads, streams, heard };
        stage.until("both terminals have virtual addresses", |stage| {
            [stage.mn, stage.cn].iter().all(|end| stage.world.vip_if_any(*end).is_some())
        })?;
        stage.well("at first")?;
        Ok(stage)
    }

    /// Lets virtual time pass until something holds.
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Stop> {
        let end = self.world.now() + WELL;
        while !holds(self) {
            ensure!(self.world.now() < end, "never in {WELL:?} of virtual time: {what}");
            self.world.run_for(EVERY);
        }
        Ok(())
    }

    /// Both ends talk for so long; whatever arrives has to be what was sent.
    pub(super) fn talk(&mut self, span: Duration) -> Result<(), Stop> {
        self.exchange(span, true)
    }

    fn exchange(&mut self, span: Duration, write: bool) -> Result<(), Stop> {
        let ends = [self.mn, self.cn];
        let until = self.world.now() + span;
        while self.world.now() < until {
            for (at, from) in ends.into_iter().enumerate() {
                for payload in self.streams[at].send(self.world.now(), write) {
                    self.world.send(from, ends[1 - at], &payload);
                }
            }
            self.world.run_for(EVERY);
            for (at, end) in ends.into_iter().enumerate() {
                let received = &self.world.host(end).received;
                for packet in &received[self.heard[at]..] {
                    let heard = self.streams[at].receive(packet.at, payload_of(&packet.packet));
                    heard.map_err(|wrong| Stop::broken(format!("an application: {wrong}")))?;
                }
                self.heard[at] = received.len();
            }
        }
        Ok(())
    }

    /// Everything that was written has been read at the other end, in order, and more
    /// goes through.
    pub(super) fn well(&mut self, when: &str) -> Result<(), Stop> {
        let end = self.world.now() + WELL;
        let before = [0, 1].map(|at| self.streams[at].read);
        loop {
            self.talk(Duration::from_millis(100))?;
            self.exchange(Duration::from_millis(400), false)?;
            let done = self.streams.iter().all(Stream::is_done);
            if done && (0..2).all(|at| self.streams[at].read > before[at]) {
                return Ok(());
            }
            let read = self.streams.each_ref().map(|stream| stream.read);
            ensure!(
                self.world.now() < end,
                "{when}, after {WELL:?} of virtual time, bytes are still missing: {read:?} \
                 segments were read"
            );
        }
    }

    /// What must be the same for good.
    pub(super) fn identity(&self) -> Result<Identity, Stop> {
        let none = || Stop::broken("there is no tunnel");
        let path = self.world.path(self.mn, self.cn).ok_or_else(none)?;
        let other = self.world.path(self.cn, self.mn).ok_or_else(none)?;
        ensure!(path == other, "MN calls the path {path}, and CN {other}");
        let vips = [self.mn, self.cn].map(|end| self.world.status(end).map(|it| it.vips));
        let [Some(mn), Some(cn)] = vips else { return Err(none()) };
        Ok(Identity { path, vips: [mn, cn] })
    }

    /// Moves an end at once.
    pub(super) fn go(&mut self, end: HostId, spot: Spot) {
        let who = if end == self.mn { 10 } else { 20 };
        let attachment = match spot {
            Spot::Open(variant) => Attachment::global([203, 0, 113, who + variant]),
            Spot::Natted(nth) => Attachment::behind(self.nats[nth], [192, 168, 1, who]),
        };
        self.world.move_host(end, &[attachment]);
        if let Some(transport) = self.roads.of(end) {
            transport.moved();
        }
    }

    /// The ways that packets of applications take now, of each end: source and
    /// destination as the network shows them.
    pub(super) fn ways(&mut self) -> Result<[BTreeSet<(SocketAddr, SocketAddr)>; 2], Stop> {
        self.world.net.tap = Some(Vec::new());
        self.talk(Duration::from_millis(300))?;
        let seen = self.world.net.tap.take().unwrap_or_default();
        let of = |host: HostId| {
            let capsules = seen.iter().filter(|it| it.host == host);
            let capsules = capsules.filter(|it| Message::of(&it.datagram) == Ok(Message::Capsule));
            capsules.map(|it| (it.from, it.to)).collect()
        };
        Ok([of(self.mn), of(self.cn)])
    }

    /// The plugin under test breaks: nothing comes of it until it is mended.
    pub(super) fn break_plugin(&mut self) {
        let mut desk = self.plugins.desk();
        match self.case.subject().kind() {
            Kind::Traversal => desk.traversal = None,
            Kind::Vip => desk.vip = None,
            Kind::Registry => desk.registry = None,
            Kind::Transport => self.roads.set(self.mn, None),
            Kind::Watcher | Kind::Interface => {}
        }
    }

    /// Another instance takes its place.
    pub(super) fn mend_plugin(&mut self) -> Result<(), Stop> {
        if self.case.subject().kind() == Kind::Transport {
            self.roads.set(self.mn, Some(self.case.transport(1)?));
            return Ok(());
        }
        open(self.case, &self.plugins)?;
        let vip = self.plugins.desk().vip.clone();
        match vip {
            Some(vip) if self.case.subject().kind() == Kind::Vip => {
                Ok(self.plugins.restore(&*vip)?)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The transport of every host, where that is under test.
    pub(super) fn transports(&self) -> Vec<std::sync::Arc<dyn ntm_core::plugin::Transport>> {
        [self.dc, self.rs, self.mn, self.cn].iter().filter_map(|it| self.roads.of(*it)).collect()
    }

    /// A remark for reports.
    pub(super) fn remark(&self) -> String {
        let seconds = self.world.now().since(ntm_core::Time::ZERO).as_secs() - 100;
        match self.case.subject().kind() {
            Kind::Transport => {
                let (carried, lost) = self.roads.count();
                format!("{seconds} s simulated, {carried} datagrams carried, {lost} lost")
            }
            Kind::Traversal | Kind::Vip | Kind::Registry | Kind::Watcher | Kind::Interface => {
                format!("{seconds} s simulated, {} questions", self.plugins.desk().asked)
            }
        }
    }
}

/// A fresh instance of the plugin under test, where it has its place.
fn open(case: &Case, plugins: &Plugins) -> Result<(), Stop> {
    let mut desk = plugins.desk();
    match case.subject().kind() {
        Kind::Traversal => desk.traversal = Some(case.traversal()?),
        Kind::Vip => desk.vip = Some(case.vip()?),
        Kind::Registry => {
            // One process has it open at a time.
            desk.registry = None;
            desk.registry = Some(case.registry()?);
        }
        Kind::Transport | Kind::Watcher | Kind::Interface => {}
    }
    Ok(())
}
