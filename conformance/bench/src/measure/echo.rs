//! Round trips, by ICMP echoes that the kernel of the far end answers.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::time::TimeSpec;
use ntm_lab::{Error, Netns, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::bed::doing;

/// How long the last echoes are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// ICMP data, in bytes: as `ping` sends.
const DATA: usize = 56;

/// Sends `count` echo requests, one each `interval`, whether or not the ones
/// before have come back. What is lost took [`PATIENCE`].
///
/// # Errors
/// There is no way to that address.
pub(crate) fn times(
    from: &Netns,
    to: Ipv4Addr,
    count: u16,
    interval: Duration,
) -> Result<Vec<Duration>> {
    let mut times = from.run(|| run(to, count, interval)).map_err(doing(&format!("ping {to}")))?;
    times.resize(times.len().max(count.into()), PATIENCE);
    Ok(times)
}

/// Waits until an echo comes back.
///
/// # Errors
/// None did in time.
pub(crate) fn wait(from: &Netns, to: Ipv4Addr, limit: Duration) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < limit {
        // A device that is not set up yet has no route.
        let some = from.run(|| run(to, 5, Duration::from_millis(50))).unwrap_or_default();
        if !some.is_empty() {
            return Ok(());
        }
    }
    Err(Error::Timeout { what: format!("an echo from {to}"), limit })
}

fn run(to: Ipv4Addr, count: u16, interval: Duration) -> io::Result<Vec<Duration>> {
    // The default of 50 µs would be seen in the times between.
    prctl::set_timerslack(1)?;
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4))?;
    socket.connect(&SocketAddrV4::new(to, 0).into())?;
    socket.set_nonblocking(true)?;
    let begin = Instant::now();
    let mut sent: Vec<Instant> = Vec::with_capacity(count.into());
    let mut times = Vec::with_capacity(count.into());
    for number in 0..count {
        let due = begin + interval * u32::from(number);
        receive_until(&socket, due, &sent, &mut times)?;
        sent.push(Instant::now());
        match socket.send(&request(number)) {
            // It counts as lost.
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    let end = Instant::now() + PATIENCE;
    while times.len() < sent.len() && Instant::now() < end {
        receive_until(&socket, end.min(Instant::now() + interval), &sent, &mut times)?;
    }
    Ok(times)
}

/// Takes in what comes until then.
fn receive_until(
    mut socket: &Socket,
    until: Instant,
    sent: &[Instant],
    times: &mut Vec<Duration>,
) -> io::Result<()> {
    use std::io::Read as _;
    loop {
        let mut reply = [0; 8 + DATA];
        match socket.read(&mut reply) {
            Ok(length) => {
                let now = Instant::now();
                let number = u16::from_be_bytes([reply[6], reply[7]]);
                if let (ECHO_REPLY, true, Some(sent)) =
                    (reply[0], length >= 8, sent.get(usize::from(number)))
                {
                    times.push(now - *sent);
                }
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Some time ago there was no way there.
            Err(error) if error.kind() == ErrorKind::HostUnreachable => {}
            Err(error) => return Err(error),
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        ppoll(&mut polled, Some(TimeSpec::from_duration(left)), None)?;
    }
}

const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// RFC 792. The kernel fills in identifier and checksum.
fn request(number: u16) -> [u8; 8 + DATA] {
    let mut message = [0; 8 + DATA];
    message[0] = ECHO_REQUEST;
    message[6..8].copy_from_slice(&number.to_be_bytes());
    message
}
