use std::net::IpAddr;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::id::PathId;
use ntm_core::terminal::{TerminalStatus, TunnelState, TunnelStatus};
use ntm_core::wire::Kind;

use super::Course;
use super::spot::{Map, Spot};
use super::step::{End, Step};
use super::stream::Stream;
use super::tale::{Listener, Tale};
use crate::{Attachment, Bursts, HostId, Link, Observed, Setup, World, inner_packet, payload_of};

/// Between two packets of each end while they talk.
const TICK: Duration = Duration::from_millis(10);
/// One way from each end, the coordinator and the relays to the middle of the
/// network.
const DELAY: Duration = Duration::from_micros(2500);
/// After everything has been mended, both ends use the way that they should within
/// this.
const CONVERGES: Duration = Duration::from_secs(75);
/// What signalling an end may send in a step, at most, and in each second of it.
const SIGNALLED_AT_ONCE: u64 = 1200;
const SIGNALLED_A_SECOND: u64 = 150;
/// Once all is well, so many in 20 s.
const SIGNALLED_AT_REST: u64 = 60;
/// What a machine may print of itself, in bytes.
const LARGEST: usize = 200_000;
/// Captured datagrams kept for being sent again.
const MOST_CAPTURED: usize = 300;

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// After everything was mended, until both ends used the way that they should.
    pub converged: Duration,
    /// The most signalling datagrams of an end in a step.
    pub signalled: u64,
    /// Segments that were read.
    pub segments: u32,
}

struct Run {
    world: World,
    map: Map,
    dc: HostId,
    relays: [HostId; 2],
    ends: [HostId; 2],
    streams: [Stream; 2],
    vips: [Option<IpAddr>; 2],
    /// Where each end was before.
    before: [Vec<Attachment>; 2],
    /// The Path ID of the pair, for the addresses that they have now.
    path: Option<([IpAddr; 2], PathId)>,
    captured: Vec<Observed>,
    most_signalled: u64,
    tale: Tale,
}

/// Plays a course from a seed.
///
/// # Errors
/// What did not hold, and after which step.
pub fn run(setup: Setup, course: &Course) -> Result<Report, String> {
    play(setup, course, Tale::default())
}

/// The same, with everything that the machines say told to `listener`.
///
/// # Errors
/// As of [`run`].
pub fn tell(setup: Setup, course: &Course, listener: Listener) -> Result<Report, String> {
    play(setup, course, Tale::to(listener))
}

fn play(setup: Setup, course: &Course, tale: Tale) -> Result<Report, String> {
    let mut run = Run::new(Setup { seed: course.seed, ..setup }, tale);
    run.talk(Duration::from_secs(1)).map_err(|what| format!("at the start: {what}"))?;
    for (nth, timed) in course.steps.iter().enumerate() {
        run.counted(|run| {
            run.play(timed.step)?;
            run.talk(Duration::from_millis(timed.talk))
        })
        .map_err(|what| format!("after step {} ({:?}): {what}", nth + 1, timed.step))?;
    }
    run.finish()
}

impl Run {
    fn new(setup: Setup, tale: Tale) -> Self {
        let mut world = World::new(setup);
        let both = |last: u8| {
            let six: IpAddr =
                std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into();
            [Attachment::global([203, 0, 113, last]), Attachment::global(six)]
        };
        let dc = world.add_host("dc.example", &["coordinator"], &both(1));
        let relays = [2, 3]
            .map(|last| world.add_host(&format!("rs{last}.example"), &["relay"], &both(last)));
        let map = Map::new(&mut world);
        let ends =
            ["mn.example", "cn.example"].map(|name| world.add_host(name, &["terminal"], &[]));
        for host in [dc, relays[0], relays[1], ends[0], ends[1]] {
            world.host_mut(host).link.delay = DELAY;
        }
        world.net.tap = Some(Vec::new());
        let mut run = Self {
            world,
            map,
            dc,
            relays,
            ends,
            streams: Default::default(),
            vips: [None; 2],
            before: Default::default(),
            path: None,
            captured: Vec::new(),
            most_signalled: 0,
            tale,
        };
        for end in [0, 1] {
            run.go(end, Spot { kind: super::Kind::Open, variant: 1 });
        }
        run.world.run_for(Duration::from_millis(500));
        run
    }

    fn attachments(&self, end: usize) -> Vec<Attachment> {
        self.world.host(self.ends[end]).attachments().to_vec()
    }

