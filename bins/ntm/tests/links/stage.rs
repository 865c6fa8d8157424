use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ntm_lab::host::Asks;
use ntm_lab::scenario::domain::{Domain, Mode, Node};
use ntm_lab::scenario::until;
use ntm_lab::traffic::{Probe, RunningProbe};
use ntm_lab::{Conditions, Family, Host, Lab, Nat, Site, Tools};
use serde_json::Value;

/// For something that must happen by itself.
const PATIENCE: Duration = Duration::from_secs(20);
const ROUND_TRIP: Duration = Duration::from_millis(10);

/// A terminal with two links, and one that stays where it is.
pub(crate) struct Stage {
    /// Where the links of the first one lead: `eth0` and `wlan0`.
    pub(crate) sites: [Site; 2],
    pub(crate) mn: (Host, Node),
    cn: (Host, Node),
    family: Family,
    /// Where the other one is: the router is the site's.
    _home: Site,
    _others: Vec<(Host, Node)>,
    _lab: Lab,
}

/// A stage that is still to be built.
pub(crate) struct Plan<'a> {
    pub(crate) family: Family,
    /// Every site is behind a NAT, so that a relay forwards.
    pub(crate) relayed: bool,
    /// The link that is plugged in at first.
    pub(crate) first: &'a str,
    /// Sections of the first terminal's configuration.
    pub(crate) sections: &'a str,
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
        domain.configure("mn", self.sections);
        let mut lab = Lab::new(Tools::detect()).unwrap();
        let core = lab.global_of("core", &[self.family]).unwrap();
        let [office, lte, home] = ["office", "lte", "home"].map(|name| match self.relayed {
            true => lab.private(name, Nat::Cone, &core).unwrap(),
            false => lab.global_of(name, &[self.family]).unwrap(),
        });
        let conditions = Conditions::round_trip(ROUND_TRIP);
        let mut host = |name, site: &Site| {
            let host = lab.host(name, conditions).unwrap();
            host.join(site).unwrap();
            host
        };
        let (dc, rs, cn) = (host("dc", &core), host("rs", &core), host("cn", &home));
        let mut mn = lab.host("mn", conditions).unwrap();
        lab.add_interface(&mut mn, "wlan0", Asks::Nobody, conditions).unwrap();
        let sites = [office, lte];
        mn.port(self.first).unwrap().join(&sites[usize::from(self.first != "eth0")]).unwrap();

        let node = domain.start_dc(&dc).unwrap();
        let mut others = vec![(dc, node)];
        if self.relayed {
            let node = domain.start_relay(&rs).unwrap();
            others.push((rs, node));
        }
        let [mn, cn] = [mn, cn].map(|host| {
            let node = domain.start_terminal(&host, Mode::Fast).unwrap();
            (host, node)
        });
        let way = if self.relayed { "relay" } else { "direct" };
        mn.1.ping("cn.example").unwrap();
        for (_, node) in [&mn, &cn] {
            let suits = |it: &Value| it["path"]["kind"] == way && it["path"]["proved"] == true;
            node.wait_for_tunnel(suits).unwrap();
        }
        Stage { sites, mn, cn, family: self.family, _home: home, _others: others, _lab: lab }
    }
}

impl Stage {
    /// Plugs a link in and waits until it has its address and routes.
    pub(crate) fn plug(&self, link: &str) {
        let site = &self.sites[usize::from(link != "eth0")];
        self.mn.0.port(link).unwrap().join(site).unwrap();
    }

    pub(crate) fn unplug(&self, link: &str) {
        self.mn.0.port(link).unwrap().leave().unwrap();
    }

    /// A packet each way every millisecond from now on.
    pub(crate) fn probe(&self) -> RunningProbe {
        let [first, second] = [&self.mn, &self.cn].map(|(host, node)| {
            // Of the family that every domain has.
            (host.netns(), node.vip(Family::V4).unwrap())
        });
        let probe = Probe::default().start(first, second).unwrap();
        self.wait_for_packets(200);
        probe
    }

    /// Packets lost in each direction.
    pub(crate) fn lost(&self, probe: RunningProbe) -> [u64; 2] {
        self.wait_for_packets(300);
        let flows = probe.stop(Duration::from_millis(500)).unwrap();
        [flows.there.lost, flows.back.lost]
    }

    /// Waits until nothing is on the wire of a link that is not in use any more: what is
    /// would be lost with it, whoever sends what where.
    pub(crate) fn drains(&self) {
        self.wait_for_packets(100);
    }

    fn wait_for_packets(&self, more: u64) {
        let received = || self.tunnel()["traffic"]["received_packets"].as_u64().unwrap();
        let enough = received() + more;
        until("packets", PATIENCE, || Ok((received() >= enough).then_some(()))).unwrap();
    }

    fn tunnel(&self) -> Value {
        self.mn.1.wait_for_tunnel(|_| true).unwrap()
    }

    /// Waits until the terminal has moved to this link, and says by how many moves.
    pub(crate) fn settles_on(&self, link: &str) -> usize {
        let address = self.mn.0.port(link).unwrap().address(self.family).unwrap().to_string();
        until("the move", PATIENCE, || {
            let moves = self.mn.1.handovers()?;
            let last = moves.last().map(|last| last.to_string()).unwrap_or_default();
            Ok((last.contains(&address) && self.is_rebuilt()?).then_some(moves.len()))
        })
        .unwrap()
    }

    fn is_rebuilt(&self) -> ntm_lab::Result<bool> {
        let said = |line: &str| line.contains("tunnel rebuilt");
        let moves = self.mn.1.handovers()?.len();
        let lines = self.mn.1.process.lines();
        Ok(lines.iter().filter(|line| said(&line.text)).count() >= moves)
    }

    /// Waits until the log says this.
    pub(crate) fn says(&self, words: &str) {
        until(words, PATIENCE, || {
            let lines = self.mn.1.process.lines();
            Ok(lines.iter().any(|line| line.text.contains(words)).then_some(()))
        })
        .unwrap();
    }
}
