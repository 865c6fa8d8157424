use std::sync::Arc;

use async_trait::async_trait;
use ntm_core::plugin::{Interface, InterfaceSettings, Lane, PluginError};

use crate::Config;
use crate::lane::TunLane;
use crate::system::Device;

/// A TUN device.
///
/// It is made by [`Tun::open`] and lives no longer than the process, however
/// that ends. A name that is in use is refused, so nobody else's device is ever
/// taken over, nor what its last user left switched on.
///
/// After [`Interface::close`] a lane's descriptor polls `ERR` for good and every
/// call is an error. On macOS the device goes when the last lane is dropped.
pub struct Tun {
    device: Device,
    lanes: Vec<Arc<TunLane>>,
}

impl Tun {
    /// Makes the device with one queue for each of `lanes` workers, at least
    /// one, in the network namespace of the calling thread. It has no addresses
    /// and is down.
    ///
    /// # Errors
    /// There is no TUN driver, we may not use it, or the name is in use or is
    /// none.
    pub fn open(config: Config, lanes: usize) -> Result<Self, PluginError> {
        let (device, queues) = Device::open(config.name()?, lanes.max(1))?;
        let lanes = queues.into_iter().map(|queue| Arc::new(TunLane::new(queue))).collect();
        Ok(Self { device, lanes })
    }
}

// The system's calls answer at once, so nothing below awaits: dropping a future
// cannot leave a half of it behind.
#[async_trait]
impl Interface for Tun {
    fn name(&self) -> String {
        self.device.name().to_owned()
    }

    fn ifindex(&self) -> u32 {
        self.device.index()
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.lanes.iter().map(|lane| lane.clone() as Arc<dyn Lane>).collect()
    }

    async fn configure(&self, settings: &InterfaceSettings) -> Result<(), PluginError> {
        self.device.configure(settings)
    }

    async fn close(&self) {
        self.device.close();
    }

    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![
            ("interface".to_owned(), self.name()),
            ("queues".to_owned(), self.lanes.len().to_string()),
            ("offload".to_owned(), "none".to_owned()),
        ];
        facts.extend(self.device.facts());
        facts
    }
}
