use ntm::config::{ConfigError, Loaded, Sources};
use ntm_core::plugin::{Fault, PluginError};
use ntm_vip_pool::{Config, Pool};
use serde_json::json;

use super::{DC, layered, read};

/// The pool's configuration and what the pool says to it.
fn pool(loaded: &Loaded) -> Result<Pool, ConfigError> {
    let config: Config = loaded.sources.decode_plugin("vip", &loaded.config.vip.config)?;
    Pool::new(config).map_err(|error| loaded.sources.plugin_error("vip", &error))
}

#[test]
fn a_plugins_own_keys_are_checked_like_ours() {
    let text = format!("{DC}[vip.config]\nipv4 = \"198.18.0.1/16\"\nipv5 = 1\nmode = 2\n");
    let error = pool(&read(&text).unwrap()).unwrap_err().to_string();
    let expected = "\
etc/ntm.toml:6:8: `ipv4` in [vip.config]: `198.18.0.1/16` is not an address range such as `198.18.0.0/16` or `fd12:3456:789a::/48`
  6 | ipv4 = \"198.18.0.1/16\"
    |        ^^^^^^^^^^^^^^^
etc/ntm.toml:7:1: unknown key `ipv5` in [vip.config]; did you mean `ipv4`?
  7 | ipv5 = 1
    | ^^^^
etc/ntm.toml:8:1: unknown key `mode` in [vip.config]; use one of `ipv4`, `ipv6`
  8 | mode = 2
    | ^^^^";
    assert_eq!(error, expected);
}

#[test]
fn what_a_plugin_refuses_is_shown_at_the_key_it_blames() {
    let text = format!("{DC}[vip]\nplugin = \"pool\"\nconfig = {{ ipv4 = \"10.0.0.0/31\" }}\n");
    let error = pool(&read(&text).unwrap()).unwrap_err().to_string();
    let expected = "\
etc/ntm.toml:7:19: 10.0.0.0/31 has no room for a host; use one such as 198.18.0.0/16
  7 | config = { ipv4 = \"10.0.0.0/31\" }
    |                   ^^^^^^^^^^^^^";
    assert_eq!(error, expected);
    let given = layered(DC, &[("NTM_VIP__CONFIG__IPV4", "10.0.0.0/31")], &[]).unwrap();
    let error = pool(&given).unwrap_err().to_string();
    assert!(error.starts_with("NTM_VIP__CONFIG__IPV4: 10.0.0.0/31 has no room"), "{error}");
}

#[test]
fn without_a_key_the_choice_of_the_plugin_is_shown_or_the_file() {
    let error = PluginError::new(Fault::Missing, "there is no /dev/net/tun", "load the module");
    let chosen = read(&format!("{DC}[interface]\nplugin = \"tun\"\n")).unwrap();
    let shown = chosen.sources.plugin_error("interface", &error).to_string();
    assert!(shown.starts_with("etc/ntm.toml:6:10: there is no /dev/net/tun; load"), "{shown}");
    // A point blames the configuration as a whole, or where the plugin was chosen.
    let whole = error.clone().at(".");
    let shown = chosen.sources.plugin_error("interface", &whole).to_string();
    assert!(shown.starts_with("etc/ntm.toml:5:1: there is no"), "{shown}");
    let told = "[interface]\nplugin = \"tun\"\nconfig = { a = 1 }\n";
    let told = read(&format!("{DC}{told}")).unwrap();
    let shown = told.sources.plugin_error("interface", &whole).to_string();
    assert!(shown.starts_with("etc/ntm.toml:7:10: there is no"), "{shown}");
    let shown = read(DC).unwrap().sources.plugin_error("interface", &error).to_string();
    assert_eq!(shown, "etc/ntm.toml: there is no /dev/net/tun; load the module");
}

#[test]
fn a_missing_key_of_a_plugin_is_told_at_its_table_or_section() {
    let decode = |more: &str| {
        let loaded = read(&format!("{DC}{more}")).unwrap();
        let config = &loaded.config.registry.config;
        let decoded = loaded.sources.decode_plugin::<ntm_registry_redb::Config>("registry", config);
        decoded.unwrap_err().to_string().lines().next().unwrap().to_owned()
    };
    let missing = "[registry.config] lacks the key `path`";
    assert_eq!(decode("[registry.config]\n"), format!("etc/ntm.toml:5:1: {missing}"));
    assert_eq!(decode("[registry]\nconfig = {}\n"), format!("etc/ntm.toml:6:10: {missing}"));
    assert_eq!(decode("[registry]\n"), format!("etc/ntm.toml:5:1: {missing}"));
    assert_eq!(decode(""), format!("etc/ntm.toml: {missing}"));
}

#[test]
fn an_unknown_plugin_is_shown_with_the_nearest_one() {
    let loaded = read(&format!("{DC}[[transport]]\nplugin = \"upd\"\n")).unwrap();
    let shown = loaded.sources.unknown_plugin("transport[0]", "upd", &["udp", "quic"]).to_string();
    let expected = "\
etc/ntm.toml:6:10: there is no plugin `upd` for [[transport]]; did you mean `udp`?
  6 | plugin = \"upd\"
    |          ^^^^^";
    assert_eq!(shown, expected);
}

#[test]
fn a_configuration_built_by_a_program_has_messages_without_a_place() {
    let decoded = Sources::default().decode_plugin::<Config>("vip", &json!({ "ipv5": 1 }));
    let shown = decoded.unwrap_err().to_string();
    assert_eq!(shown, "unknown key `ipv5` in [vip.config]; did you mean `ipv4`?");
}
