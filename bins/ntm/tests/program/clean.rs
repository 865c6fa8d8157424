//! A whole life in which nobody complains, and after which nothing is left.

use std::time::Duration;

use ntm_lab::Family;
use ntm_lab::scenario::until;
use ntm_lab::traffic::Download;

use crate::domain::{World, network, present};
use crate::stage::LIMIT;

ntm_lab::trials![a_clean_run_logs_no_warning_and_leaves_nothing];

fn a_clean_run_logs_no_warning_and_leaves_nothing() {
    let mut world = World::new("clean");
    let hosts = [&world.dc, &world.rs, &world.mn, &world.cn];
    let before = hosts.map(network);
    let [dc, rs] = world.start_servers();
    let (mn, cn) = (world.start_terminal(&world.mn), world.start_terminal(&world.cn));
    assert_eq!(world.sockets().len(), 4);
    assert!(network(&world.mn).iter().any(|line| line.starts_with("ntm0 ")));
    assert!(!present(&dc, "mn").as_array().unwrap().is_empty());

    let pong = world.ask(&mn, &["ping", "cn.example"]);
    assert!(pong.status.success(), "{pong:?}");
    let address = cn.vip(Family::V4).unwrap();
    let download = Download { patience: LIMIT, ..Download::of(2 << 20) };
    let transfer = download.run(world.cn.netns(), address, world.mn.netns()).unwrap();
    assert!(transfer.intact, "{transfer:?}");

    // Terminals first, so that there is somebody to say farewell to.
    let mut nodes = [mn, cn, rs, dc];
    for at in 0..nodes.len() {
        let status = nodes[at].process.terminate(LIMIT).unwrap();
        assert_eq!(status.code(), Some(0), "{}: {status}", nodes[at].name);
        assert_eq!(nodes[at].process.lines_matching("\"stopped\"").len(), 1);
        let name = nodes[at].name.clone();
        if let Some(dc) = nodes[at + 1..].last() {
            until("the farewell at the coordinator", LIMIT, || {
                Ok((present(dc, &name).as_array().unwrap().is_empty()).then_some(()))
            })
            .unwrap();
        }
        if at == 0 {
            // The peer has been told as well: it no longer sends there.
            until("the farewell at the peer", LIMIT, || {
                let tunnel = nodes[1].status()?["terminal"]["tunnels"][0].clone();
                Ok((tunnel["state"] != "live" && tunnel["path"].is_null()).then_some(()))
            })
            .unwrap();
        }
    }
    for node in &nodes {
        assert_eq!(node.complaints(), [""; 0], "{} complains", node.name);
    }
    assert_eq!(nodes[3].process.lines_matching("\"farewell\":true").len(), 3);
    assert_eq!(world.sockets(), [""; 0].map(std::path::PathBuf::from));
    let hosts = [&world.dc, &world.rs, &world.mn, &world.cn];
    let same = || Ok((hosts.map(network) == before).then_some(()));
    if until("the networks as before", Duration::from_secs(1), same).is_err() {
        assert_eq!(hosts.map(network), before);
    }
}
