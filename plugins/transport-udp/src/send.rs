use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use ntm_core::plugin::TxPacket;
use rustix::io::Errno;

use crate::message::Messages;

/// How many datagrams one message may carry, for all lanes of a transport.
pub(crate) struct Gso(AtomicUsize);

/// Sends `packets` through `kernel`, which takes as many messages in one call as
/// it likes, at least one, and otherwise says what is wrong with the first.
/// Returns how many entries are whole on their way.
///
/// Two refusals are answered here: a pin whose address or interface is gone is
/// dropped, and a run that the kernel or the device cannot segment goes out
/// datagram by datagram. If that helps, GSO is off until it is
/// [tried again](Gso::retry).
///
/// # Errors
/// That of the first entry, if it failed for good; `WouldBlock` also for a full
/// device queue. Datagrams before it in its run are on their way.
pub(crate) fn send(
    packets: &[TxPacket<'_>],
    gso: &Gso,
    mut kernel: impl FnMut(Messages<'_>) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut left = Messages::new(packets, gso.segments());
    let mut refusal = None;
    while left.entries() > 0 {
        let first = left.clone().next();
        let error = match &first {
            None => io::ErrorKind::InvalidInput.into(),
            Some(first) => match kernel(left.clone()) {
                Ok(sent) => {
                    if let Some(error) = refusal.take() {
                        gso.turn_off(&error);
                    }
                    left.pass(sent, gso.segments());
                    continue;
                }
                Err(error) if first.pin.is_some() && is_stale_pin(&error) => {
                    tracing::debug!(%error, "a pinned source is gone, sending without the pin");
                    left.unpin();
                    continue;
                }
                Err(error) if first.segment.is_some() && is_gso_refusal(&error) => {
                    refusal = Some(error);
                    left.cut();
                    continue;
                }
                Err(error) if is(&error, Errno::NOBUFS) => io::ErrorKind::WouldBlock.into(),
                Err(error) => error,
            },
        };
        return match packets.len() - left.entries() {
            0 => Err(error),
            taken => Ok(taken),
        };
    }
    Ok(packets.len())
}

impl Gso {
    /// At most `segments` datagrams a message; 1 is off.
    pub(crate) fn new(segments: usize) -> Self {
        Self(AtomicUsize::new(segments.max(1)))
    }

    /// The limit as it is now.
    pub(crate) fn segments(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn turn_off(&self, error: &io::Error) {
        if self.0.swap(1, Ordering::Relaxed) > 1 {
            tracing::info!(
                %error,
                "runs of datagrams are refused here, sending them one by one"
            );
        }
    }

    /// At most `segments` again, after another network or other sockets have come:
    /// those may take what the ones before refused.
    pub(crate) fn retry(&self, segments: usize) {
        let segments = segments.max(1);
        if self.0.swap(segments, Ordering::Relaxed) < segments {
            tracing::info!(segments, "runs of datagrams are tried again");
        }
    }
}

/// The kernel says so in several ways: `EINVAL` for an IPv6 source, `ENODEV`
/// for an interface. `ENETUNREACH` may as well mean what it says; then sending
/// once more fails in the same way.
fn is_stale_pin(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NETUNREACH, Errno::ADDRNOTAVAIL, Errno::NODEV, Errno::NXIO]
        .into_iter()
        .any(|errno| is(error, errno))
}

/// `EIO` from devices and routes that cannot segment; `EINVAL` from the socket,
/// and from older kernels when a segment is larger than the MTU.
fn is_gso_refusal(error: &io::Error) -> bool {
    is(error, Errno::IO) || is(error, Errno::INVAL)
}

fn is(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use ntm_core::plugin::Addr;

    use super::*;
    use crate::message::{Message, Pin};

    const LOCAL: [u8; 4] = [192, 0, 2, 1];

    fn to(host: u8) -> Addr {
        SocketAddr::from(([203, 0, 113, host], 4330)).into()
    }

    /// What has left, in order: the last byte of its address, and the datagram.
    type Left = Vec<(u8, Vec<u8>)>;

    /// Sends through a kernel that takes up to three messages a call and lets
    /// pass what `allows` does; returns the result and the datagrams that left.
    fn through(
        packets: &[TxPacket<'_>],
        gso: &Gso,
        allows: impl Fn(&Message<'_>) -> Result<(), Errno>,
    ) -> (Result<usize, Option<Errno>>, Left) {
        let mut left = Vec::new();
        let result = send(packets, gso, |messages| {
            let mut sent = 0;
            for message in messages.take(3) {
                match allows(&message) {
                    Err(errno) if sent == 0 => return Err(errno.into()),
                    Err(_) => break,
                    Ok(()) => sent += 1,
                }
                let IpAddr::V4(ip) = message.to.ip() else { unreachable!("only IPv4 was asked") };
                let stride = message.segment.map_or(message.contents.len(), usize::from);
                let datagrams = message.contents.chunks(stride);
                left.extend(datagrams.map(|it| (ip.octets()[3], it.to_vec())));
            }
            Ok(sent)
        });
        (result.map_err(|error| Errno::from_io_error(&error)), left)
    }

    fn three() -> Left {
        [&b"aaa"[..], b"bbb", b"c"].map(|it| (9, it.to_vec())).into()
    }

    #[test]
    fn a_run_that_cannot_be_segmented_leaves_one_by_one_and_so_do_all_later_ones() {
        for refusal in [Errno::IO, Errno::INVAL] {
            let gso = Gso::new(64);
            let packet = TxPacket::run(b"aaabbbc", 3, to(9));
            let no_runs = |message: &Message<'_>| match message.segment {
                Some(_) => Err(refusal),
                None => Ok(()),
            };
            assert_eq!(through(&[packet], &gso, no_runs), (Ok(1), three()));
            assert_eq!(gso.segments(), 1);
            let (result, left) = through(&[packet; 2], &gso, |message| {
                assert_eq!(message.segment, None, "later runs are not tried as one");
                Ok(())
            });
            assert_eq!((result, left), (Ok(2), [three(), three()].concat()));
        }
    }

    #[test]
    fn a_refused_run_in_the_middle_loses_and_repeats_nothing() {
        let run = |host| TxPacket::run(b"aaabbbc", 3, to(host));
        let packets = [run(1), TxPacket::new(b"x", to(2)), run(3), run(1), run(4)];
        let gso = Gso::new(64);
        let no_runs_to_3 = |message: &Message<'_>| match (message.to.ip().to_string(), message) {
            (to, Message { segment: Some(_), .. }) if to.ends_with(".3") => Err(Errno::IO),
            _ => Ok(()),
        };
        let (result, left) = through(&packets, &gso, no_runs_to_3);
        let to_each = |host: u8| three().into_iter().map(move |(_, it)| (host, it));
        let expected: Left = to_each(1)
            .chain([(2, b"x".to_vec())])
            .chain([3, 1, 4].into_iter().flat_map(to_each))
            .collect();
        assert_eq!((result, left), (Ok(5), expected));
        assert_eq!(gso.segments(), 1);
    }

    #[test]
    fn an_error_that_has_nothing_to_do_with_runs_leaves_gso_on() {
        let gso = Gso::new(64);
        let packet = TxPacket::run(b"aaabbbc", 3, to(9));
        for errno in [Errno::INVAL, Errno::IO, Errno::MSGSIZE, Errno::PERM, Errno::HOSTUNREACH] {
            assert_eq!(through(&[packet], &gso, |_| Err(errno)), (Err(Some(errno)), vec![]));
            assert_eq!(gso.segments(), 64);
        }
    }

    #[test]
    fn an_error_is_about_the_first_entry_that_was_not_taken() {
        let gso = Gso::new(64);
        let packets: Vec<_> = (0..10).map(|host| TxPacket::run(b"aaabbbc", 3, to(host))).collect();
        let not_to_7 = |message: &Message<'_>| {
            if message.to.ip() == IpAddr::from([203, 0, 113, 7]) {
                Err(Errno::HOSTUNREACH)
            } else {
                Ok(())
            }
        };
        let (result, left) = through(&packets, &gso, not_to_7);
        assert_eq!((result, left.len()), (Ok(7), 7 * 3));
        let (result, left) = through(&packets[7..], &gso, not_to_7);
        assert_eq!((result, left.len()), (Err(Some(Errno::HOSTUNREACH)), 0));
        let (result, left) = through(&packets[8..], &gso, not_to_7);
        assert_eq!((result, left.len()), (Ok(2), 2 * 3));
    }

    #[test]
    fn a_pin_that_is_gone_is_dropped_and_one_that_holds_is_kept() {
        let gso = Gso::new(64);
        let mut packet = TxPacket::run(b"aaabbbc", 3, to(9));
        packet.local = Addr::from(IpAddr::from(LOCAL));
        packet.ifindex = 7;
        let pin = Pin { source: Some(LOCAL.into()), ifindex: 7 };
        let twice = (Ok(2), [three(), three()].concat());
        for errno in [Errno::INVAL, Errno::NETUNREACH, Errno::ADDRNOTAVAIL, Errno::NODEV] {
            let gone = |message: &Message<'_>| match message.pin {
                Some(seen) => {
                    assert_eq!(seen, pin);
                    Err(errno)
                }
                None => Ok(()),
            };
            assert_eq!(through(&[packet; 2], &gso, gone), twice);
            assert_eq!(gso.segments(), 64, "the pin was at fault, not the run");
        }
        let held = through(&[packet; 2], &gso, |message| {
            assert_eq!(message.pin, Some(pin));
            Ok(())
        });
        assert_eq!(held, twice);
    }

    #[test]
    fn no_route_at_all_is_an_error_with_and_without_a_pin() {
        let gso = Gso::new(64);
        let mut packet = TxPacket::new(b"aaa", to(9));
        let no_route = |_: &Message<'_>| Err(Errno::NETUNREACH);
        assert_eq!(through(&[packet], &gso, no_route).0, Err(Some(Errno::NETUNREACH)));
        packet.local = Addr::from(IpAddr::from(LOCAL));
        assert_eq!(through(&[packet], &gso, no_route).0, Err(Some(Errno::NETUNREACH)));
    }

    #[test]
    fn a_full_device_queue_is_no_fault_of_the_datagram() {
        let error =
            send(&[TxPacket::new(b"a", to(9))], &Gso::new(1), |_| Err(Errno::NOBUFS.into()));
        assert_eq!(error.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    }

    #[test]
    fn an_entry_without_a_destination_or_without_datagrams_asks_the_kernel_nothing() {
        let gso = Gso::new(64);
        let untouched =
            |_: &Message<'_>| -> Result<(), Errno> { unreachable!("no datagram to send") };
        assert_eq!(through(&[TxPacket::new(b"a", Addr::NONE)], &gso, untouched).0, Err(None));
        assert_eq!(through(&[TxPacket::run(b"", 9, to(9))], &gso, untouched).0, Ok(1));
        assert_eq!(through(&[], &gso, untouched).0, Ok(0));
    }
}
