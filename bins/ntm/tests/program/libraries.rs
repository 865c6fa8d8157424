//! A domain whose nodes have their plugins from shared objects; what is wrong with
//! one, and which there are.

use std::fs;
use std::path::{Path, PathBuf};

use ntm_lab::Family;
use ntm_lab::scenario::until;
use ntm_lab::traffic::Download;
use serde_json::Value;

use crate::domain::World;
use crate::stage::{LIMIT, Stage};

ntm_lab::trials![
    a_domain_whose_plugins_are_libraries_moves_under_the_same_path_id,
    what_is_wrong_with_a_library_has_its_line,
    a_key_that_a_library_misses_or_refuses_has_its_line,
    plugins_are_listed_and_looked_at,
    plugins_describe_their_configuration
];

/// The shared object of a built-in plugin.
fn library(plugin: &str, folder: &Path) -> PathBuf {
    ntm_built::copied(&ntm_built::shared_object(&format!("ntm-{plugin}-dyn")), folder)
}

fn a_domain_whose_plugins_are_libraries_moves_under_the_same_path_id() {
    let mut world = World::new("libraries");
    let folder = world.folder.join("plugins");
    let section = |section: &str, plugin: &str| {
        let library = library(plugin, &folder);
        format!("{section}\nlibrary = \"{}\"\n", library.display())
    };
    let common =
        section("[[transport]]", "transport-udp") + &section("[watcher]", "watcher-netlink");
    let terminal = common.clone() + &section("[interface]", "interface-tun");
    let dc =
        common.clone() + &section("[traversal]", "traversal-rs") + &section("[vip]", "vip-pool");
    for (name, sections) in [("dc", &dc), ("rs", &common), ("mn", &terminal), ("cn", &terminal)] {
        world.domain.configure(name, sections);
    }
    let [dc, rs] = world.start_servers();
    let (mn, cn) = (world.start_terminal(&world.mn), world.start_terminal(&world.cn));
    let status = mn.status().unwrap();
    assert_eq!(status["transports"][0]["name"], "libntm_transport_udp_dyn.so");

    let address = cn.vip(Family::V4).unwrap();
    let download = Download { patience: LIMIT, ..Download::of(2 << 20) };
    let transfer = download.run(world.cn.netns(), address, world.mn.netns()).unwrap();
    assert!(transfer.intact, "{transfer:?}");
    let before = mn.wait_for_tunnel(|_| true).unwrap();

    world.mn.move_to(&world.core).unwrap();
    until("the move", LIMIT, || {
        let moves = mn.handovers()?;
        Ok((!moves.is_empty()).then_some(()))
    })
    .unwrap();
    let transfer = download.run(world.cn.netns(), address, world.mn.netns()).unwrap();
    assert!(transfer.intact, "{transfer:?}");
    let after = mn.wait_for_tunnel(|_| true).unwrap();
    assert_eq!(after["path_id"], before["path_id"]);
    assert_eq!(cn.vip(Family::V4).unwrap(), address);

    for mut node in [mn, cn, rs, dc] {
        let status = node.process.terminate(LIMIT).unwrap();
        assert_eq!(status.code(), Some(0), "{}: {status}", node.name);
        assert_eq!(node.complaints(), [""; 0], "{} complains", node.name);
    }
}

