use core::ffi::c_void;

use crate::{Common, Error, Handle, Prefix, Put, Text, Vips};

/// The entries of a vip. All may block for milliseconds, and calls overlap.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct VipTable {
    /// What every table begins with.
    pub common: Common,
    /// The ranges that addresses come from. Asked once.
    pub ranges: Option<unsafe extern "C" fn(handle: Handle, put: Put<Prefix>, sink: *mut c_void)>,
    /// Takes over leases that exist already: all or none.
    pub restore: Option<
        unsafe extern "C" fn(
            handle: Handle,
            leases: *const Vips,
            count: usize,
            error: *mut Error,
        ) -> i32,
    >,
    /// Addresses for the node of this name and public key (32 bytes).
    pub allocate: Option<
        unsafe extern "C" fn(
            handle: Handle,
            name: Text<'_>,
            key: *const u8,
            vips: *mut Vips,
            error: *mut Error,
        ) -> i32,
    >,
    /// Takes addresses back; those that are not taken are passed over.
    pub release: Option<unsafe extern "C" fn(handle: Handle, vips: *const Vips)>,
}
