use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Fault, Lane, PluginError, Transport};

use crate::Config;
use crate::bound::{Bound, without_ipv6};
use crate::error::cannot_listen;
use crate::lane::UdpLane;
use crate::send::Gso;

/// Datagrams straight in UDP.
///
/// # What a pin does
///
/// [`TxPacket::local`] and [`TxPacket::ifindex`] are both honoured on Linux;
/// elsewhere the interface follows from the destination. A pin whose address or
/// interface is gone is sent once more without it.
///
/// # What marks a datagram
///
/// [`TxPacket::ecn`] everywhere; [`TxPacket::dscp`] on Linux, elsewhere it
/// stays 0.
///
/// # What a run may come to
///
/// With GSO off, or when it is longer than one message can be, a run goes out in
/// parts; one that was stopped on the way counts as not taken. GSO that is refused
/// is off until the node moves or the sockets are made anew.
///
/// # What a slot needs
///
/// With GRO, a buffer of 65,535 bytes: a run that does not fit is cut off.
///
/// [`TxPacket::local`]: ntm_core::plugin::TxPacket::local
/// [`TxPacket::ifindex`]: ntm_core::plugin::TxPacket::ifindex
/// [`TxPacket::ecn`]: ntm_core::plugin::TxPacket::ecn
/// [`TxPacket::dscp`]: ntm_core::plugin::TxPacket::dscp
pub struct Udp {
    config: Config,
    addr: SocketAddr,
    lanes: Vec<Arc<UdpLane>>,
    gso: Arc<Gso>,
    /// Whether the transport is closed; held while sockets are exchanged.
    closed: Mutex<bool>,
}

impl Udp {
    /// Binds one socket for each of `lanes` workers, at least one, all to the
    /// same port.
    ///
    /// # Errors
    /// The address cannot be bound; [`Fault::Busy`] if the port is taken, also
    /// by another transport of this process.
    pub fn open(config: Config, lanes: usize) -> Result<Self, PluginError> {
        let mut bind = config.bind;
        bind.set_ip(bind.ip().to_canonical());
        let first = Bound::open(bind, &config, false).or_else(|error| {
            let instead = without_ipv6(bind, &error).ok_or(error)?;
            tracing::info!("this machine has no IPv6: listening at {instead}");
            Bound::open(instead, &config, false)
        });
        Self::with_first(first, lanes, &config).map_err(|error| cannot_listen(bind, &error))
    }

    /// The first socket is bound for itself alone, so that a port in use is
    /// noticed even if its user would share it; only then do the others join.
    fn with_first(first: io::Result<Bound>, lanes: usize, config: &Config) -> io::Result<Self> {
        let first = first?;
        let addr = first.addr()?;
        let gso = Arc::new(Gso::new(segments(config, &first)));
        let mut sockets = vec![first];
        if lanes > 1 {
            sockets[0].share(true)?;
            for _ in 1..lanes {
                sockets.push(Bound::open(addr, config, true)?);
            }
        }
        let lanes: io::Result<_> =
            sockets.into_iter().map(|it| Ok(Arc::new(UdpLane::new(it, gso.clone())?))).collect();
        let udp =
            Self { config: config.clone(), addr, lanes: lanes?, gso, closed: Mutex::new(false) };
        let in_use: Vec<_> =
            udp.facts().into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
        tracing::info!("listening at UDP {addr}; {}", in_use.join("; "));
        Ok(udp)
    }

    /// Binds new sockets beside the old ones, then puts each in its place.
    fn exchange(&self) -> io::Result<()> {
        let olds: Vec<_> = self.lanes.iter().map(|lane| lane.bound()).collect::<Result<_, _>>()?;
        let result = olds
            .iter()
            .map(|old| {
                old.share(true)?;
                Bound::open(self.addr, &self.config, true)
            })
            .collect::<io::Result<Vec<_>>>()
            .and_then(|fresh| {
                self.lanes.iter().zip(fresh).try_for_each(|(it, new)| it.replace(new))
            });
        if result.is_ok() {
            self.retry_gso();
        }
        if self.lanes.len() == 1 {
            // Back to a port of our own.
            self.lanes[0].bound()?.share(false)?;
        }
        result
    }

