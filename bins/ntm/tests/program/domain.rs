//! A domain of real programs: two terminals behind NATs of their own, one in the
//! open, coordinator and relay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use ntm_lab::scenario::domain::{Domain, Mode, Node};
use ntm_lab::{Conditions, Host, Lab, Nat, Site, Tools};
use serde_json::Value;

/// Sites, machines and their files.
pub(crate) struct World {
    pub(crate) folder: PathBuf,
    pub(crate) domain: Domain,
    pub(crate) core: Site,
    pub(crate) dc: Host,
    pub(crate) rs: Host,
    /// Behind a NAT,
    pub(crate) mn: Host,
    /// behind another,
    pub(crate) cn: Host,
    /// and in the open.
    pub(crate) bn: Host,
    /// Their routers live as long as these.
    _private: [Site; 2],
    _lab: Lab,
}

impl World {
    pub(crate) fn new(test: &str) -> Self {
        let folder = Path::new("/run/worlds").join(test);
        let mut lab = Lab::new(Tools::detect()).unwrap();
        let core = lab.global("core").unwrap();
        let home = lab.private("home", Nat::Cone, &core).unwrap();
        let office = lab.private("office", Nat::Cone, &core).unwrap();
        let mut host = |name: &str, site: &Site| {
            let host = lab.host(name, Conditions::round_trip(Duration::from_millis(4))).unwrap();
            host.join(site).unwrap();
            host
        };
        let (dc, rs) = (host("dc", &core), host("rs", &core));
        let (mn, cn, bn) = (host("mn", &home), host("cn", &office), host("bn", &core));
        let program = Path::new(env!("CARGO_BIN_EXE_ntm"));
        let domain = Domain::new(program, &folder, &["dc", "rs", "mn", "cn", "bn"]).unwrap();
        Self { folder, domain, core, dc, rs, mn, cn, bn, _private: [home, office], _lab: lab }
    }

    /// Coordinator and relay.
    pub(crate) fn start_servers(&mut self) -> [Node; 2] {
        let dc = self.domain.start_dc(&self.dc).unwrap();
        [dc, self.domain.start_relay(&self.rs).unwrap()]
    }

    pub(crate) fn start_terminal(&self, host: &Host) -> Node {
        self.domain.start_terminal(host, Mode::Fast).unwrap()
    }

    /// `ntm` with these arguments, asking this node.
    pub(crate) fn ask(&self, node: &Node, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ntm"));
        command.args(args).arg("--socket").arg(self.socket(node));
        command.output().unwrap()
    }

    /// The same with `--json`, of which the whole answer is one value.
    pub(crate) fn ask_json(&self, node: &Node, args: &[&str]) -> Value {
        let output = self.ask(node, &[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
    }

    pub(crate) fn socket(&self, node: &Node) -> PathBuf {
        self.folder.join(format!("{}.sock", node.name))
    }

    /// The sockets that are there.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|end| end == "sock")).collect()
    }
}

/// The interfaces and routes of a host, as text.
pub(crate) fn network(host: &Host) -> Vec<String> {
    let netlink = host.netns().netlink();
    let interfaces = netlink.interfaces().unwrap().into_iter().map(|interface| {
        let addresses = netlink.addresses(&interface.name).unwrap();
        format!("{} {addresses:?}", interface.name)
    });
    let mut all: Vec<_> = interfaces.collect();
    all.extend(netlink.routes().unwrap().iter().map(|route| format!("{route:?}")));
    all.sort();
    all
}

/// Where the coordinator sees this node now, role by role.
pub(crate) fn present(dc: &Node, name: &str) -> Value {
    let status = dc.status().unwrap();
    let members = status["coordinator"]["members"].as_array().unwrap();
    let member = members.iter().find(|member| member["name"] == format!("{name}.example"));
    member.unwrap()["present"].clone()
}
