use std::net::{Ipv6Addr, SocketAddr};

use ntm_core::plugin::{Fault, PluginError};
use schemars::JsonSchema;
use serde::Deserialize;

/// What can be set about the transport `tls`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen at. `[::]` means every address of both families (of
    /// IPv4 alone where the machine has no IPv6).
    pub bind: SocketAddr,
    /// Connections at once, at most.
    pub connections: usize,
    /// Seconds after which a connection that nothing comes by is over, 5 to 600.
    pub idle_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 443),
            connections: 1024,
            // Longer than nodes are silent towards their coordinator.
            idle_s: 90,
        }
    }
}

impl Config {
    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// A setting is out of bounds.
    pub fn check(&self) -> Result<(), PluginError> {
        let refuse = |key: &str, remedy| {
            let message = format!("`{key}` is out of bounds");
            Err(PluginError::new(Fault::Config, message, remedy).at(key))
        };
        if self.connections == 0 {
            return refuse("connections", "allow at least one");
        }
        if !(5..=600).contains(&self.idle_s) {
            return refuse("idle_s", "use 5 to 600 seconds");
        }
        Ok(())
    }
}
