use std::net::IpAddr;
use std::time::Duration;

use crate::error::Result;
use crate::family::Family;
use crate::host::Host;
use crate::link::Conditions;
use crate::nat::Nat;
use crate::scenario::chart::Cast;
use crate::tools::Tools;
use crate::topology::{Lab, Site};
use crate::traffic::round_trip;

/// The places and machines of the paper's Fig. 1.
pub(super) struct Stage {
    pub(super) global: Site,
    pub(super) home: Site,
    away: Site,
    pub(super) dc: Host,
    pub(super) rs: Host,
    pub(super) mn: Host,
    pub(super) cn: Host,
    /// The round trip between any two hosts, measured.
    pub(super) rtt: Duration,
    _lab: Lab,
}

impl Stage {
    pub(super) fn build(tools: Tools, rtt: Duration) -> Result<Self> {
        let mut lab = Lab::new(tools)?;
        // The paper's network is IPv4.
        let global = lab.global_of("global", &[Family::V4])?;
        let home = lab.private("nat1", Nat::Cone, &global)?;
        let away = lab.private("nat2", Nat::Cone, &global)?;
        let access = Conditions::round_trip(rtt);
        let (dc, rs) = (lab.host("dc", access)?, lab.host("rs", access)?);
        let (mn, cn) = (lab.mobile("mn", access)?, lab.mobile("cn", access)?);
        for (host, site) in [(&dc, &global), (&rs, &global), (&mn, &home), (&cn, &away)] {
            host.join(site)?;
        }
        lab.check_round_trip(&mn, &dc, rtt)?;
        let measured = round_trip(mn.netns(), dc.netns(), dc.address(Family::V4)?, 20)?;
        let rtt = measured.median.max(rtt);
        Ok(Self { global, home, away, dc, rs, mn, cn, rtt, _lab: lab })
    }

    /// Who is who in a chart; `seen` are the addresses that MN had.
    pub(super) fn cast(&self, seen: &[IpAddr]) -> Cast {
        let columns = ["mn", "dc", "rs", "cn"].map(String::from).to_vec();
        let hosts = [&self.dc, &self.rs, &self.cn]
            .into_iter()
            .filter_map(|host| Some((host.address(Family::V4).ok()?, host.name().to_owned())));
        let outer =
            [(&self.home, "mn"), (&self.away, "cn")].into_iter().filter_map(|(site, who)| {
                Some((site.router()?.outer_address(Family::V4)?, who.to_owned()))
            });
        let seen = seen.iter().map(|ip| (*ip, "mn".to_owned()));
        Cast { columns, addresses: hosts.chain(outer).chain(seen).collect() }
    }
}
