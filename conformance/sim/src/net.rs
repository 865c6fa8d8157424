use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ntm_core::wire::PORT;
use ntm_core::{Rng, Time};

use crate::host::{HostId, QUIC_PORT};
use crate::link::{Link, Wire};
use crate::nat::{Nat, NatId};
use crate::uplink::Attachment;

/// A datagram that was seen in the middle of the network.
#[derive(Clone, Debug)]
pub struct Observed {
    /// When.
    pub at: Time,
    /// Who sent it.
    pub host: HostId,
    /// Who gets it, unless it is lost.
    pub target: HostId,
    /// The source as the network shows it.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// Its bytes.
    pub datagram: Vec<u8>,
}

/// A datagram that will arrive.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Time,
    pub(crate) host: HostId,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) datagram: Vec<u8>,
}

/// Where an address means something: everywhere, or behind a NAT.
type Realm = Option<NatId>;

/// The two directions of a host's link.
#[derive(Clone, Copy, Debug, Default)]
struct Wires {
    up: Wire,
    down: Wire,
}

/// The network between the hosts.
#[derive(Debug)]
pub struct Network {
    nats: Vec<Nat>,
    /// Outer addresses of NATs.
    doors: BTreeMap<(Realm, IpAddr), NatId>,
    /// Addresses of hosts. If two have the same, the first is reached.
    places: BTreeMap<(Realm, IpAddr), BTreeSet<HostId>>,
    wires: BTreeMap<HostId, Wires>,
    rng: Rng,
    /// Everything that crossed the network, if a test wants to see it.
    pub tap: Option<Vec<Observed>>,
    /// Addresses that nothing reaches or leaves.
    cut: BTreeSet<IpAddr>,
    /// Addresses between which nothing larger passes, in bytes of the IP packet.
    narrow: BTreeMap<(IpAddr, IpAddr), usize>,
    /// Hosts between which, in this direction, nothing passes.
    severed: BTreeSet<(HostId, HostId)>,
    /// Hosts whose networks let nothing pass to and from this port elsewhere.
    blocked: BTreeSet<(HostId, u16)>,
    /// Hosts between which, in this direction, everything takes longer.
    detours: BTreeMap<(HostId, HostId), Duration>,
}

/// A datagram and where it is going, on its way through the network.
struct Packet<'a> {
    sender: HostId,
    link: &'a Link,
    way: Attachment,
    /// Where it comes from on that way.
    port: u16,
    to: SocketAddr,
    datagram: &'a [u8],
}

/// Whether a host may listen at this port.
fn listens(port: u16) -> bool {
    [PORT, QUIC_PORT].contains(&port)
}

/// What an IP packet adds to a datagram.
fn headers(to: SocketAddr) -> usize {
    if to.is_ipv6() { 48 } else { 28 }
}

