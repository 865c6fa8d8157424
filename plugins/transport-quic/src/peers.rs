use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::Connection;

/// What waits for a connection to one address: a burst of a window that TCP opens
/// with, or the handshakes of some pairs.
const MOST_WAITING: usize = 128;

/// Something was sent, and nothing at all has come back for this long: every packet
/// of ours asks for an acknowledgement.
const SILENCE: Duration = Duration::from_secs(1);

/// After a connection could not be made, none is tried for this long.
const REST: Duration = Duration::from_millis(500);

/// What was used this recently does not give way to others.
const IN_USE: Duration = Duration::from_secs(60);

/// Connections to one address: the one in use and its predecessor.
const MOST_OPEN: usize = 2;

/// The connections of an endpoint, by the address at the other end.
#[derive(Default)]
pub(crate) struct Peers {
    peers: BTreeMap<SocketAddr, Peer>,
    most: usize,
}

#[derive(Default)]
struct Peer {
    /// The newest first.
    open: Vec<Open>,
    /// What waits for the connection that is being made, if one is.
    calling: Option<Vec<Bytes>>,
    rest_until: Option<Instant>,
    /// When something was last to be sent there.
    used: Option<Instant>,
}

/// A connection that is there.
struct Open {
    connection: Connection,
    /// Whether we made it.
    called: bool,
    /// We have moved and the other end will not follow: nothing is sent by it.
    left: bool,
    /// Since when nothing has come, and the packets that had come until then.
    silent: Option<(Instant, u64)>,
}

/// What becomes of something that is to be sent.
#[derive(Debug)]
pub(crate) struct Way {
    /// The connection to send it by; without one it waits, or is lost.
    pub(crate) by: Option<Connection>,
    /// A connection is to be made.
    pub(crate) call: bool,
}

impl Peers {
    pub(crate) fn new(most: usize) -> Self {
        Self { peers: BTreeMap::new(), most: most.max(1) }
    }

    /// Addresses with a connection.
    pub(crate) fn connected(&self) -> usize {
        self.peers.values().filter(|peer| !peer.open.is_empty()).count()
    }

    /// The connection in use towards this address.
    pub(crate) fn connection(&self, remote: SocketAddr) -> Option<&Connection> {
        let open = self.peers.get(&remote)?.open.first()?;
        Some(&open.connection)
    }

    /// How to send to this address now.
    pub(crate) fn way(&mut self, now: Instant, remote: SocketAddr) -> Way {
        let room = self.peers.contains_key(&remote) || self.make_room(now);
        if !room {
            return Way { by: None, call: false };
        }
        let peer = self.peers.entry(remote).or_default();
        peer.used = Some(now);
        peer.open.retain(|open| open.connection.close_reason().is_none());
        let best = peer.open.iter_mut().find(|open| !open.left);
        let (by, needed) = match best {
            Some(open) => (Some(open.connection.clone()), open.is_silent(now)),
            None => (None, true),
        };
        let rests = peer.rest_until.is_some_and(|until| now < until);
        let call = needed && !rests && peer.calling.is_none();
        if call {
            peer.calling = Some(Vec::new());
        }
        Way { by, call }
    }

    /// Keeps a datagram until there is a connection; says whether it does.
    pub(crate) fn wait(&mut self, remote: SocketAddr, datagram: Bytes) -> bool {
        let waiting = self.peers.get_mut(&remote).and_then(|peer| peer.calling.as_mut());
        match waiting.filter(|waiting| waiting.len() < MOST_WAITING) {
            Some(waiting) => {
                waiting.push(datagram);
                true
            }
            None => false,
        }
    }

