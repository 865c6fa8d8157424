use ntm_core::plugin::{Fault, PluginError};
use serde_json::{Value, json};

use crate::case::Case;
use crate::ensure;
use crate::kind::Kind;
use crate::outcome::{Note, Stop, Verdict};

/// A key that nobody has.
const KEY: &str = "ntm_conformance_has_this_key";

pub(super) async fn mistake(case: &Case) -> Verdict {
    let mut config = case.config();
    let Value::Object(keys) = &mut config else {
        return Err(Stop::not_tried("its configuration is no table"));
    };
    keys.insert(KEY.to_owned(), json!(7));
    for _ in 0..20 {
        let Err(error) = open(case, &config) else {
            return Err(Stop::broken(format!("the key `{KEY}` was taken without a word")));
        };
        let PluginError { fault, key, message, .. } = error;
        ensure!(fault == Fault::Config, "{fault:?}, where `Config` is to blame: {message}");
        ensure!(!message.is_empty(), "it does not say what is wrong");
        ensure!(key.as_deref() == Some(KEY), "the key `{KEY}` is wrong, and {key:?} is blamed");
    }
    Ok(Note::NONE)
}

fn open(case: &Case, config: &Value) -> Result<(), PluginError> {
    let source = case.subject().source();
    match case.subject().kind() {
        Kind::Transport => source.transport(config, 1).map(drop),
        Kind::Watcher => source.watcher(config).map(drop),
        Kind::Traversal => source.traversal(config).map(drop),
        Kind::Vip => source.vip(config).map(drop),
        Kind::Interface => source.interface(config, 1).map(drop),
        Kind::Registry => source.registry(config).map(drop),
    }
}
