//! What the other commands print, for people and as JSON, and how logs are
//! chosen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use ntm_lab::scenario::until;
use ntm_lab::{Family, Process};
use rustix::thread::CapabilitySet;
use serde_json::{Value, json};

use crate::domain::World;
use crate::stage::{HUB, LIMIT, PRIVATE, PUBLIC, Stage, said, without};

ntm_lab::trials![
    ping_says_over_which_path,
    handover_tells_of_moves,
    status_finds_the_node,
    keys_are_made_once_and_shown,
    a_check_says_what_is_probably_not_meant,
    logs_are_chosen_by_argument_environment_and_file,
    a_clamped_buffer_is_shown_and_no_warning,
    help_names_the_exit_codes,
];

fn ping_says_over_which_path() {
    let mut world = World::new("ping");
    let [_dc, rs] = world.start_servers();
    let (mn, cn) = (world.start_terminal(&world.mn), world.start_terminal(&world.cn));
    let bn = world.start_terminal(&world.bn);
    let relay = world.rs.address(Family::V4).unwrap();
    for (peer, kind, ip) in
        [(&cn, "relay", relay), (&bn, "direct", world.bn.address(Family::V4).unwrap())]
    {
        let name = format!("{}.example", peer.name);
        // A path may be another one at first.
        let pong = until("that path", LIMIT, || {
            let pong = world.ask_json(&mn, &["ping", &name]);
            Ok((pong["path"]["kind"] == kind && pong["path"]["proved"] == true).then_some(pong))
        })
        .unwrap();
        assert_eq!(pong["name"], name.as_str());
        assert_eq!(pong["path_id"].as_str().unwrap().len(), 32);
        assert_eq!(pong["vips"], peer.status().unwrap()["terminal"]["vips"]);
        // Two cables lie between, each half of 4 ms long, there and back.
        assert!(pong["rtt_us"].as_u64().unwrap() >= 4000, "{pong}");
        let remote = pong["path"]["remote"].as_str().unwrap().to_owned();
        assert!(remote == format!("{ip}:4330") || remote.starts_with("[2001:db8:"), "{remote}");

        let output = world.ask(&mn, &["ping", &name, "--count", "2"]);
        assert_eq!(output.status.code(), Some(0));
        let vips = pong["vips"].as_array().unwrap();
        let vips: Vec<_> = vips.iter().map(|vip| vip.as_str().unwrap()).collect();
        let begin = format!("pong from {name} ({}) via {kind} {remote} in ", vips.join(", "));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(
            text.lines().all(|line| line.starts_with(&begin) && line.ends_with(" ms")),
            "{text}"
        );
    }
    let status = world.ask(&mn, &["status"]);
    let text = String::from_utf8(status.stdout).unwrap();
    for part in ["terminal: registered", "cn.example", "relay ", "bn.example", "direct "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_ne!(world.ask_json(&rs, &["status"])["relay"]["pairs"], 0);

    let nobody = world.ask(&mn, &["ping", "nobody.example"]);
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(1), 0));
    let complaint = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(complaint.lines().count(), 1);
    assert!(complaint.starts_with("ntm: nobody.example: "), "{complaint}");
    let nobody = world.ask_json(&mn, &["ping", "nobody.example"]);
    assert!(nobody["error"].as_str().unwrap().starts_with("nobody.example: "), "{nobody}");
    let relay = world.ask(&rs, &["ping", "mn.example"]);
    assert_eq!(String::from_utf8(relay.stderr).unwrap(), "ntm: this node is no terminal\n");
}

fn handover_tells_of_moves() {
    let mut world = World::new("handover");
    let _servers = world.start_servers();
    let (mn, cn) = (world.start_terminal(&world.mn), world.start_terminal(&world.cn));
    assert!(world.ask(&mn, &["ping", "cn.example"]).status.success());
    assert_eq!(world.ask_json(&mn, &["handover"]), json!([]));
    let none = world.ask(&mn, &["handover"]);
    assert_eq!(
        String::from_utf8(none.stdout).unwrap(),
        "neither this node nor a peer has moved yet\n"
    );

    world.mn.move_to(&world.core).unwrap();
    let moves = until("the move", LIMIT, || {
        let moves = world.ask_json(&mn, &["handover", "--last", "1"]);
        // The fifth phase needs an application: `ntm lab paper` has one.
        let (phases, tunnel) = (&moves[0]["phases_us"], &moves[0]["tunnels"][0]);
        let whole = [&phases["detected"], &phases["registered"]].iter().all(|us| us.is_u64())
            && [&tunnel["directed"], &tunnel["rebuilt"]].iter().all(|us| us.is_u64());
        Ok(whole.then_some(moves))
    })
    .unwrap();
    assert_eq!(moves.as_array().unwrap().len(), 1);
    let tunnel = cn.status().unwrap()["terminal"]["tunnels"][0].clone();
    assert_eq!(moves[0]["tunnels"][0]["path_id"], tunnel["path_id"]);
    let table = String::from_utf8(world.ask(&mn, &["handover"]).stdout).unwrap();
    for told in ["moved: ", "cn.example: ", "the path works", "registered by the coordinator"] {
        assert!(table.contains(told), "{told} in {table}");
    }
    // Nothing that a move brings about deserves a warning.
    assert_eq!([mn.complaints(), cn.complaints()].concat(), [""; 0]);
}

