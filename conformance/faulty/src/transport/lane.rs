use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};

use super::Mistake;

/// A lane with the same mistake.
pub(crate) struct FaultyLane {
    pub(super) good: Arc<dyn Lane>,
    /// In its place, after a move to another port.
    instead: Mutex<Option<Arc<dyn Lane>>>,
    mistake: Mistake,
    /// A descriptor that has nothing to do with what arrives.
    pipe: (io::PipeReader, io::PipeWriter),
    calls: AtomicU64,
    pub(super) dead: AtomicBool,
    pub(super) closed: AtomicBool,
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

    pub(super) fn instead(&self) -> MutexGuard<'_, Option<Arc<dyn Lane>>> {
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
