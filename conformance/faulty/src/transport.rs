//! Transports with one mistake each, over the built-in `udp`.
#![expect(clippy::wildcard_enum_match_arm, reason = "the other mistakes are made elsewhere")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Addr, Fault, Lane, PluginError, RxSlot, Transport, TxPacket};
use ntm_transport_udp::{Config, Udp};
use serde::{Deserialize, Serialize};

/// The mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// None at all.
    None,
    /// Of two datagrams that lie there, the second is given first.
    Reorders,
    /// The last of a batch is not sent, and said to be.
    DropsTail,
    /// Two datagrams that lie there become one.
    Joins,
    /// The last byte of a datagram is lost.
    Cuts,
    /// A bit is another one.
    Alters,
    /// The descriptor is readable once, and not again.
    LosesWakeUps,
    /// The descriptor is readable always.
    AlwaysReadable,
    /// The source's port is another one.
    WrongSource,
    /// The address where it listens has another port.
    WrongLocal,
    /// The address where it listens has no port.
    NoPort,
    /// A descriptor more with every opening.
    Leaks,
    /// Opening never ends.
    HangsInOpen,
    /// The first datagram is one too many.
    PanicsInReceive,
    /// Making it work again takes another port.
    RebindMovesPort,
    /// After making it work again, the old lane is dead.
    RebindForgetsLanes,
    /// Making it work again, given up, leaves it dead.
    RebindHalfway,
    /// Says that datagrams of 64 KiB pass, and cuts what is longer than a packet.
    BoastsOfSize,
    /// Sends are fine after the end, too.
    TakesAfterClose,
    /// Nothing arrives after the end, and that is all it says.
    SilentAfterClose,
    /// Nobody who waits hears of the end.
    NoWakeAtClose,
    /// The port stays taken after the end.
    KeepsPort,
    /// The end never comes.
    HangsInClose,
    /// Other lanes at every call.
    OtherLanes,
    /// One lane fewer than workers.
    TooFewLanes,
    /// The mark of congestion is lost.
    LosesEcn,
    /// Of a run the last, shorter datagram is lost.
    LosesLastOfRun,
    /// A run is given as if its datagrams were one byte longer.
    WrongSegment,
    /// Where there is nothing, it gives nothing with success.
    NothingIsSuccess,
    /// After one datagram that could not be sent, none can.
    BrokenByOne,
    /// A send waits for a quarter of a minute.
    BlocksInSend,
    /// Another kind every time.
    ChangesKind,
    /// The address at which a datagram arrived is another one.
    WrongArrival,
    /// Behind a datagram that was cut for a small slot the next one is lost.
    LosesBehindCut,
    /// A datagram that is too large is cut.
    CutsTooLarge,
    /// Of a run as long as can be half is lost, and said to be taken.
    HalvesLongRuns,
    /// A port that is taken is the system's fault.
    BlamesSystem,
    /// The source that a packet names is not looked at.
    IgnoresSource,
    /// Addresses of IPv4 are written as ones of IPv6.
    Mapped,
    /// What one thread sends while another does is lost.
    OneThread,
    /// A move is the end.
    DeadAfterMove,
}

/// What a library is configured with: the mistake, and where to listen.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InLibrary {
    mistake: Mistake,
    bind: SocketAddr,
}

impl InLibrary {
    /// A transport with this mistake.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(self, lanes: usize) -> Result<Faulty, PluginError> {
        let config = Config { bind: self.bind, ..Config::default() };
        Faulty::open(config, lanes, self.mistake)
    }
}

/// A transport with this mistake.
pub struct Faulty {
    good: Udp,
    lanes: Vec<Arc<FaultyLane>>,
    mistake: Mistake,
    asked: AtomicU64,
    /// What else is open.
    kept: Mutex<Vec<Udp>>,
    config: Config,
}

impl Faulty {
    /// Opens the built-in transport below it.
    ///
    /// # Errors
    /// As the built-in one's.
    pub fn open(config: Config, lanes: usize, mistake: Mistake) -> Result<Self, PluginError> {
        match mistake {
            Mistake::HangsInOpen => loop {
                thread::park();
            },
            Mistake::Leaks => {
                // Not all that there are: others run in this process.
                static LEAKED: AtomicU64 = AtomicU64::new(0);
                let leaks = LEAKED.fetch_add(1, Ordering::Relaxed) < 50;
                if let Some(Ok(pipe)) = leaks.then(io::pipe) {
                    std::mem::forget(pipe);
                }
            }
            _ => {}
        }
        let good = Udp::open(config.clone(), lanes).map_err(|error| match mistake {
            Mistake::BlamesSystem => PluginError { fault: Fault::System, ..error },
            _ => error,
        })?;
        let wrap = |lane| FaultyLane::new(lane, mistake).map(Arc::new);
        let wrapped: io::Result<_> = good.lanes().into_iter().map(wrap).collect();
        let wrapped = wrapped.map_err(|error| PluginError::io("open a pipe", &error, ""))?;
        let (asked, kept) = (AtomicU64::new(0), Mutex::default());
        Ok(Self { good, lanes: wrapped, mistake, asked, kept, config })
    }
}

