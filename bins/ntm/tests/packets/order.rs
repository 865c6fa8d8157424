//! One flow's packets stay in order, whatever others do.

use std::time::Duration;

use ntm_lab::traffic::{Download, Probe};

use crate::stage::{PATIENCE, Plan};

ntm_lab::trials![a_flow_stays_in_order_beside_bulk_transfers];

const BYTES: u64 = 16 << 20;

/// A stream of datagrams each way beside a download each way, all at once.
fn a_flow_stays_in_order_beside_bulk_transfers() {
    let stage = Plan::default().build();
    let [mn, cn] = stage.ends();
    let probe = Probe { interval: Duration::from_micros(100), size: 900 };
    let probe = probe.start((mn.netns(), mn.vip()), (cn.netns(), cn.vip())).unwrap();
    let downloads = [(cn, mn), (mn, cn)].map(|(server, client)| {
        let download = Download { patience: PATIENCE, ..Download::of(BYTES) };
        download.start(server.netns(), server.vip(), client.netns()).unwrap()
    });
    for download in downloads {
        assert!(download.finish().unwrap().intact);
    }
    let flows = probe.stop(Duration::from_millis(300)).unwrap();
    for flow in [flows.there, flows.back] {
        assert!(flow.received > 1000, "{} of {}", flow.received, flow.sent);
        assert_eq!((flow.reordered, flow.duplicates), (0, 0), "of {}", flow.received);
    }
    stage.is_well();
}
