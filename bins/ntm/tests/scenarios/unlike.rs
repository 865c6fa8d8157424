//! H7 and H15 to H17: what does not begin with a move, and other plugins.

use std::thread;

use ntm_lab::scenario::until;
use ntm_lab::{Nat, Result};

use crate::scene::{NAMES, PORT, Scene, goes_on, keep_out, known, moves, noticed, remote};
use crate::stage::{PATIENCE, Stage};

pub(crate) fn h07_a_nat_forgets() -> Result<()> {
    let mut stage = Stage::build("h07", &NAMES)?;
    // It draws another port after it has forgotten the first.
    let nat = stage.lab.private("nat", Nat::Symmetric, &stage.core)?;
    let cn = stage.open("cn-isp")?;
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &nat, &cn])?;
    let pair = scene.pair("direct")?;
    let before = remote(&scene.cn, None)?;
    let at_dc = known(&scene.dc, "mn.example")?["observed"].clone();

    nat.router().unwrap().forget()?;
    // Perhaps through the relay for a while: who sends nothing opens no other port.
    until("the way through the other port", PATIENCE, || {
        let at = remote(&scene.cn, Some(before))?;
        Ok((at.ip() == before.ip()).then_some(()))
    })?;
    goes_on(&pair, "direct")?;
    assert_eq!(noticed(&scene.mn)?, 0, "no event told of it");
    // The next keep-alive tells the coordinator.
    until("the coordinator to know", PATIENCE, || {
        Ok((known(&scene.dc, "mn.example")?["observed"] != at_dc).then_some(()))
    })?;
    pair.finish()
}

pub(crate) fn h15_glare() -> Result<()> {
    let mut stage = Stage::build("h15", &NAMES)?;
    let (mn, cn) = (stage.open("mn-isp")?, stage.open("cn-isp")?);
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &mn, &cn])?;
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| scene.mn.ping("cn.example"));
        (scene.cn.ping("mn.example"), one.join().unwrap())
    });
    assert_eq!(one?["path"]["kind"], "direct");
    assert_eq!(other?["path"]["kind"], "direct");
    // One tunnel with one Path ID, which `pair` compares.
    let pair = scene.pair("direct")?;
    goes_on(&pair, "direct")?;
    pair.finish()
}

pub(crate) fn h16_another_transport() -> Result<()> {
    let mut stage = Stage::build("h16", &NAMES)?;
    let second = PORT + 1;
    for name in ["mn", "cn"] {
        let sections = format!(
            "[[transport]]\nplugin = \"udp\"\n[[transport]]\nplugin = \"udp\"\n\
             config = {{ bind = \"[::]:{second}\" }}\n"
        );
        stage.domain.configure(name, &sections);
    }
    let (one, two, cn) = (stage.open("one")?, stage.open("two")?, stage.open("cn-isp")?);
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &one, &cn])?;
    let pair = scene.pair("direct")?;
    assert_eq!(remote(&scene.mn, None)?.port(), PORT);
    // Where MN goes, the way to the first one is shut.
    let old = scene.mn_host.address(ntm_lab::Family::V4)?;
    keep_out(
        scene.cn_host.netns(),
        &format!("ip saddr 203.0.113.0/24 ip saddr != {old} udp dport {PORT} ct state new"),
    )?;
    moves(&pair, &scene.mn_host, &two, "direct")?;
    assert_eq!(remote(&scene.mn, None)?.port(), second);
    pair.finish()
}

pub(crate) fn h17_a_watcher_that_polls() -> Result<()> {
    let mut stage = Stage::build("h17", &NAMES)?;
    let poll = "[watcher]\nplugin = \"poll\"\nconfig = { interval_ms = 100 }\n";
    stage.domain.configure("mn", poll);
    let (one, two, cn) = (stage.open("one")?, stage.open("two")?, stage.open("cn-isp")?);
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &one, &cn])?;
    let pair = scene.pair("direct")?;
    moves(&pair, &scene.mn_host, &two, "direct")?;
    assert_eq!(noticed(&scene.mn)?, 1);
    pair.finish()
}
