//! Networks that lose what is too large for them and say nothing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ntm_lab::scenario::domain::{Domain, Mode, Node};
use ntm_lab::traffic::Download;
use ntm_lab::{Conditions, Family, Lab, Tools};

use crate::stage::PATIENCE;

ntm_lab::trials![a_download_crosses_a_narrow_network_and_a_wide_one_again];

const BYTES: u64 = 48 << 20;
const PACE: u64 = 4 << 20;

/// The interface's MTU, and what is left of it where that does not fit.
const FULL: u16 = 1400;
const LEAST: u16 = 1280;

fn a_download_crosses_a_narrow_network_and_a_wide_one_again() {
    let folder = Path::new("/run/ntm/narrow");
    let _of_an_earlier_run = fs::remove_dir_all(folder);
    let program = Path::new(env!("CARGO_BIN_EXE_ntm"));
    let mut domain = Domain::new(program, folder, &["dc", "mn", "cn"]).unwrap();
    let mut lab = Lab::new(Tools::detect()).unwrap();
    let [here, there] = ["here", "there"].map(|name| lab.global_of(name, &[Family::V4]).unwrap());
    let wide = Conditions::round_trip(Duration::from_millis(10));
    let narrow = Conditions { largest_packet: 1400, ..wide };
    let hosts = ["dc", "mn", "cn"].map(|name| {
        let host = lab.host(name, wide).unwrap();
        host.join(&here).unwrap();
        host
    });
    let _dc = domain.start_dc(&hosts[0]).unwrap();
    let [mn, cn] = [&hosts[1], &hosts[2]].map(|it| domain.start_terminal(it, Mode::Fast).unwrap());
    let mover = &hosts[1];

    let download = Download { patience: PATIENCE, ..Download::of(BYTES) }.paced(PACE);
    let vip = cn.vip(Family::V4).unwrap();
    let download = download.start(hosts[2].netns(), vip, mover.netns()).unwrap();
    let more = |bytes| {
        let target = download.received() + bytes;
        assert!(target < BYTES, "the download is too short for this test");
        download.wait_for(target, PATIENCE).unwrap();
    };
    more(1 << 20);
    agree_on(&mn, &cn, FULL);
    for _ in 0..2 {
        mover.eth0().link().set(narrow);
        mover.move_to(&there).unwrap();
        agree_on(&mn, &cn, LEAST);
        more(4 << 20);
        mover.eth0().link().set(wide);
        mover.move_to(&here).unwrap();
        agree_on(&mn, &cn, FULL);
        more(4 << 20);
    }
    let transfer = download.finish().unwrap();
    assert!(transfer.intact, "{transfer:?}");
}

/// Both ends send packets of up to this size.
fn agree_on(mn: &Node, cn: &Node, limit: u16) {
    for node in [mn, cn] {
        node.wait_for_tunnel(|tunnel| tunnel["limit"] == limit).unwrap();
    }
}
