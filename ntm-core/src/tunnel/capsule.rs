//! A capsule: an application's packet, sealed.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 28 | header: envelope with the key's slot, the low half of the sender's epoch, the Path ID; counter |
//! | 28 | n | the inner IP packet, encrypted |
//! | 28 + n | 16 | tag over header and packet |

use std::sync::MutexGuard;

use super::entry::{State, Tunnel};
use super::keys::{ReceiveKey, SendKey};
use super::replay::{Replay, Window};
use crate::crypto::TAG;
use crate::packet::Flow;
use crate::wire::{Envelope, HEADER, Header, Kind};

/// Bytes that a capsule is longer than its packet.
pub const CAPSULE_OVERHEAD: usize = HEADER + TAG;

/// Why a capsule is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// No key in that slot: a session that is over or never was.
    #[error("no such key")]
    NoKey,
    /// It does not authenticate.
    #[error("not genuine")]
    Forged,
    /// Its counter was accepted before, or is too old.
    #[error("replayed")]
    Replayed,
    /// The packet inside is not from the peer to us.
    #[error("inner address is not the peer's")]
    Address,
}

/// A capsule that was accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// The inner packet.
    pub packet: &'a mut [u8],
    /// Its addresses.
    pub flow: Flow,
    /// No later capsule has been accepted yet: its source may be news.
    pub newest: bool,
}

/// Opens the capsules of a tunnel that arrived together: the replay window is taken
/// at the first one that is genuine, and kept for the others.
pub struct Opener<'t> {
    tunnel: &'t Tunnel,
    state: &'t State,
    /// The key that was used last, with its window.
    used: Option<(&'t ReceiveKey, MutexGuard<'t, Window<1024>>)>,
}

/// Appends the capsule of `packet` to `out`. The caller has reserved `counter`
/// from `key`, which is `state`'s.
pub fn seal(
    tunnel: &Tunnel,
    state: &State,
    key: &SendKey,
    counter: u64,
    packet: &[u8],
    out: &mut Vec<u8>,
) {
    seal_with(tunnel, state, key, counter, |out| out.extend_from_slice(packet), out);
}

/// The same of the packet that `write` appends.
pub(super) fn seal_with(
    tunnel: &Tunnel,
    state: &State,
    key: &SendKey,
    counter: u64,
    write: impl FnOnce(&mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let mut envelope = Envelope::new(Kind::Capsule, tunnel.side, *tunnel.path.as_bytes());
    envelope.slot = key.slot();
    let header = Header::new(envelope, state.epoch, counter).emit();
    out.extend_from_slice(&header);
    let text = out.len();
    write(out);
    let tag = key.seal(counter, &header, &mut out[text..]);
    out.extend_from_slice(&tag);
}

impl Tunnel {
    /// Opens one capsule; see [`Opener::open`].
    ///
    /// # Errors
    /// The same.
    pub fn open<'a>(
        &self,
        state: &State,
        header: &Header,
        capsule: &'a mut [u8],
    ) -> Result<Opened<'a>, OpenError> {
        Opener::new(self, state).open(header, capsule)
    }
}

impl<'t> Opener<'t> {
    /// For capsules of this tunnel. It is held no longer than a batch: capsules of
    /// the same key that another worker has received wait for its end.
    pub fn new(tunnel: &'t Tunnel, state: &'t State) -> Self {
        Self { tunnel, state, used: None }
    }