    /// A connection is there: it is the one to use from now on. What waited for one is
    /// given back, if this is the one; so is a connection too many.
    pub(crate) fn opened(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        connection: Connection,
        called: bool,
    ) -> Result<(Vec<Bytes>, Option<Connection>), Connection> {
        if !self.peers.contains_key(&remote) && !self.make_room(now) {
            return Err(connection);
        }
        let peer = self.peers.entry(remote).or_default();
        peer.open.insert(0, Open { connection, called, left: false, silent: None });
        peer.rest_until = None;
        let old = peer.open.len() > MOST_OPEN;
        let old = old.then(|| peer.open.pop()).flatten().map(|open| open.connection);
        // Who was called meanwhile needs no call of his own any more, but the one under
        // way ends as it ends.
        let waiting = match called {
            true => peer.calling.take().unwrap_or_default(),
            false => peer.calling.as_mut().map(std::mem::take).unwrap_or_default(),
        };
        Ok((waiting, old))
    }

    /// The connection that was being made did not come about. Says how much was waiting.
    pub(crate) fn failed(&mut self, now: Instant, remote: SocketAddr) -> usize {
        let Some(peer) = self.peers.get_mut(&remote) else { return 0 };
        peer.rest_until = Some(now + REST);
        peer.calling.take().map_or(0, |waiting| waiting.len())
    }

    /// A connection has ended.
    pub(crate) fn ended(&mut self, remote: SocketAddr, connection: &Connection) {
        if let Some(peer) = self.peers.get_mut(&remote) {
            peer.open.retain(|open| open.connection.stable_id() != connection.stable_id());
            if peer.open.is_empty() && peer.calling.is_none() && peer.rest_until.is_none() {
                self.peers.remove(&remote);
            }
        }
    }

    /// The other end of a connection is at another address than before.
    pub(crate) fn moved(&mut self, from: SocketAddr, to: SocketAddr, connection: &Connection) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let same = |open: &Open| open.connection.stable_id() == connection.stable_id();
        let Some(at) = peer.open.iter().position(same) else { return };
        let open = peer.open.remove(at);
        let used = peer.used;
        if peer.open.is_empty() && peer.calling.is_none() {
            self.peers.remove(&from);
        }
        let peer = self.peers.entry(to).or_default();
        peer.open.insert(0, open);
        peer.open.truncate(MOST_OPEN);
        peer.used = peer.used.max(used);
    }

    /// We have moved. Whoever called us does not listen to us from elsewhere; whom we
    /// called follows. `everybody`: nobody follows, the socket is another one.
    pub(crate) fn left(&mut self, everybody: bool) {
        for open in self.peers.values_mut().flat_map(|peer| &mut peer.open) {
            open.left |= everybody || !open.called;
        }
    }

    /// Forgets where nothing is any more.
    pub(crate) fn tidy(&mut self, now: Instant) {
        self.peers.retain(|_, peer| {
            let rests = peer.rest_until.is_some_and(|until| now < until);
            !peer.open.is_empty() || peer.calling.is_some() || rests
        });
    }

    /// Forgets everybody.
    pub(crate) fn clear(&mut self) {
        self.peers.clear();
    }

    /// Whether one more address can be known. The one that gives way is the one that
    /// nothing was sent to for longest: strangers may call, but get no answer.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.peers.len() < self.most {
            return true;
        }
        let idle = |peer: &Peer| {
            peer.calling.is_none() && peer.used.is_none_or(|used| now - used >= IN_USE)
        };
        let oldest = self.peers.iter().filter(|(_, peer)| idle(peer));
        let oldest = oldest.min_by_key(|(_, peer)| peer.used).map(|(remote, _)| *remote);
        let gone = oldest.and_then(|remote| self.peers.remove(&remote));
        for open in gone.iter().flat_map(|peer| &peer.open) {
            open.connection.close(0_u32.into(), b"");
        }
        gone.is_some()
    }
}

impl Open {
    /// Whether what was sent has gone without any answer; to be asked at each send.
    fn is_silent(&mut self, now: Instant) -> bool {
        let received = self.connection.stats().udp_rx.datagrams;
        match self.silent {
            Some((since, seen)) if seen == received => {
                now - since >= SILENCE.max(4 * self.connection.rtt())
            }
            Some(_) | None => {
                self.silent = Some((now, received));
                false
            }
        }
    }
}
