//! Small UDP packets from left to right, at a given pace or as many as will go.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::socket::sockopt::UdpGroSegment;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg, setsockopt};
use ntm_lab::{Netns, Result};
use socket2::SockRef;

use crate::bed::doing;

/// UDP payload of each packet, in bytes.
pub(crate) const SIZE: usize = 64;
/// As many go in one call, each a packet of its own.
const BATCH: usize = 64;
/// From one look at the clock to the next. At 200,000 packets a second 40 go at
/// once; a sender that kept looking would take a core from the tunnel.
const TICK: Duration = Duration::from_micros(200);
/// So long nothing must have come for the flow to have ended.
const SILENCE: Duration = Duration::from_millis(60);
const BUFFER: usize = 4 << 20;
/// The receiver takes packets that the system has joined as one (UDP_GRO), as
/// programs that receive many do; where nothing joins them they come one by one.
const JOINED: usize = 1 << 16;

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// From the first packet sent to the last.
    pub(crate) sending: Duration,
    /// From the first packet sent to the last received.
    pub(crate) receiving: Duration,
}

impl Outcome {
    /// Packets a second that were sent.
    pub(crate) fn offered(&self) -> f64 {
        self.sent as f64 / self.sending.as_secs_f64().max(1e-6)
    }

    /// Packets a second that arrived. What was still queued when the sender
    /// stopped does not make it faster.
    pub(crate) fn delivered(&self) -> f64 {
        self.received as f64 / self.sending.max(self.receiving).as_secs_f64().max(1e-6)
    }

    /// The share that was lost.
    pub(crate) fn loss(&self) -> f64 {
        1.0 - self.received as f64 / self.sent.max(1) as f64
    }
}

/// Two sockets, one at each end.
pub(crate) struct Flow {
    sender: UdpSocket,
    receiver: UdpSocket,
    /// Before what the receiver gets of each packet; somebody on the way takes it off.
    envelope: Vec<u8>,
    /// What the receiver gets of each packet, in bytes.
    size: usize,
    run: AtomicU64,
}

/// A socket at this address of this machine.
///
/// # Errors
/// The machine does not have it.
pub(crate) fn open(machine: &Netns, address: Ipv4Addr) -> Result<UdpSocket> {
    machine
        .run(|| UdpSocket::bind(SocketAddrV4::new(address, 0)))
        .map_err(doing("open a UDP socket"))
}

impl Flow {
    /// Between these addresses of these machines.
    ///
    /// # Errors
    /// A machine does not have its address.
    pub(crate) fn new(left: (&Netns, Ipv4Addr), right: (&Netns, Ipv4Addr)) -> Result<Self> {
        let (sender, receiver) = (open(left.0, left.1)?, open(right.0, right.1)?);
        let to = receiver.local_addr().map_err(doing("open a UDP socket"))?;
        sender.connect(to).map_err(doing("open a UDP socket"))?;
        Self::between(sender, receiver, Vec::new(), SIZE)
    }

    /// From one socket, which is connected, to another: packets of `size` bytes, before
    /// each of which stands an envelope.
    ///
    /// # Errors
    /// The system refuses an option.
    pub(crate) fn between(
        sender: UdpSocket,
        receiver: UdpSocket,
        envelope: Vec<u8>,
        size: usize,
    ) -> Result<Self> {
        let what = "prepare a UDP socket";
        for socket in [&sender, &receiver] {
            let socket = SockRef::from(socket);
            socket.set_send_buffer_size(BUFFER).map_err(doing(what))?;
            socket.set_recv_buffer_size(BUFFER).map_err(doing(what))?;
        }
        setsockopt(&receiver, UdpGroSegment, &true)
            .map_err(io::Error::from)
            .map_err(doing(what))?;
        receiver.set_read_timeout(Some(Duration::from_millis(20))).map_err(doing(what))?;
        Ok(Self { sender, receiver, envelope, size, run: AtomicU64::new(1) })
    }

