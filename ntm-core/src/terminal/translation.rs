//! In a network of IPv6 alone: peers and relays of IPv4 through its translator.

use super::Terminal;
use super::cx::Cx;
use super::remote::Remote;
use super::tunnel::Tunnel;
use crate::Time;
use crate::address::{Candidate, Leg, Nat64};
use crate::id::Epoch;

impl Terminal {
    /// Whether we are in a network of IPv6 alone, in which IPv4 may be reached by a
    /// translator: tell with [`Terminal::set_nat64`] what its prefix is.
    pub fn is_ipv6_only(&self) -> bool {
        self.surroundings.is_ipv6_only()
    }

    /// How the network that we are in, if it is one of IPv6 alone, reaches IPv4; `None`
    /// if it does not. What was told is used until something else is, in the next
    /// network too. Then comes [`Terminal::handle_addresses`] with the routes to
    /// [`Terminal::destinations`], of which there are others now.
    pub fn set_nat64(&mut self, now: Time, nat64: Option<Nat64>) {
        self.surroundings.set_nat64(nat64);
        self.client.set_nat64(nat64);
        let paths: Vec<_> = self.tunnels.keys().copied().collect();
        for path in paths {
            self.with_tunnel(now, &path, |tunnel, cx| {
                tunnel.translate(cx);
                if tunnel.update.is_some() && tunnel.is_live(now) {
                    tunnel.send_update(cx);
                }
            });
        }
        self.settle(now);
    }
}

impl Tunnel {
    /// Adds the ways through the translator to those of IPv4, which lead nowhere here.
    pub(super) fn translate(&mut self, cx: &mut Cx<'_>) {
        if cx.surroundings.nat64().is_none() {
            return;
        }
        let translated = |remote: &Remote| {
            let epoch = remote.named.max(remote.confirmed.map(|confirmed| confirmed.peer))?;
            let kind = cx.node.kind_of(remote.leg.transport);
            let leg = cx.leg_through_nat64(&Candidate { kind, addr: remote.leg.remote })?;
            Some((leg, epoch))
        };
        let direct = self.remotes.iter().filter(|remote| remote.relay.is_none());
        let legs: Vec<(Leg, Epoch)> = direct.filter_map(translated).collect();
        let keep = self.selected.map(|selected| selected.leg);
        for (leg, epoch) in legs {
            self.remotes.note(cx.now, &leg, None, keep).name(epoch);
        }
        if self.is_live(cx.now) {
            self.translate_relays(cx);
        }
    }
}
