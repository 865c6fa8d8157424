use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ntm_core::address::{Leg, LocalPin};
use ntm_core::plugin::{LocalAddress, LocalInterface, Route, Snapshot};

use crate::nat::NatId;

/// The interface that a host has if nothing else is said.
const FIRST: u32 = 2;

/// An address of a host, and the NAT it lies behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The address.
    pub ip: IpAddr,
    /// The NAT between it and the rest; `None`: a global address.
    pub nat: Option<NatId>,
    /// The interface that has it.
    pub interface: u32,
}

impl Attachment {
    /// A global address.
    pub fn global(ip: impl Into<IpAddr>) -> Self {
        Self { ip: ip.into(), nat: None, interface: FIRST }
    }

    /// An address behind a NAT.
    pub fn behind(nat: NatId, ip: impl Into<IpAddr>) -> Self {
        Self { ip: ip.into(), nat: Some(nat), interface: FIRST }
    }

    /// The same on a second interface.
    pub fn on_second(self) -> Self {
        Self { interface: FIRST + 1, ..self }
    }
}

/// What connects a host with the network: interfaces with addresses, those that
/// the kernel prefers first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uplinks {
    attachments: Vec<Attachment>,
    generations: BTreeMap<u32, u64>,
}

impl Uplinks {
    pub(crate) fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    /// How it reaches a family now.
    pub(crate) fn way(&self, ipv6: bool) -> Option<Attachment> {
        self.attachments.iter().find(|a| a.ip.is_ipv6() == ipv6).copied()
    }

    /// How a datagram by this way leaves: held to a link, or as the kernel would
    /// have it. From an address that is gone, not at all.
    pub(crate) fn leaves_by(&self, leg: &Leg) -> Option<Attachment> {
        match leg.local.filter(|pin| pin.ifindex != 0) {
            Some(LocalPin { ip, ifindex }) => {
                let held = |a: &&Attachment| a.ip == ip && a.interface == ifindex;
                self.attachments.iter().find(held).copied()
            }
            None => self.way(leg.remote.is_ipv6()),
        }
    }

    /// The interface that has this address.
    pub(crate) fn interface_of(&self, ip: IpAddr) -> u32 {
        let with = self.attachments.iter().find(|attachment| attachment.ip == ip);
        with.map_or(FIRST, |attachment| attachment.interface)
    }

    /// Plugs everything in anew. An interface has another generation if its
    /// addresses are others, and all have if none are: it is another network of
    /// the same kind.
    pub(crate) fn attach(&mut self, attachments: &[Attachment]) {
        let before = std::mem::replace(&mut self.attachments, attachments.to_vec());
        let of = |list: &[Attachment], interface| {
            let there = list.iter().filter(|a| a.interface == interface).copied();
            there.collect::<Vec<_>>()
        };
        let all: BTreeSet<u32> = before.iter().chain(attachments).map(|a| a.interface).collect();
        let same = |interface: &u32| of(&before, *interface) == of(attachments, *interface);
        let replugged = all.iter().all(same);
        for interface in all.iter().filter(|interface| replugged || !same(interface)) {
            *self.generations.entry(*interface).or_default() += 1;
        }
    }

    /// What a watcher sees.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let address = |attachment: &Attachment| LocalAddress {
            ip: attachment.ip,
            prefix: if attachment.ip.is_ipv6() { 64 } else { 24 },
            usable: true,
            preferred: true,
        };
        let interface = |(index, generation): (&u32, &u64)| {
            let own: Vec<_> =
                self.attachments.iter().filter(|a| a.interface == *index).map(address).collect();
            LocalInterface {
                index: *index,
                name: format!("eth{}", index - FIRST),
                running: !own.is_empty(),
                generation: *generation,
                loopback: false,
                addresses: own,
            }
        };
        Snapshot { interfaces: self.generations.iter().map(interface).collect() }
    }

    /// What the kernel would use towards `to` if only this link were there.
    pub(crate) fn route_by(&self, interface: u32, to: IpAddr, mtu: u32) -> Option<Route> {
        let fits = |a: &&Attachment| a.interface == interface && a.ip.is_ipv6() == to.is_ipv6();
        let way = self.attachments.iter().find(fits)?;
        Some(Route { source: way.ip, ifindex: interface, mtu })
    }

    /// What the kernel would use towards `to`.
    pub(crate) fn route(&self, to: IpAddr, mtu: u32) -> Option<Route> {
        let way = self.way(to.is_ipv6())?;
        Some(Route { source: way.ip, ifindex: way.interface, mtu })
    }
}
