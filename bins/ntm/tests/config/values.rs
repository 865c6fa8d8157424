use std::path::Path;
use std::process::Command;

use ntm::config::{
    Cipher, DscpMode, HandoverMode, Loaded, LogFormat, Plugin, Priority, Role, load,
};
use ntm_core::plugin::MemberRole;
use serde_json::json;

use super::{DC, KEY, TERMINAL, config, problems, read};

#[test]
fn a_short_file_gets_the_defaults() {
    let config = config(TERMINAL);
    assert_eq!(config.node.name.as_str(), "mn.example");
    assert_eq!(config.node.peers, Path::new("etc/mn.peers"));
    assert_eq!(config.transport, [Plugin::named("udp")]);
    let watcher = if cfg!(target_os = "linux") { "netlink" } else { "ifwatch" };
    assert_eq!(config.watcher, Plugin::named(watcher));
    assert_eq!(config.traversal, Plugin::named("rs"));
    assert_eq!(config.interface, Plugin::named("tun"));
    assert_eq!(config.vip, Plugin::named("pool"));
    assert_eq!(config.registry, Plugin::named("redb"));
    assert_eq!(config.handover.mode, HandoverMode::Fast);
    assert_eq!(config.control.socket, Path::new("/run/ntm/mn.example.sock"));
    assert!(!config.relay.allow_private);
    assert_eq!((config.log.level, config.log.format), (None, None));
}

#[test]
fn everything_that_is_said_is_taken() {
    let text = format!(
        r#"[node]
name = "Hub.Example"
role = ["terminal", "dc", "rs"]
key = "keys/hub.key"
peers = "/var/lib/ntm/peers"
[[dc]]
addresses = ["127.0.0.1:4330", "[::1]:4330"]
public_key = "{KEY}"
[[transport]]
plugin = "udp"
config = {{ bind = "[::]:4330" }}
[[transport]]
plugin = "quic"
[watcher]
plugin = "poll"
[watcher.config]
interval_ms = 100
[interface]
mtu = 9000
[handover]
mode = "seed"
[tunnel]
ciphers = ["chacha20-poly1305"]
dscp = "copy"
workers = 3
priority = "realtime"
[control]
socket = "hub.sock"
[coordinator]
public = ["203.0.113.1:4330"]
relay_quota = {{ rate = 1000, bytes = 5 }}
[[member]]
name = "mn.example"
public_key = "{KEY}"
[[member]]
name = "rs.example"
public_key = "{}"
role = "relay"
[relay]
allow_private = true
[log]
level = "debug"
format = "json"
"#,
        KEY.replace('A', "B")
    );
    let config = config(&text);
    assert_eq!(config.node.name.as_str(), "hub.example");
    assert_eq!(config.node.role.len(), 3);
    assert_eq!(config.node.key, Path::new("etc/keys/hub.key"));
    assert_eq!(config.node.peers, Path::new("/var/lib/ntm/peers"));
    assert_eq!(config.dc[0].addresses.len(), 2);
    assert_eq!(config.dc[0].public_key.to_string(), KEY);
    assert_eq!(config.transport[0].config, json!({ "bind": "[::]:4330" }));
    assert_eq!(config.transport[1], Plugin::named("quic"));
    assert_eq!(config.watcher.config, json!({ "interval_ms": 100 }));
    assert_eq!((config.interface, config.mtu.get()), (Plugin::named("tun"), 9000));
    assert_eq!(config.handover.mode, HandoverMode::Seed);
    assert_eq!(config.tunnel.ciphers, [Cipher::ChaCha20Poly1305]);
    assert_eq!((config.tunnel.dscp, config.tunnel.workers.get()), (DscpMode::Copy, 3));
    assert_eq!(config.tunnel.priority, Priority::Realtime);
    assert_eq!(config.control.socket, Path::new("etc/hub.sock"));
    assert_eq!(config.coordinator.public, ["203.0.113.1:4330".parse().unwrap()]);
    let quota = config.coordinator.relay_quota;
    assert_eq!((quota.rate.get(), quota.bytes.get()), (1000, 5));
    assert_eq!(config.member[0].roles, MemberRole::Terminal.into());
    assert_eq!(config.member[1].roles, MemberRole::Relay.into());
    assert!(config.relay.allow_private);
    assert_eq!(config.log.level.as_deref(), Some("debug"));
    assert_eq!(config.log.format, Some(LogFormat::Json));
}

