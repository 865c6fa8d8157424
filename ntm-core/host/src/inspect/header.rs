use std::fmt;
use std::ptr;

use ntm_abi::{ABI_MAJOR, ABI_MINOR, BIG_ENDIAN, HEADER_SIZE, Header, LITTLE_ENDIAN, MAGIC, kind};

use crate::refusal::Why;

/// What a plugin's header says, and what kind of machine its file is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What its author calls it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The boundary that it was built for: major and minor.
    pub abi: (u16, u16),
    /// The least minor that a host has to offer.
    pub needs_minor: u16,
    /// What is in it.
    pub kinds: Kinds,
    /// What it was built with.
    pub sdk: String,
    /// The compiler.
    pub toolchain: String,
    /// Bytes of a pointer.
    pub pointer_width: u8,
    /// Whether the low byte comes first.
    pub little_endian: bool,
    /// The machine that the file is for, and whether it is this one.
    pub machine: (String, bool),
    /// The system that loads such files, and whether it is this one.
    pub system: (&'static str, bool),
}

/// Kinds of plugins: bits of [`ntm_abi::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(pub u32);

const NAMES: [(u32, &str); 6] = [
    (kind::TRANSPORT, "transport"),
    (kind::WATCHER, "watcher"),
    (kind::TRAVERSAL, "traversal"),
    (kind::VIP, "vip"),
    (kind::INTERFACE, "interface"),
    (kind::REGISTRY, "registry"),
];

impl Kinds {
    /// The kind of this name; none where there is none.
    pub fn named(name: &str) -> Self {
        Self(NAMES.into_iter().find(|(_, known)| *known == name).map_or(0, |(bit, _)| bit))
    }

    /// The names of those that this host knows.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| name)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(", "))
    }
}

/// The fields of `bytes`, numbers in this order of bytes.
pub(super) fn decode(
    bytes: &[u8; HEADER_SIZE],
    little_endian: bool,
    machine: (String, bool),
    system: (&'static str, bool),
) -> Result<Summary, Why> {
    let (magic, rest) = bytes.split_at(MAGIC.len());
    let u16_at = |at: usize| {
        let bytes = [rest[at], rest[at + 1]];
        if little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    };
    let u32_at = |at: usize| {
        let (low, high) = if little_endian { (at, at + 2) } else { (at + 2, at) };
        u32::from(u16_at(low)) | u32::from(u16_at(high)) << 16
    };
    if magic != MAGIC || u32_at(0) as usize != HEADER_SIZE {
        return Err(Why::NoMagic);
    }
    let endian = if little_endian { LITTLE_ENDIAN } else { BIG_ENDIAN };
    if rest[11] != endian {
        return Err(Why::NoMagic);
    }
    let text = |at: usize, len: usize| text(&bytes[at..at + len]);
    Ok(Summary {
        name: text(32, 48),
        version: text(80, 24),
        abi: (u16_at(4), u16_at(6)),
        needs_minor: u16_at(8),
        kinds: Kinds(u32_at(12)),
        sdk: text(104, 32),
        toolchain: text(136, 64),
        pointer_width: rest[10],
        little_endian,
        machine,
        system,
    })
}

/// What a header in memory says, of a library whose file said `before`.
pub(crate) fn again(bytes: &[u8; HEADER_SIZE], before: &Summary) -> Option<Summary> {
    decode(bytes, before.little_endian, before.machine.clone(), before.system).ok()
}

/// What a header in this program says.
pub(crate) fn linked(header: &Header) -> Result<Summary, Why> {
    // SAFETY: it is plain bytes without padding, as its size and offsets show.
    let bytes = unsafe { &*ptr::from_ref(header).cast::<[u8; HEADER_SIZE]>() };
    let here = (std::env::consts::ARCH.to_owned(), true);
    let summary = decode(bytes, cfg!(target_endian = "little"), here, ("this program", true))?;
    match summary.unfit() {
        Some(why) => Err(why),
        None => Ok(summary),
    }
}

/// What people read: up to the first zero, one line.
pub(crate) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    let text = String::from_utf8_lossy(&field[..end]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Summary {
    /// Why this host cannot load it.
    pub(super) fn unfit(&self) -> Option<Why> {
        let own_width = size_of::<usize>();
        if !self.system.1 {
            Some(Why::System(self.system.0))
        } else if usize::from(self.pointer_width) != own_width {
            Some(Why::Width { plugin: self.pointer_width, host: own_width })
        } else if !self.machine.1 || self.little_endian != cfg!(target_endian = "little") {
            Some(Why::Machine(self.machine.0.clone()))
        } else if self.abi.0 != ABI_MAJOR {
            Some(Why::Major)
        } else if self.needs_minor > ABI_MINOR {
            Some(Why::Minor)
        } else if self.kinds.names().next().is_none() {
            Some(Why::NoKind)
        } else {
            None
        }
    }
}
