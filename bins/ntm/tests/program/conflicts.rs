//! What a node refuses because of something else that is there: another node, a
//! network, a variable.

use crate::stage::{HUB, LIMIT, Stage, said};

ntm_lab::trials![
    a_variable_that_is_no_key,
    a_node_that_runs_already,
    a_registry_of_another_coordinator,
    a_virtual_range_that_a_network_here_has,
    a_network_that_comes_later_is_told_of,
    a_virtual_range_that_was_another,
];

fn a_variable_that_is_no_key() {
    let stage = Stage::new();
    let before = stage.scene();
    let mut command = stage.run(&[]);
    command.env("NTM_NODE__NAEM", "x");
    let mut process = stage.start(command);
    assert_eq!(process.wait(LIMIT).unwrap().code(), Some(2));
    assert_eq!(
        said(&process, true),
        "ntm: NTM_NODE__NAEM: unknown key `naem` in [node]; did you mean `name`?\n"
    );
    assert_eq!(stage.scene(), before);
}

fn a_node_that_runs_already() {
    let stage = Stage::new();
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("ready", LIMIT).unwrap();
    let before = stage.scene();
    refused(
        &stage,
        "ntm.toml",
        5,
        "{}/ntm.toml:11:10: a node is running already with the control socket \
         {}/control/hub.sock; stop it, or choose another place with `socket` in [control]",
    );
    assert_eq!(stage.scene(), before, "the first one has lost something");
    assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
}

fn a_registry_of_another_coordinator() {
    let stage = Stage::new();
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("ready", LIMIT).unwrap();
    let other = HUB.replace("[::]:4330", "[::]:4331").replace("ntm0", "ntm1");
    stage.write("other.toml", &other.replace("hub.sock", "other.sock"), 0o644);
    let before = stage.scene();
    refused(
        &stage,
        "other.toml",
        5,
        "{}/other.toml:13:8: another coordinator has {}/hub.redb open; stop it, or give each \
         a file of its own",
    );
    assert_eq!(stage.scene(), before);
    assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
}

/// Only the coordinator knows the range, so this shows when it has told it.
fn a_virtual_range_that_a_network_here_has() {
    let stage = Stage::new();
    let netlink = stage.netns.netlink();
    netlink.add_bridge("office").unwrap();
    netlink.add_address("office", "198.18.5.1/24".parse().unwrap()).unwrap();
    let before = stage.scene();
    refused(
        &stage,
        "ntm.toml",
        2,
        "{}/ntm.toml:5:1: the virtual range 198.18.0.0/16 of this coordinator's domain \
         overlaps the network 198.18.5.0/24 on office; set another range in [vip.config] of \
         the coordinator, or leave that network",
    );
    assert_eq!(stage.scene(), before.with(stage.path("hub.redb")));
    // The registry is whole: away from that network the node runs.
    netlink.flush_addresses("office").unwrap();
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("ready", LIMIT).unwrap();
    assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
}

/// Whoever moves cannot choose the networks there, and goes on.
fn a_network_that_comes_later_is_told_of() {
    let stage = Stage::new();
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("ready", LIMIT).unwrap();
    let netlink = stage.netns.netlink();
    netlink.add_bridge("office").unwrap();
    for address in ["198.18.5.1/24", "192.0.2.1/24", "192.0.2.2/24"] {
        netlink.add_address("office", address.parse().unwrap()).unwrap();
    }
    let told = "the network 198.18.5.0/24 on office overlaps the virtual range 198.18.0.0/16: nodes \
                with virtual addresses in both are out of reach until this node leaves that network";
    hub.wait_for_line(told, LIMIT).unwrap();
    assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
    assert_eq!(hub.lines_matching("WARN").len(), 1, "{}", said(&hub, true));
}

/// Members have addresses out of the old one.
fn a_virtual_range_that_was_another() {
    let stage = Stage::new();
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("ready", LIMIT).unwrap();
    assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
    let before = stage.scene();
    stage.write("ntm.toml", &HUB.replace("198.18.0.0/16", "198.19.0.0/16"), 0o644);
    refused(
        &stage,
        "ntm.toml",
        2,
        "{}/ntm.toml:22:19: a node has 198.18.0.1, which is no host's address in 198.19.0.0/16; \
         bring the range back, or remove the node so that it gets a new address",
    );
    assert_eq!(stage.scene(), before);
    stage.write("ntm.toml", HUB, 0o644);
    let mut hub = stage.start(stage.run(&[]));
    hub.wait_for_line("vips=198.18.0.1", LIMIT).unwrap();
    assert_eq!(hub.terminate(LIMIT).unwrap().code(), Some(0));
}

fn refused(stage: &Stage, file: &str, code: i32, says: &str) {
    let mut command = stage.ntm(&["run", "--config"]);
    command.arg(stage.path(file));
    let mut process = stage.start(command);
    let status = process.wait(LIMIT).unwrap();
    let complaint = said(&process, true);
    let says = says.replace("{}", &stage.folder.display().to_string());
    let said_so = complaint.lines().any(|line| line == format!("ntm: {says}"));
    assert!(said_so, "expected:\nntm: {says}\nsaid:\n{complaint}");
    assert_eq!(status.code(), Some(code), "{complaint}");
    assert!(!complaint.contains("WARN") && !complaint.contains("ERROR"), "{complaint}");
}
