use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ntm_core::plugin::Addr;
use ntm_lane::{Far, Packet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsStream;

use crate::queue::{MOST, Queue};
use crate::tls::Terms;

/// A connection is there in this time, or not at all.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes of callers at once; more callers are not answered.
const HANDSHAKES: usize = 64;
/// After a connection could not be made, none is tried for this long.
const REST: Duration = Duration::from_millis(500);
/// A connection on which nothing is acknowledged for this long is over.
const SILENCE: Duration = Duration::from_secs(5);
/// What the kernel takes ahead of what it can send, in bytes: the rest waits where the oldest
/// is dropped.
const AHEAD: u32 = 64 << 10;

/// What the transport and its tasks share.
pub(crate) struct Shared {
    pub(crate) terms: Terms,
    pub(crate) fars: Vec<Far>,
    most: usize,
    idle: Duration,
    peers: Mutex<BTreeMap<SocketAddr, Peer>>,
    /// Tells connections that were made here to go,
    moved: watch::Sender<()>,
    /// and all of them.
    over: watch::Sender<()>,
    handshakes: Arc<Semaphore>,
    pub(crate) counts: Counts,
}

/// What there is towards an address.
enum Peer {
    /// A connection, or one that is being made; whether it is made here.
    Open { queue: Arc<Queue>, called: bool },
    /// None could be made, and none is tried until then.
    Resting(Instant),
}

#[derive(Default)]
pub(crate) struct Counts {
    /// Connections that were made here,
    pub(crate) called: AtomicU64,
    /// and by others.
    pub(crate) accepted: AtomicU64,
    /// Datagrams that were dropped because the path took no more, or there was none.
    pub(crate) lost: AtomicU64,
}

fn count(counter: &AtomicU64, many: usize) {
    counter.fetch_add(many as u64, Ordering::Relaxed);
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

impl Shared {
    pub(crate) fn new(terms: Terms, fars: Vec<Far>, most: usize, idle: Duration) -> Self {
        Self {
            terms,
            fars,
            most,
            idle,
            peers: Mutex::default(),
            moved: watch::Sender::new(()),
            over: watch::Sender::new(()),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            counts: Counts::default(),
        }
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections that are there or being made.
    pub(crate) fn connections(&self) -> usize {
        self.peers().values().filter(|peer| matches!(peer, Peer::Open { .. })).count()
    }

    /// Ends the connections that were made here: what is sent from now on makes others, from
    /// where the node is now. One that another node made stays for as long as it works; that
    /// node is behind the port that it called from, and cannot be called there.
    pub(crate) fn moved(&self) {
        self.peers().retain(|_, peer| matches!(peer, Peer::Open { called: false, .. }));
        self.moved.send_replace(());
    }

    /// Ends all connections.
    pub(crate) fn leave(&self) {
        self.peers().clear();
        self.over.send_replace(());
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
        let remote = packet.remote.socket().map(canonical);
        let queue = remote.and_then(|remote| self.queue(remote));
        let lost: usize = packet
            .segments()
            .map(|datagram| match &queue {
                Some(queue) if datagram.len() <= MOST => queue.push(datagram),
                Some(_) | None => 1,
            })
            .sum();
        count(&self.counts.lost, lost);
    }

    /// What waits for the connection to this address, which is made if there is none.
    fn queue(self: &Arc<Self>, remote: SocketAddr) -> Option<Arc<Queue>> {
        let now = Instant::now();
        let mut peers = self.peers();
        match peers.get(&remote) {
            Some(Peer::Open { queue, .. }) => return Some(queue.clone()),
            Some(Peer::Resting(until)) if now < *until => return None,
            Some(Peer::Resting(_)) | None => {}
        }
        let queue = self.admit(&mut peers, now, remote, true)?;
        // Before anybody can tell them.
        let (moved, over) = (self.moved.subscribe(), self.over.subscribe());
        drop(peers);
        tokio::spawn(self.clone().call(remote, queue.clone(), moved, over));
        Some(queue)
    }

    /// Room for one more connection.
    fn admit(
        &self,
        peers: &mut BTreeMap<SocketAddr, Peer>,
        now: Instant,
        remote: SocketAddr,
        called: bool,
    ) -> Option<Arc<Queue>> {
        if peers.len() >= self.most {
            peers.retain(|_, peer| !matches!(peer, Peer::Resting(until) if *until <= now));
        }
        if peers.len() >= self.most && !peers.contains_key(&remote) {
            return None;
        }
        let queue = Arc::new(Queue::default());
        peers.insert(remote, Peer::Open { queue: queue.clone(), called });
        Some(queue)
    }

    async fn call(
        self: Arc<Self>,
        remote: SocketAddr,
        queue: Arc<Queue>,
        mut moved: watch::Receiver<()>,
        mut over: watch::Receiver<()>,
    ) {
        let connection = async {
            let made = timeout(HANDSHAKE, self.connect(remote)).await;
            match made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    count(&self.counts.called, 1);
                    (self.run(stream, remote, &queue).await, false)
                }
                Err(error) => (error, true),
            }
        };
        let (why, failed) = tokio::select! {
            ended = connection => ended,
            _ = moved.changed() => (io::ErrorKind::ConnectionAborted.into(), false),
            _ = over.changed() => (io::ErrorKind::ConnectionAborted.into(), false),
        };
        self.ended(remote, &queue, &why, failed);
    }

    async fn connect(&self, remote: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(remote).await?;
        tune(&stream)?;
        Ok(self.terms.connector.connect(remote.ip().into(), stream).await?.into())
    }

    /// Takes the connections that others make.
    pub(crate) async fn accept_all(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    // Who finds no room is hung up on.
                    let permit = self.handshakes.clone().try_acquire_owned();
                    if let Ok(permit) = permit {
                        tokio::spawn(self.clone().accept(stream, canonical(remote), permit));
                    }
                }
                // No descriptors are left, mostly.
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    sleep(REST).await;
                }
            }
        }
    }

    async fn accept(
        self: Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        let mut over = self.over.subscribe();
        let connection = async {
            tune(&stream)?;
            let made = timeout(HANDSHAKE, self.terms.acceptor.accept(stream)).await;
            drop(permit);
            let stream = made.map_err(|_| io::ErrorKind::TimedOut)??;
            let queue = self.admit(&mut self.peers(), Instant::now(), remote, false);
            let queue = queue.ok_or(io::ErrorKind::QuotaExceeded)?;
            count(&self.counts.accepted, 1);
            let why = self.run(stream.into(), remote, &queue).await;
            self.ended(remote, &queue, &why, false);
            Ok::<_, io::Error>(())
        };
        tokio::select! {
            ended = connection => if let Err(why) = ended {
                tracing::debug!(%remote, %why, "a caller was not let in");
            },
            _ = over.changed() => {}
        }
    }

    /// The life of a connection; why it ended.
    async fn run(
        &self,
        stream: TlsStream<TcpStream>,
        remote: SocketAddr,
        queue: &Queue,
    ) -> io::Error {
        tracing::debug!(%remote, "a TLS connection");
        let local = stream.get_ref().0.local_addr().map(|it| it.ip().to_canonical());
        let local = local.map_or(Addr::NONE, Addr::from);
        let (from, to) = split(stream);
        let ended = tokio::select! {
            ended = self.receive(from, remote, local) => ended,
            ended = transmit(to, queue) => ended,
        };
        ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    async fn receive(
        &self,
        from: ReadHalf<TlsStream<TcpStream>>,
        remote: SocketAddr,
        local: Addr,
    ) -> io::Result<()> {
        let mut from = BufReader::with_capacity(64 << 10, from);
        // A connection keeps to its lane, so that its packets stay in order.
        let far = &self.fars[usize::from(remote.port()) % self.fars.len()];
        loop {
            let datagram = timeout(self.idle, async {
                let mut datagram = vec![0; from.read_u16().await?.into()];
                from.read_exact(&mut datagram).await?;
                Ok::<_, io::Error>(datagram)
            });
            let datagram = datagram.await.map_err(|_| io::ErrorKind::TimedOut)??;
            far.deliver(Packet { local, ..Packet::new(datagram, remote.into()) });
        }
    }

    fn ended(&self, remote: SocketAddr, queue: &Arc<Queue>, why: &dyn Display, failed: bool) {
        tracing::debug!(%remote, %why, "no TLS connection any more");
        count(&self.counts.lost, queue.len());
        let mut peers = self.peers();
        // Another may have taken its place.
        if matches!(peers.get(&remote), Some(Peer::Open { queue: it, .. }) if Arc::ptr_eq(it, queue))
        {
            if failed {
                peers.insert(remote, Peer::Resting(Instant::now() + REST));
            } else {
                peers.remove(&remote);
            }
        }
    }
}

async fn transmit(mut to: WriteHalf<TlsStream<TcpStream>>, queue: &Queue) -> io::Result<()> {
    let mut record = Vec::new();
    loop {
        record.clear();
        queue.take(&mut record).await;
        to.write_all(&record).await?;
        to.flush().await?;
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(stream);
        socket.set_tcp_user_timeout(Some(SILENCE))?;
        socket.set_tcp_notsent_lowat(AHEAD)?;
    }
    Ok(())
}
