use core::ffi::c_void;

use crate::{Common, Error, Handle, PutText, Text};

/// What becomes of a record.
pub mod write {
    /// It is added, or replaces the one with the same key.
    pub const PUT: u32 = 1;
    /// It is removed, if it is there.
    pub const DELETE: u32 = 2;
}

/// A change.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StoredWrite<'a> {
    /// One of [`mod@write`].
    pub op: u32,
    /// 0.
    pub reserved: u32,
    /// What the record is found by: JSON.
    pub key: Text<'a>,
    /// The record: JSON; empty where it is removed.
    pub value: Text<'a>,
}

/// The entries of a registry. Both may take as long as a disk does.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RegistryTable {
    /// What every table begins with.
    pub common: Common,
    /// Everything, in a stable order: keys and values as they were committed.
    pub load: Option<
        unsafe extern "C" fn(
            handle: Handle,
            put: PutText,
            sink: *mut c_void,
            error: *mut Error,
        ) -> i32,
    >,
    /// Applies the writes in their order, all or none, and returns when they are
    /// durable.
    pub commit: Option<
        unsafe extern "C" fn(
            handle: Handle,
            writes: *const StoredWrite<'_>,
            count: usize,
            error: *mut Error,
        ) -> i32,
    >,
}
