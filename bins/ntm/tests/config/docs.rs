//! `docs/CONFIG.md` names every key that can be set, and no other.

use std::collections::BTreeSet;

use ntm::config::Sources;
use ntm::plugins::{BUILT_IN, schema};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::read;

/// No key is like it.
const NONSENSE: &str = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq";

#[test]
fn every_section_is_documented() {
    let text = format!("[{NONSENSE}]\n");
    for section in known(&read(&text).unwrap_err().to_string()) {
        let is_there = |heading: &str| headings().any(|line| line == heading);
        let documented =
            is_there(&format!("### `[{section}]`")) || is_there(&format!("### `[[{section}]]`"));
        assert!(documented, "docs/CONFIG.md lacks [{section}]");
    }
}

#[test]
fn every_key_of_a_section_is_documented_and_no_other() {
    let sections = [
        ("### `[node]`", "[node]"),
        ("### `[[dc]]`", "[[dc]]"),
        ("### Sections that choose a plugin", "[watcher]"),
        ("### `[handover]`", "[handover]"),
        ("### `[paths]`", "[paths]"),
        ("#### `[[paths.link]]`", "[[paths.link]]"),
        ("### `[tunnel]`", "[tunnel]"),
        ("### `[coordinator]`", "[coordinator]"),
        ("#### `[coordinator.relay_quota]`", "[coordinator.relay_quota]"),
        ("### `[[member]]`", "[[member]]"),
        ("### `[relay]`", "[relay]"),
        ("### `[control]`", "[control]"),
        ("### `[log]`", "[log]"),
    ];
    for (heading, section) in sections {
        let error = read(&format!("{section}\n{NONSENSE} = 1\n")).unwrap_err();
        assert_eq!(documented(heading), known(&error.to_string()), "{heading}");
    }
}

#[test]
fn the_interface_has_keys_of_its_own() {
    let error = read(&format!("[interface]\n{NONSENSE} = 1\n")).unwrap_err();
    let mut keys = documented("### Sections that choose a plugin");
    keys.extend(documented("### `[interface]`"));
    assert_eq!(keys, known(&error.to_string()));
}

#[test]
fn every_key_of_a_plugin_is_documented_and_no_other() {
    let plugins = [
        ("#### `udp`", keys::<ntm_transport_udp::Config>()),
        ("#### `quic`", keys::<ntm_transport_quic::Config>()),
        ("#### `netlink`", keys::<ntm_watcher_netlink::Config>()),
        ("#### `ifwatch`", keys::<ntm_watcher_ifwatch::Config>()),
        ("#### `poll`", keys::<ntm_watcher_poll::Config>()),
        ("#### `tun`", keys::<ntm_interface_tun::Config>()),
        ("#### `rs`", keys::<ntm_traversal_rs::Config>()),
        ("#### `pool`", keys::<ntm_vip_pool::Config>()),
        ("#### `redb`", keys::<ntm_registry_redb::Config>()),
    ];
    for (heading, keys) in plugins {
        assert_eq!(documented(heading), keys, "{heading}");
    }
}

#[test]
fn the_schema_of_a_plugin_has_its_keys_and_says_what_they_are() {
    for (kind, name) in BUILT_IN {
        let schema = schema(kind, name).unwrap();
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        let keys: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(documented(&format!("#### `{name}`")), keys, "{name}");
        assert_eq!(schema["additionalProperties"], false, "{name}");
        for (key, property) in properties {
            assert!(property["description"].is_string(), "{name}: {key}: {property}");
        }
    }
}

const CONFIG: &str = include_str!("../../../../docs/CONFIG.md");

fn headings() -> impl Iterator<Item = &'static str> {
    CONFIG.lines().filter(|line| line.starts_with('#'))
}

/// The first column of the tables below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let below = CONFIG.lines().skip_while(|line| *line != heading).skip(1);
    let mine = below.take_while(|line| !line.starts_with('#'));
    let key = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    mine.filter_map(key).collect()
}

/// What a message about an unknown key says that is known.
fn known(error: &str) -> BTreeSet<String> {
    let line = error.lines().find(|line| line.contains(NONSENSE)).unwrap();
    let list = line.split_once("; use one of ").map_or("", |(_, list)| list);
    list.split(", ").map(|key| key.trim_matches('`').to_owned()).filter(|k| !k.is_empty()).collect()
}

fn keys<T: DeserializeOwned>() -> BTreeSet<String> {
    let config = json!({ NONSENSE: 1 });
    let decoded = Sources::default().decode_plugin::<T>("vip", &config);
    known(&decoded.map(drop).unwrap_err().to_string())
}
