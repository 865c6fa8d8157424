use core::ffi::c_void;

use crate::value::lent;
use crate::{Common, Error, Handle, Lanes, Prefix, PutText, Vips};

/// Bits of what [`InterfaceTable::offload`] answers.
pub mod offload {
    /// Super-packets of TCP are taken.
    pub const TCP: u32 = 1;
    /// Super-packets of UDP are taken.
    pub const UDP: u32 = 2;
}

/// What an interface looks like to applications.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of this struct in the host's version.
    pub size: u32,
    /// The largest packet in bytes.
    pub mtu: u32,
    /// Our own virtual addresses.
    pub vips: Vips,
    pub(crate) ranges: *const Prefix,
    pub(crate) range_count: usize,
}

impl Settings {
    /// These settings, for as long as `ranges` live.
    pub fn new(mtu: u32, vips: Vips, ranges: &[Prefix]) -> Self {
        let size = size_of::<Self>() as u32;
        Self { size, mtu, vips, ranges: ranges.as_ptr(), range_count: ranges.len() }
    }

    /// The ranges that lead into the interface.
    ///
    /// # Safety
    /// They are lent for as long as `self`.
    pub unsafe fn ranges(&self) -> &[Prefix] {
        // SAFETY: what the caller promises.
        unsafe { lent(self.ranges, self.range_count) }
    }
}

/// The entries of an interface.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct InterfaceTable {
    /// What every table begins with.
    pub common: Common,
    /// Packets.
    pub lanes: Lanes,
    /// The system's index of it; 0 where it is none of the system's. Asked once.
    pub ifindex: Option<unsafe extern "C" fn(handle: Handle) -> u32>,
    /// Its name, as the value of the key `name`. Asked once.
    pub name: Option<unsafe extern "C" fn(handle: Handle, put: PutText, sink: *mut c_void)>,
    /// Which super-packets its lanes take: bits of [`offload`]. Asked once. Null: none.
    pub offload: Option<unsafe extern "C" fn(handle: Handle) -> u32>,
    /// Gives it these settings and takes away what an earlier call gave.
    pub configure: Option<
        unsafe extern "C" fn(handle: Handle, settings: *const Settings, error: *mut Error) -> i32,
    >,
    /// Takes it away. May be null.
    pub close: Option<unsafe extern "C" fn(handle: Handle)>,
    /// What a person wants to know about how it runs. May be null.
    pub facts: Option<unsafe extern "C" fn(handle: Handle, put: PutText, sink: *mut c_void)>,
}
