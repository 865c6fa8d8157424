use schemars::JsonSchema;
use serde::Deserialize;

/// The keys of `[watcher.config]`; each has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Time from one look to the next in milliseconds: 10 to 3600000, by
    /// default 250. A move is noticed half of this later on average.
    pub interval_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval_ms: 250 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_may_be_left_out_and_an_unknown_one_is_refused() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        let set: Config = serde_json::from_str(r#"{"interval_ms": 1000}"#).unwrap();
        assert_eq!(set.interval_ms, 1000);
        let error = serde_json::from_str::<Config>(r#"{"interval": 1}"#).unwrap_err();
        assert!(error.to_string().contains("interval_ms"), "{error}");
    }
}
