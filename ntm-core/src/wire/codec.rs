//! Reading and writing numbers, addresses and fields.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::WireError;
use crate::address::{Candidate, Prefix, TransportKind};

/// Fields whose tag has this bit must be understood by the reader.
const CRITICAL: u8 = 0x80;

/// Reads from the front of a byte string.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (front, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (front, rest) = self.0.split_first_chunk().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Family (1 byte: 4 or 6), then 4 or 16 bytes.
    pub(super) fn ip(&mut self) -> Result<IpAddr, WireError> {
        match self.u8()? {
            4 => self.array::<4>().map(|octets| Ipv4Addr::from(octets).into()),
            6 => self.array::<16>().map(|octets| Ipv6Addr::from(octets).into()),
            _ => Err(WireError::Value("address family")),
        }
    }

    /// Transport kind (1), port (2), address.
    pub(super) fn candidate(&mut self) -> Result<Candidate, WireError> {
        let kind = TransportKind(self.u8()?);
        let port = self.u16()?;
        let ip = self.ip()?;
        if port == 0 || ip.is_unspecified() {
            return Err(WireError::Value("candidate"));
        }
        Ok(Candidate { kind, addr: SocketAddr::new(ip, port) })
    }

    /// Prefix length (1), address without host bits.
    pub(super) fn prefix(&mut self) -> Result<Prefix, WireError> {
        let length = self.u8()?;
        let ip = self.ip()?;
        Prefix::new(ip, length)
            .filter(|prefix| prefix.base() == ip)
            .ok_or(WireError::Value("prefix"))
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn text(self) -> Result<&'a str, WireError> {
        str::from_utf8(self.0).map_err(|_| WireError::Value("text"))
    }

    /// The fields that are left: tag (1), length (2), value.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields(self)
    }

    /// An error for a field whose tag the reader does not know, if it must.
    pub(super) fn unknown(tag: u8) -> Result<(), WireError> {
        if tag & CRITICAL == 0 { Ok(()) } else { Err(WireError::Critical(tag)) }
    }
}

/// The fields of a message, in order.
pub(super) struct Fields<'a>(Reader<'a>);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u8, Reader<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let mut field = || {
            let tag = self.0.u8()?;
            let len = self.0.u16()?;
            Ok((tag, Reader(self.0.bytes(len.into())?)))
        };
        let field = field();
        if field.is_err() {
            self.0 = Reader(&[]);
        }
        Some(field)
    }
}

/// What messages are written to.
pub(super) trait Put {
    fn put(&mut self, bytes: &[u8]);

    fn put_ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(v4) => {
                self.put(&[4]);
                self.put(&v4.octets());
            }
            IpAddr::V6(v6) => {
                self.put(&[6]);
                self.put(&v6.octets());
            }
        }
    }

    fn put_candidate(&mut self, candidate: &Candidate) {
        self.put(&[candidate.kind.0]);
        self.put(&candidate.addr.port().to_be_bytes());
        self.put_ip(candidate.addr.ip());
    }

    fn put_prefix(&mut self, prefix: &Prefix) {
        self.put(&[prefix.length()]);
        self.put_ip(prefix.base());
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes one field: `write` gives its value, of at most 65,535 bytes.
pub(super) fn field(out: &mut Vec<u8>, tag: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let length = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    let written = (out.len() - length - 2) as u16;
    out[length..length + 2].copy_from_slice(&written.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_back_in_order() {
        let mut out = Vec::new();
        field(&mut out, 1, |out| out.put(b"one"));
        field(&mut out, 2, |_| {});
        let fields: Vec<_> = Reader::new(&out)
            .fields()
            .map(|field| field.map(|(tag, value)| (tag, value.rest())))
            .collect();
        assert_eq!(fields, [Ok((1, &b"one"[..])), Ok((2, &b""[..]))]);
    }

    #[test]
    fn a_cut_field_is_one_error_and_then_the_end() {
        let mut out = Vec::new();
        field(&mut out, 1, |out| out.put(b"one"));
        out.pop();
        let mut fields = Reader::new(&out).fields();
        assert_eq!(fields.next().map(|field| field.err()), Some(Some(WireError::Truncated)));
        assert!(fields.next().is_none());
    }

    #[test]
    fn only_critical_fields_must_be_known() {
        assert_eq!(Reader::unknown(0x7f), Ok(()));
        assert_eq!(Reader::unknown(0x80), Err(WireError::Critical(0x80)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            let reader = Reader::new(&bytes);
            let _ = { reader }.candidate();
            let _ = { reader }.prefix();
            let _ = { reader }.text();
            for field in reader.fields() {
                let _ = field;
            }
        }
    }
}
