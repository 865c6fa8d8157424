use ntm_core::plugin::{Fault, PluginError};
use schemars::JsonSchema;
use serde::Deserialize;

/// The kernel's limit without the closing zero.
const MAX_NAME: usize = 15;

/// What can be set about the interface `tun`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The interface's name, at most 15 bytes; `ntm0` unless set. On macOS it
    /// has to be `utun` and a number, and the system chooses it unless set.
    pub name: Option<String>,
    /// The super-packets that applications' packets may come in. On macOS there
    /// are none, whatever is set.
    pub offload: SuperPackets,
}

/// Which super-packets cross the device, if the kernel knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SuperPackets {
    /// None: one packet a call.
    None,
    /// Those of TCP.
    Tcp,
    /// Those of TCP and UDP.
    #[default]
    Full,
}

impl Default for Config {
    fn default() -> Self {
        let name = cfg!(target_os = "linux").then(|| "ntm0".to_owned());
        Self { name, offload: SuperPackets::default() }
    }
}

impl Config {
    /// Checks what can be known without a system.
    ///
    /// # Errors
    /// The name is none that an interface can have.
    pub fn check(&self) -> Result<(), PluginError> {
        self.name().map(drop)
    }

    /// The name, if it is one that a system accepts.
    pub(crate) fn name(&self) -> Result<Option<&str>, PluginError> {
        let Some(name) = self.name.as_deref() else { return Ok(None) };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/:%".contains(c);
        let problem = if name.is_empty() {
            "is empty"
        } else if name.len() > MAX_NAME {
            "is longer than 15 bytes"
        } else if name == "." || name == ".." || name.contains(odd) {
            "has characters that no interface may have"
        } else {
            return Ok(Some(name));
        };
        let message = format!("the interface name `{}` {problem}", name.escape_default());
        Err(PluginError::new(Fault::Config, message, "choose one such as `ntm0`").at("name"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(name: &str) -> Config {
        Config { name: Some(name.to_owned()), ..Config::default() }
    }

    #[test]
    fn names_that_no_interface_can_have_are_refused_with_their_key() {
        for name in ["", "sixteen-letters-", "ntm 0", "a/b", "a:b", "ntm%d", ".", "..", "a\0b"] {
            let error = named(name).name().unwrap_err();
            assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some("name")));
        }
        for name in ["ntm0", "fifteen-letters", "é"] {
            assert_eq!(named(name).name().unwrap(), Some(name));
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        assert!(serde_json::from_str::<Config>(r#"{ "mtu": 1400 }"#).is_err());
    }

    #[test]
    fn each_kind_of_super_packets_has_its_word() {
        for (word, offload) in
            [("full", SuperPackets::Full), ("tcp", SuperPackets::Tcp), ("none", SuperPackets::None)]
        {
            let config: Config = serde_json::from_value(json!({ "offload": word })).unwrap();
            assert_eq!(config, Config { offload, ..Config::default() });
        }
        assert!(serde_json::from_value::<Config>(json!({ "offload": true })).is_err());
    }
}
