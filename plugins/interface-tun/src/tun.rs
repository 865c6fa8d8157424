use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ntm_core::plugin::{Interface, InterfaceSettings, Lane, Offload, PluginError};

use crate::Config;
use crate::lane::TunLane;
use crate::system::Device;

/// Far longer than addresses need to be in force; what happens first counts.
const SETTLING: Duration = Duration::from_millis(100);

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
        let (device, queues) = Device::open(config.name()?, lanes.max(1), config.offload)?;
        let lanes = queues.into_iter().map(|queue| Arc::new(TunLane(queue))).collect();
        Ok(Self { device, lanes })
    }
}

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

    fn offload(&self) -> Offload {
        self.device.offload()
    }

    async fn configure(&self, settings: &InterfaceSettings) -> Result<(), PluginError> {
        // Answered at once and as a whole: dropping the future at the await
        // below leaves the new settings.
        self.device.configure(settings)?;
        let limit = Instant::now() + SETTLING;
        while !self.device.is_settled() && Instant::now() < limit {
            others_first().await;
        }
        Ok(())
    }

    async fn close(&self) {
        self.device.close();
    }

    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = vec![
            ("interface".to_owned(), self.name()),
            ("queues".to_owned(), self.lanes.len().to_string()),
        ];
        facts.extend(self.device.facts());
        facts
    }
}

/// Lets the executor run everything else once; any executor will do.
async fn others_first() {
    let mut asked = false;
    poll_fn(|context| {
        if asked {
            return Poll::Ready(());
        }
        asked = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
