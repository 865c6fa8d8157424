use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ntm_lab::scenario::domain::{Domain, Mode, Node};
use ntm_lab::traffic::{Download, RunningDownload};
use ntm_lab::{Conditions, Family, Host, Lab, Nat, Result, Site, Tools};
use serde_json::Value;

/// For something that must happen by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const PACE: u64 = 2 << 20;

/// A global network, and on request others around it.
pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) core: Site,
    pub(crate) domain: Domain,
    /// What terminals do when they move.
    pub(crate) mode: Mode,
}

impl Stage {
    /// A stage for these nodes; keep-alives are short, so that a silence of the
    /// coordinator is noticed soon.
    pub(crate) fn build(test: &str, names: &[&str]) -> Result<Self> {
        let folder = PathBuf::from("/run/ntm").join(test);
        let _of_an_earlier_run = fs::remove_dir_all(&folder);
        let mut domain = Domain::new(Path::new(env!("CARGO_BIN_EXE_ntm")), &folder, names)?;
        domain.set_keep_alive(Duration::from_secs(2));
        let mut lab = Lab::new(Tools::detect())?;
        let core = lab.global_of("core", &[Family::V4])?;
        Ok(Self { lab, core, domain, mode: Mode::Fast })
    }

    /// Another network in the open.
    pub(crate) fn open(&mut self, name: &str) -> Result<Site> {
        self.lab.global_of(name, &[Family::V4])
    }

    /// Another network behind a NAT of its own.
    pub(crate) fn natted(&mut self, name: &str) -> Result<Site> {
        self.lab.private(name, Nat::Cone, &self.core)
    }

    /// A host at a site.
    pub(crate) fn host(&mut self, name: &str, site: &Site) -> Result<Host> {
        let host = self.lab.host(name, Conditions::round_trip(Duration::from_millis(10)))?;
        host.join(site)?;
        Ok(host)
    }

    /// A terminal on this host.
    pub(crate) fn terminal(&self, host: &Host) -> Result<Node> {
        self.domain.start_terminal(host, self.mode)
    }
}

/// Two terminals with a download from the second to the first.
pub(crate) struct Pair<'a> {
    pub(crate) ends: [&'a Node; 2],
    pub(crate) download: RunningDownload,
    before: [Value; 2],
}

impl<'a> Pair<'a> {
    /// Starts the download and waits until it runs by this way.
    pub(crate) fn start(ends: [(&'a Node, &Host); 2], way: &str) -> Result<Self> {
        let [(mn, mn_host), (cn, cn_host)] = ends;
        let download = Download { patience: PATIENCE, ..Download::endless() }.paced(PACE);
        let download = download.start(cn_host.netns(), cn.vip(Family::V4)?, mn_host.netns())?;
        let tunnel = |node: &Node| node.wait_for_tunnel(|tunnel| tunnel["path"]["kind"] == way);
        let before = [tunnel(mn)?, tunnel(cn)?];
        assert_eq!(before[0]["path_id"], before[1]["path_id"]);
        let pair = Self { ends: [mn, cn], download, before };
        pair.more(1 << 20)?;
        Ok(pair)
    }

    /// Waits until so many more bytes have arrived.
    pub(crate) fn more(&self, bytes: u64) -> Result<()> {
        self.download.wait_for(self.download.received() + bytes, PATIENCE)
    }

    /// The tunnel at both ends, of which nothing but the path may have changed.
    pub(crate) fn tunnels(&self, suits: impl Fn(&Value) -> bool) -> Result<[Value; 2]> {
        let [mn, cn] = self.ends;
        // An instance that could not be opened is tried again after up to 26 s.
        let patience = 3 * PATIENCE;
        let now = [
            mn.wait_for_tunnel_within(patience, &suits)?,
            cn.wait_for_tunnel_within(patience, &suits)?,
        ];
        for (before, now) in self.before.iter().zip(&now) {
            assert_eq!(before["path_id"], now["path_id"], "the Path ID changed");
            assert_eq!(before["vips"], now["vips"], "virtual addresses changed");
        }
        Ok(now)
    }

    /// Ends the download, which must be whole.
    pub(crate) fn finish(self) -> Result<()> {
        self.download.end();
        let transfer = self.download.finish()?;
        assert!(transfer.intact, "the download is not whole: {transfer:?}");
        Ok(())
    }
}