    /// Attaches an end; its machines hear of it when it looks.
    fn attach(&mut self, end: usize, attachments: &[Attachment]) {
        let now = self.attachments(end);
        if now != attachments && !now.is_empty() {
            self.before[end] = now;
        }
        self.world.attach(self.ends[end], attachments);
    }

    fn go(&mut self, end: usize, spot: Spot) {
        let there = self.map.attachments(end, spot);
        self.attach(end, &there);
        self.world.look(self.ends[end]);
    }

    /// Both ends send every [`TICK`].
    fn talk(&mut self, span: Duration) -> Result<(), String> {
        let end = self.world.now() + span;
        while self.world.now() < end {
            self.speak(true);
            self.pass(TICK.min(end.since(self.world.now())))?;
        }
        Ok(())
    }

    fn speak(&mut self, write: bool) {
        for end in [0, 1] {
            if let Some(vip) = self.world.vip_if_any(self.ends[end]) {
                self.vips[end] = Some(vip);
            }
        }
        let [Some(mn), Some(cn)] = self.vips else { return };
        for (end, from, to) in [(0, mn, cn), (1, cn, mn)] {
            if self.world.status(self.ends[end]).is_none() {
                continue;
            }
            for payload in self.streams[end].send(self.world.now(), write) {
                self.world.send_packet(self.ends[end], &inner_packet(from, to, &payload));
            }
        }
    }

    /// Lets time pass, and judges what must always hold.
    fn pass(&mut self, span: Duration) -> Result<(), String> {
        let end = self.world.now() + span;
        while self.world.now() < end {
            let left = end.since(self.world.now());
            self.world.run_for(left.min(Duration::from_secs(1)));
            self.judge()?;
        }
        Ok(())
    }

    fn judge(&mut self) -> Result<(), String> {
        let now = self.world.now();
        for end in [0, 1] {
            let host = self.world.host_mut(self.ends[end]);
            let received = std::mem::take(&mut host.received);
            for packet in received {
                self.streams[end].receive(now, payload_of(&packet.packet))?;
            }
        }
        let [mn, cn] = self.ends;
        let [one, other] = self.relays;
        let hosts = [("DC", self.dc), ("RS1", one), ("RS2", other), ("MN", mn), ("CN", cn)];
        self.tale.events(&mut self.world, &hosts);
        self.capture();
        self.one_path()
    }

    fn capture(&mut self) {
        let seen = self.world.net.tap.replace(Vec::new()).unwrap_or_default();
        let told = |seen: &Observed| {
            self.ends.contains(&seen.target) && Kind::of(&seen.datagram) != Ok(Kind::Capsule)
        };
        self.captured.extend(seen.into_iter().filter(told));
        let past = self.captured.len().saturating_sub(MOST_CAPTURED);
        self.captured.drain(..past);
    }

    /// The tunnels of an end to the other at its present address.
    fn tunnels(&self, end: usize) -> Vec<(TunnelStatus, TerminalStatus)> {
        let Some(status) = self.world.status(self.ends[end]) else { return Vec::new() };
        let Some(vip) = self.vips[1 - end] else { return Vec::new() };
        let to_peer = status.tunnels.iter().filter(|tunnel| tunnel.vips.contains(vip));
        to_peer.map(|tunnel| (tunnel.clone(), status.clone())).collect()
    }

    fn one_path(&mut self) -> Result<(), String> {
        let [Some(mn), Some(cn)] = self.vips else { return Ok(()) };
        if [0, 1].map(|end| self.world.vip_if_any(self.ends[end])) != self.vips {
            // Not registered yet since it was started again.
            return Ok(());
        }
        for end in [0, 1] {
            let tunnels = self.tunnels(end);
            if tunnels.len() > 1 {
                return Err(format!("{} tunnels between the two", tunnels.len()));
            }
            let Some((tunnel, _)) = tunnels.first() else { continue };
            match self.path {
                Some((vips, path)) if vips == [mn, cn] => {
                    if path != tunnel.path {
                        return Err(format!("Path ID {} after {path}", tunnel.path));
                    }
                }
                Some(_) | None => self.path = Some(([mn, cn], tunnel.path)),
            }
        }
        Ok(())
    }

