use core::ffi::c_void;
use core::marker::PhantomData;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::slice;

use crate::Addr;

/// An instance of a plugin, as the plugin calls it.
pub type Handle = *mut c_void;

/// What an entry answers. Anything else counts as a broken plugin.
pub mod status {
    /// Done.
    pub const OK: i32 = 0;
    /// Nothing yet.
    pub const PENDING: i32 = 1;
    /// It failed, and [`Error`](crate::Error) says why.
    pub const FAILED: i32 = -1;
    /// The plugin panicked; the message says where.
    pub const PANIC: i32 = -2;
}

/// What the entries of a lane answer beside a count: an `errno`, negative, or
/// one of these.
pub mod lane {
    /// The plugin panicked.
    pub const PANIC: i64 = -0x1_0000;
}

/// Whose doing a failure is.
pub mod fault {
    /// The operating system failed.
    pub const SYSTEM: u32 = 0;
    /// A value in the plugin's configuration cannot be used.
    pub const CONFIG: u32 = 1;
    /// The process may not do what the plugin needs.
    pub const PERMISSION: u32 = 2;
    /// Something the plugin needs is not on this machine.
    pub const MISSING: u32 = 3;
    /// Somebody else holds what the plugin wants.
    pub const BUSY: u32 = 4;
    /// This system or build cannot do it.
    pub const UNSUPPORTED: u32 = 5;
}

/// Bytes that are lent for one call; where they are text, UTF-8 without a
/// closing zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub(crate) data: *const u8,
    pub(crate) len: usize,
    borrowed: PhantomData<&'a [u8]>,
}

// SAFETY: a shared borrow of bytes, exactly as a `&[u8]`.
unsafe impl Send for Text<'_> {}
// SAFETY: as above.
unsafe impl Sync for Text<'_> {}

impl<'a> Text<'a> {
    /// Lends `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len(), borrowed: PhantomData }
    }

    /// The bytes; none behind a null pointer.
    ///
    /// # Safety
    /// Who wrote it lends `len` bytes at `data` for `'a`.
    pub unsafe fn bytes(&self) -> &'a [u8] {
        // SAFETY: what the caller promises.
        unsafe { lent(self.data, self.len) }
    }

    /// The text; empty where it is not UTF-8.
    ///
    /// # Safety
    /// As for [`bytes`](Self::bytes).
    pub unsafe fn text(&self) -> &'a str {
        // SAFETY: what the caller promises.
        core::str::from_utf8(unsafe { self.bytes() }).unwrap_or_default()
    }
}

/// The slice at `data`; an empty one behind a null pointer.
///
/// # Safety
/// Unless `data` is null, `len` valid elements are lent there for `'a`.
pub(crate) unsafe fn lent<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: not null, and what the caller promises.
    unsafe { slice::from_raw_parts(data, len) }
}

/// Why something failed. The host lends one, filled with zeros; the plugin
/// writes into it. Texts are UTF-8 up to the first zero or the end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Error {
    /// One of [`fault`].
    pub fault: u32,
    /// 0.
    pub reserved: u32,
    /// What happened, as half a sentence without a full stop.
    pub message: [u8; 512],
    /// What to do about it, likewise.
    pub remedy: [u8; 256],
    /// The key in the plugin's configuration that is to blame, dotted.
    pub key: [u8; 128],
}

const _: () = assert!(size_of::<Error>() == 904 && align_of::<Error>() == 4);

impl Error {
    /// Nothing said yet.
    pub const NONE: Self = Self {
        fault: fault::SYSTEM,
        reserved: 0,
        message: [0; 512],
        remedy: [0; 256],
        key: [0; 128],
    };

    /// Writes what happened; what does not fit is cut off at a character.
    pub fn set(&mut self, fault: u32, message: &str, remedy: &str, key: &str) {
        *self = Self { fault, ..Self::NONE };
        write(&mut self.message, message);
        write(&mut self.remedy, remedy);
        write(&mut self.key, key);
    }
}

fn write(field: &mut [u8], text: &str) {
    // The last byte stays zero, for readers who need one.
    let most = field.len() - 1;
    let end = (0..=text.len().min(most)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
}

/// The virtual addresses of a node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vips {
    pub(crate) v4: [u8; 4],
    pub(crate) v6: [u8; 16],
    /// 1: there is a `v4`; 2: there is a `v6`.
    pub(crate) has: u32,
}

const _: () = assert!(size_of::<Vips>() == 24);

impl Vips {
    /// These addresses.
    pub fn new(v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>) -> Self {
        Self {
            v4: v4.map_or([0; 4], |ip| ip.octets()),
            v6: v6.map_or([0; 16], |ip| ip.octets()),
            has: u32::from(v4.is_some()) | u32::from(v6.is_some()) << 1,
        }
    }

    /// The IPv4 address.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        (self.has & 1 != 0).then(|| self.v4.into())
    }

    /// The IPv6 address.
    pub fn v6(&self) -> Option<Ipv6Addr> {
        (self.has & 2 != 0).then(|| self.v6.into())
    }
}

/// A range of addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// The lowest.
    pub base: Addr,
    /// How many leading bits are fixed.
    pub length: u32,
}

const _: () = assert!(size_of::<Prefix>() == 28);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_an_error_is_cut_off_at_a_character() {
        let mut error = Error::NONE;
        let mut long = [b'a'; 600];
        long[510..512].copy_from_slice("é".as_bytes());
        error.set(fault::BUSY, core::str::from_utf8(&long).unwrap(), "", "a.b");
        assert_eq!((error.message[509], error.message[510], error.message[511]), (b'a', 0, 0));
        assert_eq!(&error.key[..4], b"a.b\0");
    }

    #[test]
    fn vips_survive_the_way_there_and_back() {
        for (v4, v6) in
            [(None, None), (Some(Ipv4Addr::LOCALHOST), None), (None, Some(Ipv6Addr::LOCALHOST))]
        {
            let vips = Vips::new(v4, v6);
            assert_eq!((vips.v4(), vips.v6()), (v4, v6));
        }
    }
}
