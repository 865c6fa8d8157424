use super::{DC, KEY, TERMINAL, problems, read};

/// What is reported for the terminal's file with `more` after it.
fn with(more: &str) -> Vec<String> {
    problems(read(&format!("{TERMINAL}{more}")))
}

#[test]
fn an_unknown_key_is_shown_in_its_line_with_the_nearest_valid_one() {
    let text = TERMINAL.replace("role", "rolle");
    let error = read(&text).unwrap_err().to_string();
    let expected = "\
etc/ntm.toml:3:1: unknown key `rolle` in [node]; did you mean `role`?
  3 | rolle = [\"terminal\"]
    | ^^^^^";
    assert_eq!(error, expected);
}

#[test]
fn a_wrong_value_is_underlined_itself() {
    let error = read(&format!("{TERMINAL}[handover]\n\tmode = \t\"fats\" # ä\n")).unwrap_err();
    let expected = "\
etc/ntm.toml:9:10: `fats` is no value of `mode` in [handover]; did you mean `fast`?
  9 | \tmode = \t\"fats\" # ä
    | \t       \t^^^^^^";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn everything_is_reported_at_once_in_the_order_of_the_file() {
    let text = r#"[node]
name = "a b"
role = ["terminal", "router"]
kye = "mn.key"
[[dc]]
adresses = ["203.0.113.1:4330"]
public_key = 7
[[dc]]
addresses = ["203.0.113.1"]
public_key = "short"
[hand-over]
mode = "seed"
[[transport]]
plugin = "udp"
config = "[::]:4330"
[coordinator.relay_quota]
rate = 0
bites = 5
[vip]
range = "x"
"#;
    let expected = [
        "etc/ntm.toml:2:8: `name` in [node]: `a b` is not a node name: use letters, digits, \
         hyphens and dots, as in `laptop.example`",
        "etc/ntm.toml:3:21: `router` is no value of `role` in [node]; use one of `terminal`, \
         `coordinator`, `dc`, `relay`, `rs`",
        "etc/ntm.toml:4:1: unknown key `kye` in [node]; did you mean `key`?",
        "etc/ntm.toml:6:1: unknown key `adresses` in [[dc]]; did you mean `addresses`?",
        "etc/ntm.toml:7:14: `public_key` in [[dc]] has to be a text, not 7",
        "etc/ntm.toml:9:14: `addresses` in [[dc]]: `203.0.113.1` is not an address with a port; \
         it lacks a port, as in `203.0.113.1:4330`",
        "etc/ntm.toml:10:14: `public_key` in [[dc]]: a public key is 44 characters of base64, as \
         `ntm key public` prints it",
        "etc/ntm.toml:11:2: unknown section [hand-over]; did you mean `handover`?",
        "etc/ntm.toml:15:10: `config` in [[transport]] has to be a table, not the text \
         \"[::]:4330\"",
        "etc/ntm.toml:17:8: `rate` in [coordinator.relay_quota] has to be a whole number, 1 or \
         more, not 0",
        "etc/ntm.toml:18:1: unknown key `bites` in [coordinator.relay_quota]; did you mean \
         `bytes`?",
        "etc/ntm.toml:20:1: unknown key `range` in [vip]; use one of `plugin`, `library`, \
         `config`",
    ];
    assert_eq!(problems(read(text)), expected);
}

#[test]
fn what_is_wrong_with_a_link_is_told_in_its_line() {
    let more = "[[paths.link]]\ninterfaces = \"eth0\"\n[[paths.link]]\nfamily = \"ip6\"\n\
                cost = -1\nmetered = \"no\"\n[paths]\nrule = 1\n";
    let expected = [
        "etc/ntm.toml:9:1: unknown key `interfaces` in [[paths.link]]; did you mean `interface`?",
        "etc/ntm.toml:11:10: `ip6` is no value of `family` in [[paths.link]]; did you mean `ipv6`?",
        "etc/ntm.toml:12:8: `cost` in [[paths.link]] has to be a whole number from 0 to 65535, \
         not -1",
        "etc/ntm.toml:13:11: `metered` in [[paths.link]] has to be `true` or `false`, not the text \
         \"no\"",
        "etc/ntm.toml:15:1: unknown key `rule` in [paths]; use one of `link`",
    ];
    assert_eq!(with(more), expected);
}

#[test]
fn a_missing_key_is_told_at_its_section() {
    for (key, line) in [("name", 1), ("role", 1), ("key", 1), ("addresses", 5), ("public_key", 5)] {
        let lines = TERMINAL.lines().filter(|line| !line.starts_with(&format!("{key} =")));
        let text = lines.collect::<Vec<_>>().join("\n");
        let table = if line == 1 { "[node]" } else { "[[dc]]" };
        let expected = format!("etc/ntm.toml:{line}:1: {table} lacks the key `{key}`");
        assert_eq!(problems(read(&text)), [expected]);
    }
    assert_eq!(problems(read("")), ["etc/ntm.toml: [node] lacks the key `name`"]);
}

#[test]
fn values_of_the_wrong_type_say_what_they_are_and_should_be() {
    for (more, expected) in [
        ("[log]\nlevel = 5", "9:9: `level` in [log] has to be a text, not 5"),
        (
            "[log]\nlevel = 1979-05-27\nformat = []",
            "10:10: `format` in [log] has to be a text, not a list",
        ),
        (
            "[relay]\nallow_private = 1",
            "9:17: `allow_private` in [relay] has to be `true` or `false`, not 1",
        ),
        (
            "[coordinator.relay_quota]\nrate = -1",
            "9:8: `rate` in [coordinator.relay_quota] has to be a whole number, 1 or more, not -1",
        ),
        (
            "[control]\nsocket = { path = \"x\" }",
            "9:10: `socket` in [control] has to be a text, not a table",
        ),
        ("[control]\nsocket = \"\"", "9:10: `socket` in [control]: a file has a name"),
        ("[member]\nname = \"x\"", "8:1: [member] has to be a list, not a table"),
        ("[[watcher]]\nplugin = \"x\"", "8:1: [watcher] has to be a table, not a list"),
    ] {
        assert_eq!(with(more), [format!("etc/ntm.toml:{expected}")]);
    }
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    for (text, expected) in [
        ("[node\n", "1:6: this is not TOML: unclosed table, expected `]`"),
        ("[node]\nname = \"a\"\nname = \"b\"", "3:1: this is not TOML: duplicate key"),
        (
            "[node]\nname = mn",
            "2:8: this is not TOML: string values must be quoted, expected literal string",
        ),
        ("\"node.name\" = 1", "1:1: unknown section [\"node.name\"]"),
    ] {
        assert_eq!(problems(read(text)), [format!("etc/ntm.toml:{expected}")]);
    }
}

#[test]
fn addresses_are_those_of_somebody() {
    for (addr, what) in [
        ("0.0.0.0:4330", "nobody can be reached at `0.0.0.0:4330`"),
        ("[::]:4330", "nobody can be reached at `[::]:4330`"),
        ("224.0.0.1:4330", "nobody can be reached at `224.0.0.1:4330`"),
        ("quic:0.0.0.0:443", "nobody can be reached at `quic:0.0.0.0:443`"),
        ("203.0.113.1:0", "nobody can be reached at `203.0.113.1:0`"),
        (
            "[2001:db8::1]",
            "`[2001:db8::1]` is not an address with a port; it lacks a port, as in `[2001:db8::1]:4330`",
        ),
        (
            "dc.example:4330",
            "`dc.example:4330` is not an address with a port; use one such as `203.0.113.1:4330`, `[2001:db8::1]:4330` or `quic:203.0.113.1:443`",
        ),
    ] {
        let text = TERMINAL.replace("203.0.113.1:4330", addr);
        let expected = format!("etc/ntm.toml:6:14: `addresses` in [[dc]]: {what}");
        assert_eq!(problems(read(&text)), [expected]);
    }
    let none = TERMINAL.replace("\"203.0.113.1:4330\"", "");
    assert_eq!(
        problems(read(&none)),
        ["etc/ntm.toml:6:13: `addresses` in [[dc]]: this needs at least one address"]
    );
}

#[test]
fn terminals_and_relay_servers_need_a_coordinator() {
    for (role, who) in [("terminal", "a terminal"), ("rs", "a relay server")] {
        let text = DC.replace("\"dc\"]", &format!("\"dc\", \"{role}\"]"));
        let expected = format!(
            "etc/ntm.toml:3:8: {who} needs a coordinator; add [[dc]] with its `addresses` and \
             `public_key`"
        );
        assert_eq!(problems(read(&text)), [expected]);
    }
    assert!(read(DC).is_ok());
}

#[test]
fn members_are_listed_once() {
    let member =
        |name: &str, key: &str| format!("[[member]]\nname = \"{name}\"\npublic_key = \"{key}\"\n");
    let other = KEY.replace('A', "B");
    let text = [DC.to_owned(), member("a", KEY), member("A", &other), member("b", KEY)].concat();
    let expected = [
        "etc/ntm.toml:9:8: `a` is a member already, on line 6",
        "etc/ntm.toml:13:14: somebody with this key is a member already, on line 7",
    ];
    assert_eq!(problems(read(&text)), expected);
}

#[test]
fn a_control_socket_has_a_name_that_the_system_takes() {
    let long = format!("/run/{}", "x".repeat(200));
    let found = with(&format!("[control]\nsocket = \"{long}\""));
    assert!(found[0].starts_with("etc/ntm.toml:9:10: the name of the control socket has 205"));
    // The default has the node's name in it.
    let text = TERMINAL.replace("mn.example", &vec!["x".repeat(60); 3].join("."));
    assert!(problems(read(&text))[0].contains("set a shorter `socket` in [control]"));
}

#[test]
fn a_plugin_is_chosen_by_one_name() {
    let expect = |more, expected: &str| {
        assert_eq!(with(more), [format!("etc/ntm.toml:{expected}")]);
    };
    expect("[[transport]]\nconfig = {}", "8:1: [[transport]] lacks the key `plugin`, or `library`");
    expect(
        "[[transport]]\nplugin = \"udp\"\nlibrary = \"x.so\"",
        "10:1: [[transport]] has both `plugin` and `library`; remove one",
    );
}
