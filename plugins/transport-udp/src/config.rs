use std::net::{Ipv6Addr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

/// The port of NTMobile nodes unless configured otherwise.
const PORT: u16 = 4330;

/// Room for trains of datagrams: the usual 208 KiB lose bursts of GSO runs.
const BUFFER: u32 = 4 << 20;

/// What can be set about the transport `udp`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port to listen at. `[::]` means every address of both
    /// families (of IPv4 alone where the machine has no IPv6). One address
    /// alone ties the node to it: it cannot move away from there.
    pub bind: SocketAddr,
    /// Bytes of the receive buffer to ask for, per lane.
    pub receive_buffer: u32,
    /// Bytes of the send buffer to ask for, per lane.
    pub send_buffer: u32,
    /// Hand runs of datagrams to the kernel in one call where it can (GSO).
    pub gso: bool,
    /// Take runs of datagrams from the kernel in one buffer where it can (GRO).
    pub gro: bool,
    /// Give the kernel several messages in one call and take several from it,
    /// where it can (`sendmmsg`, `recvmmsg`).
    pub batch: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), PORT),
            receive_buffer: BUFFER,
            send_buffer: BUFFER,
            gso: true,
            gro: true,
            batch: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_its_default_and_unknown_keys_are_refused() {
        let config: Config =
            serde_json::from_str(r#"{ "bind": "192.0.2.1:9", "gro": false }"#).unwrap();
        let bind = SocketAddr::from(([192, 0, 2, 1], 9));
        assert_eq!(config, Config { bind, gro: false, ..Config::default() });
        assert_eq!(Config::default().bind.to_string(), "[::]:4330");
        assert!(serde_json::from_str::<Config>(r#"{ "sendbuffer": 1 }"#).is_err());
    }
}