#[async_trait]
impl Transport for Faulty {
    fn kind(&self) -> TransportKind {
        let nth = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.mistake {
            Mistake::ChangesKind => TransportKind(1 + (nth % 2) as u8),
            _ => self.good.kind(),
        }
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        match self.mistake {
            Mistake::OtherLanes => {
                let again = |lane: &Arc<FaultyLane>| -> Option<Arc<dyn Lane>> {
                    Some(Arc::new(FaultyLane::new(lane.good.clone(), self.mistake).ok()?))
                };
                self.lanes.iter().filter_map(again).collect()
            }
            Mistake::TooFewLanes => {
                let few = self.lanes.iter().take((self.lanes.len() - 1).max(1));
                few.map(|lane| lane.clone() as Arc<dyn Lane>).collect()
            }
            _ => self.lanes.iter().map(|lane| lane.clone() as Arc<dyn Lane>).collect(),
        }
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        let mut addrs = self.good.local_addrs();
        for addr in &mut addrs {
            match self.mistake {
                Mistake::WrongLocal => addr.set_port(addr.port() ^ 1),
                Mistake::NoPort => addr.set_port(0),
                _ => {}
            }
        }
        addrs
    }

    fn max_payload(&self, to: SocketAddr) -> Option<usize> {
        match self.mistake {
            Mistake::BoastsOfSize => Some(65_507),
            _ => self.good.max_payload(to),
        }
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        match self.mistake {
            Mistake::RebindMovesPort => {
                let mut bind = self.good.local_addrs()[0];
                bind.set_port(0);
                let moved = Udp::open(Config { bind, ..self.config.clone() }, self.lanes.len())?;
                for (lane, moved) in self.lanes.iter().zip(moved.lanes()) {
                    *lane.instead() = Some(moved);
                }
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(moved);
                Ok(())
            }
            Mistake::RebindForgetsLanes => {
                self.good.rebind().await?;
                self.lanes.iter().for_each(|lane| lane.dead.store(true, Ordering::Release));
                Ok(())
            }
            Mistake::RebindHalfway => {
                self.lanes.iter().for_each(|lane| lane.dead.store(true, Ordering::Release));
                tokio::task::yield_now().await;
                self.good.rebind().await?;
                self.lanes.iter().for_each(|lane| lane.dead.store(false, Ordering::Release));
                Ok(())
            }
            _ => self.good.rebind().await,
        }
    }

    fn moved(&self) {
        self.good.moved();
        if self.mistake == Mistake::DeadAfterMove {
            self.lanes.iter().for_each(|lane| lane.dead.store(true, Ordering::Release));
        }
    }

    async fn close(&self) {
        match self.mistake {
            Mistake::HangsInClose => std::future::pending().await,
            Mistake::KeepsPort | Mistake::NoWakeAtClose => {
                self.lanes.iter().for_each(|lane| lane.closed.store(true, Ordering::Release));
                if self.mistake == Mistake::NoWakeAtClose {
                    // The port is free again, and the pipe that is waited for stays.
                    self.good.close().await;
                }
            }
            _ => {
                self.good.close().await;
                self.lanes.iter().for_each(|lane| lane.closed.store(true, Ordering::Release));
            }
        }
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.good.facts()
    }
}

/// A lane with the same mistake.
pub(crate) struct FaultyLane {
    good: Arc<dyn Lane>,
    /// In its place, after a move to another port.
    instead: Mutex<Option<Arc<dyn Lane>>>,
    mistake: Mistake,
    /// A descriptor that has nothing to do with what arrives.
    pipe: (io::PipeReader, io::PipeWriter),
    calls: AtomicU64,
    dead: AtomicBool,
    closed: AtomicBool,
}

fn would_block<T>() -> io::Result<T> {
    Err(io::ErrorKind::WouldBlock.into())
}

fn not_connected<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotConnected.into())
}