    /// Does something, and judges the signalling that it took.
    fn counted(&mut self, act: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let signalled = |run: &Self| run.ends.map(|end| run.world.host(end).signalled.datagrams);
        let (before, began) = (signalled(self), self.world.now());
        act(self)?;
        let most = SIGNALLED_AT_ONCE + SIGNALLED_A_SECOND * self.world.now().since(began).as_secs();
        for (before, after) in before.into_iter().zip(signalled(self)) {
            self.most_signalled = self.most_signalled.max(after - before);
            if after - before > most {
                return Err(format!("an end sent {} signalling datagrams", after - before));
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one arm a step")]
    fn play(&mut self, step: Step) -> Result<(), String> {
        self.tale.step(self.world.now(), &format!("{step:?}"));
        let millis = Duration::from_millis;
        match step {
            Step::Move(end, spot) => self.go(end.index(), spot),
            Step::MoveInTheDark(end, spot, dark) => {
                self.attach(end.index(), &[]);
                self.world.look(self.ends[end.index()]);
                self.talk(millis(dark))?;
                self.go(end.index(), spot);
            }
            Step::MoveBoth(mn, cn, apart) => {
                self.go(0, mn);
                self.pass(millis(apart))?;
                self.go(1, cn);
            }
            Step::Back(end) => {
                let before = self.before[end.index()].clone();
                if !before.is_empty() {
                    self.attach(end.index(), &before);
                    self.world.look(self.ends[end.index()]);
                }
            }
            Step::SixOnly(end, variant) => {
                self.go(end.index(), Spot { kind: super::Kind::Six, variant });
            }
            Step::FourOnly(end, variant) => {
                self.go(end.index(), Spot { kind: super::Kind::Open, variant });
            }
            Step::Flap(end, spot, times, apart) => {
                let (here, there) =
                    (self.attachments(end.index()), self.map.attachments(end.index(), spot));
                for nth in 0..times {
                    let at = if nth.is_multiple_of(2) { &there } else { &here };
                    self.attach(end.index(), at);
                    self.world.look(self.ends[end.index()]);
                    self.speak(true);
                    self.pass(millis(apart))?;
                }
            }
            Step::MoveUnseen(end, spot, unseen) => {
                let there = self.map.attachments(end.index(), spot);
                self.attach(end.index(), &there);
                self.talk(millis(unseen))?;
                self.world.look(self.ends[end.index()]);
            }
            Step::SecondUplink(end, spot) => {
                let mut all = self.attachments(end.index());
                let second = self.map.attachments(end.index(), spot);
                let has = |ip| all.iter().any(|a: &Attachment| a.ip == ip);
                let new: Vec<_> =
                    second.iter().filter(|a| !has(a.ip)).map(|a| a.on_second()).collect();
                all.extend(new);
                self.attach(end.index(), &all);
                self.world.look(self.ends[end.index()]);
            }
            Step::FirstGone(end) => {
                let all = self.attachments(end.index());
                let first = all.first().map(|a| a.interface);
                let left: Vec<_> = all.into_iter().filter(|a| Some(a.interface) != first).collect();
                self.attach(end.index(), &left);
                self.world.look(self.ends[end.index()]);
            }
            Step::MoveAtRenewal(end, spot) => {
                for _ in 0..120 {
                    let ages = self.tunnels(end.index());
                    let age = ages.first().and_then(|(tunnel, _)| tunnel.session_age);
                    if age.is_none_or(|age| age >= Duration::from_millis(119_500)) {
                        break;
                    }
                    self.speak(true);
                    self.pass(Duration::from_secs(1))?;
                }
                self.talk(millis(500))?;
                self.go(end.index(), spot);
            }
            Step::FlushNat(end) => {
                for attachment in self.attachments(end.index()) {
                    if let Some(nat) = attachment.nat {
                        self.world.net.nat_mut(nat).forget();
                    }
                }
            }
            Step::Sleep(end, seconds) => {
                self.world.sleep(self.ends[end.index()]);
                self.slowly(seconds)?;
                self.world.wake(self.ends[end.index()]);
            }
            Step::Leap(end, seconds) => {
                self.world.leap(self.ends[end.index()], Duration::from_secs(seconds));
            }
            Step::Restart(end) => {
                self.world.kill(self.ends[end.index()]);
                self.world.restart(self.ends[end.index()]);
            }
            Step::RestartBehind(end, seconds) => {
                let host = self.ends[end.index()];
                // Somebody has to know how far its epochs had come.
                let known = self.world.is_known(host);
                self.world.kill(host);
                if known {
                    self.world.set_clock_back(host, Duration::from_secs(seconds));
                }
                self.world.restart(host);
            }
            Step::Lapse(end) => self.lapse(end)?,
            Step::Relet(end) => {
                let host = self.ends[end.index()];
                if self.world.is_member(host) {
                    self.world.expel(host);
                    // As long as the coordinator's plugins may take.
                    self.pass(Duration::from_secs(2))?;
                }
                if self.world.is_ready() && !self.world.is_member(host) {
                    self.world.readmit(host);
                }
            }
            Step::Weather(end, weather) => {
                self.world.host_mut(self.ends[end.index()]).link = weathered(weather);
            }
            Step::Late(end, longer) => {
                self.world.net.detour(self.dc, self.ends[end.index()], millis(longer));
            }
            Step::OnTime(end) => {
                self.world.net.detour(self.dc, self.ends[end.index()], Duration::ZERO);
            }
            Step::Replay(end) => {
                let host = self.ends[end.index()];
                let again: Vec<_> =
                    self.captured.iter().filter(|seen| seen.target == host).cloned().collect();
                for seen in again {
                    if self.world.host(host).is_alive() {
                        self.world.inject(host, seen.from, &seen.datagram);
                    }
                }
            }
            Step::CutCoordinator => self.ends.iter().for_each(|end| {
                self.world.net.sever(*end, self.dc);
                self.world.net.sever(self.dc, *end);
            }),
            Step::JoinCoordinator => {
                self.ends.iter().for_each(|end| self.world.net.rejoin(*end, self.dc));
            }
            Step::KillCoordinator => self.world.kill(self.dc),
            Step::StartCoordinator => self.world.restart(self.dc),
            Step::SlowCoordinator(delay) => {
                self.world.host_mut(self.dc).link.delay = millis(delay);
            }
            Step::SlowPlugins(delay) => {
                self.world.host_mut(self.dc).plugin_delay = millis(delay);
            }
            Step::KillRelay(nth) => self.world.kill(self.relay(nth)),
            Step::StartRelay(nth) => self.world.restart(self.relay(nth)),
            Step::ReplaceRelay(nth) => {
                if self.world.is_ready() {
                    self.world.rekey(self.relay(nth));
                }
            }
            Step::CutRelay(end, nth) => {
                let (end, relay) = (self.ends[end.index()], self.relay(nth));
                self.world.net.sever(end, relay);
                self.world.net.sever(relay, end);
            }
            Step::JoinRelay(end, nth) => {
                self.world.net.rejoin(self.ends[end.index()], self.relay(nth));
            }
            Step::CutDirect => {
                self.world.net.sever(self.ends[0], self.ends[1]);
                self.world.net.sever(self.ends[1], self.ends[0]);
            }
            Step::JoinDirect => self.world.net.rejoin(self.ends[0], self.ends[1]),
            Step::Glare => self.pass(Duration::from_secs(200))?,
            Step::Idle(seconds) => self.pass(Duration::from_secs(seconds))?,
        }
        Ok(())
    }

    fn relay(&self, nth: u8) -> HostId {
        self.relays[usize::from(nth % 2)]
    }

    /// A time in which hardly anything is said.
    fn slowly(&mut self, seconds: u64) -> Result<(), String> {
        let rare = (seconds / 60).max(1);
        for _ in 0..seconds / rare {
            self.speak(false);
            self.pass(Duration::from_secs(rare))?;
        }
        Ok(())
    }

    /// Nothing reaches or leaves an end for longer than a registration lasts.
    fn lapse(&mut self, end: End) -> Result<(), String> {
        let host = self.ends[end.index()];
        let others = [self.dc, self.relays[0], self.relays[1], self.ends[1 - end.index()]];
        for other in others {
            self.world.net.sever(host, other);
            self.world.net.sever(other, host);
        }
        self.slowly(310)?;
        others.iter().for_each(|other| self.world.net.rejoin(host, *other));
        Ok(())
    }

    /// Mends everything, and judges what must hold then.
    fn finish(mut self) -> Result<Report, String> {
        self.tale.step(self.world.now(), "everything is mended");
        self.world.net.mend();
        self.world.host_mut(self.dc).plugin_delay = Duration::ZERO;
        for host in [self.dc, self.relays[0], self.relays[1], self.ends[0], self.ends[1]] {
            self.world.host_mut(host).link = Link { delay: DELAY, ..Link::default() };
            if !self.world.host(host).is_alive() {
                self.world.restart(host);
            }
        }
        self.world.run_for(Duration::from_secs(1));
        for end in [0, 1] {
            if !self.world.is_member(self.ends[end]) {
                self.world.readmit(self.ends[end]);
            }
            if self.attachments(end).is_empty() {
                self.go(end, Spot { kind: super::Kind::Open, variant: 1 });
            }
        }
        let mended = self.world.now();
        let converged = self.converge(mended)?;
        let moved = self.ends.map(|end| self.world.host(end).signalled.datagrams);
        self.talk(Duration::from_secs(20)).map_err(|what| format!("at rest: {what}"))?;
        self.is_well().map_err(|what| format!("at rest: {what}"))?;
        for (end, before) in self.ends.iter().zip(moved) {
            let count = self.world.host(*end).signalled.datagrams - before;
            if count > SIGNALLED_AT_REST {
                return Err(format!("at rest an end sent {count} signalling datagrams in 20 s"));
            }
        }
        for _ in 0..500 {
            self.speak(false);
            self.pass(TICK)?;
        }
        if !self.streams.iter().all(Stream::is_done) {
            return Err("bytes are missing in the end".into());
        }
        self.is_small()?;
        let segments = self.streams.iter().map(|stream| stream.read).sum();
        Ok(Report { converged, signalled: self.most_signalled, segments })
    }

    fn converge(&mut self, mended: Time) -> Result<Duration, String> {
        let mut well_since: Option<Time> = None;
        loop {
            let read = [0, 1].map(|end| self.streams[end].read);
            self.talk(Duration::from_millis(100))?;
            let flows = [0, 1].iter().all(|end| self.streams[*end].read > read[*end]);
            let now = self.world.now();
            let state = match self.is_well() {
                Ok(()) if !flows => Err("bytes do not arrive".to_string()),
                other => other,
            };
            match state {
                Ok(()) => {
                    let since = *well_since.get_or_insert(now);
                    if now.since(since) >= Duration::from_secs(1) {
                        return Ok(since.since(mended));
                    }
                }
                Err(what) => {
                    well_since = None;
                    if now.since(mended) > CONVERGES {
                        return Err(format!("{CONVERGES:?} after all was mended: {what}"));
                    }
                }
            }
        }
    }

    /// Both ends are registered and use a way as good as the decision table says.
    /// Of two relays that know both, each end may prefer another.
    fn is_well(&self) -> Result<(), String> {
        let attached = [0, 1].map(|end| self.attachments(end));
        let directly = self.map.meet_directly(&attached[0], &attached[1]);
        for end in [0, 1] {
            let name = ["MN", "CN"][end];
            let tunnels = self.tunnels(end);
            let Some((tunnel, status)) = tunnels.first() else {
                return Err(format!("{name} has no tunnel"));
            };
            if !status.registered {
                return Err(format!("{name} is not registered"));
            }
            if status.vips != self.world.vips_of_record(self.ends[end]).unwrap_or_default() {
                return Err(format!("{name} has other addresses by now, and does not know it"));
            }
            let Some(way) = tunnel.way.filter(|_| tunnel.state == TunnelState::Live) else {
                return Err(format!("{name}'s tunnel is {:?}", tunnel.state));
            };
            if way.relayed && directly {
                return Err(format!("{name}'s tunnel is relayed and should be direct: {way:?}"));
            }
            // Some NATs let more pass than the table counts on; a relay is none.
            let at_relay = |relay: &HostId| {
                let there = self.world.host(*relay).attachments();
                there.iter().any(|a| a.ip == way.leg.remote.ip())
            };
            if way.relayed != self.relays.iter().any(at_relay) {
                return Err(format!("{name} takes a relay for a peer, or a peer for one: {way:?}"));
            }
        }
        Ok(())
    }

    fn is_small(&self) -> Result<(), String> {
        for host in [self.dc, self.relays[0], self.relays[1], self.ends[0], self.ends[1]] {
            let roles = format!("{:?}", self.world.host(host).roles).len();
            if roles > LARGEST {
                return Err(format!("{host:?} has grown to {roles} bytes"));
            }
        }
        Ok(())
    }
}

fn weathered(weather: u8) -> Link {
    let fair = Link { delay: DELAY, ..Link::default() };
    let millis = Duration::from_millis;
    match weather {
        1 => Link { jitter: millis(8), loss_permille: 50, ..fair },
        2 => {
            let bursts = Bursts { begin_permille: 10, end_permille: 50, loss_permille: 900 };
            Link { bursts: Some(bursts), ..fair }
        }
        3 => Link { duplicate_permille: 100, late_permille: 100, late_by: millis(60), ..fair },
        4 => Link { rate: Some(20_000), delay: millis(150), ..fair },
        5 => Link { mtu: 1280, ..fair },
        _ => fair,
    }
}
