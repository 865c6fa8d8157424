use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use ntm_core::plugin::TxPacket;
use quinn_udp::EcnCodepoint;
use rustix::io::Errno;

/// The largest payload of one call: what one IPv4 datagram may carry. The
/// kernel holds a whole run to this limit too.
const MAX_BYTES: usize = 65_507;

/// What the kernel is asked to send in one call.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) contents: &'a [u8],
    /// Bytes of each datagram but the last, if there is more than one.
    pub(crate) segment: Option<u16>,
    pub(crate) to: SocketAddr,
    pub(crate) ecn: Option<EcnCodepoint>,
    pub(crate) pin: Option<Pin>,
}

/// Where a datagram has to leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) source: Option<IpAddr>,
    /// 0: any.
    pub(crate) ifindex: u32,
}

/// How many datagrams one call may carry, for all lanes of a transport.
pub(crate) struct Gso(AtomicUsize);

/// Sends the datagrams of one entry through `kernel`, in as few calls as GSO
/// allows.
///
/// Two refusals are answered here: a pin whose address or interface is gone is
/// dropped, and a run that the kernel or the device cannot segment goes out
/// datagram by datagram. If that helps, GSO stays off.
///
/// # Errors
/// That of the first call that failed for good; `WouldBlock` also for a full
/// device queue. Datagrams before it are on their way.
pub(crate) fn send(
    packet: &TxPacket<'_>,
    gso: &Gso,
    mut kernel: impl FnMut(&Message<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let to = packet.remote.socket().ok_or(io::ErrorKind::InvalidInput)?;
    let ecn = EcnCodepoint::from_bits(packet.ecn);
    let mut pin = Pin::of(packet);
    let mut rest = packet.data();
    let segment = if packet.segment == 0 { rest.len() } else { packet.segment.into() };
    let mut datagrams = gso.datagrams(segment);
    let mut refusal = None;
    while !rest.is_empty() {
        let (contents, later) = rest.split_at(segment.saturating_mul(datagrams).min(rest.len()));
        let is_run = contents.len() > segment;
        let message = Message { contents, segment: is_run.then_some(packet.segment), to, ecn, pin };
        match kernel(&message) {
            Ok(()) => {
                rest = later;
                if let Some(error) = refusal.take() {
                    gso.turn_off(&error);
                }
            }
            Err(error) if pin.is_some() && is_stale_pin(&error) => {
                tracing::debug!(%error, "a pinned source is gone, sending without the pin");
                pin = None;
            }
            Err(error) if is_run && is_gso_refusal(&error) => {
                refusal = Some(error);
                datagrams = 1;
            }
            Err(error) if is(&error, Errno::NOBUFS) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Pin {
    fn of(packet: &TxPacket<'_>) -> Option<Self> {
        let pin = Self { source: packet.local.ip(), ifindex: packet.ifindex };
        (pin.source.is_some() || pin.ifindex != 0).then_some(pin)
    }
}

impl Gso {
    /// At most `segments` datagrams a call; 1 is off.
    pub(crate) fn new(segments: usize) -> Self {
        Self(AtomicUsize::new(segments.max(1)))
    }

    /// The limit as it is now.
    pub(crate) fn segments(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn datagrams(&self, segment: usize) -> usize {
        self.segments().min(MAX_BYTES / segment.max(1)).max(1)
    }

    fn turn_off(&self, error: &io::Error) {
        if self.0.swap(1, Ordering::Relaxed) > 1 {
            tracing::info!(%error, "runs of datagrams are refused, sending them one by one");
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
    use ntm_core::plugin::Addr;

    use super::*;

    const LOCAL: [u8; 4] = [192, 0, 2, 1];

    fn remote() -> Addr {
        SocketAddr::from(([203, 0, 113, 9], 4330)).into()
    }

    /// Sends through a kernel that lets pass what `allows` does; returns the
    /// result and the datagrams that left.
    fn through(
        packet: &TxPacket<'_>,
        gso: &Gso,
        allows: impl Fn(&Message<'_>) -> Result<(), Errno>,
    ) -> (Result<(), Option<Errno>>, Vec<Vec<u8>>) {
        let mut left = Vec::new();
        let result = send(packet, gso, |message| {
            allows(message)?;
            let stride = message.segment.map_or(message.contents.len(), usize::from);
            left.extend(message.contents.chunks(stride).map(<[u8]>::to_vec));
            Ok(())
        });
        (result.map_err(|error| Errno::from_io_error(&error)), left)
    }

    #[test]
    fn a_run_that_cannot_be_segmented_leaves_one_by_one_and_so_do_all_later_ones() {
        for refusal in [Errno::IO, Errno::INVAL] {
            let gso = Gso::new(64);
            let packet = TxPacket::run(b"aaabbbc", 3, remote());
            let no_runs = |message: &Message<'_>| match message.segment {
                Some(_) => Err(refusal),
                None => Ok(()),
            };
            let (result, left) = through(&packet, &gso, no_runs);
            assert_eq!((result, left), (Ok(()), vec![b"aaa".to_vec(), b"bbb".into(), b"c".into()]));
            assert_eq!(gso.segments(), 1);
            let (result, left) = through(&packet, &gso, |message| {
                assert_eq!(message.segment, None, "the second run is not tried as one");
                Ok(())
            });
            assert_eq!((result, left.len()), (Ok(()), 3));
        }
    }

    #[test]
    fn an_error_that_has_nothing_to_do_with_runs_leaves_gso_on() {
        let gso = Gso::new(64);
        let packet = TxPacket::run(b"aaabbbc", 3, remote());
        for errno in [Errno::INVAL, Errno::IO, Errno::MSGSIZE, Errno::PERM, Errno::HOSTUNREACH] {
            let (result, left) = through(&packet, &gso, |_| Err(errno));
            assert_eq!((result, left), (Err(Some(errno)), vec![]));
            assert_eq!(gso.segments(), 64);
        }
    }

    #[test]
    fn a_pin_that_is_gone_is_dropped_and_one_that_holds_is_kept() {
        let gso = Gso::new(64);
        let mut packet = TxPacket::run(b"aaabbbc", 3, remote());
        packet.local = Addr::from(IpAddr::from(LOCAL));
        packet.ifindex = 7;
        let pin = Pin { source: Some(LOCAL.into()), ifindex: 7 };
        for errno in [Errno::INVAL, Errno::NETUNREACH, Errno::ADDRNOTAVAIL, Errno::NODEV] {
            let gone = |message: &Message<'_>| match message.pin {
                Some(seen) => {
                    assert_eq!(seen, pin);
                    Err(errno)
                }
                None => Ok(()),
            };
            let (result, left) = through(&packet, &gso, gone);
            assert_eq!((result, left.len()), (Ok(()), 3));
            assert_eq!(gso.segments(), 64, "the pin was at fault, not the run");
        }
        let (result, left) = through(&packet, &gso, |message| {
            assert_eq!(message.pin, Some(pin));
            Ok(())
        });
        assert_eq!((result, left.len()), (Ok(()), 3));
    }

    #[test]
    fn no_route_at_all_is_an_error_with_and_without_a_pin() {
        let gso = Gso::new(64);
        let mut packet = TxPacket::new(b"aaa", remote());
        let no_route = |_: &Message<'_>| Err(Errno::NETUNREACH);
        assert_eq!(through(&packet, &gso, no_route).0, Err(Some(Errno::NETUNREACH)));
        packet.local = Addr::from(IpAddr::from(LOCAL));
        assert_eq!(through(&packet, &gso, no_route).0, Err(Some(Errno::NETUNREACH)));
    }

    #[test]
    fn a_long_run_is_cut_where_the_kernel_would_refuse_it() {
        let gso = Gso::new(64);
        for (segment, datagrams) in [(10_u16, 200), (1_452, 100), (40_000, 3)] {
            let data = vec![7; usize::from(segment) * datagrams - 1];
            let packet = TxPacket::run(&data, segment, remote());
            let (result, left) = through(&packet, &gso, |message| {
                let count = message.contents.len().div_ceil(segment.into());
                assert!(count <= 64 && message.contents.len() <= MAX_BYTES);
                assert_eq!(message.segment.is_some(), count > 1);
                Ok(())
            });
            assert_eq!((result, left.len()), (Ok(()), datagrams));
            assert_eq!(left.concat(), data);
        }
    }

    #[test]
    fn a_full_device_queue_is_no_fault_of_the_datagram() {
        let error =
            send(&TxPacket::new(b"a", remote()), &Gso::new(1), |_| Err(Errno::NOBUFS.into()));
        assert_eq!(error.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    }

    #[test]
    fn an_entry_without_a_destination_or_without_datagrams_asks_the_kernel_nothing() {
        let gso = Gso::new(64);
        let untouched =
            |_: &Message<'_>| -> Result<(), Errno> { unreachable!("no datagram to send") };
        assert_eq!(through(&TxPacket::new(b"a", Addr::NONE), &gso, untouched).0, Err(None));
        assert_eq!(through(&TxPacket::run(b"", 9, remote()), &gso, untouched).0, Ok(()));
    }
}
