use ntm_core::packet::{Protocol, SuperPacket};
use rustix::io::{Errno, Result};

use super::header::Header;
use super::offload::Shared;

/// Segments of a UDP super-packet that every kernel takes; newer ones take more.
const UDP_SEGMENTS: usize = 64;

/// Sends a packet, or a super-packet whose segments have `segment` bytes of
/// payload, through `kernel`, which is given header and packet.
///
/// A super-packet is cut here if the device has none of its kind. Some kernels
/// (6.6.44 and others of mid-2024) refuse those whose last segment is shorter:
/// if cutting helps, all that follow are cut.
///
/// # Errors
/// `INVAL` for what is no super-packet; else that of the first call that failed.
/// Segments before it are on their way.
pub(super) fn send(
    packet: &[u8],
    segment: u16,
    shared: &Shared,
    mut kernel: impl FnMut(Header, &[u8]) -> Result<()>,
) -> Result<()> {
    if segment == 0 {
        return kernel(Header::NONE, packet);
    }
    let whole = SuperPacket::parse(packet, segment).map_err(|_| Errno::INVAL)?;
    let mut refused = false;
    if passes_whole(&whole, shared) {
        match kernel(Header::of(&whole, segment), packet) {
            Err(Errno::INVAL) => refused = true,
            result => return result,
        }
    }
    let mut single = Vec::with_capacity(whole.largest());
    for nth in 0..whole.count() {
        single.clear();
        whole.write(nth, &mut single);
        kernel(Header::NONE, &single)?;
        if refused {
            shared.cut_from_now_on();
            refused = false;
        }
    }
    Ok(())
}

fn passes_whole(whole: &SuperPacket<'_>, shared: &Shared) -> bool {
    let taken = match whole.protocol() {
        Protocol::Tcp => shared.offload.tcp,
        Protocol::Udp => shared.offload.udp && whole.count() <= UDP_SEGMENTS,
    };
    taken && whole.count() > 1 && shared.sends_whole()
}

#[cfg(test)]
mod tests {
    use ntm_core::plugin::Offload;

    use super::super::samples::{KINDS, SEGMENT, packet, singles};
    use super::*;

    const BOTH: Offload = Offload { tcp: true, udp: true };

    /// What a kernel that refuses what `refuses` says was given and took.
    fn through(
        packet: &[u8],
        segment: u16,
        shared: &Shared,
        refuses: impl Fn(Header, &[u8]) -> Option<Errno>,
    ) -> (Result<()>, Vec<(Header, Vec<u8>)>) {
        let mut taken = Vec::new();
        let result = send(packet, segment, shared, |header, packet| {
            if let Some(errno) = refuses(header, packet) {
                return Err(errno);
            }
            taken.push((header, packet.to_vec()));
            Ok(())
        });
        (result, taken)
    }

    fn one_by_one(packet: &[u8], segment: u16) -> Vec<(Header, Vec<u8>)> {
        singles(packet, segment).into_iter().map(|it| (Header::NONE, it)).collect()
    }

    fn takes_all(_: Header, _: &[u8]) -> Option<Errno> {
        None
    }

    fn refuses_whole(header: Header, _: &[u8]) -> Option<Errno> {
        header.is_super().then_some(Errno::INVAL)
    }

    #[test]
    fn a_packet_passes_as_it_is() {
        let shared = Shared::new(BOTH);
        let (result, taken) = through(b"anything", 0, &shared, takes_all);
        assert_eq!((result, taken), (Ok(()), vec![(Header::NONE, b"anything".to_vec())]));
    }

    #[test]
    fn a_super_packet_passes_whole_if_its_kind_is_switched_on() {
        for kind in KINDS {
            let packet = packet(kind, 2500);
            let header = Header::of(&SuperPacket::parse(&packet, SEGMENT).unwrap(), SEGMENT);
            let (result, taken) = through(&packet, SEGMENT, &Shared::new(BOTH), takes_all);
            assert_eq!((result, taken), (Ok(()), vec![(header, packet.clone())]));
            let other = match kind.0 {
                Protocol::Tcp => Offload { tcp: false, udp: true },
                Protocol::Udp => Offload { tcp: true, udp: false },
            };
            for offload in [other, Offload::NONE] {
                let (result, taken) = through(&packet, SEGMENT, &Shared::new(offload), takes_all);
                assert_eq!((result, taken), (Ok(()), one_by_one(&packet, SEGMENT)));
            }
        }
    }

    #[test]
    fn a_kernel_that_refuses_super_packets_is_asked_once() {
        for kind in KINDS {
            let shared = Shared::new(BOTH);
            let packet = packet(kind, 2500);
            let (result, taken) = through(&packet, SEGMENT, &shared, refuses_whole);
            assert_eq!((result, taken), (Ok(()), one_by_one(&packet, SEGMENT)));
            let (result, taken) = through(&packet, SEGMENT, &shared, |header, _| {
                assert!(!header.is_super(), "the second is not tried whole");
                None
            });
            assert_eq!((result, taken), (Ok(()), one_by_one(&packet, SEGMENT)));
        }
    }

    #[test]
    fn an_error_that_cutting_does_not_help_is_no_refusal() {
        let packet = packet(KINDS[0], 2500);
        for errno in [Errno::INVAL, Errno::IO, Errno::NOBUFS, Errno::AGAIN] {
            let shared = Shared::new(BOTH);
            let (result, taken) = through(&packet, SEGMENT, &shared, |_, _| Some(errno));
            assert_eq!((result, taken), (Err(errno), vec![]));
            assert!(shared.sends_whole());
        }
    }

    #[test]
    fn an_error_in_the_middle_is_told() {
        let packet = packet(KINDS[0], 2500);
        let singles = one_by_one(&packet, SEGMENT);
        let (result, taken) = through(&packet, SEGMENT, &Shared::new(Offload::NONE), |_, it| {
            (it == singles[1].1).then_some(Errno::NOBUFS)
        });
        assert_eq!((result, taken), (Err(Errno::NOBUFS), singles[..1].to_vec()));
    }

    #[test]
    fn what_is_too_much_for_some_kernels_does_not_make_them_seem_broken() {
        let shared = Shared::new(BOTH);
        for payload in [65, 64] {
            let packet = packet(KINDS[2], payload);
            let (result, taken) = through(&packet, 1, &shared, takes_all);
            let expected = if payload == 65 { 65 } else { 1 };
            assert_eq!((result, taken.len()), (Ok(()), expected));
        }
        // A single segment is no run.
        let packet = packet(KINDS[0], 10);
        let (_, taken) = through(&packet, SEGMENT, &shared, takes_all);
        assert_eq!(taken, one_by_one(&packet, SEGMENT));
    }

    #[test]
    fn what_is_no_super_packet_is_refused() {
        let shared = Shared::new(BOTH);
        for nonsense in [&b""[..], &[0x45; 40], &packet(KINDS[0], 2500)[..2000]] {
            let (result, taken) = through(nonsense, SEGMENT, &shared, takes_all);
            assert_eq!((result, taken), (Err(Errno::INVAL), vec![]));
        }
        assert!(shared.sends_whole());
    }
}
