use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use ntm_core::Time;

use crate::clock::now;
use crate::error::{Doing, Error, Result};
use crate::netns::Netns;

/// Two one-way streams of numbered UDP packets between two addresses, one in
/// each direction; nothing is echoed, so each tells of its own way alone.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Between two packets of a stream.
    pub interval: Duration,
    /// UDP payload in bytes, at least 24.
    pub size: usize,
}

/// A probe that is under way; stopped if dropped.
pub struct RunningProbe {
    shared: Arc<Shared>,
    interval: Duration,
    senders: Vec<JoinHandle<u64>>,
    receivers: Vec<JoinHandle<Vec<Arrival>>>,
}

/// What became of a probe.
#[derive(Clone, Debug)]
pub struct Flows {
    /// From the first end to the second.
    pub there: Flow,
    /// From the second end to the first.
    pub back: Flow,
}

/// What became of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Packets sent, or meant to be: one that the system refused (no route) is
    /// lost.
    pub sent: u64,
    /// Different packets that arrived.
    pub received: u64,
    /// Packets that never arrived.
    pub lost: u64,
    /// Arrivals of a packet that had arrived already.
    pub duplicates: u64,
    /// Packets that arrived after one that was sent later.
    pub reordered: u64,
    /// The longest time without an arrival between the probe's start and its
    /// stop; without any outage about one interval.
    pub longest_gap: Duration,
    /// When that began: the last arrival before it, or the start.
    pub gap_start: Time,
    /// All arrivals, in their order.
    pub arrivals: Vec<Arrival>,
}

/// The arrival of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which packet, counted from 0.
    pub number: u64,
    /// When it was sent.
    pub sent: Time,
    /// When the receiver's kernel took it in; a receiver that gets no processor for a
    /// while makes nothing later.
    pub arrived: Time,
}

impl Default for Probe {
    fn default() -> Self {
        Self { interval: Duration::from_millis(1), size: 64 }
    }
}

impl Probe {
    /// Starts both streams, between these addresses of these namespaces.
    ///
    /// # Errors
    /// A namespace does not have its address.
    pub fn start(self, first: (&Netns, IpAddr), second: (&Netns, IpAddr)) -> Result<RunningProbe> {
        self.start_ways(first, second, &[(0, 1), (1, 0)])
    }

    /// Starts only the stream from the first end to the second: the second never says
    /// anything, and nothing is sent back.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_one_way(
        self,
        first: (&Netns, IpAddr),
        second: (&Netns, IpAddr),
    ) -> Result<RunningProbe> {
        self.start_ways(first, second, &[(0, 1)])
    }

    fn start_ways(
        self,
        first: (&Netns, IpAddr),
        second: (&Netns, IpAddr),
        ways: &[(usize, usize)],
    ) -> Result<RunningProbe> {
        let open = |(netns, address): (&Netns, IpAddr)| {
            let what = || format!("open a UDP socket on {address} in {}", netns.name());
            let socket = netns.run(|| UdpSocket::bind(SocketAddr::new(address, 0))).doing(what)?;
            socket.set_read_timeout(Some(TICK)).doing(what)?;
            setsockopt(&socket, sockopt::ReceiveTimestampns, &true).doing(what)?;
            let at = socket.local_addr().doing(what)?;
            Ok((Arc::new(socket), at))
        };
        let ends = [open(first)?, open(second)?];
        let shared = Arc::new(Shared {
            run: RUNS.fetch_add(1, Ordering::Relaxed),
            start: now(),
            stopped: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            newest: Default::default(),
        });
        let mut this = RunningProbe {
            shared: shared.clone(),
            interval: self.interval,
            senders: Vec::new(),
            receivers: Vec::new(),
        };
        for (from, to) in ways.iter().copied() {
            let (socket, receiver) = (ends[to].0.clone(), shared.clone());
            this.receivers.push(thread::spawn(move || receiver.receive(&socket, from)));
            let (socket, to, sender) = (ends[from].0.clone(), ends[to].1, shared.clone());
            this.senders.push(thread::spawn(move || sender.send(self, &socket, to)));
        }
        Ok(this)
    }
}

