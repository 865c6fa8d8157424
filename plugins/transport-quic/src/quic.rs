use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Fault, Lane, PluginError, Transport};
use ntm_lane::{MailboxLane, Room, mailbox};
use quinn::{Endpoint, TokioRuntime};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};

use crate::error::{cannot_listen, internal};
use crate::shared::{Bound, Shared};
use crate::tls::{INITIAL_MTU, OVERHEAD, Terms};
use crate::{Config, socket};

/// Rings of a lane: half a second's packets at 100 Mbit/s.
const ROOM: Room = Room { packets: 4096, bytes: 8 << 20 };
/// How often connections that are no more are cleared away.
const TIDY: Duration = Duration::from_secs(10);
/// A farewell is sent in this time or not at all.
const FAREWELL: Duration = Duration::from_millis(300);

/// Datagrams in QUIC DATAGRAM frames.
///
/// # What a packet's fields do
///
/// Pins are not looked at: the end that was called answers from the address that it was
/// called at, the other's source is the system's choice. ECN and DSCP of what is carried
/// do not show outside, QUIC marks its packets for itself.
pub struct Quic {
    config: Config,
    addr: SocketAddr,
    lanes: Vec<Arc<MailboxLane>>,
    shared: Arc<Shared>,
    runtime: Handle,
    /// Ends the thread; answered when the port is free.
    stop: Mutex<Option<Stop>>,
}

struct Stop {
    ask: oneshot::Sender<()>,
    done: oneshot::Receiver<()>,
}

impl Quic {
    /// Listens, with a lane for each of `lanes` workers, at least one.
    ///
    /// # Errors
    /// A setting is out of bounds, or the address cannot be bound; [`Fault::Busy`] if
    /// the port is taken.
    pub fn open(config: Config, lanes: usize) -> Result<Self, PluginError> {
        config.check()?;
        let terms = Terms::new(&config)?;
        Self::open_on(config, lanes, terms)
    }

    fn open_on(config: Config, lanes: usize, terms: Terms) -> Result<Self, PluginError> {
        let cannot = |error| cannot_listen(config.bind, &error);
        let socket = socket::open(&config).map_err(cannot)?;
        let addr = socket.local_addr().map_err(cannot)?;
        let mailboxes: std::io::Result<Vec<_>> = (0..lanes.max(1)).map(|_| mailbox(ROOM)).collect();
        let (lanes, fars) = mailboxes
            .map_err(|error| PluginError::io("open a pipe", &error, ""))?
            .into_iter()
            .unzip();

        let (ready, opened) = mpsc::channel();
        let (ask, asked) = oneshot::channel();
        let (finished, done) = oneshot::channel();
        let most = config.connections;
        let run = move || {
            let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
            let endpoint = runtime.block_on(async {
                let (config, server) = (terms.endpoint, Some(terms.server));
                let runtime = Arc::new(TokioRuntime);
                Endpoint::new(config, server, socket.try_clone()?, runtime)
            })?;
            let bound = Bound { endpoint, socket };
            let shared = Arc::new(Shared::new(bound, terms.client, fars, most));
            Ok((runtime, shared))
        };
        let thread = move || match run() {
            Ok((runtime, shared)) => {
                let _gone = ready.send(Ok((runtime.handle().clone(), shared.clone())));
                runtime.block_on(serve(&shared, asked));
                shared.bound().take();
                shared.peers().clear();
                drop(runtime);
                let _nobody_waits = finished.send(());
            }
            Err(error) => {
                let _gone = ready.send(Err(error));
            }
        };
        std::thread::Builder::new()
            .name("ntm-quic".to_owned())
            .spawn(thread)
            .map_err(|error| PluginError::io("start a thread", &error, ""))?;
        let (runtime, shared) =
            opened.recv().map_err(|error| internal("start QUIC", &error))?.map_err(cannot)?;
        tracing::info!("listening for QUIC at {addr}");
        let stop = Mutex::new(Some(Stop { ask, done }));
        Ok(Self { config, addr, lanes, shared, runtime, stop })
    }

    /// Goes on with another socket. An end that we called learns of it at once.
    /// Gives the one before.
    fn go_on_with(
        &self,
        fresh: std::io::Result<std::net::UdpSocket>,
    ) -> std::io::Result<std::net::UdpSocket> {
        let _inside = self.runtime.enter();
        let mut bound = self.shared.bound();
        let bound = bound.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
        let fresh = fresh?;
        bound.endpoint.rebind(fresh.try_clone()?)?;
        Ok(std::mem::replace(&mut bound.socket, fresh))
    }
}

