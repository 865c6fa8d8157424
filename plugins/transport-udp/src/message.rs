use std::net::{IpAddr, SocketAddr};

use ntm_core::plugin::TxPacket;

/// The largest payload of one message: what one IPv4 datagram may carry. The
/// kernel holds a whole run to this limit too.
pub(crate) const MAX_BYTES: usize = 65_507;

/// What the kernel is asked to send as one: a datagram, or a run of them.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) contents: &'a [u8],
    /// Bytes of each datagram but the last, if there is more than one.
    pub(crate) segment: Option<u16>,
    pub(crate) to: SocketAddr,
    /// The two ECN bits.
    pub(crate) ecn: u8,
    /// The six DSCP bits, as a number.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "quinn-udp cannot send them"))]
    pub(crate) dscp: u8,
    pub(crate) pin: Option<Pin>,
}

/// Where a datagram has to leave from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) source: Option<IpAddr>,
    /// 0: any.
    pub(crate) ifindex: u32,
}

/// What is left of a batch, as messages in their order. Ends before an entry
/// that has no destination.
#[derive(Clone)]
pub(crate) struct Messages<'a> {
    entries: &'a [TxPacket<'a>],
    /// Bytes of the first entry that are on their way.
    begun: usize,
    /// Datagrams in one message.
    most: usize,
    /// How the first entry is sent, because of what the kernel answered.
    first: Treatment,
}

#[derive(Clone, Copy, Default)]
struct Treatment {
    unpinned: bool,
    one_by_one: bool,
}

impl<'a> Messages<'a> {
    /// All of `entries`, with at most so many datagrams in a message.
    pub(crate) fn new(entries: &'a [TxPacket<'a>], most: usize) -> Self {
        Self { entries, begun: 0, most, first: Treatment::default() }.without_finished()
    }

    /// The entries that are not yet whole on their way.
    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Goes on behind the next `sent` messages, with at most so many datagrams
    /// in a message from there.
    pub(crate) fn pass(&mut self, sent: usize, most: usize) {
        self.by_ref().take(sent).for_each(drop);
        self.most = most;
    }

    /// Sends the rest of the first entry without its pin.
    pub(crate) fn unpin(&mut self) {
        self.first.unpinned = true;
    }

    /// Sends the rest of the first entry datagram by datagram.
    pub(crate) fn cut(&mut self) {
        self.first.one_by_one = true;
    }

    fn without_finished(mut self) -> Self {
        self.leave_finished();
        self
    }

    fn leave_finished(&mut self) {
        while let Some((entry, later)) = self.entries.split_first()
            && self.begun >= entry.data().len()
        {
            (self.entries, self.begun, self.first) = (later, 0, Treatment::default());
        }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let entry = self.entries.first()?;
        let to = entry.remote.socket()?;
        let rest = entry.data().get(self.begun..)?;
        let segment = if entry.segment == 0 { rest.len() } else { entry.segment.into() };
        let datagrams = if self.first.one_by_one { 1 } else { self.most.min(MAX_BYTES / segment) };
        let contents = &rest[..segment.saturating_mul(datagrams.max(1)).min(rest.len())];
        let message = Message {
            contents,
            segment: (contents.len() > segment).then_some(entry.segment),
            to,
            ecn: entry.ecn,
            dscp: entry.dscp,
            pin: if self.first.unpinned { None } else { Pin::of(entry) },
        };
        self.begun += contents.len();
        self.leave_finished();
        Some(message)
    }
}

impl Pin {
    fn of(entry: &TxPacket<'_>) -> Option<Self> {
        let pin = Self { source: entry.local.ip(), ifindex: entry.ifindex };
        (pin.source.is_some() || pin.ifindex != 0).then_some(pin)
    }
}

#[cfg(test)]
mod tests {
    use ntm_core::plugin::Addr;

    use super::*;

    fn remote() -> Addr {
        SocketAddr::from(([203, 0, 113, 9], 4330)).into()
    }

    #[test]
    fn a_long_run_is_cut_where_the_kernel_would_refuse_it() {
        for (segment, datagrams) in [(10_u16, 200), (1_452, 100), (40_000, 3)] {
            let data = vec![7; usize::from(segment) * datagrams - 1];
            let entries = [TxPacket::run(&data, segment, remote())];
            let mut left = Vec::new();
            for message in Messages::new(&entries, 64) {
                let count = message.contents.len().div_ceil(segment.into());
                assert!(count <= 64 && message.contents.len() <= MAX_BYTES);
                assert_eq!(message.segment.is_some(), count > 1);
                left.extend(message.contents.chunks(segment.into()));
            }
            assert_eq!((left.len(), left.concat()), (datagrams, data));
        }
    }

    #[test]
    fn entries_without_datagrams_are_passed_and_one_without_destination_is_the_end() {
        let [empty, good] = [b"", &b"a"[..]].map(|data| TxPacket::run(data, 9, remote()));
        let entries = [empty, good, empty, empty, good, empty];
        assert_eq!(Messages::new(&entries, 64).count(), 2);
        let mut messages = Messages::new(&entries, 64);
        messages.pass(1, 64);
        assert_eq!(messages.entries(), 2);
        messages.pass(1, 64);
        assert_eq!(messages.entries(), 0);
        let lost = TxPacket::new(b"a", Addr::NONE);
        let entries = [good, lost, good];
        let mut messages = Messages::new(&entries, 64);
        assert_eq!(messages.by_ref().count(), 1);
        assert_eq!(messages.entries(), 2);
    }

    #[test]
    fn what_the_kernel_answered_holds_for_one_entry() {
        let mut run = TxPacket::run(b"aabbc", 2, remote());
        run.ifindex = 7;
        let entries = [run, run];
        let mut messages = Messages::new(&entries, 64);
        messages.unpin();
        messages.cut();
        let shape: Vec<_> = messages.map(|it| (it.contents.len(), it.pin.is_some())).collect();
        assert_eq!(shape, [(2, false), (2, false), (1, false), (5, true)]);
    }
}
