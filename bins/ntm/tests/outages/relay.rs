use ntm_lab::Result;

use crate::stage::{Pair, Stage};

pub(crate) fn killed_with_another_left() -> Result<()> {
    let mut stage = Stage::build("relays", &["dc", "rs1", "rs2", "mn", "cn"])?;
    let core = stage.core.clone();
    let (mn_site, cn_site) = (stage.natted("nat1")?, stage.natted("nat2")?);
    let dc_host = stage.host("dc", &core)?;
    let rs_hosts = [stage.host("rs1", &core)?, stage.host("rs2", &core)?];
    let mn_host = stage.host("mn", &mn_site)?;
    let cn_host = stage.host("cn", &cn_site)?;
    let _dc = stage.domain.start_dc(&dc_host)?;
    let mut relays =
        [stage.domain.start_relay(&rs_hosts[0])?, stage.domain.start_relay(&rs_hosts[1])?];
    let (mn, cn) = (stage.terminal(&mn_host)?, stage.terminal(&cn_host)?);
    let pair = Pair::start([(&mn, &mn_host), (&cn, &cn_host)], "relay")?;

    let [before, _] = pair.tunnels(|_| true)?;
    let dead = before["path"]["remote"].clone();
    let address =
        |host: &ntm_lab::Host| host.address(ntm_lab::Family::V4).map(|ip| format!("{ip}:4330"));
    let used = if dead == address(&rs_hosts[0])? { 0 } else { 1 };
    let other = address(&rs_hosts[1 - used])?;
    relays[used].process.kill()?;

    pair.more(2 << 20)?;
    let [mn_sees, cn_sees] = pair.tunnels(|tunnel| tunnel["path"]["remote"] != dead)?;
    assert_eq!(mn_sees["path"]["remote"], other);
    assert_eq!(cn_sees["path"]["remote"], other);
    assert_eq!(mn_sees["path"]["kind"], "relay");
    pair.finish()
}
