use std::convert::Infallible;
use std::net::IpAddr;

use async_trait::async_trait;
use ntm_core::plugin::{Change, Fault, PluginError, Route, Snapshot, Watcher};

use crate::Config;

/// Stands in for the watcher where there is no rtnetlink: it cannot be opened.
pub struct NetlinkWatcher(Infallible);

impl NetlinkWatcher {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`Fault::Unsupported`].
    pub fn open(_: Config) -> Result<Self, PluginError> {
        let remedy = "choose the watcher `ifwatch` or `poll`";
        Err(PluginError::new(Fault::Unsupported, "only Linux has rtnetlink", remedy))
    }
}

#[async_trait]
impl Watcher for NetlinkWatcher {
    async fn next(&mut self) -> Result<Change, PluginError> {
        match self.0 {}
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        match self.0 {}
    }

    async fn routes(&mut self, _: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        match self.0 {}
    }
}