    /// Opens a capsule in place: the key, then the replay window, then the
    /// inner addresses. `header` has been read from `capsule`.
    ///
    /// # Errors
    /// Why it is to be dropped; nothing has changed then, but that a genuine
    /// capsule with wrong inner addresses is not accepted again.
    pub fn open<'a>(
        &mut self,
        header: &Header,
        capsule: &'a mut [u8],
    ) -> Result<Opened<'a>, OpenError> {
        let Self { tunnel, state, .. } = *self;
        let slot = header.envelope.slot;
        let key = state.receive.iter().find(|key| key.slot() == slot).ok_or(OpenError::NoKey)?;
        // What the peer sends says that it is on the other side: our own
        // capsules, sent back to us, are not opened.
        if header.envelope.side() == tunnel.side {
            return Err(OpenError::Forged);
        }
        let (head, sealed) = capsule.split_at_mut_checked(HEADER).ok_or(OpenError::Forged)?;
        let packet = key.open(header.counter, head, sealed).ok_or(OpenError::Forged)?;
        let newest = match self.window(key).accept(header.counter) {
            Replay::Newest => true,
            Replay::Late => false,
            Replay::Refused => return Err(OpenError::Replayed),
        };
        let flow = Flow::of(packet).map_err(|_| OpenError::Address)?;
        if !tunnel.peer.contains(flow.source) || !tunnel.own.contains(flow.destination) {
            return Err(OpenError::Address);
        }
        Ok(Opened { packet, flow, newest })
    }

    fn window(&mut self, key: &'t ReceiveKey) -> &mut Window<1024> {
        // Two are never held at once.
        let used = self.used.take().filter(|(used, _)| std::ptr::eq(*used, key));
        let (_, window) = self.used.insert(used.unwrap_or_else(|| (key, key.window())));
        window
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::table::{Direction, Table, TableEvent};
    use super::*;
    use crate::address::Vips;
    use crate::crypto::{Secret, Suite};
    use crate::id::{PathId, Side};
    use crate::{Rng, Time};

    const PATH: PathId = PathId::from_bytes([1; 16]);

    fn vips(last: u8) -> Vips {
        Vips { v4: Some([198, 18, 0, last].into()), v6: None }
    }

    /// The two ends of one tunnel, `.1` and `.2`, each with the other's key.
    fn ends(suite: Suite) -> [Arc<Tunnel>; 2] {
        [(Side::Lower, 1, 2), (Side::Higher, 2, 1)].map(|(side, own, peer)| {
            let mut table = Table::new(&mut Rng::from_seed([0; 32]));
            let key = |from: u8| Secret::new([from; 32]);
            let install =
                |direction, key| TableEvent::Install { path: PATH, direction, slot: 5, suite, key };
            let (own_vips, peer_vips) = (vips(own), vips(peer));
            let opened = TableEvent::Open { path: PATH, side, own: own_vips, peer: peer_vips };
            table.apply(Time::ZERO, &opened);
            table.apply(Time::ZERO, &install(Direction::Send, key(own)));
            table.apply(Time::ZERO, &install(Direction::Receive, key(peer)));
            table.get(&PATH).unwrap().clone()
        })
    }

    fn packet(source: u8, destination: u8, payload: &[u8]) -> Vec<u8> {
        let total = (20 + payload.len()) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend_from_slice(&total.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend_from_slice(&[198, 18, 0, source, 198, 18, 0, destination]);
        packet.extend_from_slice(payload);
        packet
    }

    fn sealed(tunnel: &Tunnel, packet: &[u8]) -> Vec<u8> {
        let state = tunnel.state();
        let key = state.send.clone().unwrap();
        let mut out = Vec::new();
        seal(tunnel, &state, &key, key.reserve(1).unwrap(), packet, &mut out);
        assert_eq!(out.len(), packet.len() + CAPSULE_OVERHEAD);
        out
    }

    fn open(tunnel: &Tunnel, capsule: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut capsule = capsule.to_vec();
        let header = Header::parse(&capsule).unwrap();
        tunnel.open(&tunnel.state(), &header, &mut capsule).map(|opened| opened.packet.to_vec())
    }

    #[test]
    fn a_packet_arrives_once() {
        for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
            let [mn, cn] = ends(suite);
            let inner = packet(1, 2, b"hello");
            let capsule = sealed(&mn, &inner);
            assert_eq!(open(&cn, &capsule), Ok(inner));
            assert_eq!(open(&cn, &capsule), Err(OpenError::Replayed));
        }
    }

    #[test]
    fn inner_addresses_have_to_be_those_of_the_pair() {
        let [mn, cn] = ends(Suite::ChaCha20Poly1305);
        for (source, destination) in [(3, 2), (1, 3), (2, 1), (2, 2)] {
            let capsule = sealed(&mn, &packet(source, destination, b""));
            assert_eq!(open(&cn, &capsule), Err(OpenError::Address));
        }
        let capsule = sealed(&mn, b"not an IP packet");
        assert_eq!(open(&cn, &capsule), Err(OpenError::Address));
    }

    #[test]
    fn our_own_capsule_sent_back_is_not_opened() {
        let [mn, _] = ends(Suite::ChaCha20Poly1305);
        let capsule = sealed(&mn, &packet(1, 2, b""));
        assert_eq!(open(&mn, &capsule), Err(OpenError::Forged));
    }

    #[test]
    fn a_forged_capsule_does_not_use_up_its_counter() {
        let [mn, cn] = ends(Suite::ChaCha20Poly1305);
        let capsule = sealed(&mn, &packet(1, 2, b"genuine"));
        let mut forged = capsule.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(open(&cn, &forged), Err(OpenError::Forged));
        assert!(open(&cn, &capsule).is_ok());
    }

    #[test]
    fn the_window_is_taken_once_for_capsules_that_arrived_together() {
        let [mn, _] = ends(Suite::ChaCha20Poly1305);
        let mut table = Table::new(&mut Rng::from_seed([0; 32]));
        let opened =
            TableEvent::Open { path: PATH, side: Side::Higher, own: vips(2), peer: vips(1) };
        table.apply(Time::ZERO, &opened);
        let (direction, suite) = (Direction::Receive, Suite::ChaCha20Poly1305);
        for (slot, key) in [(4, 9), (5, 1)] {
            let key = Secret::new([key; 32]);
            let install = TableEvent::Install { path: PATH, direction, slot, suite, key };
            table.apply(Time::ZERO, &install);
        }
        let cn = table.get(&PATH).unwrap().clone();
        let state = cn.state();
        let taken = || {
            let taken = state.receive.iter().filter(|key| key.is_window_taken());
            taken.map(|key| key.slot()).collect::<Vec<_>>()
        };
        let mut capsules: Vec<_> = (0..3).map(|_| sealed(&mn, &packet(1, 2, b""))).collect();
        let mut other = Vec::new();
        let other_key = SendKey::new(suite, &Secret::new([9; 32]), 4);
        seal(&mn, &mn.state(), &other_key, 0, &packet(1, 2, b""), &mut other);
        capsules.push(other);
        let mut forged = capsules[0].clone();
        *forged.last_mut().unwrap() ^= 1;

        let mut opener = Opener::new(&cn, &state);
        let mut open = |capsule: &[u8]| {
            let mut capsule = capsule.to_vec();
            let header = Header::parse(&capsule).unwrap();
            opener.open(&header, &mut capsule).map(|_| ())
        };
        assert_eq!((open(&forged), taken()), (Err(OpenError::Forged), vec![]));
        assert_eq!((open(&capsules[0]), taken()), (Ok(()), vec![5]));
        assert_eq!((open(&capsules[0]), taken()), (Err(OpenError::Replayed), vec![5]));
        assert_eq!((open(&capsules[1]), taken()), (Ok(()), vec![5]));
        assert_eq!((open(&capsules[3]), taken()), (Ok(()), vec![4]));
        assert_eq!((open(&capsules[2]), taken()), (Ok(()), vec![5]));
        drop(opener);
        assert_eq!(taken(), Vec::<u8>::new());
    }

    #[test]
    fn only_the_highest_counter_is_news() {
        let [mn, cn] = ends(Suite::ChaCha20Poly1305);
        let capsules: Vec<_> = (0..2).map(|_| sealed(&mn, &packet(1, 2, b""))).collect();
        let newest = |capsule: &[u8]| {
            let mut capsule = capsule.to_vec();
            let header = Header::parse(&capsule).unwrap();
            cn.open(&cn.state(), &header, &mut capsule).unwrap().newest
        };
        assert!(newest(&capsules[1]));
        assert!(!newest(&capsules[0]));
    }

    proptest! {
        #[test]
        fn every_bit_is_authenticated(at: prop::sample::Index, bit in 0..8) {
            let [mn, cn] = ends(Suite::Aes256Gcm);
            let mut capsule = sealed(&mn, &packet(1, 2, b"payload"));
            let place = at.index(capsule.len());
            capsule[place] ^= 1_u8 << bit;
            let refused = Header::parse(&capsule).is_err() || open(&cn, &capsule).is_err();
            prop_assert!(refused);
        }

        #[test]
        fn any_bytes_are_opened_without_panic(bytes: Vec<u8>) {
            let [_, cn] = ends(Suite::Aes256Gcm);
            let mut capsule = bytes;
            if let Ok(header) = Header::parse(&capsule) {
                prop_assert!(cn.open(&cn.state(), &header, &mut capsule).is_err());
            }
        }
    }
}
