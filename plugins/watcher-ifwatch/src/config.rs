use schemars::JsonSchema;
use serde::Deserialize;

/// `[watcher.config]` has no keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_nothing_to_set() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        assert!(serde_json::from_str::<Config>(r#"{"interval_ms": 1}"#).is_err());
    }
}
