//! What a plugin says it can do.

use std::collections::BTreeMap;
use std::path::Path;

use ntm_core::plugin::{Fault, PluginError};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::contract;
use crate::kind::Kind;

/// Something that a plugin may be able to do or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// As claim files call it.
    pub name: &'static str,
    /// The kind of plugin that may have it.
    pub kind: Kind,
    /// What it is, as half a sentence.
    pub what: &'static str,
}

/// All capabilities that can be claimed.
pub fn capabilities() -> impl Iterator<Item = &'static Capability> {
    contract::CAPABILITIES.iter().copied().flatten()
}

/// What a plugin says it can do, and how it is opened to be tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    config: Value,
    more: Vec<Value>,
    /// `None`: everything.
    claimed: Option<BTreeMap<String, bool>>,
}

/// A claim file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: Option<String>,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(default)]
    more: Vec<Map<String, Value>>,
    capabilities: Option<BTreeMap<String, bool>>,
}

impl Claims {
    /// Everything is claimed, and nothing configured.
    pub fn everything() -> Self {
        Self { config: Value::Object(Map::new()), more: Vec::new(), claimed: None }
    }

    /// Reads a claim file (TOML) about a plugin of this kind.
    ///
    /// # Errors
    /// `Config`: it is none, is about another kind, or claims what there is not.
    pub fn read(text: &str, kind: Kind) -> Result<Self, PluginError> {
        let refused =
            |message: String, remedy: String| PluginError::new(Fault::Config, message, remedy);
        let file: File = toml_edit::de::from_str(text)
            .map_err(|error| refused(error.to_string().trim_end().to_owned(), String::new()))?;
        if let Some(named) = &file.kind {
            let named: Kind = named.parse().map_err(|said| refused(said, String::new()))?;
            if named != kind {
                let message = format!("the claims are those of a {named}, and this is a {kind}");
                return Err(refused(message, "choose another file".into()));
            }
        }
        for name in file.capabilities.iter().flatten().map(|(name, _)| name) {
            if !capabilities().any(|known| known.name == name) {
                let near = |known: &&str| strsim::damerau_levenshtein(known, name);
                let of_kind = capabilities().filter(|it| it.kind == kind).map(|it| it.name);
                let remedy = match of_kind.min_by_key(near) {
                    Some(nearest) => format!("the nearest is `{nearest}`"),
                    None => format!("there are none for a {kind}"),
                };
                return Err(refused(format!("there is no capability `{name}`"), remedy));
            }
        }
        let more = file.more.into_iter().map(Value::Object).collect();
        Ok(Self { config: Value::Object(file.config), more, claimed: file.capabilities })
    }

    /// Reads a claim file.
    ///
    /// # Errors
    /// It cannot be read, or as for [`read`](Self::read).
    pub fn read_file(file: &Path, kind: Kind) -> Result<Self, PluginError> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| PluginError::io(format!("read the claims in {shown}"), &error, ""))?;
        Self::read(&text, kind).map_err(|error| PluginError {
            message: format!("{shown}: {}", error.message),
            ..error
        })
    }

    /// The same with another configuration, and no others.
    #[must_use]
    pub fn with_config(self, config: Value) -> Self {
        Self { config, more: Vec::new(), ..self }
    }

    /// The same with this key in every configuration.
    #[must_use]
    pub fn with_key(mut self, key: &str, value: &Value) -> Self {
        for config in std::iter::once(&mut self.config).chain(&mut self.more) {
            config[key] = value.clone();
        }
        self
    }

    /// The same, where this is claimed or not, whatever it was before.
    #[must_use]
    pub fn with(self, capability: &str, claimed: bool) -> Self {
        let mut all = self.claimed.unwrap_or_else(|| {
            capabilities().map(|capability| (capability.name.to_owned(), true)).collect()
        });
        all.insert(capability.to_owned(), claimed);
        Self { claimed: Some(all), ..self }
    }

    /// Whether the plugin says that it can do this.
    pub fn has(&self, capability: &str) -> bool {
        match &self.claimed {
            None => true,
            Some(all) => all.get(capability).copied().unwrap_or(false),
        }
    }

    /// The configuration to open instances with. `{folder}` in a text stands for a
    /// folder of the check's own, `{n}` for the number of the instance among those
    /// of the check, from 1.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// All configurations that are worth trying, that one first.
    pub fn configs(&self) -> impl Iterator<Item = &Value> {
        std::iter::once(&self.config).chain(&self.more)
    }
}

/// The configuration with these words in the place of what stands for them.
pub(crate) fn fill(config: &Value, folder: &str, nth: usize) -> Value {
    match config {
        Value::String(text) => {
            Value::String(text.replace("{folder}", folder).replace("{n}", &nth.to_string()))
        }
        Value::Array(values) => values.iter().map(|value| fill(value, folder, nth)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), fill(value, folder, nth))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => config.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_file_says_what_can_be_done_and_how_to_open_it() {
        let text = "kind = \"vip\"\nconfig = { ipv4 = \"10.0.0.0/8\" }\n[capabilities]\n";
        let claims = Claims::read(text, Kind::Vip).unwrap();
        assert_eq!(claims.config(), &json!({ "ipv4": "10.0.0.0/8" }));
        assert!(!claims.has("anything") && Claims::everything().has("anything"));
        let name = capabilities().next().unwrap().name;
        assert!(claims.with(name, true).has(name));
        assert!(!Claims::everything().with(name, false).has(name));
    }

    #[test]
    fn a_mistake_in_a_claim_file_is_told() {
        let said = |text| Claims::read(text, Kind::Vip).unwrap_err().to_string();
        assert!(said("kind = \"watcher\"").contains("those of a watcher"));
        assert!(said("kind = \"vib\"").contains("there is no kind `vib`"));
        assert!(
            said("confg = 1").contains("expected one of `kind`, `config`, `more`, `capabilities`")
        );
        assert!(said("[capabilities]\nnoo = true").contains("no capability `noo`"));
    }

    #[test]
    fn words_in_a_configuration_are_filled_in() {
        let config = json!({ "path": "{folder}/x{n}", "more": ["{n}", 7] });
        let filled = json!({ "path": "/tmp/x2", "more": ["2", 7] });
        assert_eq!(fill(&config, "/tmp", 2), filled);
    }
}
