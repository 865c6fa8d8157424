use ntm::config::HandoverMode;
use serde_json::json;

use super::{TERMINAL, layered, problems};

#[test]
fn an_argument_wins_over_the_environment_and_that_over_the_file() {
    let text = format!("{TERMINAL}[log]\nlevel = \"file\"\n");
    let level = |variables: &[(&str, &str)], sets: &[&str]| {
        layered(&text, variables, sets).unwrap().config.log.level.unwrap()
    };
    let variable = [("NTM_LOG__LEVEL", "variable"), ("LOG__LEVEL", "other")];
    assert_eq!(level(&[], &[]), "file");
    assert_eq!(level(&variable, &[]), "variable");
    assert_eq!(level(&variable, &["log.level=one", "log.level = two"]), "two");
}

#[test]
fn values_are_read_as_what_they_look_like() {
    let sets = [
        "handover.mode=seed",
        "node.role=[\"terminal\", 'rs']",
        "relay.allow_private=true",
        "coordinator.relay_quota={ rate = 7, bytes = 8 }",
        "dc[0].addresses=['[2001:db8::1]:4330']",
        "watcher.config.interval_ms=100",
        "watcher.config.text=\"100\"",
        "watcher.config.digits=007",
        "transport[0].plugin=udp",
        "transport.0.config.bind=[::]:4330",
        "log.level=warn,ntm=debug",
    ];
    let config = layered(TERMINAL, &[("NTM_DC__0__PUBLIC_KEY", super::KEY)], &sets).unwrap().config;
    assert_eq!(config.handover.mode, HandoverMode::Seed);
    assert_eq!(config.node.role.len(), 2);
    assert!(config.relay.allow_private);
    assert_eq!(config.coordinator.relay_quota.rate.get(), 7);
    assert_eq!(config.dc[0].addresses, ["[2001:db8::1]:4330".parse().unwrap()]);
    assert_eq!(
        config.watcher.config,
        json!({ "interval_ms": 100, "text": "100", "digits": "007" })
    );
    assert_eq!(config.transport[0].config, json!({ "bind": "[::]:4330" }));
    assert_eq!(config.log.level.as_deref(), Some("warn,ntm=debug"));
}

#[test]
fn a_problem_names_the_variable_or_the_argument_that_said_so() {
    let variables =
        [("NTM_NODE__ROLLE", "x"), ("NTM_LOG", "debug"), ("NTM_RELAY__ALLOW_PRIVATE", "1")];
    let sets = ["handover.mode=fats", "transport[1].plugin=x", "dc[1].public_key=x"];
    let expected = [
        "--set dc[1].public_key=x: [[dc]] lacks the key `addresses`",
        "--set dc[1].public_key=x: `public_key` in [[dc]]: a public key is 44 characters of \
         base64, as `ntm key public` prints it",
        "--set handover.mode=fats: `fats` is no value of `mode` in [handover]; did you mean \
         `fast`?",
        "--set transport[1].plugin=x: there is no `transport[0]`; the first in a list is number 0",
        "NTM_LOG: [log] has to be a table, not the text \"debug\"",
        "NTM_NODE__ROLLE: unknown key `rolle` in [node]; did you mean `role`?",
        "NTM_RELAY__ALLOW_PRIVATE: `allow_private` in [relay] has to be `true` or `false`, not 1",
    ];
    assert_eq!(problems(layered(TERMINAL, &variables, &sets)), expected);
}

#[test]
fn what_was_laid_over_the_file_is_not_blamed_on_the_file() {
    let text = format!("{TERMINAL}[handover]\nmode = \"fast\"\n");
    let sets = ["handover.mode=fats", "dc=[{ addresses = [], public_key = 'x' }]"];
    let found = problems(layered(&text, &[("NTM_NODE__NAME", "a b")], &sets));
    assert_eq!(found.len(), 4);
    for (problem, origin) in found.iter().zip([sets[1], sets[1], sets[0], "NTM_NODE__NAME"]) {
        assert!(problem.contains(&format!("{origin}: `")), "{problem}");
    }
}

#[test]
fn a_table_from_two_layers_is_told_where_it_lies() {
    // The section is in the file, the key from the environment.
    let text = TERMINAL.replace("key = \"mn.key\"\n", "");
    let found = problems(layered(&text, &[("NTM_NODE__PEERS", "p")], &[]));
    assert_eq!(found, ["etc/ntm.toml:1:1: [node] lacks the key `key`"]);
    // The section is there for an argument alone.
    let found = problems(layered(TERMINAL, &[], &["dc[1].addresses=['1.2.3.4:5']"]));
    assert_eq!(found, ["--set dc[1].addresses=['1.2.3.4:5']: [[dc]] lacks the key `public_key`"]);
}

#[test]
fn an_argument_is_a_key_and_a_value() {
    let sets = ["foo", "a b=c", "log.level={", "transport[999999999].plugin=udp", "=x"];
    let expected = [
        "--set =x: `` is not a key such as `node.name`",
        "--set a b=c: `a b` is not a key such as `node.name`",
        "--set foo: this has to be KEY=VALUE, as in `handover.mode=seed`",
        "--set log.level={: unclosed inline table, expected `}`",
        "--set transport[999999999].plugin=udp: `transport[999999999].plugin` is not a key such as \
         `node.name`",
    ];
    assert_eq!(problems(layered(TERMINAL, &[], &sets)), expected);
    let odd = [("NTM_", "x"), ("NTM_NODE__", "x")];
    assert_eq!(problems(layered(TERMINAL, &odd, &[])).len(), 2);
}
