//! The built-in plugins, by name, and those in libraries, by file. A configuration
//! chooses among them; nothing registers itself.

use std::sync::Arc;

use ntm_core::plugin::{Interface, PluginError, Registry, Transport, Traversal, Vip, Watcher};
pub use ntm_host::{Kinds, Library, Refusal, Summary, inspect};
use schemars::schema_for;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{Loaded, Plugin};
use crate::error::StartError;

/// What chooses a plugin: the section's name, as messages call it, and what it
/// says.
pub(crate) struct Choice<'a> {
    pub(crate) loaded: &'a Loaded,
    pub(crate) section: String,
    pub(crate) plugin: &'a Plugin,
}

impl<'a> Choice<'a> {
    pub(crate) fn new(loaded: &'a Loaded, section: &str, plugin: &'a Plugin) -> Self {
        Self { loaded, section: section.to_owned(), plugin }
    }

    pub(crate) fn transport(loaded: &'a Loaded, at: usize) -> Self {
        Self::new(loaded, &format!("transport[{at}]"), &loaded.config.transport[at])
    }

    fn decode<T: DeserializeOwned>(&self) -> Result<T, StartError> {
        let Self { loaded, section, plugin } = self;
        Ok(loaded.sources.decode_plugin(section, &plugin.config)?)
    }

    fn refused(&self, error: &PluginError) -> StartError {
        StartError::plugin(&self.loaded.sources, &self.section, error)
    }

    /// The kind that the section is about.
    fn kind(&self) -> &str {
        self.section.split('[').next().unwrap_or_default()
    }

    fn unknown(&self) -> StartError {
        let name = &self.plugin.plugin;
        let known = BUILT_IN.iter().filter(|(kind, _)| *kind == self.kind());
        let known: Vec<&str> = known.map(|(_, name)| *name).collect();
        self.loaded.sources.unknown_plugin(&self.section, name, &known).into()
    }