#[test]
fn roles_have_a_short_and_a_long_name() {
    let text = DC.replace("\"dc\"", "\"coordinator\", \"dc\"");
    assert_eq!(config(&text).node.role, [Role::Dc].into());
    assert_eq!(config(&TERMINAL.replace("\"terminal\"", "\"relay\"")).node.role, [Role::Rs].into());
    let none = TERMINAL.replace("\"terminal\"", "");
    assert_eq!(
        problems(read(&none)),
        [
            "etc/ntm.toml:3:8: `role` in [node]: a node does at least one of `terminal`, `dc` and `rs`"
        ]
    );
}

#[test]
fn a_tunnel_needs_the_cipher_that_everybody_has_and_a_worker() {
    let refused = |line: &str| problems(read(&format!("{TERMINAL}[tunnel]\n{line}\n")));
    let [problem] = &refused("ciphers = [\"aes-256-gcm\"]")[..] else { panic!("not one problem") };
    assert!(problem.starts_with("etc/ntm.toml:9:11: `ciphers` in [tunnel] lacks"), "{problem}");
    for workers in ["0", "65", "-1"] {
        assert_eq!(refused(&format!("workers = {workers}")).len(), 1);
    }
    assert_eq!(refused("ciphers = [\"rot13\", \"chacha20-poly1305\"]").len(), 1);
}

#[test]
fn the_interface_is_as_large_as_ipv6_needs_and_buffers_bear() {
    assert_eq!(config(TERMINAL).mtu.get(), 1400);
    for mtu in ["0", "1279", "9001", "-1"] {
        let text = format!("{TERMINAL}[interface]\nmtu = {mtu}\n");
        let [problem] = &problems(read(&text))[..] else { panic!("not one problem") };
        assert!(problem.starts_with("etc/ntm.toml:9:7:"), "{problem}");
    }
}

#[test]
fn more_transports_than_a_worker_serves_are_refused() {
    let with =
        |count: usize| format!("{TERMINAL}{}", "[[transport]]\nplugin = \"udp\"\n".repeat(count));
    assert_eq!(read(&with(14)).unwrap().config.transport.len(), 14);
    let [problem] = &problems(read(&with(15)))[..] else { panic!("not one problem") };
    assert!(problem.starts_with("etc/ntm.toml:37:10: 15 transports are too many"), "{problem}");
}

/// The first line of each warning.
fn warnings(loaded: &Loaded) -> Vec<String> {
    let first_line = |text: String| text.lines().next().unwrap().to_owned();
    loaded.warnings.iter().map(|warning| first_line(warning.to_string())).collect()
}

#[test]
fn a_section_that_no_role_reads_is_a_warning() {
    let of_terminal = ["interface", "handover", "tunnel"];
    let of_dc = ["traversal", "vip", "registry", "coordinator"];
    for (text, sections) in [(DC, &of_terminal[..]), (TERMINAL, &of_dc[..]), (TERMINAL, &["relay"])]
    {
        let line = text.lines().count() + 1;
        for section in sections {
            let loaded = read(&format!("{text}[{section}]\n")).unwrap();
            let found = warnings(&loaded);
            assert_eq!(found.len(), 1);
            let expected = format!("etc/ntm.toml:{line}:2: [{section}] has no effect, since");
            assert!(found[0].starts_with(&expected), "{found:?}");
        }
    }
    let dc = TERMINAL.replace("terminal", "dc");
    assert!(warnings(&read(&dc).unwrap())[0].contains("`terminal` or `rs`"));
    let member = format!("{TERMINAL}[[member]]\nname = \"a\"\npublic_key = \"{KEY}\"\n");
    assert!(warnings(&read(&member).unwrap())[0].contains("8:3: [member] has no effect"));
    assert!(read(TERMINAL).unwrap().warnings.is_empty());
    assert!(read(DC).unwrap().warnings.is_empty());
}

