//! The rows of the decision table as places on a simulated network.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ntm_core::coordinator::{Clocks, RelayQuota};
use ntm_core::plugin::{Plan, PlanRequest};
use ntm_core::terminal::{Mode, TunnelState, Way};
use ntm_sim::{Attachment, HostId, Nat, NatId, Setup, World, payload_of};
use ntm_traversal_rs::Rs;

pub(crate) const ROWS: [u8; 5] = [1, 2, 3, 4, 5];

fn decide(request: &PlanRequest) -> Plan {
    Rs::new(Default::default()).expect("the defaults are valid").decide(request)
}

pub(crate) fn setup(seed: u64, mode: Mode) -> Setup {
    Setup { seed, decide, mode, clocks: Clocks::default(), quota: RelayQuota::default() }
}

/// A coordinator, two relays and a pair of terminals.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) dc: HostId,
    pub(crate) relays: [HostId; 2],
    pub(crate) mn: HostId,
    pub(crate) cn: HostId,
    nats: Vec<NatId>,
    ipv6: bool,
    sent: u32,
}

fn global(ipv6: bool, last: u8) -> IpAddr {
    if ipv6 { format!("2001:db8::{last:x}").parse().unwrap() } else { [203, 0, 113, last].into() }
}

fn private(ipv6: bool, net: u8, last: u8) -> IpAddr {
    if ipv6 {
        format!("fd00:{net:x}::{last:x}").parse().unwrap()
    } else {
        [192, 168, net, last].into()
    }
}

impl Pair {
    /// Both ends placed as the row says, each with 2.5 ms to the middle of the
    /// network (10 ms between any two).
    pub(crate) fn new(row: u8, ipv6: bool, mode: Mode, seed: u64) -> Self {
        Self::with(setup(seed, mode), row, ipv6)
    }

    pub(crate) fn with(setup: Setup, row: u8, ipv6: bool) -> Self {
        Self::in_world(World::new(setup), row, ipv6)
    }

    /// The same in a world without hosts.
    pub(crate) fn in_world(mut world: World, row: u8, ipv6: bool) -> Self {
        let both = |last| {
            [Attachment::global(global(false, last)), Attachment::global(global(true, last))]
        };
        let dc = world.add_host("dc.example", &["coordinator"], &both(1));
        let relays = [2, 3]
            .map(|last| world.add_host(&format!("rs{last}.example"), &["relay"], &both(last)));
        let nats = (0..5)
            .map(|at| {
                let public = [global(false, 100 + at), global(true, 100 + at)];
                world.add_nat(Nat::like_linux(&public))
            })
            .collect();
        let mn = world.add_host("mn.example", &["terminal"], &[]);
        let cn = world.add_host("cn.example", &["terminal"], &[]);
        let mut pair = Self { world, dc, relays, mn, cn, nats, ipv6, sent: 0 };
        for host in [pair.dc, pair.relays[0], pair.relays[1], pair.mn, pair.cn] {
            pair.world.host_mut(host).link.delay = Duration::from_micros(2500);
        }
        pair.world.run_for(Duration::from_millis(100));
        pair.place(pair.mn, row, true, 0);
        pair.place(pair.cn, row, false, 0);
        pair.world.run_for(Duration::from_secs(1));
        pair
    }

    /// Where an end is in a row; `variant` tells networks of the same kind apart.
    pub(crate) fn spot(&self, row: u8, is_mn: bool, variant: u8) -> Attachment {
        let natted = match row {
            1 => false,
            2 => is_mn,
            3 => !is_mn,
            _ => true,
        };
        let who = if is_mn { 10 } else { 20 };
        if !natted {
            return Attachment::global(global(self.ipv6, who + variant));
        }
        if row == 5 {
            // One NAT for both; networks behind it.
            let ip = private(self.ipv6, 50 + variant, who);
            return Attachment::behind(self.nats[4], ip);
        }
        let nat = if is_mn { variant } else { 2 + variant };
        Attachment::behind(self.nats[usize::from(nat)], private(self.ipv6, 1, 2))
    }

    pub(crate) fn place(&mut self, host: HostId, row: u8, is_mn: bool, variant: u8) {
        let spot = self.spot(row, is_mn, variant);
        self.world.move_host(host, &[spot]);
    }

    pub(crate) fn nat(&mut self, at: usize) -> &mut Nat {
        let id = self.nats[at];
        self.world.net.nat_mut(id)
    }

    /// Sends a numbered packet each way, every millisecond for `span`.
    pub(crate) fn talk(&mut self, span: Duration) {
        for _ in 0..span.as_millis() {
            let payload = self.sent.to_be_bytes();
            self.world.send(self.mn, self.cn, &payload);
            self.world.send(self.cn, self.mn, &payload);
            self.sent += 1;
            self.world.run_for(Duration::from_millis(1));
        }
    }

    /// Whether packets arrive on both sides now.
    pub(crate) fn talks(&mut self) -> bool {
        let before = [self.mn, self.cn].map(|h| self.world.host(h).received.len());
        self.talk(Duration::from_millis(100));
        self.world.run_for(Duration::from_millis(50));
        let after = [self.mn, self.cn].map(|h| self.world.host(h).received.len());
        after[0] >= before[0] + 95 && after[1] >= before[1] + 95
    }

    /// The way an end uses.
    pub(crate) fn way(&self, host: HostId) -> Option<Way> {
        let status = self.world.host(host).terminal().status(self.world.now());
        let tunnel = status.tunnels.first()?;
        (tunnel.state == TunnelState::Live).then_some(tunnel.way).flatten()
    }

    /// How many numbered packets have been sent each way.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    /// How many of those numbered from `since` have not reached an end.
    pub(crate) fn lost(&self, host: HostId, since: u32) -> usize {
        let received = &self.world.host(host).received;
        let number = |packet: &Vec<u8>| payload_of(packet).try_into().map(u32::from_be_bytes).ok();
        let there: BTreeSet<u32> =
            received.iter().filter_map(|received| number(&received.packet)).collect();
        (since..self.sent).filter(|number| !there.contains(number)).count()
    }

    /// The longest gap between packets that reached an end since `since` packets.
    pub(crate) fn longest_gap(&self, host: HostId, since: usize) -> Duration {
        let received = &self.world.host(host).received[since.saturating_sub(1)..];
        received.windows(2).map(|pair| pair[1].at.since(pair[0].at)).max().unwrap_or(Duration::MAX)
    }
}