    /// The library that the section names, loaded; `None` where it names a built-in
    /// plugin.
    fn library(&self) -> Result<Option<&'static Library>, StartError> {
        let Some(library) = &self.plugin.library else { return Ok(None) };
        let path = self.loaded.sources.beside(library);
        Library::load(&path).map(Some).map_err(|refusal| self.refused(&refusal.into()))
    }

    /// Checks what can be checked without opening anything.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let kind = self.kind();
        if let Some(library) = self.library()? {
            let checked = library.check(Kinds::named(kind), &self.plugin.config);
            return checked.map_err(|error| self.refused(&error));
        }
        match (kind, self.plugin.plugin.as_str()) {
            ("transport", "udp") => self.decode::<ntm_transport_udp::Config>().map(drop),
            ("transport", "quic") => {
                let config: ntm_transport_quic::Config = self.decode()?;
                config.check().map_err(|error| self.refused(&error))
            }
            ("transport", _) => Err(self.unknown()),
            ("watcher", "netlink") => self.decode::<ntm_watcher_netlink::Config>().map(drop),
            ("watcher", "ifwatch") => self.decode::<ntm_watcher_ifwatch::Config>().map(drop),
            ("watcher", "poll") => self.decode::<ntm_watcher_poll::Config>().map(drop),
            ("watcher", _) => Err(self.unknown()),
            ("traversal", _) => self.open_traversal().map(drop),
            ("vip", _) => self.open_vip().map(drop),
            ("interface", "tun") => {
                let config: ntm_interface_tun::Config = self.decode()?;
                config.check().map_err(|error| self.refused(&error))
            }
            ("interface", _) => Err(self.unknown()),
            ("registry", "redb") => self.decode::<ntm_registry_redb::Config>().map(drop),
            (_, _) => Err(self.unknown()),
        }
    }

    pub(crate) fn open_transport(&self, lanes: usize) -> Result<Arc<dyn Transport>, StartError> {
        if let Some(library) = self.library()? {
            return library
                .transport(&self.plugin.config, lanes)
                .map_err(|error| self.refused(&error));
        }
        match self.plugin.plugin.as_str() {
            "udp" => {
                let opened = ntm_transport_udp::Udp::open(self.decode()?, lanes);
                Ok(Arc::new(opened.map_err(|error| self.refused(&error))?))
            }
            "quic" => {
                let opened = ntm_transport_quic::Quic::open(self.decode()?, lanes);
                Ok(Arc::new(opened.map_err(|error| self.refused(&error))?))
            }
            _ => Err(self.unknown()),
        }
    }

    pub(crate) fn open_watcher(&self) -> Result<Box<dyn Watcher>, StartError> {
        if let Some(library) = self.library()? {
            return library.watcher(&self.plugin.config).map_err(|error| self.refused(&error));
        }
        let refused = |error| self.refused(&error);
        Ok(match self.plugin.plugin.as_str() {
            "netlink" => Box::new(
                ntm_watcher_netlink::NetlinkWatcher::open(self.decode()?).map_err(refused)?,
            ),
            "ifwatch" => Box::new(
                ntm_watcher_ifwatch::IfwatchWatcher::open(self.decode()?).map_err(refused)?,
            ),
            "poll" => {
                Box::new(ntm_watcher_poll::PollWatcher::open(self.decode()?).map_err(refused)?)
            }
            _ => return Err(self.unknown()),
        })
    }

    pub(crate) fn open_traversal(&self) -> Result<Arc<dyn Traversal>, StartError> {
        if let Some(library) = self.library()? {
            return library.traversal(&self.plugin.config).map_err(|error| self.refused(&error));
        }
        match self.plugin.plugin.as_str() {
            "rs" => {
                let opened = ntm_traversal_rs::Rs::new(self.decode()?);
                Ok(Arc::new(opened.map_err(|error| self.refused(&error))?))
            }
            _ => Err(self.unknown()),
        }
    }

    pub(crate) fn open_vip(&self) -> Result<Arc<dyn Vip>, StartError> {
        if let Some(library) = self.library()? {
            return library.vip(&self.plugin.config).map_err(|error| self.refused(&error));
        }
        match self.plugin.plugin.as_str() {
            "pool" => {
                let opened = ntm_vip_pool::Pool::new(self.decode()?);
                Ok(Arc::new(opened.map_err(|error| self.refused(&error))?))
            }
            _ => Err(self.unknown()),
        }
    }

    pub(crate) fn open_interface(&self, lanes: usize) -> Result<Arc<dyn Interface>, StartError> {
        if let Some(library) = self.library()? {
            return library
                .interface(&self.plugin.config, lanes)
                .map_err(|error| self.refused(&error));
        }
        match self.plugin.plugin.as_str() {
            "tun" => {
                let opened = ntm_interface_tun::Tun::open(self.decode()?, lanes);
                Ok(Arc::new(opened.map_err(|error| self.refused(&error))?))
            }
            _ => Err(self.unknown()),
        }
    }

    pub(crate) fn open_registry(&self) -> Result<Arc<dyn Registry>, StartError> {
        if let Some(library) = self.library()? {
            return library.registry(&self.plugin.config).map_err(|error| self.refused(&error));
        }
        match self.plugin.plugin.as_str() {
            "redb" => {
                let mut config: ntm_registry_redb::Config = self.decode()?;
                config.path = self.loaded.sources.beside(&config.path);
                let opened = ntm_registry_redb::Redb::open(config);
                Ok(Arc::new(opened.map_err(|error| self.refused(&error))?))
            }
            _ => Err(self.unknown()),
        }
    }
}

/// The JSON Schema of what a built-in plugin can be told.
pub fn schema(kind: &str, name: &str) -> Option<Value> {
    let schema = match (kind, name) {
        ("transport", "udp") => schema_for!(ntm_transport_udp::Config),
        ("transport", "quic") => schema_for!(ntm_transport_quic::Config),
        ("watcher", "netlink") => schema_for!(ntm_watcher_netlink::Config),
        ("watcher", "ifwatch") => schema_for!(ntm_watcher_ifwatch::Config),
        ("watcher", "poll") => schema_for!(ntm_watcher_poll::Config),
        ("traversal", "rs") => schema_for!(ntm_traversal_rs::Config),
        ("vip", "pool") => schema_for!(ntm_vip_pool::Config),
        ("interface", "tun") => schema_for!(ntm_interface_tun::Config),
        ("registry", "redb") => schema_for!(ntm_registry_redb::Config),
        (_, _) => return None,
    };
    Some(schema.to_value())
}

/// The built-in plugins: kind and name.
pub const BUILT_IN: [(&str, &str); 9] = [
    ("transport", "udp"),
    ("transport", "quic"),
    ("watcher", "netlink"),
    ("watcher", "ifwatch"),
    ("watcher", "poll"),
    ("traversal", "rs"),
    ("vip", "pool"),
    ("interface", "tun"),
    ("registry", "redb"),
];
