use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ntm_lab::scenario::domain::{Domain, Mode, Node};
use ntm_lab::scenario::until;
use ntm_lab::{Family, Lab, Nat, Netns, Site, Tools, Wired};
use serde_json::Value;

/// For something that must happen by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal and the machine it runs on.
pub(crate) struct End {
    pub(crate) node: Node,
    machine: Wired,
}

/// A pair of terminals that are connected, on wires with the kernel's offloads.
pub(crate) struct Stage {
    pub(crate) mn: End,
    pub(crate) cn: End,
    /// Only of a pair behind NATs.
    pub(crate) relay: Option<End>,
    _dc: End,
    pub(crate) lab: Lab,
    /// Whose routers they are.
    _sites: [Site; 2],
}

/// A pair that is still to be set up.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    /// Sections of the terminals' configurations.
    pub(crate) mn: &'a str,
    pub(crate) cn: &'a str,
    /// Sections of the coordinator's.
    pub(crate) dc: &'a str,
    /// Each end is behind a NAT of its own, so that a relay forwards.
    pub(crate) relayed: bool,
    /// What is done to the terminals' machines before anything runs there.
    pub(crate) prepare: Option<fn(&Netns)>,
}

impl Plan<'_> {
    /// Builds it, and has the tunnel made.
    pub(crate) fn build(self) -> Stage {
        static BUILT: AtomicU32 = AtomicU32::new(0);
        let folder =
            PathBuf::from("/run/ntm").join(BUILT.fetch_add(1, Ordering::Relaxed).to_string());
        let _of_an_earlier_run = fs::remove_dir_all(&folder);
        let names = ["dc", "rs", "mn", "cn"];
        let mut domain =
            Domain::new(Path::new(env!("CARGO_BIN_EXE_ntm")), &folder, &names).unwrap();
        for (name, sections) in [("dc", self.dc), ("mn", self.mn), ("cn", self.cn)] {
            domain.configure(name, sections);
        }
        let mut lab = Lab::new(Tools::detect()).unwrap();
        let core = lab.global_of("core", &[Family::V4]).unwrap();
        let sites = ["left", "right"].map(|name| {
            if self.relayed {
                lab.private(name, Nat::Cone, &core).unwrap()
            } else {
                lab.global_of(name, &[Family::V4]).unwrap()
            }
        });
        let machine = lab.wired("dc", &core).unwrap();
        let dc = End { node: domain.start_dc(&machine).unwrap(), machine };
        let relay = self.relayed.then(|| {
            let machine = lab.wired("rs", &core).unwrap();
            End { node: domain.start_relay(&machine).unwrap(), machine }
        });
        let terminal = |name, site| {
            let machine = lab.wired(name, site).unwrap();
            if let Some(prepare) = self.prepare {
                prepare(machine.netns());
            }
            End { node: domain.start_terminal(&machine, Mode::Fast).unwrap(), machine }
        };
        let [mn, cn] = [("mn", &sites[0]), ("cn", &sites[1])].map(|(name, at)| terminal(name, at));
        let way = if self.relayed { "relay" } else { "direct" };
        mn.node.ping("cn.example").unwrap();
        for end in [&mn, &cn] {
            let suits = |it: &Value| it["path"]["kind"] == way && it["path"]["proved"] == true;
            end.node.wait_for_tunnel(suits).unwrap();
        }
        Stage { mn, cn, relay, _dc: dc, lab, _sites: sites }
    }
}

impl Stage {
    pub(crate) fn ends(&self) -> [&End; 2] {
        [&self.mn, &self.cn]
    }

    /// Nothing was wrong with any packet, and nobody has complained.
    pub(crate) fn is_well(&self) {
        for end in self.ends() {
            for reason in ["unroutable", "no_key", "forged", "replayed", "address", "congested"] {
                assert_eq!(end.dropped(reason), 0, "{} at {}", reason, end.node.name);
            }
            assert_eq!(end.node.complaints(), Vec::<String>::new(), "{}", end.node.name);
        }
    }
}

impl End {
    pub(crate) fn netns(&self) -> &Netns {
        self.machine.netns()
    }

    /// Its virtual address.
    pub(crate) fn vip(&self) -> std::net::IpAddr {
        self.node.vip(Family::V4).unwrap()
    }

    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.node.status().unwrap()["dropped"][reason].as_u64().unwrap()
    }

    /// Its tunnel now.
    pub(crate) fn tunnel(&self) -> Value {
        self.node.wait_for_tunnel(|_| true).unwrap()
    }

    /// Waits until its log says this at the level INFO.
    pub(crate) fn says(&self, words: &str) {
        until(&format!("{} says {words}", self.node.name), PATIENCE, || {
            let lines = self.node.process.lines();
            let said = |line: &str| line.contains("\"INFO\"") && line.contains(words);
            Ok(lines.iter().any(|line| said(&line.text)).then_some(()))
        })
        .unwrap();
    }
}
