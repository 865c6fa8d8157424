use std::collections::BTreeMap;

use ntm_lab::scenario::domain::Node;
use ntm_lab::scenario::until;
use ntm_lab::{Family, Result, Site};
use serde_json::Value;

use crate::stage::{PATIENCE, Pair, Stage};

pub(crate) fn killed_and_restarted() -> Result<()> {
    let mut stage = Stage::build("restart", &["dc", "rs", "mn", "cn", "third"])?;
    let core = stage.core.clone();
    let (mn_site, cn_site) = (stage.natted("nat1")?, stage.natted("nat2")?);
    let dc_host = stage.host("dc", &core)?;
    let rs_host = stage.host("rs", &core)?;
    let mn_host = stage.host("mn", &mn_site)?;
    let cn_host = stage.host("cn", &cn_site)?;
    let third_host = stage.host("third", &core)?;
    let mut dc = stage.domain.start_dc(&dc_host)?;
    let _rs = stage.domain.start_relay(&rs_host)?;
    let [mn, cn, third] = [&mn_host, &cn_host, &third_host].map(|host| stage.terminal(host));
    let (mn, cn, third) = (mn?, cn?, third?);
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "relay")?;
    let leases = vips(&dc)?;
    assert!(
        leases.values().filter(|vips| **vips != serde_json::json!([])).count() >= 3,
        "{leases:?}"
    );

    dc.process.kill()?;
    for terminal in [&mn, &cn] {
        until("terminals to notice", PATIENCE, || Ok((!is_registered(terminal)?).then_some(())))?;
    }
    pair.more(4 << 20)?;

    let dc = stage.domain.start_dc(&dc_host)?;
    assert_eq!(vips(&dc)?, leases, "virtual addresses changed");
    for terminal in [&mn, &cn] {
        until("terminals to register", PATIENCE, || Ok(is_registered(terminal)?.then_some(())))?;
    }
    // A terminal in the open is seldom heard, but notices when it wants something;
    // and the coordinator directs as before.
    let reached = third.ping("mn.example")?;
    assert_eq!(reached["path"]["kind"], "direct", "{reached}");
    for terminal in [&mn, &cn, &third] {
        assert!(is_registered(terminal)?);
        let name = format!("{}.example", terminal.name);
        assert_eq!(terminal.status()?["terminal"]["vips"], leases[&name], "{name}");
    }
    pair.tunnels(|tunnel| tunnel["path"]["kind"] == "relay")?;
    pair.finish()
}

pub(crate) fn down_while_open_pair_moves() -> Result<()> {
    let mut stage = Stage::build("open-move", &["dc", "mn", "cn"])?;
    let (first, second) = (stage.open("isp1")?, stage.open("isp2")?);
    moves_without_coordinator(stage, [&first, &second], &first, "direct")
}

pub(crate) fn down_while_relayed_pair_moves() -> Result<()> {
    let mut stage = Stage::build("relayed-move", &["dc", "rs", "mn", "cn"])?;
    let (first, second, cn) = (stage.natted("nat1")?, stage.natted("nat2")?, stage.natted("nat3")?);
    moves_without_coordinator(stage, [&first, &second], &cn, "relay")
}

fn moves_without_coordinator(
    mut stage: Stage,
    mn_sites: [&Site; 2],
    cn_site: &Site,
    way: &str,
) -> Result<()> {
    let core = stage.core.clone();
    let dc_host = stage.host("dc", &core)?;
    let rs_host = stage.host("rs", &core)?;
    let mn_host = stage.host("mn", mn_sites[0])?;
    let cn_host = stage.host("cn", cn_site)?;
    let mut dc = stage.domain.start_dc(&dc_host)?;
    let _rs = (way == "relay").then(|| stage.domain.start_relay(&rs_host)).transpose()?;
    let (mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], way)?;

    dc.process.kill()?;
    let old = mn_host.address(Family::V4)?;
    mn_host.move_to(mn_sites[1])?;
    mn_host.eth0().settle(mn_sites[1], PATIENCE)?;
    assert_ne!(old, mn_host.address(Family::V4)?);
    pair.more(2 << 20)?;
    pair.tunnels(|tunnel| tunnel["path"]["kind"] == way)?;
    pair.finish()
}

fn is_registered(terminal: &Node) -> Result<bool> {
    Ok(terminal.status()?["terminal"]["registered"] == true)
}

/// The virtual addresses of each member.
fn vips(dc: &Node) -> Result<BTreeMap<String, Value>> {
    let status = dc.status()?;
    let members = status["coordinator"]["members"].as_array().cloned().unwrap_or_default();
    Ok(members
        .into_iter()
        .map(|mut m| (m["name"].as_str().unwrap().to_owned(), m["vips"].take()))
        .collect())
}
