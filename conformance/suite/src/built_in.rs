use std::sync::Arc;

use ntm_core::plugin::{
    Fault, Interface, PluginError, Registry, Transport, Traversal, Vip, Watcher,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::kind::Kind;
use crate::subject::Source;

/// The built-in plugins: kind, name and claim file.
pub const BUILT_IN: [(Kind, &str, &str); 9] = [
    (Kind::Transport, "udp", include_str!("../claims/udp.claims.toml")),
    (Kind::Transport, "quic", include_str!("../claims/quic.claims.toml")),
    (Kind::Watcher, "netlink", include_str!("../claims/netlink.claims.toml")),
    (Kind::Watcher, "ifwatch", include_str!("../claims/ifwatch.claims.toml")),
    (Kind::Watcher, "poll", include_str!("../claims/poll.claims.toml")),
    (Kind::Traversal, "rs", include_str!("../claims/rs.claims.toml")),
    (Kind::Vip, "pool", include_str!("../claims/pool.claims.toml")),
    (Kind::Interface, "tun", include_str!("../claims/tun.claims.toml")),
    (Kind::Registry, "redb", include_str!("../claims/redb.claims.toml")),
];

/// A kind, a claim file, and where instances come from.
type Found = (Kind, &'static str, Box<dyn Source>);

/// The one of this name, with its claim file.
pub(crate) fn find(name: &str, kind: Option<Kind>) -> Result<Found, PluginError> {
    let wanted = |(of, known, _): &&(Kind, &str, &str)| {
        *known == name && kind.is_none_or(|kind| kind == *of)
    };
    if let Some((kind, name, claims)) = BUILT_IN.iter().find(wanted) {
        return Ok((*kind, claims, Box::new(BuiltIn(name))));
    }
    let known: Vec<&str> = BUILT_IN
        .iter()
        .filter(|(of, _, _)| kind.is_none_or(|kind| kind == *of))
        .map(|(_, name, _)| *name)
        .collect();
    let what = kind.map_or_else(|| "plugin".to_owned(), |kind| kind.to_string());
    Err(PluginError::new(
        Fault::Config,
        format!("there is no built-in {what} `{name}`"),
        format!("use one of {}, or the file of a library: ./{name}", known.join(", ")),
    ))
}

struct BuiltIn(&'static str);

/// The configuration of a plugin that is linked.
///
/// # Errors
/// `Config`: it is none; the error names its key.
pub fn decode<T: DeserializeOwned>(config: &Value) -> Result<T, PluginError> {
    serde_path_to_error::deserialize(config.clone()).map_err(|error| {
        let path = error.path().to_string();
        PluginError::new(Fault::Config, error.inner().to_string(), "").at(path)
    })
}

impl BuiltIn {
    fn unknown(&self) -> PluginError {
        PluginError::new(Fault::Config, format!("`{}` is another kind", self.0), "")
    }
}

impl Source for BuiltIn {
    fn transport(&self, config: &Value, lanes: usize) -> Result<Arc<dyn Transport>, PluginError> {
        match self.0 {
            "udp" => Ok(Arc::new(ntm_transport_udp::Udp::open(decode(config)?, lanes)?)),
            "quic" => Ok(Arc::new(ntm_transport_quic::Quic::open(decode(config)?, lanes)?)),
            _ => Err(self.unknown()),
        }
    }

    fn watcher(&self, config: &Value) -> Result<Box<dyn Watcher>, PluginError> {
        Ok(match self.0 {
            "netlink" => Box::new(ntm_watcher_netlink::NetlinkWatcher::open(decode(config)?)?),
            "ifwatch" => Box::new(ntm_watcher_ifwatch::IfwatchWatcher::open(decode(config)?)?),
            "poll" => Box::new(ntm_watcher_poll::PollWatcher::open(decode(config)?)?),
            _ => return Err(self.unknown()),
        })
    }

    fn traversal(&self, config: &Value) -> Result<Arc<dyn Traversal>, PluginError> {
        match self.0 {
            "rs" => Ok(Arc::new(ntm_traversal_rs::Rs::new(decode(config)?)?)),
            _ => Err(self.unknown()),
        }
    }

    fn vip(&self, config: &Value) -> Result<Arc<dyn Vip>, PluginError> {
        match self.0 {
            "pool" => Ok(Arc::new(ntm_vip_pool::Pool::new(decode(config)?)?)),
            _ => Err(self.unknown()),
        }
    }

    fn interface(&self, config: &Value, lanes: usize) -> Result<Arc<dyn Interface>, PluginError> {
        match self.0 {
            "tun" => Ok(Arc::new(ntm_interface_tun::Tun::open(decode(config)?, lanes)?)),
            _ => Err(self.unknown()),
        }
    }

    fn registry(&self, config: &Value) -> Result<Arc<dyn Registry>, PluginError> {
        match self.0 {
            "redb" => Ok(Arc::new(ntm_registry_redb::Redb::open(decode(config)?)?)),
            _ => Err(self.unknown()),
        }
    }
}