impl RunningProbe {
    /// Stops sending, waits so long for what is still under way, and counts.
    ///
    /// # Errors
    /// A thread of the lab's panicked.
    pub fn stop(mut self, grace: Duration) -> Result<Flows> {
        let panicked = || Error::wrong("the probe's own thread panicked");
        self.shared.stopped.store(true, Ordering::Relaxed);
        let stop = now();
        let join = |sender: JoinHandle<u64>| sender.join().map_err(|_| panicked());
        let sent: Vec<_> = self.senders.drain(..).map(join).collect::<Result<_>>()?;
        sleep(grace);
        self.shared.closed.store(true, Ordering::Relaxed);
        let mut flows = sent.into_iter().zip(self.receivers.drain(..)).map(|(sent, receiver)| {
            let arrivals = receiver.join().map_err(|_| panicked())?;
            Ok(Flow::count(sent, self.shared.start, stop, arrivals))
        });
        // Of a stream that there is not, nothing was sent.
        let none = || Ok(Flow::count(0, self.shared.start, stop, Vec::new()));
        let there = flows.next().unwrap_or_else(none)?;
        Ok(Flows { there, back: flows.next().unwrap_or_else(none)? })
    }

    /// When the newest packet that has arrived so far was sent: from the first end,
    /// and from the second.
    pub fn newest(&self) -> [Time; 2] {
        let newest = &self.shared.newest;
        [&newest[0], &newest[1]].map(|sent| Time::from_nanos(sent.load(Ordering::Relaxed)))
    }

    /// When it began to send.
    pub fn started(&self) -> Time {
        self.shared.start
    }

    /// The time between two packets.
    pub fn interval(&self) -> Duration {
        self.interval
    }
}

impl Drop for RunningProbe {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for RunningProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunningProbe(every {:?})", self.interval)
    }
}

impl Flow {
    fn count(sent: u64, start: Time, stop: Time, arrivals: Vec<Arrival>) -> Self {
        let mut flow = Self {
            sent,
            received: 0,
            lost: 0,
            duplicates: 0,
            reordered: 0,
            longest_gap: Duration::ZERO,
            gap_start: start,
            arrivals: Vec::new(),
        };
        let mut seen = vec![false; usize::try_from(sent).unwrap_or(0)];
        let (mut latest, mut last) = (None, start);
        for arrival in &arrivals {
            let Some(seen) = seen.get_mut(arrival.number as usize) else { continue };
            if std::mem::replace(seen, true) {
                flow.duplicates += 1;
            } else {
                flow.received += 1;
                flow.reordered += u64::from(latest.is_some_and(|latest| arrival.number < latest));
                latest = latest.max(Some(arrival.number));
            }
            flow.gap(last, arrival.arrived);
            last = arrival.arrived;
        }
        flow.gap(last, stop);
        flow.lost = sent - flow.received;
        flow.arrivals = arrivals;
        flow
    }

    fn gap(&mut self, from: Time, to: Time) {
        if to.since(from) > self.longest_gap {
            (self.longest_gap, self.gap_start) = (to.since(from), from);
        }
    }

    /// The longest time without an arrival of which a part lies after this moment.
    pub fn longest_gap_after(&self, moment: Time) -> Duration {
        let pairs = self.arrivals.windows(2).map(|two| (two[0].arrived, two[1].arrived));
        let gaps = pairs.filter(|(_, end)| *end > moment).map(|(begin, end)| end.since(begin));
        gaps.max().unwrap_or(Duration::ZERO)
    }

    /// The first arrival at or after this moment.
    pub fn first_arrival(&self, after: Time) -> Option<&Arrival> {
        self.arrivals.iter().find(|arrival| arrival.arrived >= after)
    }
}

struct Shared {
    /// Tells this run's packets from strays.
    run: u64,
    start: Time,
    /// Nothing is sent any more.
    stopped: AtomicBool,
    /// Nothing is received any more.
    closed: AtomicBool,
    /// Of each end: when the newest of its packets that has arrived was sent.
    newest: [AtomicU64; 2],
}

