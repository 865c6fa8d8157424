use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Doing, Error, Result};
use crate::netns::Netns;

/// How long UDP echoes took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// The quickest.
    pub min: Duration,
    /// Half were quicker.
    pub median: Duration,
    /// The slowest.
    pub max: Duration,
    /// How many did not come within a second.
    pub lost: u32,
}

/// Sends `count` UDP probes from a client to an address of a server, one after
/// the other, and has them echoed. The first one, which waits for the
/// resolution of addresses, is not counted.
///
/// # Errors
/// The server does not have the address, or no probe came back.
pub fn round_trip(
    client: &Netns,
    server: &Netns,
    address: IpAddr,
    count: u32,
) -> Result<RoundTrip> {
    let echo = server
        .run(|| UdpSocket::bind(SocketAddr::new(address, 0)))
        .doing(|| format!("listen on {address} in {}", server.name()))?;
    let to = echo.local_addr().doing(|| "ask for a port".to_owned())?;
    let probe =
        client.run(|| connect(to)).doing(|| format!("reach {to} from {}", client.name()))?;
    let done = AtomicBool::new(false);
    let mut times = thread::scope(|scope| {
        scope.spawn(|| echo_until(&echo, &done));
        let times = ask(&probe, count);
        done.store(true, Ordering::Relaxed);
        times
    });
    times.sort_unstable();
    match times[..] {
        [min, .., max] | [min @ max] => {
            let lost = count - u32::try_from(times.len()).unwrap_or(count);
            Ok(RoundTrip { min, median: times[times.len() / 2], max, lost })
        }
        [] => Err(Error::wrong(format!("no echo came from {to} to {}", client.name()))),
    }
}

/// Asserts that the delay asked for is really there, before anything is
/// measured under it: the median of 20 round trips differs from `expected` by
/// no more than `tolerance`.
///
/// # Errors
/// It is not, or there is no way from the client to the server.
pub fn check_round_trip(
    client: &Netns,
    server: &Netns,
    address: IpAddr,
    expected: Duration,
    tolerance: Duration,
) -> Result<RoundTrip> {
    let measured = round_trip(client, server, address, 20)?;
    if measured.median.abs_diff(expected) > tolerance {
        return Err(Error::wrong(format!(
            "the round trip from {} to {address} is {:?} and not {expected:?} as asked for",
            client.name(),
            measured.median
        )));
    }
    Ok(measured)
}

fn connect(to: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if to.is_ipv6() { [0_u16; 8].into() } else { [0; 4].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket)
}

fn echo_until(socket: &UdpSocket, done: &AtomicBool) {
    let mut buffer = [0; 64];
    let _ = socket.set_read_timeout(Some(Duration::from_millis(20)));
    while !done.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}

fn ask(socket: &UdpSocket, count: u32) -> Vec<Duration> {
    let mut times = Vec::new();
    for number in 0..=count {
        let start = Instant::now();
        // An echo that comes too late must not be taken for the next.
        let sent = number.to_be_bytes();
        if socket.send(&sent).is_err() {
            continue;
        }
        let mut echo = [0; 64];
        while let Some(left) = LIMIT.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
            let _ = socket.set_read_timeout(Some(left));
            if socket.recv(&mut echo).is_ok_and(|length| echo[..length] == sent) {
                if number > 0 {
                    times.push(start.elapsed());
                }
                break;
            }
        }
    }
    times
}

/// Beyond this an echo counts as lost.
const LIMIT: Duration = Duration::from_secs(1);
