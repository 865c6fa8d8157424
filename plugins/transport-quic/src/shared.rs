use std::fmt::Display;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ntm_core::plugin::Addr;
use ntm_core::tunnel::CAPSULE_OVERHEAD;
use ntm_lane::{Far, Packet};
use quinn::{ClientConfig, Connecting, Connection, Endpoint, Incoming, RecvStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::peers::Peers;

/// A connection is there after this, or not at all.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes that others have begun, at once. From half of them on, an address is to
/// prove itself first.
const MOST_HANDSHAKES: usize = 256;
/// The longest datagram that goes as a stream where it fits no frame.
const MOST_STREAMED: usize = 1280 + CAPSULE_OVERHEAD;
/// Streams that we send at once, and how long one may take.
const STREAMS: usize = 256;
const STREAM: Duration = Duration::from_secs(1);

/// What the tasks of the runtime thread share with those who ask from outside.
pub(crate) struct Shared {
    /// `None` once closed.
    bound: Mutex<Option<Bound>>,
    client: ClientConfig,
    /// One for each lane.
    pub(crate) fars: Vec<Far>,
    peers: Mutex<Peers>,
    handshakes: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    pub(crate) counts: Counts,
}

/// The endpoint and its socket, which exist as long as the port is ours.
pub(crate) struct Bound {
    pub(crate) endpoint: Endpoint,
    pub(crate) socket: UdpSocket,
}

/// What has happened so far, in connections and datagrams.
#[derive(Default)]
pub(crate) struct Counts {
    /// Connections that we made,
    pub(crate) called: AtomicU64,
    /// and others made.
    pub(crate) accepted: AtomicU64,
    /// Datagrams that fitted no frame: sent as a stream,
    pub(crate) streamed: AtomicU64,
    /// and received as one.
    pub(crate) unstreamed: AtomicU64,
    /// Datagrams that were too large for either.
    pub(crate) too_large: AtomicU64,
    /// Datagrams lost because the path took no more, or there was none.
    pub(crate) lost: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64, many: usize) {
    counter.fetch_add(many as u64, Ordering::Relaxed);
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(bound: Bound, client: ClientConfig, fars: Vec<Far>, most: usize) -> Self {
        Self {
            bound: Mutex::new(Some(bound)),
            client,
            fars,
            peers: Mutex::new(Peers::new(most)),
            handshakes: Arc::new(Semaphore::new(MOST_HANDSHAKES)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            counts: Counts::default(),
        }
    }

    pub(crate) fn bound(&self) -> MutexGuard<'_, Option<Bound>> {
        lock(&self.bound)
    }

    pub(crate) fn peers(&self) -> MutexGuard<'_, Peers> {
        lock(&self.peers)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        self.bound().as_ref().map(|bound| bound.endpoint.clone())
    }

    /// Sends what one lane is given until it is closed.
    pub(crate) async fn send_all(self: Arc<Self>, lane: usize) {
        while let Some(packet) = self.fars[lane].take().await {
            self.send(&packet);
            // Many without a pause would keep connections from being driven.
            tokio::task::consume_budget().await;
        }
    }

    fn send(self: &Arc<Self>, packet: &Packet) {
        let datagrams = packet.segments().count();
        let Some(remote) = packet.remote.socket().map(canonical) else {
            return count(&self.counts.lost, datagrams);
        };
        let way = self.peers().way(Instant::now(), remote);
        if way.call {
            self.call(remote);
        }
        match way.by {
            Some(connection) => self.send_by(&connection, packet.segments()),
            None => {
                let mut peers = self.peers();
                let lost = packet.segments().filter(|it| !peers.wait(remote, it.clone())).count();
                count(&self.counts.lost, lost);
            }
        }
    }

    fn send_by(&self, connection: &Connection, datagrams: impl Iterator<Item = Bytes>) {
        let most = connection.max_datagram_size().unwrap_or(0);
        let mut space = connection.datagram_send_buffer_space();
        for datagram in datagrams {
            let len = datagram.len();
            if len > most {
                self.stream(connection, datagram);
            } else if len > space || connection.send_datagram(datagram).is_err() {
                count(&self.counts.lost, 1);
            } else {
                space -= len;
            }
        }
    }

    /// Sends what fits no frame.
    fn stream(&self, connection: &Connection, datagram: Bytes) {
        if datagram.len() > MOST_STREAMED {
            return count(&self.counts.too_large, 1);
        }
        let Ok(permit) = self.streams.clone().try_acquire_owned() else {
            return count(&self.counts.lost, 1);
        };
        count(&self.counts.streamed, 1);
        let connection = connection.clone();
        tokio::spawn(async move {
            let sent = timeout(STREAM, async {
                let mut stream = connection.open_uni().await.ok()?;
                stream.write_all(&datagram).await.ok()?;
                stream.finish().ok()
            });
            if !matches!(sent.await, Ok(Some(()))) {
                tracing::debug!("a packet that fitted no frame was lost");
            }
            drop(permit);
        });
    }

    /// Makes a connection, and sends what has waited for it.
    fn call(self: &Arc<Self>, remote: SocketAddr) {
        let begun = self.endpoint().map(|endpoint| {
            // The name goes nowhere; TLS wants one.
            endpoint.connect_with(self.client.clone(), remote, "ntm")
        });
        let shared = self.clone();
        tokio::spawn(async move {
            let connection = match begun {
                Some(Ok(connecting)) => shared.handshake(remote, connecting).await,
                Some(Err(error)) => shared.note_failure(remote, &error),
                None => None,
            };
            match connection {
                Some(connection) => {
                    count(&shared.counts.called, 1);
                    shared.opened(connection, true).await;
                }
                None => {
                    let waited = shared.peers().failed(Instant::now(), remote);
                    count(&shared.counts.lost, waited);
                }
            }
        });
    }

    async fn handshake(&self, remote: SocketAddr, connecting: Connecting) -> Option<Connection> {
        match timeout(HANDSHAKE, connecting).await {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => self.note_failure(remote, &error),
            Err(_) => self.note_failure(remote, &"nobody answers"),
        }
    }

    fn note_failure(&self, remote: SocketAddr, why: &dyn Display) -> Option<Connection> {
        tracing::debug!(%remote, %why, "no QUIC connection");
        None
    }

    /// Takes the connections that others make, until the endpoint is closed.
    pub(crate) async fn accept_all(self: Arc<Self>) {
        let Some(endpoint) = self.endpoint() else { return };
        while let Some(incoming) = endpoint.accept().await {
            self.accept(incoming);
        }
    }

    fn accept(self: &Arc<Self>, incoming: Incoming) {
        let busy = self.handshakes.available_permits() < MOST_HANDSHAKES / 2;
        if busy && incoming.may_retry() {
            let _too_late = incoming.retry();
            return;
        }
        let Ok(permit) = self.handshakes.clone().try_acquire_owned() else {
            return incoming.ignore();
        };
        let shared = self.clone();
        tokio::spawn(async move {
            let remote = canonical(incoming.remote_address());
            let connection = match incoming.accept() {
                Ok(connecting) => shared.handshake(remote, connecting).await,
                Err(error) => shared.note_failure(remote, &error),
            };
            drop(permit);
            if let Some(connection) = connection {
                count(&shared.counts.accepted, 1);
                shared.opened(connection, false).await;
            }
        });
    }

    async fn opened(self: Arc<Self>, connection: Connection, called: bool) {
        let mut remote = canonical(connection.remote_address());
        let opened = self.peers().opened(Instant::now(), remote, connection.clone(), called);
        let (waited, old) = match opened {
            Ok(opened) => opened,
            Err(refused) => return refused.close(0_u32.into(), b""),
        };
        if let Some(old) = old {
            old.close(0_u32.into(), b"");
        }
        tracing::debug!(%remote, called, "a QUIC connection");
        self.send_by(&connection, waited.into_iter());
        let why = loop {
            tokio::select! {
                datagram = connection.read_datagram() => match datagram {
                    Ok(datagram) => self.arrived(&connection, &mut remote, datagram),
                    Err(why) => break why,
                },
                stream = connection.accept_uni() => match stream {
                    Ok(stream) => {
                        tokio::spawn(self.clone().unstream(connection.clone(), stream));
                    }
                    Err(why) => break why,
                },
            }
        };
        tracing::debug!(%remote, %why, "a QUIC connection has ended");
        self.peers().ended(remote, &connection);
    }

    async fn unstream(self: Arc<Self>, connection: Connection, mut stream: RecvStream) {
        if let Ok(Ok(datagram)) = timeout(STREAM, stream.read_to_end(MOST_STREAMED)).await {
            count(&self.counts.unstreamed, 1);
            self.deliver(&connection, canonical(connection.remote_address()), datagram.into());
        }
    }

    fn arrived(&self, connection: &Connection, remote: &mut SocketAddr, datagram: Bytes) {
        let now = canonical(connection.remote_address());
        if now != *remote {
            tracing::debug!(from = %remote, to = %now, "a QUIC connection comes from elsewhere");
            self.peers().moved(*remote, now, connection);
            *remote = now;
        }
        self.deliver(connection, now, datagram);
    }

    fn deliver(&self, connection: &Connection, remote: SocketAddr, datagram: Bytes) {
        let local = connection.local_ip().map(|ip| ip.to_canonical());
        let local = local.map_or(Addr::NONE, Addr::from);
        let packet = Packet { local, ..Packet::new(datagram, remote.into()) };
        // A connection keeps to its lane, so that its packets stay in order.
        let far = connection.stable_id() % self.fars.len().max(1);
        if let Some(far) = self.fars.get(far) {
            far.deliver(packet);
        }
    }
}
