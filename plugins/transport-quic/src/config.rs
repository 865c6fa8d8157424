use std::net::{Ipv6Addr, SocketAddr};

use ntm_core::plugin::{Fault, PluginError};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where QUIC is expected, and let through.
const PORT: u16 = 443;

/// What can be set about the transport `quic`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen at. `[::]` means every address of both
    /// families (of IPv4 alone where the machine has no IPv6).
    pub bind: SocketAddr,
    /// Remote addresses with a connection, at most. Those that nothing was sent to
    /// for longest give way.
    pub connections: usize,
    /// Seconds after which a connection that nothing passes is over, 5 to 600.
    pub idle_s: u64,
    /// Bytes of the receive buffer to ask for.
    pub receive_buffer: u32,
    /// Bytes of the send buffer to ask for.
    pub send_buffer: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT),
            connections: 4096,
            // Longer than nodes in the open are silent towards their coordinator.
            idle_s: 90,
            receive_buffer: 4 << 20,
            send_buffer: 4 << 20,
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
            let error =
                PluginError::new(Fault::Config, format!("`{key}` is out of bounds"), remedy);
            Err(error.at(key))
        };
        if !(5..=600).contains(&self.idle_s) {
            return refuse("idle_s", "use 5 to 600 seconds");
        }
        if self.connections == 0 {
            return refuse("connections", "allow at least one");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_its_default_and_unknown_keys_are_refused() {
        let config: Config =
            serde_json::from_str(r#"{ "bind": "192.0.2.1:9", "idle_s": 30 }"#).unwrap();
        let bind = SocketAddr::from(([192, 0, 2, 1], 9));
        assert_eq!(config, Config { bind, idle_s: 30, ..Config::default() });
        assert_eq!(Config::default().bind.to_string(), "[::]:443");
        assert!(serde_json::from_str::<Config>(r#"{ "idle": 1 }"#).is_err());
    }
}