    /// What one link has refused, the next may take.
    fn retry_gso(&self) {
        if let Some(Ok(bound)) = self.lanes.first().map(|lane| lane.bound()) {
            self.gso.retry(segments(&self.config, &bound));
        }
    }
}

/// How many datagrams one message may carry through such a socket.
fn segments(config: &Config, bound: &Bound) -> usize {
    if config.gso { bound.gso_segments() } else { 1 }
}

#[async_trait]
impl Transport for Udp {
    fn kind(&self) -> TransportKind {
        TransportKind::UDP
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.lanes.iter().map(|lane| lane.clone() as Arc<dyn Lane>).collect()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        vec![self.addr]
    }

    fn max_payload(&self, _to: SocketAddr) -> Option<usize> {
        None
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(PluginError::new(Fault::System, "the transport is closed", "open it anew"));
        }
        self.exchange().map_err(|error| cannot_listen(self.addr, &error))
    }

    fn moved(&self) {
        self.retry_gso();
    }

    async fn close(&self) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = true;
        for lane in &self.lanes {
            if let Err(error) = lane.close() {
                tracing::debug!(%error, "a lane was closed, its worker may not have noticed");
            }
        }
    }

    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![("gso segments".to_owned(), self.gso.segments().to_string())];
        if let Some(Ok(bound)) = self.lanes.first().map(|lane| lane.bound()) {
            facts.extend(bound.facts(&self.config));
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use ntm_core::plugin::{RxSlot, TxPacket};

    use super::*;
    use crate::message::Messages;
    use crate::send;

    #[test]
    fn runs_that_were_refused_are_tried_again_with_new_sockets_and_after_a_move() {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let udp = Udp::open(Config { bind, ..Config::default() }, 1).unwrap();
        let at_first = udp.gso.segments();
        if cfg!(target_os = "linux") {
            assert!(at_first > 1, "this kernel has GSO");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let new_sockets = || runtime.block_on(udp.rebind()).unwrap();
        let after: [&dyn Fn(); 2] = [&new_sockets, &|| udp.moved()];
        for then in after {
            let run = TxPacket::run(b"aaabbb", 3, udp.addr.into());
            let bad_link = |mut messages: Messages<'_>| match messages.next().unwrap().segment {
                Some(_) => Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())),
                None => Ok(1),
            };
            assert_eq!(send::send(&[run], &udp.gso, bad_link).unwrap(), 1);
            assert_eq!(udp.gso.segments(), 1);
            then();
            assert_eq!(udp.gso.segments(), at_first);
        }
    }

    #[test]
    fn one_who_wants_no_runs_gets_none_after_a_move_either() {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let udp = Udp::open(Config { bind, gso: false, ..Config::default() }, 1).unwrap();
        udp.moved();
        assert_eq!(udp.gso.segments(), 1);
    }

    #[test]
    fn an_exchange_that_fails_leaves_the_old_sockets_at_work() {
        for lanes in [1, 2] {
            let bind = SocketAddr::from(([127, 0, 0, 1], 0));
            let mut udp = Udp::open(Config { bind, ..Config::default() }, lanes).unwrap();
            let own = udp.addr;
            udp.addr.set_ip([203, 0, 113, 1].into());
            assert!(udp.exchange().is_err());
            udp.lanes[0].try_send(&[TxPacket::new(b"still here", own.into())]).unwrap();
            let mut buffer = [0; 64];
            let mut slots = [RxSlot::new(&mut buffer)];
            assert!(udp.lanes.iter().any(|lane| lane.try_recv(&mut slots).is_ok()));
            assert_eq!(slots[0].filled(), b"still here");
        }
    }
}