impl FaultyLane {
    pub(crate) fn new(good: Arc<dyn Lane>, mistake: Mistake) -> io::Result<Self> {
        let pipe = io::pipe()?;
        if matches!(mistake, Mistake::LosesWakeUps | Mistake::AlwaysReadable) {
            io::Write::write_all(&mut &pipe.1, b"!")?;
        }
        let (instead, calls) = (Mutex::default(), AtomicU64::new(0));
        let (dead, closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { good, instead, mistake, pipe, calls, dead, closed })
    }

    fn instead(&self) -> MutexGuard<'_, Option<Arc<dyn Lane>>> {
        self.instead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Arc<dyn Lane> {
        self.instead().clone().unwrap_or_else(|| self.good.clone())
    }

    /// What arrived, altered as the mistake says.
    fn spoil(&self, slots: &mut [RxSlot<'_>], filled: usize) -> usize {
        let slots = &mut slots[..filled];
        match self.mistake {
            Mistake::Reorders => {
                // A batch, or a run that the kernel has made of it.
                let [first, second, ..] = slots else {
                    slots.iter_mut().for_each(reverse);
                    return filled;
                };
                let (one, other) = (Held::of(first), Held::of(second));
                other.put(first);
                one.put(second);
            }
            Mistake::Joins => {
                if let [first, second, rest @ ..] = slots {
                    let data = [first.filled(), second.filled()].concat();
                    Held { data, segment: 0, ..Held::of(first) }.put(first);
                    // The others move up.
                    let mut gap = second;
                    for slot in rest {
                        Held::of(slot).put(gap);
                        gap = slot;
                    }
                    return filled - 1;
                }
            }
            Mistake::Cuts => {
                for slot in slots {
                    let len = slot.filled().len();
                    let segment = slot.segment;
                    slot.fill(len - usize::from(len > 1), segment);
                }
            }
            Mistake::Alters => {
                for slot in slots {
                    if let Some(last) = slot.filled_mut().last_mut() {
                        *last ^= 0x10;
                    }
                }
            }
            Mistake::WrongSource => {
                for slot in slots {
                    if let Some(mut remote) = slot.remote.socket() {
                        remote.set_port(remote.port() ^ 1);
                        slot.remote = remote.into();
                    }
                }
            }
            Mistake::LosesEcn => slots.iter_mut().for_each(|slot| slot.ecn = 0),
            Mistake::WrongSegment => {
                for slot in slots.iter_mut().filter(|slot| slot.segment > 0) {
                    slot.segment += 1;
                }
            }
            Mistake::BoastsOfSize => {
                for slot in slots.iter_mut().filter(|slot| slot.segment == 0) {
                    let len = slot.filled().len().min(1472);
                    slot.fill(len, 0);
                }
            }
            Mistake::WrongArrival => {
                for slot in slots {
                    if let Some(IpAddr::V4(ip)) = slot.local.ip() {
                        slot.local = IpAddr::V4((u32::from(ip) ^ 0x100).into()).into();
                    } else if let Some(IpAddr::V6(ip)) = slot.local.ip() {
                        slot.local = IpAddr::V6((u128::from(ip) ^ 0x100).into()).into();
                    }
                }
            }
            Mistake::LosesBehindCut if slots.iter_mut().any(is_full) => {
                let mut buffer = vec![0; 65_535];
                let _lost = self.good.try_recv(&mut [RxSlot::new(&mut buffer)]);
            }
            Mistake::Mapped => {
                for slot in slots {
                    if let Some(SocketAddr::V4(remote)) = slot.remote.socket() {
                        let mapped = IpAddr::V6(remote.ip().to_ipv6_mapped());
                        slot.remote = SocketAddr::new(mapped, remote.port()).into();
                    }
                }
            }
            _ => {}
        }
        filled
    }
}

/// What is sent in the place of a packet.
fn alter<'a>(mistake: Mistake, packet: &TxPacket<'a>) -> TxPacket<'a> {
    let (len, segment) = (packet.data().len(), usize::from(packet.segment));
    let cut = match mistake {
        Mistake::LosesLastOfRun if segment > 0 && len % segment > 0 => len - len % segment,
        Mistake::HalvesLongRuns if segment > 0 && len > 40_000 => len / 2 - len / 2 % segment,
        Mistake::CutsTooLarge if segment == 0 => len.min(1400),
        _ => len,
    };
    let mut altered = TxPacket::run(&packet.data()[..cut], packet.segment, packet.remote);
    (altered.ecn, altered.dscp) = (packet.ecn, packet.dscp);
    if mistake != Mistake::IgnoresSource {
        (altered.local, altered.ifindex) = (packet.local, packet.ifindex);
    }
    altered
}

