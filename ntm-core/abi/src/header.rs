/// What a header begins with.
pub const MAGIC: [u8; 8] = *b"NTMPLUG\0";
/// The version of the boundary: a plugin of another major is another boundary.
pub const ABI_MAJOR: u16 = 1;
/// What has been added to the major so far.
pub const ABI_MINOR: u16 = 0;
/// The data symbol that a plugin exports its [`Header`] by.
pub const HEADER_SYMBOL: &str = "NTM_PLUGIN_HEADER";
/// Bytes of a [`Header`], for ever.
pub const HEADER_SIZE: usize = 200;
/// [`Header::endian`] where the low byte comes first.
pub const LITTLE_ENDIAN: u8 = 1;
/// [`Header::endian`] where the high byte comes first.
pub const BIG_ENDIAN: u8 = 2;

/// The kinds of plugins: a bit each in [`Header::kinds`], one of them in
/// [`Component::kind`](crate::Component::kind).
pub mod kind {
    /// Datagrams between real addresses.
    pub const TRANSPORT: u32 = 1;
    /// "My addresses changed."
    pub const WATCHER: u32 = 2;
    /// Which paths to try.
    pub const TRAVERSAL: u32 = 4;
    /// Which virtual address a node gets.
    pub const VIP: u32 = 8;
    /// Application packets in and out.
    pub const INTERFACE: u32 = 16;
    /// What a coordinator must not lose.
    pub const REGISTRY: u32 = 32;
}

/// What a host reads from the file before it loads anything. It has no
/// pointers, and its layout is frozen for ever, whatever the major.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`HEADER_SIZE`].
    pub header_size: u32,
    /// The boundary that the plugin was built for.
    pub abi_major: u16,
    /// What of the major it knows.
    pub abi_minor: u16,
    /// The least that a host has to offer of the major.
    pub min_host_minor: u16,
    /// Bytes of a pointer.
    pub pointer_width: u8,
    /// [`LITTLE_ENDIAN`] or [`BIG_ENDIAN`].
    pub endian: u8,
    /// What is in the library: bits of [`kind`].
    pub kinds: u32,
    /// 0.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// What a person calls it: UTF-8, filled up with zeros.
    pub name: [u8; 48],
    /// Its version.
    pub version: [u8; 24],
    /// What it was built with, for messages alone.
    pub sdk: [u8; 32],
    /// The compiler, for messages alone.
    pub toolchain: [u8; 64],
}

const _: () = assert!(size_of::<Header>() == HEADER_SIZE && align_of::<Header>() == 4);

impl Header {
    /// A header of this build's boundary and machine.
    pub const fn new(kinds: u32, name: &str, version: &str, sdk: &str, toolchain: &str) -> Self {
        Self {
            magic: MAGIC,
            header_size: HEADER_SIZE as u32,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            min_host_minor: 0,
            pointer_width: size_of::<usize>() as u8,
            endian: if cfg!(target_endian = "little") { LITTLE_ENDIAN } else { BIG_ENDIAN },
            kinds,
            flags: 0,
            reserved: 0,
            name: text(name),
            version: text(version),
            sdk: text(sdk),
            toolchain: text(toolchain),
        }
    }
}

/// `text` in a field of `N` bytes, filled up with zeros; what does not fit is
/// cut off.
pub const fn text<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut field = [0; N];
    let mut at = 0;
    while at < N && at < bytes.len() {
        field[at] = bytes[at];
        at += 1;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_filled_up_or_cut_off() {
        assert_eq!(text::<4>("ab"), *b"ab\0\0");
        assert_eq!(text::<4>("abcdef"), *b"abcd");
    }
}
