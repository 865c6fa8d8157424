use ntm_core::plugin::{Fault, PluginError};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Decodes a configuration. From a value and not from the text: the lines of a
/// text that nobody wrote help nobody.
pub(crate) fn decode<T: DeserializeOwned>(json: &str) -> Result<T, PluginError> {
    let value: Value = serde_json::from_str(json).map_err(|error| {
        PluginError::new(Fault::Config, format!("the configuration is no JSON: {error}"), "")
    })?;
    // The path of the whole is a point here, too.
    serde_path_to_error::deserialize(value).map_err(|error| {
        PluginError::new(Fault::Config, error.inner().to_string(), "").at(error.path().to_string())
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        #[expect(dead_code, reason = "only its type matters")]
        list: Vec<u8>,
    }

    #[test]
    fn a_mistake_names_its_key() {
        let wrong = |json| decode::<Config>(json).unwrap_err();
        assert_eq!(wrong(r#"{"list": [1, "x"]}"#).key.as_deref(), Some("list[1]"));
        let unknown = wrong(r#"{"lsit": []}"#);
        assert_eq!(unknown.key.as_deref(), Some("lsit"));
        assert!(unknown.message.contains("expected `list`"), "{unknown}");
        assert_eq!(wrong("7").key.as_deref(), Some("."));
    }
}