fn is_full(slot: &mut RxSlot<'_>) -> bool {
    slot.filled().len() == slot.buffer().len()
}

/// What a slot held.
struct Held {
    data: Vec<u8>,
    remote: Addr,
    segment: u16,
    ecn: u8,
}

impl Held {
    fn of(slot: &RxSlot<'_>) -> Self {
        let RxSlot { remote, segment, ecn, .. } = *slot;
        Self { data: slot.filled().to_vec(), remote, segment, ecn }
    }

    fn put(self, slot: &mut RxSlot<'_>) {
        let len = self.data.len().min(slot.buffer().len());
        slot.buffer()[..len].copy_from_slice(&self.data[..len]);
        slot.fill(len, self.segment);
        (slot.remote, slot.ecn) = (self.remote, self.ecn);
    }
}

/// The datagrams of a run, the last one first; of equal ones, since the last may be
/// shorter.
fn reverse(slot: &mut RxSlot<'_>) {
    let all: Vec<Vec<u8>> = slot.segments().map(<[u8]>::to_vec).collect();
    let even = all.iter().all(|one| one.len() == all[0].len());
    if all.len() > 1 && even {
        let data = all.into_iter().rev().flatten().collect();
        Held { data, ..Held::of(slot) }.put(slot);
    }
}

impl Lane for FaultyLane {
    fn fd(&self) -> BorrowedFd<'_> {
        match self.mistake {
            Mistake::LosesWakeUps | Mistake::AlwaysReadable | Mistake::NoWakeAtClose
                if self.mistake != Mistake::NoWakeAtClose
                    || self.closed.load(Ordering::Acquire) =>
            {
                self.pipe.0.as_fd()
            }
            _ => self.good.fd(),
        }
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        if self.closed.load(Ordering::Acquire) && self.mistake == Mistake::TakesAfterClose {
            return Ok(packets.len());
        }
        let dead = self.mistake != Mistake::OneThread && self.dead.load(Ordering::Acquire);
        if dead || self.closed.load(Ordering::Acquire) {
            return not_connected();
        }
        let good = self.current();
        match self.mistake {
            Mistake::DropsTail if packets.len() > 1 => {
                let most = packets.len() - 1;
                let sent = good.try_send(&packets[..most])?;
                Ok(sent + usize::from(sent == most))
            }
            Mistake::LosesLastOfRun
            | Mistake::CutsTooLarge
            | Mistake::HalvesLongRuns
            | Mistake::IgnoresSource => {
                let altered: Vec<_> = packets.iter().map(|it| alter(self.mistake, it)).collect();
                good.try_send(&altered)
            }
            Mistake::BrokenByOne => {
                let sent = good.try_send(packets);
                if sent.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
                    self.dead.store(true, Ordering::Release);
                }
                sent
            }
            Mistake::BlocksInSend => {
                thread::sleep(Duration::from_secs(6));
                good.try_send(packets)
            }
            Mistake::OneThread => {
                if self.dead.swap(true, Ordering::AcqRel) {
                    return Ok(packets.len());
                }
                thread::sleep(Duration::from_micros(200));
                let sent = good.try_send(packets);
                self.dead.store(false, Ordering::Release);
                sent
            }
            _ => good.try_send(packets),
        }
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        if self.closed.load(Ordering::Acquire) && self.mistake == Mistake::SilentAfterClose {
            return would_block();
        }
        let dead = self.mistake != Mistake::OneThread && self.dead.load(Ordering::Acquire);
        if dead || self.closed.load(Ordering::Acquire) {
            return not_connected();
        }
        let filled = match self.current().try_recv(slots) {
            Ok(filled) => filled,
            Err(error) => {
                let nothing = error.kind() == io::ErrorKind::WouldBlock;
                return match self.mistake {
                    Mistake::NothingIsSuccess if nothing => Ok(0),
                    _ => Err(error),
                };
            }
        };
        assert!(self.mistake != Mistake::PanicsInReceive, "a datagram that nobody expected");
        if self.mistake == Mistake::LosesWakeUps && self.calls.fetch_add(1, Ordering::Relaxed) == 0
        {
            // What rang once has rung.
            io::Read::read_exact(&mut &self.pipe.0, &mut [0])?;
        }
        Ok(self.spoil(slots, filled))
    }
}