/// The life of the transport.
async fn serve(shared: &Arc<Shared>, stop: oneshot::Receiver<()>) {
    for lane in 0..shared.fars.len() {
        tokio::spawn(shared.clone().send_all(lane));
    }
    tokio::spawn(shared.clone().accept_all());
    let tidy = async {
        let mut clock = interval(TIDY);
        loop {
            clock.tick().await;
            shared.peers().tidy(Instant::now());
        }
    };
    tokio::select! {
        // Also when the transport is dropped.
        _ = stop => {}
        () = tidy => {}
    }
    let endpoint = shared.bound().as_ref().map(|bound| bound.endpoint.clone());
    if let Some(endpoint) = endpoint {
        endpoint.close(0_u32.into(), b"");
        let _impatient = timeout(FAREWELL, endpoint.wait_idle()).await;
    }
    shared.fars.iter().for_each(ntm_lane::Far::close);
}

#[async_trait]
impl Transport for Quic {
    fn kind(&self) -> TransportKind {
        TransportKind::QUIC
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.lanes.iter().map(|lane| lane.clone() as Arc<dyn Lane>).collect()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        vec![self.addr]
    }

    fn max_payload(&self, to: SocketAddr) -> Option<usize> {
        let usual = usize::from(INITIAL_MTU - OVERHEAD);
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let known = self.shared.peers().connection(to).and_then(|it| it.max_datagram_size());
        Some(known.unwrap_or(usual))
    }

    fn moved(&self) {
        self.shared.peers().left(false);
        // The same socket: the system sends from where we are now. What is wanted is
        // that connections tell the other end, under a new connection ID.
        let same = match &*self.shared.bound() {
            Some(bound) => bound.socket.try_clone(),
            None => return,
        };
        if let Err(error) = self.go_on_with(same) {
            tracing::debug!(%error, "QUIC connections were not told of the move");
        }
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        let fresh = match &*self.shared.bound() {
            Some(bound) => socket::beside(&bound.socket, &self.config),
            None => {
                let message = "the transport is closed";
                return Err(PluginError::new(Fault::System, message, "open it anew"));
            }
        };
        let done = self.go_on_with(fresh);
        if let Some(bound) = &*self.shared.bound() {
            // Back to a port of our own.
            let _shared = socket::share(&bound.socket, false);
        }
        let old = done.map_err(|error| cannot_listen(self.addr, &error))?;
        if let Err(error) = socket::retire(&old) {
            tracing::debug!(%error, "the socket before this one may still get packets");
        }
        self.shared.peers().left(true);
        Ok(())
    }

    async fn close(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Stop { ask, done }) = stop {
            let _gone = ask.send(());
            let _gone = done.await;
        }
    }

    fn facts(&self) -> Vec<(String, String)> {
        let counts = &self.shared.counts;
        let connected = self.shared.peers().connected() as u64;
        let unread = self.shared.fars.iter().map(ntm_lane::Far::dropped).sum();
        let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        [
            ("connections", connected),
            ("connections made", read(&counts.called)),
            ("connections accepted", read(&counts.accepted)),
            ("sent as streams", read(&counts.streamed)),
            ("received as streams", read(&counts.unstreamed)),
            ("too large", read(&counts.too_large)),
            ("not sent", read(&counts.lost)),
            ("not fetched in time", unread),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_string()))
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ntm_core::plugin::{RxSlot, TxPacket};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn open() -> Quic {
        let bind = (Ipv4Addr::LOCALHOST, 0).into();
        let config = Config { bind, ..Config::default() };
        let terms = Terms::narrow(&config).unwrap();
        Quic::open_on(config, 1, terms).unwrap()
    }

    fn next(quic: &Quic) -> Vec<u8> {
        let mut buffer = [0; 2048];
        loop {
            let fd = PollFd::from_borrowed_fd(quic.lanes[0].fd(), PollFlags::IN);
            let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
            assert_eq!(poll(&mut [fd], Some(&patience)).unwrap(), 1, "nothing has arrived");
            let mut slot = RxSlot::new(&mut buffer);
            if quic.lanes[0].try_recv(std::slice::from_mut(&mut slot)).is_ok() {
                return slot.filled().to_vec();
            }
        }
    }

    #[test]
    fn packets_of_1280_bytes_cross_a_path_that_has_no_room_for_them_and_are_counted() {
        let (a, b) = (open(), open());
        let capsule = 1280 + ntm_core::tunnel::CAPSULE_OVERHEAD;
        let send = |bytes: usize| {
            let data = vec![bytes as u8; bytes];
            a.lanes[0].try_send(&[TxPacket::new(&data, b.addr.into())]).unwrap();
            data
        };
        let data = send(100);
        assert_eq!(next(&b), data);
        let most = a.max_payload(b.addr).unwrap();
        assert_eq!(most, usize::from(1200 - OVERHEAD));
        for bytes in [most, most + 1, capsule] {
            let data = send(bytes);
            assert_eq!(next(&b), data, "{bytes} bytes");
        }
        let _lost = send(capsule + 1);
        let data = send(100);
        assert_eq!(next(&b), data);
        let fact = |quic: &Quic, name: &str| {
            let facts = quic.facts();
            facts.iter().find(|(key, _)| key == name).unwrap().1.clone()
        };
        assert_eq!(fact(&a, "sent as streams"), "2");
        assert_eq!(fact(&b, "received as streams"), "2");
        assert_eq!(fact(&a, "too large"), "1");
    }
}
