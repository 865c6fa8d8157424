//! The virtual interface: its addresses, and whether they may be used here.

use std::time::Duration;

use ntm_core::plugin::{Fault, Interface, InterfaceSettings, PluginError};
use tokio::time::timeout;
use tracing::{info, warn};

use super::Node;
use super::overlap::Overlap;
use crate::config::Problem;
use crate::error::{Exit, StartError};

/// An interface is set up in milliseconds; meanwhile nothing else is heard.
const PATIENCE: Duration = Duration::from_secs(5);

impl Node {
    /// Gives the interface its addresses, unless it has them.
    pub(super) async fn configure(&mut self, settings: InterfaceSettings) {
        let Some(interface) = self.interface.clone() else { return };
        if self.waiting.settings.as_ref() == Some(&settings) {
            return;
        }
        if let Some(clash) = self.clash(&settings, interface.ifindex()) {
            self.waiting.fatal = Some(clash);
            return;
        }
        match set_up(&*interface, &settings, PATIENCE).await {
            Ok(()) => {
                let facts = interface.facts().into_iter().filter(|(key, _)| key != "interface");
                let in_use: Vec<_> = facts.map(|(key, value)| format!("{key}: {value}")).collect();
                let in_use = in_use.join("; ");
                info!(interface = interface.name(), vips = %settings.vips, in_use, "ready");
                self.waiting.settings = Some(settings);
            }
            Err(error) => {
                self.waiting.fatal = Some(StartError {
                    exit: error.fault.into(),
                    message: format!("the virtual interface cannot be set up: {error}"),
                });
            }
        }
    }

    /// Why these ranges cannot be used where this node starts.
    fn clash(&self, settings: &InterfaceSettings, own: u32) -> Option<StartError> {
        let found = Overlap::find(&settings.ranges, &self.waiting.snapshot, own)?;
        let Overlap { range, network, interface } = found;
        let message = format!(
            "the virtual range {range} of this coordinator's domain overlaps the network {network} \
             on {interface}; set another range in [vip.config] of the coordinator, or leave that \
             network"
        );
        let problem = Problem { place: self.dc.clone(), message };
        Some(StartError { exit: Exit::Usage, message: problem.to_string() })
    }

    /// Tells once of a network that was entered later.
    pub(super) fn tell_of_overlap(&mut self) {
        let own = self.interface.as_ref().map_or(0, |interface| interface.ifindex());
        let settings = self.waiting.settings.as_ref();
        let found = settings.and_then(|s| Overlap::find(&s.ranges, &self.waiting.snapshot, own));
        if let Some(Overlap { range, network, interface }) = &found
            && found != self.waiting.overlap
        {
            warn!(
                "the network {network} on {interface} overlaps the virtual range {range}: nodes \
                 with virtual addresses in both are out of reach until this node leaves that network"
            );
        }
        self.waiting.overlap = found;
    }
}

async fn set_up(
    interface: &dyn Interface,
    settings: &InterfaceSettings,
    patience: Duration,
) -> Result<(), PluginError> {
    timeout(patience, interface.configure(settings)).await.unwrap_or_else(|_| {
        let message = format!("{} was not ready within {patience:?}", interface.name());
        Err(PluginError::new(
            Fault::System,
            message,
            "look what keeps it, and start the node again",
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use ntm_core::address::Vips;
    use ntm_core::plugin::Lane;

    use super::*;

    /// An interface that never gets ready.
    struct Stuck;

    #[async_trait]
    impl Interface for Stuck {
        fn name(&self) -> String {
            "ntm0".into()
        }

        fn ifindex(&self) -> u32 {
            1
        }

        fn lanes(&self) -> Vec<Arc<dyn Lane>> {
            Vec::new()
        }

        async fn configure(&self, _: &InterfaceSettings) -> Result<(), PluginError> {
            std::future::pending().await
        }

        async fn close(&self) {}
    }

    #[tokio::test]
    async fn an_interface_that_does_not_get_ready_is_given_up() {
        let vips = Vips { v4: Some([198, 18, 0, 1].into()), v6: None };
        let settings = InterfaceSettings { vips, ranges: Vec::new(), mtu: 1400 };
        let error = set_up(&Stuck, &settings, Duration::from_millis(10)).await.unwrap_err();
        assert!(error.to_string().contains("ntm0 was not ready within 10ms"), "{error}");
    }
}
