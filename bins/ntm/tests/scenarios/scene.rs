use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use ntm_lab::scenario::domain::Node;
use ntm_lab::scenario::until;
use ntm_lab::{Family, Host, Netns, Process, Result, Site, Tools};
use serde_json::Value;

use crate::stage::{PATIENCE, Pair, Stage};

pub(crate) const NAMES: [&str; 4] = ["dc", "rs", "mn", "cn"];

/// All nodes of a scenario, running.
pub(crate) struct Scene {
    pub(crate) mn: Node,
    pub(crate) cn: Node,
    pub(crate) dc: Node,
    pub(crate) rs: Node,
    pub(crate) mn_host: Host,
    pub(crate) cn_host: Host,
    pub(crate) dc_host: Host,
    pub(crate) rs_host: Host,
    pub(crate) stage: Stage,
}

impl Scene {
    /// Coordinator and relay in the first network, MN and CN in the two others.
    pub(crate) fn start(mut stage: Stage, [core, mn, cn]: [&Site; 3]) -> Result<Self> {
        let (dc_host, rs_host) = (stage.host("dc", core)?, stage.host("rs", core)?);
        let (mn_host, cn_host) = (stage.host("mn", mn)?, stage.host("cn", cn)?);
        let dc = stage.domain.start_dc(&dc_host)?;
        let rs = stage.domain.start_relay(&rs_host)?;
        let (mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
        Ok(Self { mn, cn, dc, rs, mn_host, cn_host, dc_host, rs_host, stage })
    }

    /// A download from CN to MN that runs by this way.
    pub(crate) fn pair(&self, way: &str) -> Result<Pair<'_>> {
        Pair::start([(&self.mn, &self.mn_host), (&self.cn, &self.cn_host)], way)
    }
}

/// A host moves; the download goes on, by this way, and nothing else has changed.
pub(crate) fn moves(pair: &Pair<'_>, host: &Host, to: &Site, way: &str) -> Result<[Value; 2]> {
    host.move_to(to)?;
    host.eth0().settle(to, PATIENCE)?;
    goes_on(pair, way)
}

/// The download goes on by this way, under the same Path ID and addresses.
pub(crate) fn goes_on(pair: &Pair<'_>, way: &str) -> Result<[Value; 2]> {
    pair.more(SOME)?;
    let tunnels = pair.tunnels(|tunnel| tunnel["path"]["kind"] == way)?;
    pair.more(SOME)?;
    for node in pair.ends {
        let status = node.status()?;
        assert_eq!(status["terminal"]["tunnels"].as_array().unwrap().len(), 1, "one entry");
    }
    Ok(tunnels)
}

/// Where packets for the peer go, once it is not `but`.
pub(crate) fn remote(node: &Node, but: Option<SocketAddr>) -> Result<SocketAddr> {
    let at = |tunnel: &Value| tunnel["path"]["remote"].as_str().unwrap().parse().unwrap();
    let suits = |tunnel: &Value| tunnel["path"]["proved"] == true && Some(at(tunnel)) != but;
    node.wait_for_tunnel_within(PATIENCE, suits).map(|tunnel| at(&tunnel))
}

/// The moves of a terminal's own that it has noticed.
pub(crate) fn noticed(node: &Node) -> Result<usize> {
    Ok(node.handovers()?.iter().filter(|record| record["cause"] == "local").count())
}

/// How a coordinator knows a member: its epoch, and where it is.
pub(crate) fn known(dc: &Node, name: &str) -> Result<Value> {
    let status = dc.status()?;
    let members = status["coordinator"]["members"].as_array().unwrap().clone();
    let member = members.into_iter().find(|member| member["name"] == name).unwrap();
    Ok(member["present"][0].clone())
}

pub(crate) fn v4(host: &Host) -> Result<SocketAddr> {
    host.address(Family::V4).map(|ip| SocketAddr::new(ip, PORT))
}

/// Where the router of a site shows those behind it.
pub(crate) fn outer(site: &Site) -> IpAddr {
    site.router().unwrap().outer_address(Family::V4).unwrap()
}

/// Drops what comes into a machine and matches, until [`let_in`].
pub(crate) fn keep_out(netns: &Netns, expression: &str) -> Result<()> {
    let chain = "type filter hook input priority 0";
    nft(netns, &format!("table inet out {{ chain in {{ {chain}; {expression} drop\n }}\n }}"))
}

pub(crate) fn let_in(netns: &Netns) -> Result<()> {
    nft(netns, "delete table inet out")
}

fn nft(netns: &Netns, script: &str) -> Result<()> {
    let mut command = Command::new(Tools::find("nft").unwrap());
    command.arg(script);
    let mut process = Process::start(netns, command)?;
    let status = process.wait(Duration::from_secs(10))?;
    assert!(status.success(), "nft: {:?}", process.lines());
    Ok(())
}

/// Waits until a number that a node counts has reached so much.
pub(crate) fn counted(what: &str, least: u64, count: impl Fn() -> Result<u64>) -> Result<()> {
    until(what, PATIENCE, || Ok((count()? >= least).then_some(())))
}

pub(crate) const PORT: u16 = 4330;
const SOME: u64 = 512 << 10;
