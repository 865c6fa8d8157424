use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ntm_abi::{Addr, RxSlot, TxPacket};

use super::queue::Queue;
use crate::plugin::{Interface, InterfaceSettings, Lane, PluginError};

/// An interface whose applications are a test.
pub struct MemoryInterface {
    lane: Arc<MemoryLane>,
    settings: Mutex<Option<InterfaceSettings>>,
}

/// The applications' end of a [`MemoryInterface`].
#[derive(Clone)]
pub struct MemoryApplication(Arc<MemoryLane>);

struct MemoryLane {
    from_applications: Queue,
    to_applications: Queue,
}

impl MemoryInterface {
    /// An interface and its applications' end.
    ///
    /// # Errors
    /// The process has no descriptors left.
    pub fn new() -> Result<(Self, MemoryApplication), PluginError> {
        let queue = || Queue::new().map_err(|error| PluginError::io("open a pipe", &error, ""));
        let lane = Arc::new(MemoryLane { from_applications: queue()?, to_applications: queue()? });
        let application = MemoryApplication(lane.clone());
        Ok((Self { lane, settings: Mutex::default() }, application))
    }

    /// The settings of the last `configure`, until `close`.
    pub fn settings(&self) -> Option<InterfaceSettings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl MemoryApplication {
    /// Sends an IP packet into the interface; `false` if it was full.
    pub fn send(&self, packet: &[u8]) -> bool {
        let packet = TxPacket::new(packet, Addr::NONE);
        self.0.from_applications.push(&packet, Addr::NONE).is_ok()
    }

    /// The next IP packet that came out of the interface.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        let mut slot = RxSlot::new(&mut buffer);
        self.0.to_applications.pop(std::slice::from_mut(&mut slot)).ok()?;
        Some(slot.filled().to_vec())
    }
}

#[async_trait]
impl Interface for MemoryInterface {
    fn name(&self) -> String {
        "memory".into()
    }

    fn ifindex(&self) -> u32 {
        0
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        vec![self.lane.clone()]
    }

    async fn configure(&self, settings: &InterfaceSettings) -> Result<(), PluginError> {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings.clone());
        Ok(())
    }

    async fn close(&self) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Lane for MemoryLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.from_applications.fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        let mut taken = 0;
        for packet in packets {
            for segment in packet.segments() {
                match self.to_applications.push(&TxPacket::new(segment, Addr::NONE), Addr::NONE) {
                    Ok(()) => {}
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => return Ok(taken),
                }
            }
            taken += 1;
        }
        Ok(taken)
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        self.from_applications.pop(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_pass_in_both_directions() {
        let (interface, application) = MemoryInterface::new().unwrap();
        let lane = &interface.lanes()[0];
        assert!(application.send(b"out"));
        let mut buffer = [0; 64];
        let mut slot = RxSlot::new(&mut buffer);
        assert_eq!(lane.try_recv(std::slice::from_mut(&mut slot)).unwrap(), 1);
        assert_eq!(slot.filled(), b"out");
        assert_eq!(lane.try_send(&[TxPacket::run(b"aabb", 2, Addr::NONE)]).unwrap(), 1);
        assert_eq!(application.receive().as_deref(), Some(&b"aa"[..]));
        assert_eq!(application.receive().as_deref(), Some(&b"bb"[..]));
        assert_eq!(application.receive(), None);
    }
}
