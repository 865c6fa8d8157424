use core::ffi::c_void;

use crate::{Error, Handle, Text};

/// The function that a plugin exports, [`Entry`]; another one a major.
pub const ENTRY_SYMBOL: &str = "ntm_plugin_entry_v1";

/// Fills in the plugin's table. Called once a process, before anything else;
/// host and table stay for the life of the process.
pub type Entry =
    unsafe extern "C" fn(host: *const Host, out: *mut *const Plugin, error: *mut Error) -> i32;

/// Takes one item of a list, for the call alone.
pub type Put<T> = Option<unsafe extern "C" fn(sink: *mut c_void, item: *const T)>;

/// Takes a text, or a key with its value, for the call alone.
pub type PutText = Option<unsafe extern "C" fn(sink: *mut c_void, key: Text<'_>, value: Text<'_>)>;

/// How much a log line matters.
pub mod level {
    /// Something is broken.
    pub const ERROR: u32 = 1;
    /// Something deserves a look.
    pub const WARN: u32 = 2;
    /// What an operator wants to know.
    pub const INFO: u32 = 3;
    /// What a developer wants to know.
    pub const DEBUG: u32 = 4;
    /// Everything.
    pub const TRACE: u32 = 5;
}

/// What the host offers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Bytes of this struct in the host's version.
    pub size: u32,
    /// The host's minor.
    pub abi_minor: u16,
    /// 0.
    pub reserved: u16,
    /// What optional parts the host has; none yet.
    pub features: u64,
    /// Goes back with every call.
    pub ctx: *mut c_void,
    /// Takes a log line: who says it (a module, or empty), and what. Any thread.
    pub log: Option<
        unsafe extern "C" fn(ctx: *mut c_void, level: u32, target: Text<'_>, message: Text<'_>),
    >,
    /// The most verbose [`level`] that anybody listens to. Any thread.
    pub log_level: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u32>,
}

/// What a library has.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// Bytes of this struct in the plugin's version.
    pub size: u32,
    /// How many components.
    pub count: u32,
    /// Bytes from one to the next.
    pub stride: u32,
    /// 0.
    pub reserved: u32,
    /// The first.
    pub list: *const Component,
}

/// One plugin in a library; at most one of each kind.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Component {
    /// Bytes of this struct in the plugin's version.
    pub size: u32,
    /// One of [`kind`](crate::kind).
    pub kind: u32,
    /// The table of that kind.
    pub table: *const c_void,
}

// SAFETY: both are pointers to constants of the library, which is never unloaded.
unsafe impl Sync for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Component {}

/// What an instance is made of.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Create<'a> {
    /// Bytes of this struct in the host's version.
    pub size: u32,
    /// How many lanes; 0 for kinds that have none.
    pub lanes: u32,
    /// The plugin's configuration: one JSON object.
    pub config: Text<'a>,
}

/// What the table of every kind begins with.
///
/// All of these may block. The host calls them on threads of the plugin's own.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Common {
    /// Bytes of the whole table in the plugin's version.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// What optional parts the plugin has; none yet.
    pub features: u64,
    /// Looks whether the configuration could be used, without opening anything.
    /// May be null.
    pub check: Option<unsafe extern "C" fn(create: *const Create<'_>, error: *mut Error) -> i32>,
    /// Opens an instance. Everything is open afterwards, or nothing.
    pub create: Option<
        unsafe extern "C" fn(create: *const Create<'_>, out: *mut Handle, error: *mut Error) -> i32,
    >,
    /// Takes an instance away. The last call for it, and no other is under way.
    pub destroy: Option<unsafe extern "C" fn(handle: Handle)>,
    /// The JSON Schema of the configuration, as the value of the key `schema`.
    /// May be null.
    pub describe: Option<unsafe extern "C" fn(put: PutText, sink: *mut c_void)>,
}
