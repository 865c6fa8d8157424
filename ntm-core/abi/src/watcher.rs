use core::ffi::c_void;

use crate::value::lent;
use crate::{Addr, Common, Error, Handle, Text};

/// What may have changed.
pub mod change {
    /// An address.
    pub const ADDRESS: u32 = 1;
    /// An interface, or its carrier.
    pub const LINK: u32 = 2;
    /// A route or a routing rule.
    pub const ROUTE: u32 = 3;
    /// Events were lost: anything.
    pub const RESYNC: u32 = 4;
}

/// Bits of [`LocalInterface::flags`] and [`LocalAddress::flags`].
pub mod flag {
    /// An interface: up and with a carrier.
    pub const RUNNING: u32 = 1;
    /// An interface: loopback.
    pub const LOOPBACK: u32 = 2;
    /// An address: may be sent from.
    pub const USABLE: u32 = 1;
    /// An address: preferred as a source.
    pub const PREFERRED: u32 = 2;
}

/// An address of an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address; its port is 0.
    pub ip: Addr,
    /// The length of its on-link prefix in bits.
    pub prefix: u32,
    /// [`flag::USABLE`], [`flag::PREFERRED`].
    pub flags: u32,
}

/// A network interface.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LocalInterface<'a> {
    /// The system's index of it, never 0.
    pub index: u32,
    /// [`flag::RUNNING`], [`flag::LOOPBACK`].
    pub flags: u32,
    /// Grows whenever it may have been plugged into another network.
    pub generation: u64,
    /// Its name.
    pub name: Text<'a>,
    pub(crate) addresses: *const LocalAddress,
    pub(crate) address_count: usize,
}

impl<'a> LocalInterface<'a> {
    /// An interface with these addresses.
    pub fn new(
        index: u32,
        flags: u32,
        generation: u64,
        name: &'a str,
        addresses: &'a [LocalAddress],
    ) -> Self {
        let name = Text::new(name.as_bytes());
        let (addresses, address_count) = (addresses.as_ptr(), addresses.len());
        Self { index, flags, generation, name, addresses, address_count }
    }

    /// Its addresses.
    ///
    /// # Safety
    /// Who wrote them lends them for `'a`.
    pub unsafe fn addresses(&self) -> &'a [LocalAddress] {
        // SAFETY: what the caller promises.
        unsafe { lent(self.addresses, self.address_count) }
    }
}

/// Takes one interface, for the call alone.
pub type PutInterface =
    Option<unsafe extern "C" fn(sink: *mut c_void, interface: *const LocalInterface<'_>)>;

/// How the system would reach a destination now.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The source that it would choose; none where there is no route.
    pub source: Addr,
    /// The interface that it would use.
    pub ifindex: u32,
    /// The largest IP packet that fits, in bytes.
    pub mtu: u32,
}

/// The entries of a watcher.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WatcherTable {
    /// What every table begins with.
    pub common: Common,
    /// A descriptor, level-triggered: readable for exactly as long as `next` has
    /// something. The plugin's own; the host polls a duplicate.
    pub event_fd: Option<unsafe extern "C" fn(handle: Handle) -> i32>,
    /// One of [`change`], without waiting: `PENDING` where there is none.
    /// A failure is for good.
    pub next:
        Option<unsafe extern "C" fn(handle: Handle, change: *mut u32, error: *mut Error) -> i32>,
    /// All interfaces as they are now, in a stable order. May block for
    /// milliseconds.
    pub snapshot: Option<
        unsafe extern "C" fn(
            handle: Handle,
            put: PutInterface,
            sink: *mut c_void,
            error: *mut Error,
        ) -> i32,
    >,
    /// One route for each of `count` destinations, in their order. May block for
    /// milliseconds.
    pub routes: Option<
        unsafe extern "C" fn(
            handle: Handle,
            to: *const Addr,
            count: usize,
            routes: *mut Route,
            error: *mut Error,
        ) -> i32,
    >,
    /// As `routes`, if packets were held to this interface: none where a destination
    /// would not be reached so. May be null: it cannot be told.
    pub routes_by: Option<
        unsafe extern "C" fn(
            handle: Handle,
            ifindex: u32,
            to: *const Addr,
            count: usize,
            routes: *mut Route,
            error: *mut Error,
        ) -> i32,
    >,
}
