//! Control messages as bytes: length (`size_t`), level, type (C ints), contents,
//! each message padded to the size of a `size_t` (cmsg(3)).

use nix::libc;

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8;
/// More than the kernel has to say of one datagram here, and than is said to it.
const ROOM: usize = 128;

/// The control messages of one message.
#[repr(C, align(8))]
pub(super) struct Control {
    bytes: [u8; ROOM],
    len: usize,
}

impl Control {
    /// None yet.
    pub(super) const NONE: Self = Self { bytes: [0; ROOM], len: 0 };

    /// Appends one; what does not fit is a mistake of ours and left out.
    pub(super) fn push(&mut self, level: libc::c_int, kind: libc::c_int, contents: &[u8]) {
        let len = HEADER + contents.len();
        let end = self.len + len.next_multiple_of(WORD);
        let Some(at) = self.bytes.get_mut(self.len..end) else { return debug_assert!(false) };
        at[..WORD].copy_from_slice(&len.to_ne_bytes());
        at[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        at[WORD + 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        at[HEADER..len].copy_from_slice(contents);
        self.len = end;
    }

    /// Where the kernel finds or leaves them.
    pub(super) fn room(&mut self) -> &mut [u8; ROOM] {
        &mut self.bytes
    }

    /// Bytes in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Says that the kernel left so many bytes; their type differs between C libraries.
    pub(super) fn fill(&mut self, len: impl TryInto<usize>) {
        self.len = len.try_into().unwrap_or(0).min(ROOM);
    }

    /// Level, type and contents of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (libc::c_int, libc::c_int, &[u8])> {
        let mut rest = &self.bytes[..self.len];
        std::iter::from_fn(move || {
            let (len, later) = rest.split_first_chunk()?;
            let (level, later) = later.split_first_chunk()?;
            let (kind, _) = later.split_first_chunk()?;
            let len = usize::from_ne_bytes(*len);
            let contents = rest.get(HEADER..len)?;
            rest = rest.get(len.next_multiple_of(WORD)..).unwrap_or_default();
            Some((i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind), contents))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_found_in_its_order() {
        let mut control = Control::NONE;
        let all: [(i32, i32, &[u8]); 3] = [(17, 103, &[1, 2]), (0, 1, &[3; 12]), (41, -1, b"")];
        for (level, kind, contents) in all {
            control.push(level, kind, contents);
        }
        assert!(control.iter().eq(all));
        assert_eq!(control.len() % WORD, 0);
    }

    #[test]
    fn lengths_that_cannot_be_end_the_list() {
        for len in [0, 1, HEADER - 1, ROOM + 1, usize::MAX - 8] {
            let mut control = Control::NONE;
            control.push(17, 104, &[1; 4]);
            let second = control.len();
            control.push(17, 104, &[2; 4]);
            control.room()[second..second + WORD].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(control.iter().count(), 1, "{len}");
        }
        let mut control = Control::NONE;
        control.fill(ROOM + 1);
        assert_eq!(control.iter().count(), 0);
    }
}
