use std::path::PathBuf;

use ntm_core::plugin::PluginError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::decode::Decoder;
use super::path::KeyPath;
use super::problem::{ConfigError, suggest};
use super::sources::{Part, Sources};

/// A section that chooses a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Its name; of a library the file's.
    pub plugin: String,
    /// The shared object that has it, as it was written; `None` of a built-in one.
    pub library: Option<PathBuf>,
    /// What it is told: a table that only the plugin understands.
    pub config: Json,
}

impl Plugin {
    /// The plugin of this name with nothing set.
    pub fn named(name: impl Into<String>) -> Self {
        Self { plugin: name.into(), library: None, config: Map::new().into() }
    }

    fn in_library(library: PathBuf, config: Json) -> Self {
        let name = library.file_name().unwrap_or(library.as_os_str());
        Self { plugin: name.to_string_lossy().into_owned(), library: Some(library), config }
    }
}

/// Such a section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PluginKeys {
    plugin: Option<String>,
    library: Option<PathBuf>,
    #[serde(default)]
    config: Map<String, Json>,
}

/// `[interface]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InterfaceKeys {
    plugin: Option<String>,
    library: Option<PathBuf>,
    #[serde(default)]
    config: Map<String, Json>,
    #[serde(default)]
    mtu: Mtu,
}

impl InterfaceKeys {
    /// What every plugin has, and what only this one.
    pub(super) fn split(self) -> (PluginKeys, Mtu) {
        let Self { plugin, library, config, mtu } = self;
        (PluginKeys { plugin, library, config }, mtu)
    }
}

/// The largest packet that crosses the virtual interface, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Mtu(u16);

impl Mtu {
    /// The IPv6 minimum (RFC 8200, section 5).
    const LEAST: u16 = 1280;
    /// What networks with jumbo frames take.
    const MOST: u16 = 9000;

    /// In bytes.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Mtu {
    /// Fits a path of 1,472 bytes and more over IPv4, and of 1,492 over IPv6: those
    /// of home lines, and those that translate one into the other.
    fn default() -> Self {
        Self(1400)
    }
}

impl TryFrom<u64> for Mtu {
    type Error = String;

    fn try_from(bytes: u64) -> Result<Self, String> {
        let mtu = u16::try_from(bytes).ok();
        let mtu = mtu.filter(|mtu| (Self::LEAST..=Self::MOST).contains(mtu));
        let (least, most) = (Self::LEAST, Self::MOST);
        mtu.map(Self).ok_or_else(|| format!("{bytes} is not between {least} and {most}"))
    }
}

impl Sources {
    /// The configuration of the plugin that `section` chooses, such as `vip` or
    /// `transport[1]`, as the plugin's own type.
    ///
    /// # Errors
    /// Everything in it that the type does not take.
    pub fn decode_plugin<T: DeserializeOwned>(
        &self,
        section: &str,
        config: &Json,
    ) -> Result<T, ConfigError> {
        let base = KeyPath::parse(section).unwrap_or_default().key("config");
        let mut decoder = Decoder { sources: self, problems: Vec::new() };
        match decoder.decode(&base, config.clone()) {
            Some(decoded) if decoder.problems.is_empty() => Ok(decoded),
            Some(_) | None => Err(ConfigError::new(decoder.problems)),
        }
    }

    /// What the plugin that `section` chooses refused, at the line that it
    /// blames, or where the plugin was chosen.
    pub fn plugin_error(&self, section: &str, error: &PluginError) -> ConfigError {
        let section = KeyPath::parse(section).unwrap_or_default();
        let base = section.key("config");
        let blamed = match error.key.as_deref() {
            Some(".") => Some(KeyPath::default()),
            key => key.and_then(KeyPath::parse),
        };
        let at = blamed.map_or_else(|| self.chosen(&section), |key| base.join(&key));
        ConfigError::new(vec![self.problem(&at, Part::Value, error.to_string())])
    }

    /// The key of the section that says which plugin it is.
    fn chosen(&self, section: &KeyPath) -> KeyPath {
        let library = section.key("library");
        if self.is_there(&library) { library } else { section.key("plugin") }
    }

    /// The plugin that `section` chooses is not one of `known`.
    pub fn unknown_plugin(&self, section: &str, plugin: &str, known: &[&str]) -> ConfigError {
        let section = KeyPath::parse(section).unwrap_or_default();
        let suggestion = suggest(plugin, known);
        let message = format!("there is no plugin `{plugin}` for {}{suggestion}", section.table());
        ConfigError::new(vec![self.problem(&section.key("plugin"), Part::Value, message)])
    }
}

impl Decoder<'_> {
    /// The plugin that the section at `at` chooses; without a default the
    /// section has to name one.
    pub(super) fn plugin(
        &mut self,
        at: &KeyPath,
        keys: PluginKeys,
        default: Option<&str>,
    ) -> Option<Plugin> {
        let PluginKeys { plugin, library, config } = keys;
        let config = Json::from(config);
        let (at, part, message) = match (plugin, library, default) {
            (Some(plugin), None, _) => return Some(Plugin { plugin, library: None, config }),
            (None, Some(library), _) => return Some(Plugin::in_library(library, config)),
            (None, None, Some(default)) => {
                return Some(Plugin { plugin: default.into(), library: None, config });
            }
            (None, None, None) => {
                let message = format!("{} lacks the key `plugin`, or `library`", at.table());
                (at.clone(), Part::Value, message)
            }
            (Some(_), Some(_), _) => {
                let message = format!("{} has both `plugin` and `library`; remove one", at.table());
                (at.key("library"), Part::Key, message)
            }
        };
        self.problems.push(self.sources.problem(&at, part, message));
        None
    }

    /// The transports, in their order; one over UDP where there is none.
    pub(super) fn transports(&mut self, sections: Option<Vec<PluginKeys>>) -> Option<Vec<Plugin>> {
        let base = KeyPath::default().key("transport");
        let decode = |(at, keys)| self.plugin(&base.index(at), keys, None);
        let transports: Vec<Option<Plugin>> =
            sections?.into_iter().enumerate().map(decode).collect();
        let transports: Vec<Plugin> = transports.into_iter().collect::<Option<_>>()?;
        Some(if transports.is_empty() { vec![Plugin::named("udp")] } else { transports })
    }
}