    /// Sends for so long, so many packets a second or, without a pace, as many as
    /// will go.
    ///
    /// # Errors
    /// The system refuses to send or receive.
    pub(crate) fn run(&self, pace: Option<f64>, duration: Duration) -> Result<Outcome> {
        let run = self.run.fetch_add(1, Ordering::Relaxed);
        let sent_all = AtomicBool::new(false);
        let begin = Instant::now();
        let (sent, received) = thread::scope(|scope| {
            let receiver = scope.spawn(|| self.receive(run, &sent_all));
            let sent = self.send(run, pace, duration);
            let sending = begin.elapsed();
            sent_all.store(true, Ordering::Relaxed);
            let received = receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (sent.map(|sent| (sent, sending)), received)
        });
        let (sent, sending) = sent.map_err(doing("send packets"))?;
        let (received, last) = received.map_err(doing("receive packets"))?;
        let receiving = last.map_or(Duration::ZERO, |last| last - begin);
        Ok(Outcome { sent, received, sending, receiving })
    }

    fn send(&self, run: u64, pace: Option<f64>, duration: Duration) -> io::Result<u64> {
        prctl::set_timerslack(1)?;
        let mut packet = self.envelope.clone();
        packet.extend(run.to_be_bytes());
        packet.resize(self.envelope.len() + self.size, 0);
        let slices = [[IoSlice::new(&packet)]; BATCH];
        let nowhere: [Option<SockaddrIn>; BATCH] = [None; BATCH];
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
        let begin = Instant::now();
        let mut sent = 0;
        loop {
            let elapsed = begin.elapsed();
            if elapsed >= duration {
                return Ok(sent);
            }
            let due = match pace {
                Some(pace) => ((elapsed.as_secs_f64() * pace) as u64).saturating_sub(sent),
                None => BATCH as u64,
            };
            let batch = usize::try_from(due).unwrap_or(BATCH).min(BATCH);
            if batch > 0 {
                let result = sendmmsg(
                    self.sender.as_raw_fd(),
                    &mut headers,
                    slices[..batch].iter(),
                    &nowhere[..batch],
                    [],
                    MsgFlags::empty(),
                );
                match result {
                    Ok(results) => sent += results.count() as u64,
                    // A full queue somewhere below: the packet is lost there.
                    Err(nix::errno::Errno::ENOBUFS) => sent += batch as u64,
                    Err(error) => return Err(error.into()),
                }
            }
            if due < BATCH as u64 {
                thread::sleep(TICK.saturating_sub(begin.elapsed() - elapsed));
            }
        }
    }

    /// Counts what comes of this run until all has been sent and it is silent.
    fn receive(&self, run: u64, sent_all: &AtomicBool) -> io::Result<(u64, Option<Instant>)> {
        let mut buffers = vec![vec![0; JOINED]; BATCH];
        let mut lengths = [0; BATCH];
        let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
        let (mut received, mut last) = (0, None);
        let mut heard = Instant::now();
        loop {
            let got = {
                let mut slices: Vec<_> =
                    buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
                let flags = MsgFlags::MSG_WAITFORONE;
                recvmmsg(self.receiver.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)
                    .map(|got| {
                        let each = lengths.iter_mut().zip(got);
                        each.map(|(length, message)| *length = message.bytes).count()
                    })
            };
            match got.map_err(io::Error::from) {
                Ok(count) => {
                    let joined = buffers.iter().zip(&lengths[..count]);
                    let packets =
                        joined.flat_map(|(it, &length)| it[..length].chunks_exact(self.size));
                    let own = packets.filter(|it| it[..8] == run.to_be_bytes()).count() as u64;
                    if own > 0 {
                        heard = Instant::now();
                        last = Some(heard);
                    }
                    received += own;
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
            if sent_all.load(Ordering::Relaxed) && heard.elapsed() > SILENCE {
                return Ok((received, last));
            }
        }
    }
}
