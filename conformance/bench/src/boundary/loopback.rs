//! The transport `udp`, linked and loaded: a batch is sent over loopback, waited for as
//! a packet worker does, and received, by one thread.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ntm_core::plugin::{Lane, RxSlot, Transport, TxPacket};
use ntm_host::Library;
use ntm_lab::{Error, Result};
use ntm_transport_udp::{Config, Udp};
use serde_json::json;

use super::{Comparison, Plan, Step, alternate, failed};
use crate::bed::doing;

/// Bytes of a datagram.
const SIZE: usize = 1200;
/// Receives in one call, as a worker does.
const SLOTS: usize = 16;

/// A sender and a receiver.
struct Pair {
    _transports: [Arc<dyn Transport>; 2],
    from: Arc<dyn Lane>,
    to: Arc<dyn Lane>,
    at: SocketAddr,
    buffers: Vec<Vec<u8>>,
    payload: Vec<u8>,
}

pub(super) fn measure(library: &Path, plan: Plan, batch: usize) -> Result<Comparison> {
    let loaded = Library::load(library).map_err(|error| Error::Wrong(error.to_string()))?;
    let config = json!({ "bind": "127.0.0.1:0" });
    let mut linked = Pair::new(|| {
        let decoded = Config { bind: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        Ok(Arc::new(Udp::open(decoded, 1).map_err(|error| failed(&error))?))
    })?;
    let mut dynamic = Pair::new(|| loaded.transport(&config, 1).map_err(|error| failed(&error)))?;
    let ways: Vec<(_, Step<'_>)> = vec![
        ("linked", Box::new(move || linked.round(batch))),
        ("shared object", Box::new(move || dynamic.round(batch))),
    ];
    let what = format!("UDP over loopback, {SIZE} bytes, {batch} a call");
    alternate(plan, what, "thousand packets/s", ways, |done, time| {
        done as f64 / time.as_secs_f64() / 1e3
    })
}

impl Pair {
    fn new(mut open: impl FnMut() -> Result<Arc<dyn Transport>>) -> Result<Self> {
        let transports = [open()?, open()?];
        let lane = |at: usize| {
            let lane = transports[at].lanes().into_iter().next();
            lane.ok_or_else(|| Error::Wrong("a transport has no lane".into()))
        };
        let at = transports[1].local_addrs().first().copied();
        let at = at.ok_or_else(|| Error::Wrong("a transport listens nowhere".into()))?;
        let (from, to) = (lane(0)?, lane(1)?);
        let mut pair = Self {
            _transports: transports,
            from,
            to,
            at,
            buffers: vec![vec![0; 65_536]; SLOTS],
            payload: vec![7; SIZE],
        };
        // Whoever receives by a lane is its worker, and goes into the plugin itself.
        let from = pair.from.clone();
        if pair.receive(&*from)? != 0 {
            return Err(Error::Wrong("something arrives that nobody sent".into()));
        }
        Ok(pair)
    }

    /// Sends so many and receives them.
    fn round(&mut self, batch: usize) -> Result<u64> {
        let packets = vec![TxPacket::new(&self.payload, self.at.into()); batch];
        let sent = self.from.try_send(&packets).map_err(doing("send over loopback"))?;
        let (to, mut received) = (self.to.clone(), 0);
        while received < sent {
            let mut fds = [PollFd::new(to.fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(1000_u16)).map_err(std::io::Error::from);
            if ready.map_err(doing("wait for loopback"))? == 0 {
                return Err(Error::Wrong(format!("{received} of {sent} datagrams arrived")));
            }
            received += self.receive(&*to)?;
        }
        Ok(sent as u64)
    }

    fn receive(&mut self, lane: &dyn Lane) -> Result<usize> {
        let mut buffers = self.buffers.iter_mut();
        let mut slots: [RxSlot<'_>; SLOTS] = std::array::from_fn(|_| {
            RxSlot::new(buffers.next().map_or(&mut [][..], |it| &mut it[..]))
        });
        match lane.try_recv(&mut slots) {
            Ok(filled) => Ok(slots[..filled].iter().map(|slot| slot.segments().count()).sum()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(doing("receive over loopback")(error)),
        }
    }
}
