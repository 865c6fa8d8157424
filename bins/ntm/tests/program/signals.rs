//! Signals: a farewell at the first, the end at the second, and a new start
//! after the one that nobody hears.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use ntm_lab::scenario::until;
use serde_json::json;

use crate::domain::{World, network, present};
use crate::stage::{LIMIT, Stage, said};

ntm_lab::trials![
    each_signal_says_farewell_and_takes_everything_away,
    a_second_signal_ends_a_node_that_cannot_stop,
    a_second_signal_ends_a_node_that_cannot_start,
    a_terminal_starts_again_after_it_was_killed,
    a_hub_starts_again_after_it_was_killed,
];

fn each_signal_says_farewell_and_takes_everything_away() {
    let mut world = World::new("farewell");
    let before = network(&world.mn);
    let [dc, _rs] = world.start_servers();
    for (nth, signal) in [Signal::SIGINT, Signal::SIGTERM].into_iter().enumerate() {
        let mut mn = world.start_terminal(&world.mn);
        assert_eq!(present(&dc, "mn")[0]["role"], "terminal");
        assert_ne!(network(&world.mn), before);
        mn.process.signal(signal).unwrap();
        let status = mn.process.wait(LIMIT).unwrap();
        assert_eq!(status.code(), Some(0), "{signal}: {status}");
        assert_eq!(network(&world.mn), before, "{signal}");
        assert!(!world.socket(&mn).exists(), "{signal}");
        until("the farewell at the coordinator", LIMIT, || {
            let farewells = dc.process.lines_matching("\"farewell\":true");
            Ok((farewells.len() > nth).then_some(()))
        })
        .unwrap();
        assert_eq!(present(&dc, "mn"), json!([]));
        assert_eq!(mn.complaints(), [""; 0]);
    }
}

/// The keys of peers are read from a pipe that nobody writes into, as from a
/// network drive that is gone: whoever reads waits for ever.
fn a_second_signal_ends_a_node_that_cannot_stop() {
    let stage = Stage::new();
    mkfifo(&stage.path("hub.peers"), Mode::S_IRUSR).unwrap();
    for (first, second) in [(Signal::SIGINT, Signal::SIGTERM), (Signal::SIGTERM, Signal::SIGTERM)] {
        let before = stage.scene();
        let mut hub = stage.start(stage.run(&[]));
        hub.wait_for_line("running", LIMIT).unwrap();
        hub.signal(first).unwrap();
        hub.wait_for_line("stopped", LIMIT).unwrap();
        assert_eq!(hub.try_wait().unwrap(), None, "it could stop");
        hub.signal(second).unwrap();
        assert_eq!(hub.wait(LIMIT).unwrap().code(), Some(130));
        assert_eq!(stage.scene(), before.with(stage.path("hub.redb")));
    }
}

/// The same with the node's own key.
fn a_second_signal_ends_a_node_that_cannot_start() {
    let stage = Stage::new();
    fs::remove_file(stage.path("hub.key")).unwrap();
    mkfifo(&stage.path("hub.key"), Mode::S_IRUSR).unwrap();
    let before = stage.scene();
    let mut hub = stage.start(stage.run(&[]));
    // Its signals are waited for before anything else; nothing is said yet.
    until("a thread for signals", LIMIT, || {
        let threads = fs::read_dir(format!("/proc/{}/task", hub.id())).unwrap();
        let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
        Ok(names.flatten().any(|name| name == "ntm-signals\n").then_some(()))
    })
    .unwrap();
    hub.signal(Signal::SIGTERM).unwrap();
    hub.wait_for_line("stopping", LIMIT).unwrap();
    hub.signal(Signal::SIGTERM).unwrap();
    assert_eq!(hub.wait(LIMIT).unwrap().code(), Some(130));
    assert_eq!(stage.scene(), before);
}

fn a_terminal_starts_again_after_it_was_killed() {
    let mut world = World::new("killed");
    let before = network(&world.mn);
    let [dc, _rs] = world.start_servers();
    let cn = world.start_terminal(&world.cn);
    let mut mn = world.start_terminal(&world.mn);
    let vips = mn.status().unwrap()["terminal"]["vips"].clone();
    assert!(world.ask(&mn, &["ping", "cn.example"]).status.success());

    assert_eq!(mn.process.kill().unwrap().signal(), Some(9));
    assert!(world.socket(&mn).exists(), "nobody could remove it");
    // The kernel takes the device away in its own time.
    until("the interface is gone", LIMIT, || Ok((network(&world.mn) == before).then_some(())))
        .unwrap();
    let refused = world.ask(&mn, &["status"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(refused.stderr).unwrap(),
        format!(
            "ntm: cannot ask the node at {}: Connection refused (os error 111); is the node \
             running?\n",
            world.socket(&mn).display()
        )
    );
    assert_eq!(world.ask(&mn, &["status", "--json"]).stdout, b"", "nobody has answered");

    let mut again = world.start_terminal(&world.mn);
    assert_eq!(again.status().unwrap()["terminal"]["vips"], vips);
    assert_eq!(present(&dc, "mn").as_array().unwrap().len(), 1);
    assert!(world.ask(&again, &["ping", "cn.example"]).status.success());
    assert!(world.ask(&cn, &["ping", "mn.example"]).status.success());
    assert_eq!(again.process.terminate(LIMIT).unwrap().code(), Some(0));
    assert_eq!(network(&world.mn), before);
    assert_eq!([again.complaints(), cn.complaints(), dc.complaints()].concat(), [""; 0]);
}

fn a_hub_starts_again_after_it_was_killed() {
    let stage = Stage::new();
    let before = stage.scene();
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("ready", LIMIT).unwrap();
    assert_eq!(hub.kill().unwrap().signal(), Some(9));
    assert!(stage.path("control/hub.sock").exists() && stage.path("hub.redb").exists());
    let mut again = stage.start(stage.run(&[]));
    again.wait_for_line("ready", LIMIT).unwrap();
    assert_eq!(again.terminate(LIMIT).unwrap().code(), Some(0), "{}", said(&again, true));
    // A folder that was there at the start stays.
    let kept = before.with(stage.path("hub.redb")).with(stage.path("control"));
    assert_eq!(stage.scene(), kept);
}
