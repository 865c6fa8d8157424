use std::path::Path;

use ntm::config::{Loaded, Plugin, Role};
use ntm_core::plugin::Vip as _;
use serde::de::DeserializeOwned;

use super::read_file;

fn example(name: &str) -> Loaded {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let loaded = read_file(&file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.warnings, [], "{name}");
    loaded
}

fn plugin<T: DeserializeOwned>(loaded: &Loaded, section: &str, plugin: &Plugin, name: &str) -> T {
    assert_eq!(plugin.plugin, name);
    let decoded = loaded.sources.decode_plugin(section, &plugin.config);
    decoded.unwrap_or_else(|error| panic!("{error}"))
}

/// Everything that a plugin would read can be read.
fn check_plugins(loaded: &Loaded) {
    let config = &loaded.config;
    plugin::<ntm_transport_udp::Config>(loaded, "transport[0]", &config.transport[0], "udp");
    let role = |role| config.node.role.contains(&role);
    if role(Role::Terminal) {
        plugin::<ntm_interface_tun::Config>(loaded, "interface", &config.interface, "tun");
    }
    if role(Role::Dc) {
        plugin::<ntm_registry_redb::Config>(loaded, "registry", &config.registry, "redb");
        plugin::<ntm_traversal_rs::Config>(loaded, "traversal", &config.traversal, "rs");
        let pool = plugin::<ntm_vip_pool::Config>(loaded, "vip", &config.vip, "pool");
        let pool = ntm_vip_pool::Pool::new(pool).unwrap();
        loaded.check_ranges(&pool.ranges()).unwrap();
    }
}

#[test]
fn the_terminal_loads() {
    let loaded = example("terminal.toml");
    assert_eq!(loaded.config.node.role, [Role::Terminal].into());
    check_plugins(&loaded);
}

#[test]
fn the_coordinator_loads() {
    let loaded = example("dc.toml");
    assert_eq!(loaded.config.node.role, [Role::Dc].into());
    check_plugins(&loaded);
}

#[test]
fn the_relay_server_loads() {
    let loaded = example("rs.toml");
    assert_eq!(loaded.config.node.role, [Role::Rs].into());
    check_plugins(&loaded);
}

#[test]
fn all_in_one_loads() {
    let loaded = example("all-in-one.toml");
    assert_eq!(loaded.config.node.role.len(), 3);
    check_plugins(&loaded);
}

#[test]
fn the_terminal_says_of_its_defaults_what_they_are() {
    let loaded = example("terminal.toml");
    let udp: ntm_transport_udp::Config =
        plugin(&loaded, "transport[0]", &loaded.config.transport[0], "udp");
    assert_eq!(udp, ntm_transport_udp::Config::default());
    assert_eq!(loaded.config.handover, ntm::config::Handover::default());
    let quota = example("dc.toml").config.coordinator.relay_quota;
    assert_eq!(quota, ntm::config::RelayQuota::default());
}