fn what_is_wrong_with_a_library_has_its_line() {
    let stage = Stage::new();
    let udp = library("transport-udp", &stage.path("plugins"));
    let file = stage.path("ntm.toml").display().to_string();
    let cases = [
        (
            "library = \"plugins/absent.so\"",
            format!(
                "{file}:18:11: there is no plugin {}",
                stage.path("plugins/absent.so").display()
            ),
        ),
        ("library = \"hub.key\"", format!("{file}:18:11: {}", stage.path("hub.key").display())),
        (
            "library = \"plugins/libntm_transport_udp_dyn.so\"\nconfig = { bnid = 1 }",
            format!("{file}:19:19: unknown field `bnid`, expected one of `bind`"),
        ),
    ];
    let text = fs::read_to_string(stage.path("ntm.toml")).unwrap();
    // A section of its own, behind the hub's.
    let line = text.lines().position(|line| line == "[[transport]]").unwrap();
    for (section, says) in cases {
        let lines: Vec<_> = text.lines().collect();
        let head = lines[..line + 3].join("\n");
        let tail = lines[line + 3..].join("\n");
        let changed = format!("{head}\n[[transport]]\n{section}\n{tail}\n");
        stage.write("ntm.toml", &changed, 0o644);
        let output = stage.run(&["--check"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let first = says.replacen(":18:", &format!(":{}:", line + 5), 1);
        let first = first.replacen(":19:", &format!(":{}:", line + 6), 1);
        assert!(said.contains(&first), "{said}\nlacks: {first}");
        assert!(said.trim_end().ends_with('^'), "{said}");
        assert!(!output.status.success());
    }
    assert!(udp.exists());
}

/// The same that a built-in plugin would say, at the same place.
fn a_key_that_a_library_misses_or_refuses_has_its_line() {
    let stage = Stage::new();
    let folder = stage.path("plugins");
    let redb = library("registry-redb", &folder).display().to_string();
    let rs = library("traversal-rs", &folder).display().to_string();
    let file = stage.path("ntm.toml").display().to_string();
    let text = fs::read_to_string(stage.path("ntm.toml")).unwrap();
    let own = "[registry.config]\npath = \"hub.redb\"\n";
    let cases = [
        (format!("[registry]\nlibrary = \"{redb}\"\n"), "[registry]", "missing field `path`"),
        (
            format!("[registry]\nlibrary = \"{redb}\"\nconfig = {{}}\n"),
            "{}",
            "missing field `path`",
        ),
        (
            format!("[registry]\nlibrary = \"{redb}\"\n[registry.config]\npath = 7\n"),
            "7",
            "invalid type: integer `7`, expected path string",
        ),
        (
            format!("{own}[traversal]\nlibrary = \"{rs}\"\nconfig = {{ pacing_ms = 1 }}\n"),
            "1",
            "a pacing of 1 ms is out of bounds",
        ),
    ];
    for (sections, blamed, says) in cases {
        let changed = text.replacen(own, &sections, 1);
        let at = changed.find(&sections).unwrap();
        // What is blamed is what comes last of what was written, or its header.
        let at = at + sections.rfind(blamed).unwrap();
        let line = changed[..at].matches('\n').count() + 1;
        let column = at - changed[..at].rfind('\n').map_or(0, |newline| newline + 1) + 1;
        stage.write("ntm.toml", &changed, 0o644);
        let output = stage.run(&["--check"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("{file}:{line}:{column}: {says}")), "{said}\n{changed}");
        assert!(said.trim_end().ends_with(&"^".repeat(blamed.len())), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}

fn plugins_are_listed_and_looked_at() {
    let stage = Stage::new();
    let folder = stage.path("plugins");
    let pool = library("vip-pool", &folder);
    fs::write(folder.join("notes.so"), "no library").unwrap();
    let folder = folder.to_str().unwrap();
    let output = stage.ntm(&["plugins", "--folder", folder, "--json"]).output().unwrap();
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let named = |name: &str, from: bool| {
        let mut all = all.as_array().unwrap().iter();
        all.find(|it| it["name"] == name && it["file"].is_string() == from).unwrap().clone()
    };
    assert_eq!(named("udp", false)["kinds"][0], "transport");
    let library = named("pool", true);
    assert_eq!((&library["kinds"][0], &library["abi"]), (&"vip".into(), &"1.0".into()));
    assert!(library["refused"].is_null(), "{library}");
    let notes = all.as_array().unwrap().iter().find(|it| it["name"].is_null()).unwrap();
    assert!(notes["refused"].as_str().unwrap().contains("is no shared object"), "{notes}");
    let table = stage.ntm(&["plugins", "--folder", folder]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("NAME") && table.contains("refused: "), "{table}");

    let inspect = |file: &str| stage.ntm(&["plugin", "inspect", file]).output().unwrap();
    let known = inspect(pool.to_str().unwrap());
    assert!(known.status.success());
    assert!(String::from_utf8(known.stdout).unwrap().contains("name        pool"));
    let unknown = inspect(&format!("{folder}/notes.so"));
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("; name the library"));
}

fn plugins_describe_their_configuration() {
    let stage = Stage::new();
    let folder = stage.path("plugins");
    let library = library("vip-pool", &folder);
    let ask = |args: &[&str]| {
        let output = stage.ntm(&[&["plugins"], args].concat()).output().unwrap();
        (output.status.code().unwrap(), output)
    };
    let schema = |args: &[&str]| -> Value {
        let (code, output) = ask(args);
        assert_eq!(code, 0, "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let linked = schema(&["--schema", "pool"]);
    assert_eq!(linked["properties"]["ipv4"]["type"][0], "string");
    let named = library.to_str().unwrap();
    assert_eq!(schema(&["--schema", named, "--json"]), linked);
    // Two of one name.
    let folder = folder.to_str().unwrap();
    let (code, output) = ask(&["--schema", "pool", "--folder", folder]);
    assert_eq!(code, 2);
    assert!(String::from_utf8(output.stderr).unwrap().contains("name its file"));
    let (code, output) = ask(&["--schema", "pool", "--kind", "watcher"]);
    assert_eq!(code, 4);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there is no plugin `pool` for watcher"), "{said}");
}
