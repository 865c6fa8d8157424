use std::io;
use std::os::fd::BorrowedFd;

pub use ntm_abi::{Addr, RxSlot, Segments, TxPacket};

/// The one way by which packets cross the plugin boundary, the same for
/// transports (datagrams between real addresses) and interfaces (IP packets of
/// applications).
///
/// # For implementers
///
/// - `fd` is *level-triggered*: it polls readable for exactly as long as
///   `try_recv` has something to give, be it an error (then perhaps with `ERR`
///   or `HUP` alone: workers take either for readable). It stays the same descriptor for the
///   lane's life. A false "readable" costs the worker a turn; a missed one
///   leaves packets lying until the next arrives.
/// - No method blocks and none waits for a runtime: a worker thread calls them
///   in a plain poll loop.
/// - `try_send` may be called from any thread, several at once. `try_recv` is
///   called by the one worker that owns the lane.
/// - Ownership of nothing passes: the buffers are borrowed for the call.
pub trait Lane: Send + Sync {
    /// The descriptor to poll for reading.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Hands over packets, in order; returns how many were taken.
    ///
    /// A caller that cares why not all were taken calls again with the rest;
    /// one that does not drops the rest and counts it, as at a network card
    /// whose ring is full. An entry that is a run counts as taken when all of
    /// its datagrams are, though a run too long for one system call may have
    /// gone in part. To an interface, `remote` and `local` are unused and each
    /// entry is one IP packet or one super-packet ([`super::Offload`]).
    ///
    /// # Errors
    /// `WouldBlock` when not even the first was taken and the lane is merely
    /// full. Any other error is about the first packet not taken (no route, too
    /// large, source address gone): the lane itself stays usable, and the
    /// caller may go on behind that packet.
    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize>;

    /// Fills slots with what has arrived, in order; returns how many were
    /// filled. At least one when `Ok`. A slot that is to take whole runs has
    /// 65,535 bytes; what does not fit is cut off.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived. Any other error means that this
    /// lane is broken for good and its paths are dead.
    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize>;
}
