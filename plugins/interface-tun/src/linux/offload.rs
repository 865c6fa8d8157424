use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ntm_core::plugin::Offload;
use rustix::io::Result;

use crate::SuperPackets;

const TUN_F_CSUM: u32 = 0x01;
const TUN_F_TSO4: u32 = 0x02;
const TUN_F_TSO6: u32 = 0x04;
const TUN_F_TSO_ECN: u32 = 0x08;
const TUN_F_USO4: u32 = 0x20;
const TUN_F_USO6: u32 = 0x40;

const TCP: u32 = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
const UDP: u32 = TUN_F_USO4 | TUN_F_USO6;

/// Switches on as much of `wanted` as the kernel takes; those before 6.2 know
/// nothing of UDP. What a device has switched on belongs to the device and not to
/// its descriptor, so it is set even where nothing is wanted.
pub(super) fn negotiate(
    wanted: SuperPackets,
    mut kernel: impl FnMut(u32) -> Result<()>,
) -> Offload {
    let both = Offload { tcp: true, udp: true };
    let tcp = Offload { tcp: true, udp: false };
    let steps = [
        (SuperPackets::Full, TCP | UDP, both),
        (SuperPackets::Tcp, TCP, tcp),
        (SuperPackets::None, 0, Offload::NONE),
    ];
    let allowed = steps.into_iter().filter(|(needs, ..)| *needs <= wanted);
    let mut taken = allowed.filter(|(_, flags, _)| kernel(*flags).is_ok());
    taken.next().map_or(Offload::NONE, |(.., offload)| offload)
}

/// What the queues of a device know together.
#[derive(Debug)]
pub(super) struct Shared {
    /// What is switched on.
    pub(super) offload: Offload,
    /// The kernel refused a super-packet that was in order.
    refused: AtomicBool,
    /// Packets from the kernel that made no sense.
    malformed: AtomicU64,
}

impl Shared {
    pub(super) fn new(offload: Offload) -> Self {
        Self { offload, refused: AtomicBool::new(false), malformed: AtomicU64::new(0) }
    }

    /// Whether super-packets are worth trying.
    pub(super) fn sends_whole(&self) -> bool {
        !self.refused.load(Ordering::Relaxed)
    }

    /// From now on super-packets are cut before they are sent.
    pub(super) fn cut_from_now_on(&self) {
        if !self.refused.swap(true, Ordering::Relaxed) {
            tracing::info!("the kernel refuses super-packets, they are cut before it gets them");
        }
    }

    /// Counts a packet that is dropped.
    pub(super) fn count_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn facts(&self) -> Vec<(String, String)> {
        let mut offload = self.text().to_owned();
        if !self.sends_whole() {
            offload.push_str(" (from applications alone)");
        }
        let malformed = self.malformed.load(Ordering::Relaxed);
        let malformed = (malformed > 0).then(|| ("malformed".to_owned(), malformed.to_string()));
        [("offload".to_owned(), offload)].into_iter().chain(malformed).collect()
    }

    /// What is switched on, for people.
    pub(super) fn text(&self) -> &'static str {
        match self.offload {
            Offload { tcp: true, udp: true } => "tcp, udp",
            Offload { tcp: true, udp: false } => "tcp",
            Offload { tcp: false, udp: true } => "udp",
            Offload::NONE => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    /// What is agreed on with a kernel that knows these flags, and what it was
    /// asked last.
    fn with_a_kernel_that_knows(known: u32, wanted: SuperPackets) -> (Offload, Option<u32>) {
        let mut last = None;
        let offload = negotiate(wanted, |flags| {
            last = Some(flags);
            if flags & !known == 0 { Ok(()) } else { Err(Errno::INVAL) }
        });
        (offload, last)
    }

    #[test]
    fn the_most_that_is_wanted_and_known_is_switched_on() {
        let (both, tcp) = (Offload { tcp: true, udp: true }, Offload { tcp: true, udp: false });
        for (known, wanted, agreed, asked) in [
            (!0, SuperPackets::Full, both, TCP | UDP),
            (!0, SuperPackets::Tcp, tcp, TCP),
            (!0, SuperPackets::None, Offload::NONE, 0),
            (TCP, SuperPackets::Full, tcp, TCP),
            (TCP, SuperPackets::None, Offload::NONE, 0),
            (TUN_F_CSUM, SuperPackets::Full, Offload::NONE, 0),
            (TUN_F_CSUM, SuperPackets::Tcp, Offload::NONE, 0),
        ] {
            let found = with_a_kernel_that_knows(known, wanted);
            assert_eq!(found, (agreed, Some(asked)), "{wanted:?} of {known:#x}");
        }
    }

    #[test]
    fn a_kernel_without_the_call_moves_single_packets() {
        let refuses = |_| Err(Errno::NOTTY);
        assert_eq!(negotiate(SuperPackets::Full, refuses), Offload::NONE);
    }

    #[test]
    fn facts_follow_what_happens() {
        let shared = Shared::new(Offload { tcp: true, udp: true });
        let fact = |value: &str| ("offload".to_owned(), value.to_owned());
        assert_eq!(shared.facts(), [fact("tcp, udp")]);
        shared.cut_from_now_on();
        shared.count_malformed();
        let malformed = ("malformed".to_owned(), "1".to_owned());
        assert_eq!(shared.facts(), [fact("tcp, udp (from applications alone)"), malformed]);
        assert_eq!(Shared::new(Offload::NONE).facts(), [fact("none")]);
    }
}