#[test]
fn a_coordinator_that_shares_its_node_should_know_its_public_address() {
    let shared = TERMINAL.replace("[\"terminal\"]", "[\"terminal\", \"dc\"]");
    let found = warnings(&read(&shared).unwrap());
    assert!(found[0].starts_with("etc/ntm.toml:3:8: ") && found[0].contains("set `public`"));
    let known = format!("{shared}[coordinator]\npublic = [\"203.0.113.1:4330\"]\n");
    assert!(read(&known).unwrap().warnings.is_empty());
}

#[test]
fn virtual_ranges_keep_clear_of_each_other_and_of_real_addresses() {
    let dc = TERMINAL.replace("[\"terminal\"]", "[\"terminal\", \"dc\"]");
    let text = format!(
        "{dc}[coordinator]\npublic = [\"192.0.2.1:1\", \"198.18.0.7:4330\"]\n[vip.config]\n"
    );
    let loaded = read(&text).unwrap();
    let range = |text: &str| text.parse().unwrap();
    assert_eq!(loaded.check_ranges(&[range("198.19.0.0/16"), range("fd00::/8")]), Ok(()));
    let error = loaded.check_ranges(&[
        range("198.18.0.0/15"),
        range("198.18.0.0/16"),
        range("203.0.113.0/24"),
    ]);
    let error = error.unwrap_err();
    let lines: Vec<_> = error.problems().iter().map(|problem| problem.to_string()).collect();
    assert!(lines[0].starts_with("etc/ntm.toml:6:14: 203.0.113.1:4330 is a real address"));
    assert!(lines[1].starts_with("etc/ntm.toml:9:26: 198.18.0.7:4330 is a real address"));
    assert!(lines[2].starts_with("etc/ntm.toml:10:1: the virtual ranges 198.18.0.0/15 and"));
    assert_eq!(lines.len(), 3);
}

/// Whether this test ran well in a process of its own, since the environment here has
/// keys of a configuration.
fn ran_without_keys(test: &str) -> bool {
    let names = std::env::vars_os().map(|(name, _)| name);
    let keys: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("NTM_")).collect();
    if keys.is_empty() {
        return false;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    for key in &keys {
        command.env_remove(key);
    }
    let said = command.args(["--exact", test]).output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("1 passed"), "{said}");
    true
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told() {
    if ran_without_keys("values::a_file_that_is_not_there_or_no_text_is_told") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("ntm.toml");
    let error = load(&file, &[]).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}: there is no such file", file.display())), "{error}");
    std::fs::write(&file, b"[node]\nname = \"\xff\"").unwrap();
    assert!(load(&file, &[]).unwrap_err().to_string().contains("not text in UTF-8"));
    std::fs::write(&file, TERMINAL).unwrap();
    let loaded = load(&file, &["handover.mode=seed".into()]).unwrap();
    assert_eq!(loaded.config.node.key, folder.path().join("mn.key"));
    assert_eq!(loaded.config.handover.mode, HandoverMode::Seed);
}

#[test]
fn a_coordinator_says_by_which_transports_it_is_reached() {
    let both = TERMINAL.replace(
        "\"203.0.113.1:4330\"",
        "\"udp:203.0.113.1:4330\", \"quic://203.0.113.1:443\", \"quic:[2001:db8::1]:443\"",
    );
    let quic = "[[transport]]\nplugin = \"quic\"\n";
    let loaded = read(&format!("{both}{quic}")).unwrap();
    let shown: Vec<_> = loaded.config.dc[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["203.0.113.1:4330", "quic:203.0.113.1:443", "quic:[2001:db8::1]:443"]);
    assert!(warnings(&loaded).is_empty());
    let found = warnings(&read(&format!("{TERMINAL}{quic}")).unwrap());
    assert!(found.len() == 1 && found[0].contains("none of these is for a transport"), "{found:?}");
}
