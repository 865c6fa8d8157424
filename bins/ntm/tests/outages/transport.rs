//! A network that blocks UDP while a download runs: it goes on by QUIC, and by UDP
//! again when that works.

use std::path::{Path, PathBuf};

use ntm_lab::scenario::domain::Transport;
use ntm_lab::{Result, Site};
use serde_json::Value;

use crate::stage::{Pair, Stage};

const BOTH: [Transport; 2] = [Transport::Udp, Transport::Quic];

fn by(transport: &'static str) -> impl Fn(&Value) -> bool {
    move |tunnel| tunnel["path"]["transport"] == transport
}

/// One end in the open: straight from one to the other.
pub(crate) fn blocked_for_a_direct_pair() -> Result<()> {
    let mut stage = Stage::build("blocked-direct", &["dc", "mn", "cn"])?;
    stage.domain.set_transports(&BOTH);
    let (mn_site, cn_site) = (stage.natted("nat1")?, stage.open("right")?);
    let core = stage.core.clone();
    let dc_host = stage.host("dc", &core)?;
    let (mn_host, cn_host) = (stage.host("mn", &mn_site)?, stage.host("cn", &cn_site)?);
    let _dc = stage.domain.start_dc(&dc_host)?;
    let (mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "direct")?;
    pair.tunnels(by("udp"))?;

    block(&mn_site)?;
    pair.more(2 << 20)?;
    let [mn_sees, _] = pair.tunnels(by("quic"))?;
    assert_eq!(mn_sees["path"]["kind"], "direct");
    assert_eq!(mn.ping("cn.example")?["path"]["transport"], "quic");

    pass(&mn_site)?;
    pair.more(2 << 20)?;
    pair.tunnels(by("udp"))?;
    pair.finish()
}

/// Both behind NATs: through a relay that listens for both.
pub(crate) fn blocked_for_a_relayed_pair() -> Result<()> {
    let mut stage = Stage::build("blocked-relayed", &["dc", "rs", "mn", "cn"])?;
    stage.domain.set_transports(&BOTH);
    let core = stage.core.clone();
    let (mn_site, cn_site) = (stage.natted("nat1")?, stage.natted("nat2")?);
    let (dc_host, rs_host) = (stage.host("dc", &core)?, stage.host("rs", &core)?);
    let (mn_host, cn_host) = (stage.host("mn", &mn_site)?, stage.host("cn", &cn_site)?);
    let _dc = stage.domain.start_dc(&dc_host)?;
    let _rs = stage.domain.start_relay(&rs_host)?;
    let (mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "relay")?;
    pair.tunnels(by("udp"))?;

    block(&mn_site)?;
    pair.more(2 << 20)?;
    let now = mn.wait_for_tunnel(by("quic"))?;
    assert_eq!(now["path"]["kind"], "relay");
    let [_, cn_sees] = pair.tunnels(|_| true)?;
    assert_eq!(cn_sees["path"]["transport"], "udp", "the other end's network blocks nothing");
    pass(&mn_site)?;
    pair.finish()
}

/// Whoever starts where UDP has never worked finds coordinator, relay and peer.
pub(crate) fn blocked_from_the_start() -> Result<()> {
    let mut stage = Stage::build("blocked-start", &["dc", "rs", "mn", "cn"])?;
    stage.domain.set_transports(&BOTH);
    let core = stage.core.clone();
    let (mn_site, cn_site) = (stage.natted("nat1")?, stage.natted("nat2")?);
    let (dc_host, rs_host) = (stage.host("dc", &core)?, stage.host("rs", &core)?);
    let (mn_host, cn_host) = (stage.host("mn", &mn_site)?, stage.host("cn", &cn_site)?);
    let _dc = stage.domain.start_dc(&dc_host)?;
    let _rs = stage.domain.start_relay(&rs_host)?;
    block(&mn_site)?;
    let (mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "relay")?;
    mn.wait_for_tunnel(by("quic"))?;
    pair.finish()
}

/// The transport of the example in Rust, where UDP does not pass at all: a coordinator and
/// two terminals, of which one moves. `just examples` builds the library and names it.
pub(crate) fn by_a_library_where_udp_never_passes() -> Result<()> {
    let mut stage = Stage::build("blocked-tls", &["dc", "mn", "cn"])?;
    let copy = ntm_built::copied(
        &tls_library().expect("the test is ignored without"),
        Path::new("/run/ntm/blocked-tls/plugins"),
    );
    stage.domain.add_library(&copy, 200, 443);
    let core = stage.core.clone();
    let (mn_site, cn_site) = (stage.natted("nat1")?, stage.open("right")?);
    let elsewhere = stage.natted("nat2")?;
    for site in [&mn_site, &elsewhere] {
        site.router().unwrap().drop_matching("meta l4proto udp")?;
    }
    let dc_host = stage.host("dc", &core)?;
    let (mn_host, cn_host) = (stage.host("mn", &mn_site)?, stage.host("cn", &cn_site)?);
    let _dc = stage.domain.start_dc(&dc_host)?;
    let (mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
    let by_tls = || by("libplugin_rust.so");
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "direct")?;
    pair.tunnels(by_tls())?;
    assert_eq!(mn.ping("cn.example")?["path"]["transport"], "libplugin_rust.so");

    mn_host.move_to(&elsewhere)?;
    pair.more(2 << 20)?;
    pair.tunnels(by_tls())?;
    pair.finish()
}

/// Where `just examples` has put it.
pub(crate) fn tls_library() -> Option<PathBuf> {
    std::env::var_os("NTM_LAB_TLS_LIBRARY").map(PathBuf::from)
}

fn block(site: &Site) -> Result<()> {
    let both = "udp dport 4330 drop; udp sport 4330";
    site.router().unwrap().drop_matching(both)
}

fn pass(site: &Site) -> Result<()> {
    site.router().unwrap().drop_nothing()
}
