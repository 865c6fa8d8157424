use schemars::JsonSchema;
use serde::Deserialize;

/// The keys of `[watcher.config]`; each has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many bytes of events the kernel holds for us before it drops some: 1
    /// to 1073741824, by default 4194304, enough for some thousand addresses
    /// that come or go at once. A process without the right to so much gets
    /// less, which costs a full read after a storm and nothing else.
    pub receive_buffer: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { receive_buffer: 4 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_may_be_left_out_and_an_unknown_one_is_refused() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
        let set: Config = serde_json::from_str(r#"{"receive_buffer": 65536}"#).unwrap();
        assert_eq!(set.receive_buffer, 65536);
        let error = serde_json::from_str::<Config>(r#"{"recieve_buffer": 1}"#).unwrap_err();
        assert!(error.to_string().contains("recieve_buffer"), "{error}");
    }
}