impl Shared {
    fn send(&self, probe: Probe, socket: &UdpSocket, to: SocketAddr) -> u64 {
        let mut packet = vec![0; probe.size.max(HEADER)];
        let mut number = 0_u64;
        while !self.stopped.load(Ordering::Relaxed) {
            let sent = now();
            for (place, value) in [self.run, number, sent.nanos()].into_iter().enumerate() {
                packet[8 * place..][..8].copy_from_slice(&value.to_be_bytes());
            }
            // What the system refuses is lost like what the network drops.
            let _ = socket.send_to(&packet, to);
            number += 1;
            // By the schedule: a late packet makes none of the next ones late.
            let due = u32::try_from(number).unwrap_or(u32::MAX) * probe.interval;
            sleep(due.saturating_sub(now().since(self.start)));
        }
        number
    }

    fn receive(&self, socket: &UdpSocket, from: usize) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        let mut packet = [0; 65_536];
        while !self.closed.load(Ordering::Relaxed) {
            // A time-out, or an ICMP error for an earlier packet.
            let Ok((length, arrived)) = take(socket, &mut packet) else { continue };
            let value = |place: usize| {
                let bytes = packet[..length].get(8 * place..8 * place + 8)?;
                Some(u64::from_be_bytes(bytes.try_into().ok()?))
            };
            if let (Some(run), Some(number), Some(sent)) = (value(0), value(1), value(2))
                && run == self.run
            {
                self.newest[from].fetch_max(sent, Ordering::Relaxed);
                arrivals.push(Arrival { number, sent: Time::from_nanos(sent), arrived });
            }
        }
        arrivals
    }
}

/// A packet, and when the kernel took it in, on the clock of [`now`].
fn take(socket: &UdpSocket, packet: &mut [u8]) -> io::Result<(usize, Time)> {
    let mut space = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(packet)];
    let fd = socket.as_raw_fd();
    let got = recvmsg::<()>(fd, &mut parts, Some(&mut space), MsgFlags::empty())?;
    let (read, wall) = (now(), clock_gettime(ClockId::CLOCK_REALTIME)?);
    // The stamp is of the wall clock: what has passed since counts.
    let mut ago = Duration::ZERO;
    for message in got.cmsgs()? {
        // A wall clock that is set back meanwhile tells nothing.
        if let ControlMessageOwned::ScmTimestampns(stamp) = message
            && wall > stamp
        {
            ago = (wall - stamp).into();
        }
    }
    Ok((got.bytes, Time::from_nanos(read.nanos().saturating_sub(ago.as_nanos() as u64))))
}

static RUNS: AtomicU64 = AtomicU64::new(0x6e74_6d20_6c61_6200);
const HEADER: usize = 24;
/// How often a receiver looks whether it should end.
const TICK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    fn count(sent: u64, stop: u64, arrivals: &[(u64, u64)]) -> Flow {
        let arrivals = arrivals
            .iter()
            .map(|(number, ms)| Arrival { number: *number, sent: at(0), arrived: at(*ms) })
            .collect();
        Flow::count(sent, at(0), at(stop), arrivals)
    }

    #[test]
    fn each_packet_is_counted_once() {
        let flow = count(6, 6, &[(0, 1), (2, 2), (1, 3), (2, 4), (4, 5)]);
        let counts = (flow.received, flow.lost, flow.duplicates, flow.reordered);
        assert_eq!(counts, (4, 2, 1, 1));
    }

    #[test]
    fn a_gap_that_ended_before_a_moment_is_not_after_it() {
        let flow = count(5, 200, &[(0, 1), (1, 91), (2, 92), (3, 150), (4, 151)]);
        for (moment, gap) in [(0, 90), (90, 90), (91, 58), (150, 1), (151, 0)] {
            assert_eq!(flow.longest_gap_after(at(moment)), Duration::from_millis(gap), "{moment}");
        }
    }

    #[test]
    fn the_longest_gap_may_lie_at_either_end_or_between() {
        for (arrivals, gap, start) in [
            (&[(0, 1), (1, 2), (2, 72), (3, 73)][..], 70, 2),
            (&[(0, 60), (1, 61)], 60, 0),
            (&[(0, 1), (1, 2)], 98, 2),
            (&[], 100, 0),
        ] {
            let flow = count(4, 100, arrivals);
            let got = (flow.longest_gap, flow.gap_start);
            assert_eq!(got, (Duration::from_millis(gap), at(start)), "{arrivals:?}");
        }
    }
}
