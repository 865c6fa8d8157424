use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Fault, Lane, PluginError, Transport};
use ntm_lane::{Far, MailboxLane, Room, mailbox};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Config;
use crate::queue::MOST;
use crate::shared::Shared;
use crate::tls::Terms;

/// One of the numbers that are free for transports that the protocol does not know.
const KIND: TransportKind = TransportKind(200);
/// Rings of a lane.
const ROOM: Room = Room { packets: 4096, bytes: 8 << 20 };

/// Datagrams in TLS over TCP.
///
/// Pins, ECN and DSCP of what is carried are not looked at: TCP has its own.
pub struct Tls {
    addr: SocketAddr,
    lanes: Vec<Arc<MailboxLane>>,
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Tls {
    /// Listens, with a lane for each of `lanes` workers. Must be called inside a tokio
    /// runtime, as plugins are.
    ///
    /// # Errors
    /// A setting is out of bounds, or the address cannot be bound; [`Fault::Busy`] if the
    /// port is taken.
    pub fn open(config: Config, lanes: usize) -> Result<Self, PluginError> {
        config.check()?;
        let terms = Terms::new()?;
        let cannot = |error| cannot_listen(config.bind, &error);
        let listener = listen(config.bind).map_err(cannot)?;
        let addr = listener.local_addr().map_err(cannot)?;
        let mailboxes: io::Result<Vec<_>> = (0..lanes.max(1)).map(|_| mailbox(ROOM)).collect();
        let mailboxes = mailboxes.map_err(|error| PluginError::io("open a pipe", &error, ""))?;
        let (lanes, fars): (Vec<_>, Vec<_>) = mailboxes.into_iter().unzip();
        let idle = Duration::from_secs(config.idle_s);
        let shared = Arc::new(Shared::new(terms, fars, config.connections, idle));
        for lane in 0..lanes.len() {
            tokio::spawn(shared.clone().send_all(lane));
        }
        let listening = tokio::spawn(shared.clone().accept_all(listener));
        tracing::info!("listening for TLS at {addr}");
        Ok(Self { addr, lanes, shared, listening: Mutex::new(Some(listening)) })
    }

    /// Ends everything but the tasks that have not noticed yet.
    fn end(&self) -> Option<JoinHandle<()>> {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listening) = &listening {
            listening.abort();
        }
        self.shared.fars.iter().for_each(Far::close);
        self.shared.leave();
        listening
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        self.end();
    }
}

fn listen(bind: SocketAddr) -> io::Result<TcpListener> {
    let everywhere = bind.is_ipv6() && bind.ip().is_unspecified();
    let listener = std::net::TcpListener::bind(bind).or_else(|error| {
        let busy = [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied];
        if !everywhere || busy.contains(&error.kind()) {
            return Err(error);
        }
        // A machine without IPv6.
        std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, bind.port()))
    })?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn cannot_listen(bind: SocketAddr, error: &io::Error) -> PluginError {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that uses the port (a web server?), or choose another with `bind`"
        }
        io::ErrorKind::PermissionDenied => {
            "choose a port above 1023, or give the program CAP_NET_BIND_SERVICE"
        }
        _ => "use `[::]` to listen at every address of this machine",
    };
    PluginError::io(format_args!("listen for TLS at {bind}"), error, remedy).at("bind")
}

#[async_trait]
impl Transport for Tls {
    fn kind(&self) -> TransportKind {
        KIND
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.lanes.iter().map(|lane| lane.clone() as Arc<dyn Lane>).collect()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        vec![self.addr]
    }

    fn max_payload(&self, _: SocketAddr) -> Option<usize> {
        // TCP cuts as it likes.
        Some(MOST)
    }

    fn moved(&self) {
        self.shared.moved();
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        if self.listening.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            let message = "the transport is closed";
            return Err(PluginError::new(Fault::System, message, "open it anew"));
        }
        self.shared.leave();
        Ok(())
    }

    async fn close(&self) {
        if let Some(listening) = self.end() {
            // The port is free when its task has gone.
            let _aborted = listening.await;
        }
    }

    fn facts(&self) -> Vec<(String, String)> {
        let counts = &self.shared.counts;
        let fact = |key: &str, value: String| (key.to_owned(), value);
        let read =
            |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed).to_string();
        vec![
            fact("connections", self.shared.connections().to_string()),
            fact("called", read(&counts.called)),
            fact("accepted", read(&counts.accepted)),
            fact("lost", read(&counts.lost)),
        ]
    }
}