impl Network {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            nats: Vec::new(),
            doors: BTreeMap::new(),
            places: BTreeMap::new(),
            wires: BTreeMap::new(),
            rng,
            tap: None,
            cut: BTreeSet::new(),
            narrow: BTreeMap::new(),
            severed: BTreeSet::new(),
            blocked: BTreeSet::new(),
            detours: BTreeMap::new(),
        }
    }

    pub(crate) fn add_nat(&mut self, nat: Nat) -> NatId {
        let id = NatId(self.nats.len());
        for public in nat.public() {
            self.doors.insert((nat.carrier(), *public), id);
        }
        self.nats.push(nat);
        id
    }

    /// A NAT, to make it forget.
    pub fn nat_mut(&mut self, id: NatId) -> &mut Nat {
        &mut self.nats[id.0]
    }

    /// A host is where it was not before.
    pub(crate) fn place(&mut self, host: HostId, before: &[Attachment], after: &[Attachment]) {
        for realm_and_ip in self.known_as(before) {
            if let Some(there) = self.places.get_mut(&realm_and_ip) {
                there.remove(&host);
                if there.is_empty() {
                    self.places.remove(&realm_and_ip);
                }
            }
        }
        for realm_and_ip in self.known_as(after) {
            self.places.entry(realm_and_ip).or_default().insert(host);
        }
    }

    /// Where hosts with these attachments are found.
    fn known_as(&self, attachments: &[Attachment]) -> Vec<(Realm, IpAddr)> {
        let mut known = Vec::new();
        for Attachment { ip, nat, .. } in attachments {
            known.push((*nat, *ip));
            if let Some(nat) = nat.map(|nat| &self.nats[nat.0])
                && nat.passes_ipv6()
            {
                known.push((nat.carrier(), *ip));
            }
        }
        known
    }

    /// Nothing reaches or leaves this address any more.
    pub fn cut(&mut self, ip: IpAddr) {
        self.cut.insert(ip);
    }

    /// What is larger than `mtu` bytes is lost without a word between these two, as they
    /// show themselves in the middle of the network. Nobody's routes tell of it.
    pub fn narrow(&mut self, one: IpAddr, other: IpAddr, mtu: usize) {
        self.narrow.insert((one, other), mtu);
        self.narrow.insert((other, one), mtu);
    }

    /// Nothing passes from one host to the other any more, whatever way it takes.
    pub fn sever(&mut self, from: HostId, to: HostId) {
        self.severed.insert((from, to));
    }

    /// The network that a host is in lets nothing pass to and from this port elsewhere.
    pub fn block(&mut self, host: HostId, port: u16) {
        self.blocked.insert((host, port));
    }

    /// What one host sends to the other takes so much longer, and what is sent
    /// after the detour's end overtakes it.
    pub fn detour(&mut self, from: HostId, to: HostId, longer: Duration) {
        self.detours.insert((from, to), longer);
        self.detours.retain(|_, longer| !longer.is_zero());
    }

    /// Everything passes again.
    pub fn mend(&mut self) {
        self.cut.clear();
        self.narrow.clear();
        self.severed.clear();
        self.blocked.clear();
        self.detours.clear();
    }

    /// Everything passes again between these two.
    pub fn rejoin(&mut self, one: HostId, other: HostId) {
        self.severed.remove(&(one, other));
        self.severed.remove(&(other, one));
    }

    /// Sends a datagram from a host; where and when it arrives, perhaps twice or
    /// nowhere. `links` has every host's link.
    pub(crate) fn send<'a>(
        &mut self,
        now: Time,
        sender: HostId,
        way: Option<(Attachment, u16)>,
        to: SocketAddr,
        datagram: &[u8],
        links: impl Fn(HostId) -> &'a Link,
    ) -> Vec<Arrival> {
        if to.ip().is_loopback() {
            let at = now + Duration::from_micros(10);
            let from = SocketAddr::new(to.ip(), way.map_or(PORT, |(_, port)| port));
            return vec![Arrival { at, host: sender, from, to, datagram: datagram.to_vec() }];
        }
        let Some((way, port)) = way else { return Vec::new() };
        let packet = Packet { sender, link: links(sender), way, port, to, datagram };
        self.carry(now, &packet, links)
    }

    fn carry<'a>(
        &mut self,
        now: Time,
        packet: &Packet<'_>,
        links: impl Fn(HostId) -> &'a Link,
    ) -> Vec<Arrival> {
        let Packet { sender, link, way, port, to, datagram } = *packet;
        let Some((from, target, to_inner)) = self.route(now, way, port, to) else {
            return Vec::new();
        };
        if let Some(tap) = &mut self.tap {
            let datagram = datagram.to_vec();
            tap.push(Observed { at: now, host: sender, target, from, to, datagram });
        }
        if self.cut.contains(&from.ip())
            || self.cut.contains(&to.ip())
            || self.severed.contains(&(sender, target))
            || self.blocked.contains(&(sender, to.port()))
            || self.blocked.contains(&(target, from.port()))
        {
            return Vec::new();
        }
        let bytes = datagram.len() + headers(to);
        if self.narrow.get(&(from.ip(), to.ip())).is_some_and(|mtu| bytes > *mtu) {
            return Vec::new();
        }
        let longer = self.detours.get(&(sender, target)).copied().unwrap_or_default();
        let up = &mut self.wires.entry(sender).or_default().up;
        let halfway: Vec<_> = up.pass(link, now, bytes, &mut self.rng).collect();
        let down = &mut self.wires.entry(target).or_default().down;
        let link = links(target);
        let mut arrivals = Vec::new();
        for at in halfway {
            arrivals.extend(down.pass(link, at, bytes, &mut self.rng).map(|at| Arrival {
                at: at + longer,
                host: target,
                from,
                to: to_inner,
                datagram: datagram.to_vec(),
            }));
        }
        arrivals
    }

    /// The source that the receiver sees, the receiver, and the address it is
    /// known by there: out through NATs until somebody has the address, and in
    /// again.
    fn route(
        &mut self,
        now: Time,
        way: Attachment,
        port: u16,
        to: SocketAddr,
    ) -> Option<(SocketAddr, HostId, SocketAddr)> {
        let (mut from, mut to) = (SocketAddr::new(way.ip, port), to);
        let mut realm = way.nat;
        let mut crossed = Vec::new();
        loop {
            let place = self.places.get(&(realm, to.ip())).filter(|_| listens(to.port()));
            if let Some(host) = place.and_then(BTreeSet::first) {
                return Some((from, *host, to));
            }
            if let Some(door) = self.doors.get(&(realm, to.ip())).copied() {
                return self.descend(now, door, from, to, &crossed);
            }
            let out = realm?;
            let nat = &mut self.nats[out.0];
            (from, to) = nat.leave(now, from, to)?;
            realm = nat.carrier();
            crossed.push(out);
        }
    }

    fn descend(
        &mut self,
        now: Time,
        mut door: NatId,
        mut from: SocketAddr,
        mut to: SocketAddr,
        crossed: &[NatId],
    ) -> Option<(SocketAddr, HostId, SocketAddr)> {
        loop {
            let nat = &mut self.nats[door.0];
            if crossed.contains(&door) && !nat.hairpins() {
                return None;
            }
            (from, to) = nat.enter(now, from, to)?;
            let place = self.places.get(&(Some(door), to.ip())).filter(|_| listens(to.port()));
            if let Some(host) = place.and_then(BTreeSet::first) {
                return Some((from, *host, to));
            }
            door = *self.doors.get(&(Some(door), to.ip()))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn addr(text: &str) -> SocketAddr {
        SocketAddr::new(ip(text), PORT)
    }

    fn network() -> Network {
        Network::new(Rng::from_seed([1; 32]))
    }

    #[test]
    fn behind_a_carrier_two_homes_meet_only_if_it_hairpins() {
        for hairpins in [false, true] {
            let mut net = network();
            let carrier = Nat::full_cone(&[ip("203.0.113.9")]);
            let carrier = net.add_nat(if hairpins { carrier.hairpinning() } else { carrier });
            let homes = ["100.64.0.1", "100.64.0.2"]
                .map(|outer| net.add_nat(Nat::full_cone(&[ip(outer)]).behind(carrier)));
            let inside = homes.map(|home| Attachment::behind(home, [192, 168, 1, 2]));
            net.place(HostId(1), &[], &inside[..1]);
            net.place(HostId(2), &[], &inside[1..]);
            net.place(HostId(3), &[], &[Attachment::global([198, 51, 100, 1])]);
            let server = addr("198.51.100.1");
            let (one, to, _) = net.route(NOW, inside[0], PORT, server).unwrap();
            assert_eq!((one, to), (addr("203.0.113.9"), HostId(3)));
            let (two, _, _) = net.route(NOW, inside[1], PORT, server).unwrap();
            assert_eq!(two.ip(), one.ip(), "of one carrier");
            assert_ne!(two.port(), one.port());
            let back = net.route(NOW, Attachment::global([198, 51, 100, 1]), PORT, two);
            assert_eq!(back, Some((server, HostId(2), addr("192.168.1.2"))));
            let across = net.route(NOW, inside[0], PORT, two);
            assert_eq!(
                across.map(|(from, host, _)| (from, host)),
                hairpins.then_some((one, HostId(2)))
            );
            // Between the homes there is only the carrier.
            assert_eq!(
                net.route(NOW, inside[0], PORT, addr("192.168.1.2")).map(|found| found.1),
                Some(HostId(1))
            );
        }
    }

    #[test]
    fn who_is_behind_a_nat64_is_reached_by_ipv6_as_it_is() {
        let mut net = network();
        let gate = net.add_nat(Nat::nat64(ip("203.0.113.64")));
        let inside = Attachment::behind(gate, ip("2001:db8:1::2"));
        let outside =
            [Attachment::global([198, 51, 100, 1]), Attachment::global(ip("2001:db8::1"))];
        net.place(HostId(1), &[], &[inside]);
        net.place(HostId(2), &[], &outside);
        let by_prefix = SocketAddr::new(crate::nat::embed([198, 51, 100, 1].into()), PORT);
        let (from, host, to) = net.route(NOW, inside, PORT, by_prefix).unwrap();
        assert_eq!((from, host, to), (addr("203.0.113.64"), HostId(2), addr("198.51.100.1")));
        let back = net.route(NOW, outside[0], PORT, from);
        assert_eq!(back, Some((by_prefix, HostId(1), addr("2001:db8:1::2"))));
        let native = net.route(NOW, inside, PORT, addr("2001:db8::1"));
        assert_eq!(native, Some((addr("2001:db8:1::2"), HostId(2), addr("2001:db8::1"))));
        let in_again = net.route(NOW, outside[1], PORT, addr("2001:db8:1::2"));
        assert_eq!(in_again.map(|found| found.1), Some(HostId(1)));
    }

    #[test]
    fn who_has_left_is_not_found() {
        let mut net = network();
        let there = [Attachment::global([198, 51, 100, 1])];
        net.place(HostId(1), &[], &there);
        let from = Attachment::global([198, 51, 100, 2]);
        assert!(net.route(NOW, from, PORT, addr("198.51.100.1")).is_some());
        net.place(HostId(1), &there, &[]);
        assert!(net.route(NOW, from, PORT, addr("198.51.100.1")).is_none());
    }
}
