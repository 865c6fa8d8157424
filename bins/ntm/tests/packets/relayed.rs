//! The same through a relay, which counts and limits packets and not the runs in
//! which it forwards them.

use std::time::Instant;

use ntm_lab::scenario::until;

use crate::stage::{PATIENCE, Plan, Stage};
use crate::traffic::download;

ntm_lab::trials![everything_gets_through_a_relay_which_counts_packets, a_pair_is_held_to_its_rate];

fn everything_gets_through_a_relay_which_counts_packets() {
    let stage = Plan { relayed: true, ..Plan::default() }.build();
    stage.exchange();
    stage.is_well();
    // Keep-alives and the like: a few a second.
    const OTHERS: u64 = 200;
    until("all are counted", PATIENCE, || {
        let (sent, received) = stage.both_ways();
        let forwarded = stage.forwarded();
        Ok((received..=sent + OTHERS).contains(&forwarded).then_some(()))
    })
    .unwrap_or_else(|error| {
        panic!("{error}: {:?} and {}", stage.both_ways(), stage.forwarded());
    });
}

/// Its bucket holds a second's worth: more than that and what is earned since then
/// never passes.
fn a_pair_is_held_to_its_rate() {
    const RATE: u64 = 1_000_000;
    let quota = format!("[coordinator.relay_quota]\nrate = {RATE}\n");
    let stage = Plan { dc: &quota, relayed: true, ..Plan::default() }.build();
    let bytes = 5 * RATE / 2;
    let begun = Instant::now();
    download(&stage.cn, &stage.mn, bytes);
    let most = RATE as f64 * (1.0 + begun.elapsed().as_secs_f64());
    assert!(bytes as f64 <= most, "{bytes} bytes passed, at most {most} were allowed");
    let (sent, received) = stage.both_ways();
    assert!(stage.forwarded() <= sent && received < sent, "nothing was dropped");
}

impl Stage {
    /// Packets that the terminals have sent and received.
    fn both_ways(&self) -> (u64, u64) {
        let count = |key: &str| -> u64 {
            self.ends().map(|end| end.tunnel()["traffic"][key].as_u64().unwrap()).iter().sum()
        };
        (count("sent_packets"), count("received_packets"))
    }

    fn forwarded(&self) -> u64 {
        let relay = self.relay.as_ref().unwrap();
        relay.node.status().unwrap()["relay"]["forwarded"].as_u64().unwrap()
    }
}
