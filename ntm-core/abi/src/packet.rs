use core::marker::PhantomData;
use core::slice;

use crate::Addr;

/// Datagrams to send: one, or a run of equal-sized ones to the same address.
///
/// Plain numbers and one borrowed payload. With `segment` set, `data` holds
/// several datagrams of that size back to back and only the last may be
/// shorter, so one entry can be one `UDP_SEGMENT` system call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TxPacket<'a> {
    pub(crate) data: *const u8,
    pub(crate) len: usize,
    /// Where the datagrams go; [`Addr::NONE`] towards an interface.
    pub remote: Addr,
    /// Source address to pin; [`Addr::NONE`] lets the kernel choose.
    pub local: Addr,
    /// Interface index to pin; 0 lets the kernel choose.
    pub ifindex: u32,
    /// Bytes of each datagram but the last; 0 means that `data` is one datagram.
    ///
    /// Towards an interface: the payload bytes of each segment of a super-packet;
    /// 0 means that `data` is one packet.
    pub segment: u16,
    /// The two ECN bits of the IP header.
    pub ecn: u8,
    /// The six DSCP bits of the IP header, as a number (RFC 2474); 0 is best effort.
    pub dscp: u8,
    borrowed: PhantomData<&'a [u8]>,
}

/// Room for one receive: a datagram, or a run of equal-sized ones.
///
/// The owner lends the buffer; `try_recv` writes into [`RxSlot::buffer`] and
/// then says with [`RxSlot::fill`] what it put there.
#[repr(C)]
#[derive(Debug)]
pub struct RxSlot<'a> {
    pub(crate) data: *mut u8,
    pub(crate) capacity: usize,
    pub(crate) len: usize,
    /// Where the datagrams came from; [`Addr::NONE`] from an interface.
    pub remote: Addr,
    /// The local address they were sent to, where the system tells.
    pub local: Addr,
    /// The interface they came in by, where the system tells; else 0.
    pub ifindex: u32,
    /// Bytes of each datagram but the last; 0 means that there is one datagram.
    ///
    /// From an interface: the payload bytes of each segment of a super-packet;
    /// 0 means that there is one packet.
    pub segment: u16,
    /// The two ECN bits of the IP header.
    pub ecn: u8,
    pub(crate) reserved: u8,
    borrowed: PhantomData<&'a mut [u8]>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<TxPacket<'_>>() == 72 && size_of::<RxSlot<'_>>() == 80);

// SAFETY: a `TxPacket` is a shared borrow of bytes and plain numbers, exactly
// as a `&[u8]`, which may go to and be read from any thread.
unsafe impl Send for TxPacket<'_> {}
// SAFETY: as above; there is no interior mutability.
unsafe impl Sync for TxPacket<'_> {}
// SAFETY: an `RxSlot` is an exclusive borrow of bytes and plain numbers,
// exactly as a `&mut [u8]`.
unsafe impl Send for RxSlot<'_> {}
// SAFETY: through `&RxSlot` the bytes can only be read.
unsafe impl Sync for RxSlot<'_> {}

impl<'a> TxPacket<'a> {
    /// One datagram to `remote`.
    pub fn new(data: &'a [u8], remote: Addr) -> Self {
        Self::run(data, 0, remote)
    }

    /// Datagrams of `segment` bytes back to back in `data`, the last perhaps shorter.
    pub fn run(data: &'a [u8], segment: u16, remote: Addr) -> Self {
        Self {
            data: data.as_ptr(),
            len: data.len(),
            remote,
            local: Addr::NONE,
            ifindex: 0,
            segment,
            ecn: 0,
            dscp: 0,
            borrowed: PhantomData,
        }
    }

    /// All bytes, back to back.
    pub fn data(&self) -> &'a [u8] {
        // SAFETY: pointer and length were taken from one `&'a [u8]` and are private.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }

    /// The single datagrams.
    pub fn segments(&self) -> Segments<'a> {
        Segments::new(self.data(), self.segment)
    }
}

impl<'a> RxSlot<'a> {
    /// Lends `buffer` for one receive.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            data: buffer.as_mut_ptr(),
            capacity: buffer.len(),
            len: 0,
            remote: Addr::NONE,
            local: Addr::NONE,
            ifindex: 0,
            segment: 0,
            ecn: 0,
            reserved: 0,
            borrowed: PhantomData,
        }
    }

    /// The whole lent buffer, to write into.
    pub fn buffer(&mut self) -> &mut [u8] {
        // SAFETY: pointer and capacity were taken from one `&'a mut [u8]`, are
        // private, and `&mut self` makes this the only borrow.
        unsafe { slice::from_raw_parts_mut(self.data, self.capacity) }
    }

    /// Says that the first `len` bytes are datagrams of `segment` bytes each
    /// (0: one datagram). More than the buffer holds counts as all of it.
    pub fn fill(&mut self, len: usize, segment: u16) {
        self.len = len.min(self.capacity);
        self.segment = segment;
    }

    /// The bytes received; empty before the first [`RxSlot::fill`].
    pub fn filled(&self) -> &[u8] {
        // SAFETY: as in `buffer`, shared; `min` because the other side of the
        // boundary may have written `len`.
        unsafe { slice::from_raw_parts(self.data, self.len.min(self.capacity)) }
    }

    /// The bytes received, to be opened in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        let len = self.len.min(self.capacity);
        &mut self.buffer()[..len]
    }

    /// The single datagrams received.
    pub fn segments(&self) -> Segments<'_> {
        Segments::new(self.filled(), self.segment)
    }

    /// Where the lent buffer is, how long it is, and how many bytes of it are said
    /// to be filled: whether the other side kept to what it was lent.
    pub fn claim(&self) -> (*const u8, usize, usize) {
        (self.data, self.capacity, self.len)
    }
}

/// The datagrams of a run, one by one.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    rest: &'a [u8],
    segment: usize,
}

impl<'a> Segments<'a> {
    fn new(data: &'a [u8], segment: u16) -> Self {
        let segment = if segment == 0 { data.len().max(1) } else { segment.into() };
        Self { rest: data, segment }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (first, rest) = self.rest.split_at(self.segment.min(self.rest.len()));
        self.rest = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_falls_into_its_datagrams() {
        let run = TxPacket::run(b"aaaabbbbcc", 4, Addr::NONE);
        assert!(run.segments().eq([&b"aaaa"[..], b"bbbb", b"cc"]));
        let one = TxPacket::new(b"aaaabbbbcc", Addr::NONE);
        assert!(one.segments().eq([&b"aaaabbbbcc"[..]]));
        assert_eq!(TxPacket::new(b"", Addr::NONE).segments().count(), 0);
    }

    #[test]
    fn a_slot_shows_what_was_filled_and_no_more() {
        let mut buffer = [0; 8];
        let mut slot = RxSlot::new(&mut buffer);
        assert_eq!(slot.filled(), b"");
        slot.buffer()[..5].copy_from_slice(b"abcde");
        slot.fill(5, 2);
        assert!(slot.segments().eq([&b"ab"[..], b"cd", b"e"]));
        slot.filled_mut()[0] = b'x';
        assert_eq!(slot.filled(), b"xbcde");
        slot.fill(99, 0);
        assert_eq!(slot.filled().len(), 8, "a lie about the length stays inside the buffer");
    }
}