/// The node on this machine is found by itself, by its file and by its socket.
fn status_finds_the_node() {
    let stage = Stage::new();
    let ask = |args: &[&str]| stage.ntm(args).output().unwrap();
    let _of_an_earlier_test = fs::remove_dir_all("/run/ntm");
    let nobody = ask(&["status"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(nobody.stderr).unwrap(),
        "ntm: no node is running that has its control socket in /run/ntm; name another with \
         `--config` or `--socket`\n"
    );

    stage.write("ntm.toml", &HUB.replace("\"control/hub.sock\"", "\"/run/ntm/hub.sock\""), 0o644);
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("ready", LIMIT).unwrap();
    let mode = fs::metadata("/run/ntm/hub.sock").unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = until("all roles are registered", LIMIT, || {
        let found = ask(&["status", "--json"]);
        let status: Value = serde_json::from_slice(&found.stdout).unwrap();
        let present = status["coordinator"]["members"][0]["present"].as_array();
        let all = present.is_some_and(|roles| roles.len() == 2)
            && status["terminal"]["registered"] == true
            && status["relay"]["registered"] == true;
        Ok(all.then_some(status))
    })
    .unwrap();
    assert_eq!((&status["name"], &status["public_key"]), (&json!("hub.example"), &json!(PUBLIC)));
    let file = stage.path("ntm.toml").display().to_string();
    for args in [["--config", file.as_str()], ["--socket", "/run/ntm/hub.sock"]] {
        let output = ask(&[&["status"], &args[..]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(&format!("hub.example  {PUBLIC}\n")), "{text}");
        for part in [
            "terminal: registered",
            "coordinator:",
            "relay: registered",
            "transport udp at [::]:4330; ",
            "interface ntm0; ",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    fs::write("/run/ntm/other.sock", "").unwrap();
    let several = ask(&["status"]);
    assert_eq!(several.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(several.stderr).unwrap(),
        "ntm: several nodes are running; choose one with `--socket`: /run/ntm/hub.sock, \
         /run/ntm/other.sock\n"
    );
    assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
    // Somebody else's file keeps the folder.
    assert!(!fs::exists("/run/ntm/hub.sock").unwrap() && fs::exists("/run/ntm").unwrap());
    fs::remove_dir_all("/run/ntm").unwrap();
}

fn keys_are_made_once_and_shown() {
    let stage = Stage::new();
    let file = stage.path("new.key").display().to_string();
    let key = |args: &[&str]| stage.ntm(&[&["key"], args].concat()).output().unwrap();
    let made = key(&["generate", "--out", &file]);
    let public = text(&made);
    assert_eq!((made.status.code(), public.trim().len()), (Some(0), 44));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(text(&key(&["public", &file])), public);
    let shown: Value = serde_json::from_slice(&key(&["public", &file, "--json"]).stdout).unwrap();
    assert_eq!(shown, json!({ "public_key": public.trim() }));
    let other = stage.path("other.key").display().to_string();
    let made = key(&["generate", "--out", &other, "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made, json!({ "public_key": text(&key(&["public", &other])).trim() }));

    let before = fs::read(&file).unwrap();
    let missing = stage.path("nowhere/new.key").display().to_string();
    let hub = stage.path("ntm.toml").display().to_string();
    for (args, code, says) in [
        (
            vec!["generate", "--out", &file],
            5,
            format!(
                "cannot write {file}: File exists (os error 17); it is left as it is; choose \
                 another name"
            ),
        ),
        (
            vec!["generate", "--out", &missing],
            4,
            format!(
                "cannot write {missing}: No such file or directory (os error 2); make its folder first"
            ),
        ),
        (
            vec!["public", &missing],
            4,
            format!(
                "cannot read {missing}: No such file or directory (os error 2); make one with \
                 `ntm key generate --out FILE`"
            ),
        ),
        (
            vec!["public", &hub],
            2,
            format!(
                "{hub}: this is not a key file, which is one line of 44 characters of base64; \
                 make one with `ntm key generate --out PATH`"
            ),
        ),
    ] {
        let output = key(&args);
        assert_eq!((output.status.code(), text(&output)), (Some(code), String::new()));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("ntm: {says}\n"));
    }
    assert_eq!(fs::read(&file).unwrap(), before);
}

fn a_check_says_what_is_probably_not_meant() {
    let stage = Stage::new();
    let before = stage.scene();
    let file = stage.path("ntm.toml").display().to_string();
    let check = || {
        let output = stage.run(&["--check"]).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
        text(&output)
    };
    assert_eq!(check(), format!("{file}: nothing is wrong\n"));
    // What the lab is told is nothing that a node in it should read.
    let output = stage.run(&["--check"]).env("NTM_LAB_TOOLS", "none").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(stage.scene(), before);
    stage.write("ntm.toml", &HUB.replace("\"dc\", \"rs\", ", ""), 0o644);
    let hinted = check();
    let hint = format!(
        "hint: {file}:8:2: [coordinator] has no effect, since `role` in [node] does not have `dc`\n"
    );
    assert!(hinted.starts_with(&hint) && hinted.ends_with(": nothing is wrong\n"), "{hinted}");
}

/// The argument wins over the environment, and that over the file.
fn logs_are_chosen_by_argument_environment_and_file() {
    let stage = Stage::new();
    let log = "[log]\nlevel = \"ntm::cli=info\"\nformat = \"json\"\n";
    stage.write("ntm.toml", &format!("{HUB}{log}"), 0o644);
    let lines = |command: Command| {
        let mut hub: Process = stage.start(command);
        // Whatever it logs, this can be asked.
        until("it is registered", LIMIT, || {
            let mut command = stage.ntm(&["status", "--json", "--socket"]);
            let output = command.arg(stage.path("control/hub.sock")).output().unwrap();
            let status = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
            Ok((status["terminal"]["registered"] == true).then_some(()))
        })
        .unwrap();
        assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
        assert_eq!(said(&hub, false), "", "logs are no output");
        said(&hub, true)
    };
    let is_json = |text: &str| text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());

    let file = lines(stage.run(&[]));
    assert!(
        is_json(&file) && file.contains("\"running\"") && !file.contains("\"stopped\""),
        "{file}"
    );
    let mut command = stage.run(&[]);
    command.env("NTM_LOG", "ntm::node=info").env("NTM_LOG_FORMAT", "human");
    let environment = lines(command);
    assert!(!is_json(&environment) && environment.contains(" INFO ntm::node"), "{environment}");
    assert!(!environment.contains("running"), "{environment}");
    let mut command = stage.run(&["--log", "off,ntm::signal=debug", "--log-format", "json"]);
    command.env("NTM_LOG", "info").env("NTM_LOG_FORMAT", "human");
    let argument = lines(command);
    assert!(is_json(&argument) && argument.contains("Registration Request"), "{argument}");
    assert!(argument.lines().all(|line| line.contains("\"target\":\"ntm::signal\"")), "{argument}");
}

/// The kernel gives a program without rights smaller buffers than it asks for.
fn a_clamped_buffer_is_shown_and_no_warning() {
    let stage = Stage::new();
    // A coordinator alone needs no rights.
    let sections = [
        "[node]\nname = \"dc.example\"\nrole = [\"dc\"]\nkey = \"hub.key\"",
        "[control]\nsocket = \"control/hub.sock\"",
        "[registry.config]\npath = \"hub.redb\"",
        "[[transport]]\nplugin = \"udp\"",
        "config = { receive_buffer = 1_000_000_000, send_buffer = 4096 }",
    ];
    stage.write("ntm.toml", &sections.join("\n"), 0o644);
    let mut dc = stage.start_deprived(stage.run(&[]), || {
        without(&[CapabilitySet::NET_ADMIN]);
    });
    dc.wait_for_line("the registry is read", LIMIT).unwrap();
    let opened = dc.lines_matching("receive buffer: ");
    assert_eq!(opened.len(), 1, "{}", said(&dc, true));
    let line = &opened[0].text;
    assert!(line.contains(" INFO ") && line.contains(" bytes, of 1000000000 asked for"), "{line}");
    assert!(line.ends_with("; send buffer: 4096 bytes"), "4 KiB are granted: {line}");
    let (_, rest) = line.split_once("receive buffer: ").unwrap();
    let (granted, _) = rest.split_once(';').unwrap();

    let ask = |args: &[&str]| {
        let mut command = stage.ntm(args);
        text_of(command.arg("--socket").arg(stage.path("control/hub.sock")).output().unwrap())
    };
    let status: Value = serde_json::from_str(&ask(&["status", "--json"])).unwrap();
    assert_eq!(status["transports"][0]["facts"]["receive buffer"], granted);
    assert!(ask(&["status"]).contains(&format!("receive buffer: {granted}; ")));
    assert_eq!(dc.terminate(LIMIT).unwrap().code(), Some(0));
    let log = said(&dc, true);
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

fn help_names_the_exit_codes() {
    let stage = Stage::new();
    for args in [&["--help"][..], &["run", "--help"]] {
        let help = text(&stage.ntm(args).output().unwrap());
        for code in ["  0  done", "  1  ", "  2  ", "  3  ", "  4  ", "  5  ", "  6  ", "  130  "] {
            assert!(help.lines().any(|line| line.starts_with(code)), "{code}: {help}");
        }
    }
    let wrong = stage.ntm(&["run", "--no-such-thing"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(fs::read_to_string(stage.path("hub.key")).unwrap(), PRIVATE);
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn text_of(output: Output) -> String {
    text(&output)
}
