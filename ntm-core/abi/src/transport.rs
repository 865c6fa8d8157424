use core::ffi::c_void;

use crate::{Addr, Common, Error, Handle, Put, PutText, RxSlot, TxPacket};

/// How packets cross. None of these may block; each but `try_recv` may be called
/// by several threads at once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    /// The descriptor of a lane, level-triggered: readable for exactly as long as
    /// `try_recv` has something. The plugin's own; the host polls a duplicate. -1:
    /// there is no such lane.
    pub lane_fd: Option<unsafe extern "C" fn(handle: Handle, lane: u32) -> i32>,
    /// Takes packets, in order: how many, or a negative `errno` about the first;
    /// `EAGAIN` when the lane is merely full.
    pub try_send: Option<
        unsafe extern "C" fn(
            handle: Handle,
            lane: u32,
            packets: *const TxPacket<'_>,
            count: usize,
        ) -> i64,
    >,
    /// Fills slots: how many, at least one, or a negative `errno`; `EAGAIN` when
    /// nothing has arrived, any other when the lane is broken for good.
    pub try_recv: Option<
        unsafe extern "C" fn(
            handle: Handle,
            lane: u32,
            slots: *mut RxSlot<'_>,
            count: usize,
        ) -> i64,
    >,
}

/// The entries of a transport.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TransportTable {
    /// What every table begins with.
    pub common: Common,
    /// What the wire calls this transport: 1 is UDP, 2 QUIC. Asked once.
    pub wire_kind: Option<unsafe extern "C" fn(handle: Handle) -> u32>,
    /// Packets.
    pub lanes: Lanes,
    /// Where it listens.
    pub local_addrs:
        Option<unsafe extern "C" fn(handle: Handle, put: Put<Addr>, sink: *mut c_void)>,
    /// The largest datagram towards an address in bytes; 0 where it does not
    /// know. Must not block. May be null.
    pub max_payload: Option<unsafe extern "C" fn(handle: Handle, to: *const Addr) -> u64>,
    /// Makes it work again after it went silent. May be null.
    pub rebind: Option<unsafe extern "C" fn(handle: Handle, error: *mut Error) -> i32>,
    /// Says goodbye. May be null.
    pub close: Option<unsafe extern "C" fn(handle: Handle)>,
    /// What a person wants to know about how it runs. May be null.
    pub facts: Option<unsafe extern "C" fn(handle: Handle, put: PutText, sink: *mut c_void)>,
    /// The node sends from another address, interface or network than before: of
    /// interest to who keeps connections. Must not block. May be null.
    pub moved: Option<unsafe extern "C" fn(handle: Handle)>,
}
