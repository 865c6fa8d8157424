//! H1 to H6: moves between networks of all kinds.

use ntm_lab::scenario::domain::Mode;
use ntm_lab::scenario::until;
use ntm_lab::{Family, Result};
use serde_json::Value;

use crate::scene::{NAMES, Scene, goes_on, known, moves, noticed};
use crate::stage::{PATIENCE, Stage};

pub(crate) fn h01_mn_moves_both_open() -> Result<()> {
    for mode in [Mode::Fast, Mode::Seed] {
        let mut stage = Stage::build("h01", &NAMES)?;
        stage.mode = mode;
        let (one, two, cn) = (stage.open("one")?, stage.open("two")?, stage.open("cn-isp")?);
        let core = stage.core.clone();
        let scene = Scene::start(stage, [&core, &one, &cn])?;
        let pair = scene.pair("direct")?;
        moves(&pair, &scene.mn_host, &two, "direct")?;
        // Every step is told.
        let is_complete = |record: &Value| {
            let steps = &record["tunnels"][0];
            record["phases_us"]["registered"].is_u64()
                && ["directed", "rebuilt", "first_packet"].iter().all(|it| steps[it].is_u64())
        };
        until("all steps of the move", PATIENCE, || {
            Ok(scene.mn.handovers()?.iter().any(is_complete).then_some(()))
        })?;
        assert_eq!(noticed(&scene.mn)?, 1);
        pair.finish()?;
    }
    Ok(())
}

pub(crate) fn h02_behind_a_nat_and_back() -> Result<()> {
    let mut stage = Stage::build("h02", &NAMES)?;
    let (open, nat, cn) = (stage.open("open")?, stage.natted("nat")?, stage.open("cn-isp")?);
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &open, &cn])?;
    let pair = scene.pair("direct")?;
    moves(&pair, &scene.mn_host, &nat, "direct")?;
    moves(&pair, &scene.mn_host, &open, "direct")?;
    assert_eq!(noticed(&scene.mn)?, 2);
    pair.finish()
}

pub(crate) fn h03_cn_moves() -> Result<()> {
    let mut stage = Stage::build("h03", &NAMES)?;
    let (mn, one, two) = (stage.open("mn-isp")?, stage.open("one")?, stage.open("two")?);
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &mn, &one])?;
    let pair = scene.pair("direct")?;
    moves(&pair, &scene.cn_host, &two, "direct")?;
    assert_eq!((noticed(&scene.mn)?, noticed(&scene.cn)?), (0, 1));
    pair.finish()
}

pub(crate) fn h04_both_move_at_once() -> Result<()> {
    let mut stage = Stage::build("h04", &NAMES)?;
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| stage.open(name));
    let (a, b, c, d) = (a?, b?, c?, d?);
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &a, &b])?;
    let pair = scene.pair("direct")?;
    for (mn, cn) in [(&c, &d), (&b, &a)] {
        // Neither hears the other's news where it was.
        scene.mn_host.move_to(mn)?;
        scene.cn_host.move_to(cn)?;
        scene.mn_host.eth0().settle(mn, PATIENCE)?;
        scene.cn_host.eth0().settle(cn, PATIENCE)?;
        goes_on(&pair, "direct")?;
    }
    for node in [&scene.mn, &scene.cn] {
        let epoch = node.status()?["terminal"]["epoch"].clone();
        let at_dc = known(&scene.dc, &format!("{}.example", node.name))?["epoch"].clone();
        assert_eq!(epoch, at_dc, "the highest epoch everywhere");
    }
    pair.finish()
}

pub(crate) fn h05_relay_then_direct() -> Result<()> {
    let mut stage = Stage::build("h05", &NAMES)?;
    let (one, two, cn) = (stage.natted("one")?, stage.natted("two")?, stage.natted("cn-nat")?);
    let open = stage.open("open")?;
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &one, &cn])?;
    let pair = scene.pair("relay")?;
    moves(&pair, &scene.mn_host, &open, "direct")?;
    moves(&pair, &scene.mn_host, &two, "relay")?;
    pair.finish()
}

pub(crate) fn h06_from_ipv4_to_ipv6_alone() -> Result<()> {
    let mut stage = Stage::build("h06", &NAMES)?;
    // Coordinator and relay have both.
    let core = stage.lab.global("dual")?;
    let (four, cn) = (stage.open("four")?, stage.open("cn-isp")?);
    let six = stage.lab.global_of("six", &[Family::V6])?;
    let scene = Scene::start(stage, [&core, &four, &cn])?;
    let pair = scene.pair("direct")?;
    moves(&pair, &scene.mn_host, &six, "relay")?;
    moves(&pair, &scene.mn_host, &four, "direct")?;
    pair.finish()
}
