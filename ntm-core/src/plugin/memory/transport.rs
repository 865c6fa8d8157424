use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ntm_abi::{Addr, RxSlot, TxPacket};

use super::queue::Queue;
use crate::address::TransportKind;
use crate::plugin::{Fault, Lane, PluginError, Transport};

/// A network in memory: an address is whatever somebody bound.
#[derive(Clone, Default)]
pub struct MemoryNet(Arc<Mutex<BTreeMap<SocketAddr, Arc<Queue>>>>);

/// A transport over a [`MemoryNet`].
pub struct MemoryTransport {
    lane: Arc<MemoryLane>,
}

struct MemoryLane {
    net: MemoryNet,
    own: SocketAddr,
    inbox: Arc<Queue>,
}

impl MemoryNet {
    fn find(&self, addr: SocketAddr) -> Option<Arc<Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&addr).cloned()
    }
}

impl MemoryTransport {
    /// Listens at `addr` until closed or dropped.
    ///
    /// # Errors
    /// Somebody listens there already.
    pub fn bind(net: &MemoryNet, addr: SocketAddr) -> Result<Self, PluginError> {
        let inbox = Queue::new().map_err(|error| PluginError::io("open a pipe", &error, ""))?;
        let inbox = Arc::new(inbox);
        let mut bound = net.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.contains_key(&addr) {
            let message = format!("{addr} is taken");
            return Err(PluginError::new(Fault::Busy, message, "choose another address"));
        }
        bound.insert(addr, inbox.clone());
        let lane = MemoryLane { net: net.clone(), own: addr, inbox };
        Ok(Self { lane: Arc::new(lane) })
    }

    fn unbind(&self) {
        let mut bound = self.lane.net.0.lock().unwrap_or_else(PoisonError::into_inner);
        bound.remove(&self.lane.own);
    }
}

impl Drop for MemoryTransport {
    fn drop(&mut self) {
        self.unbind();
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn kind(&self) -> TransportKind {
        TransportKind::UDP
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        vec![self.lane.clone()]
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        vec![self.lane.own]
    }

    fn max_payload(&self, _to: SocketAddr) -> Option<usize> {
        None
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        Ok(())
    }

    async fn close(&self) {
        self.unbind();
    }
}

impl Lane for MemoryLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.inbox.fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        for packet in packets {
            let to = packet.remote.socket().ok_or(io::ErrorKind::InvalidInput)?;
            // Nobody there, or nobody reading: lost on the way, as UDP does.
            if let Some(inbox) = self.net.find(to) {
                let _lost = inbox.push(packet, Addr::from(self.own));
            }
        }
        Ok(packets.len())
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        self.inbox.pop(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_arrives_with_its_source() {
        let net = MemoryNet::default();
        let addr = |last| SocketAddr::from(([203, 0, 113, last], 4330));
        let one = MemoryTransport::bind(&net, addr(1)).unwrap();
        let two = MemoryTransport::bind(&net, addr(2)).unwrap();
        let sent = [
            TxPacket::new(b"lost", addr(9).into()),
            TxPacket::run(b"helloworld", 5, addr(2).into()),
        ];
        assert_eq!(one.lanes()[0].try_send(&sent).unwrap(), 2);
        let mut buffer = [0; 64];
        let mut slot = RxSlot::new(&mut buffer);
        assert_eq!(two.lanes()[0].try_recv(std::slice::from_mut(&mut slot)).unwrap(), 1);
        assert!(slot.segments().eq([b"hello", b"world"]));
        assert_eq!(slot.remote.socket(), Some(addr(1)));
    }

    #[test]
    fn an_address_is_bound_once_and_free_again_afterwards() {
        let net = MemoryNet::default();
        let addr = SocketAddr::from(([203, 0, 113, 1], 4330));
        let first = MemoryTransport::bind(&net, addr).unwrap();
        let fault = MemoryTransport::bind(&net, addr).err().map(|error| error.fault);
        assert_eq!(fault, Some(Fault::Busy));
        drop(first);
        assert!(MemoryTransport::bind(&net, addr).is_ok());
    }
}
