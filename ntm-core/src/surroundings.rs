use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::address::{Candidate, LocalPin, Nat64, Prefix, Scope};
use crate::machine::Node;
use crate::outlook::{Attachment, Outlook};
use crate::plugin::{Route, Snapshot};
use crate::preference::{Preference, Rank};
use crate::wire::RegistrationRequest;

/// What a node knows of its own addresses, and the decision whether a
/// change of them is a move.
///
/// A move is: the system would now use another source, interface or network
/// (the same interface plugged in anew) towards the coordinator or a live peer.
/// Nothing else is; a new address that nothing would be sent from only changes
/// what is claimed. While the link in use goes on working, a better one beside it
/// is no move either before it is [taken](Self::take_better).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Surroundings {
    own_interface: Option<u32>,
    nat64: Option<Nat64>,
    ranges: Vec<Prefix>,
    snapshot: Snapshot,
    claimed: Vec<Candidate>,
    ways: BTreeMap<IpAddr, Outlook>,
    preference: Preference,
    /// The ways by single links that the next look takes in.
    beside: Vec<(IpAddr, Route)>,
    /// Our addresses on links that work and were left for better ones.
    left: BTreeSet<IpAddr>,
}

/// What a new look at the addresses means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    /// Nothing.
    Same,
    /// Other addresses to claim, but no move.
    Claims,
    /// A move.
    Moved {
        /// The source used now.
        source: IpAddr,
        /// Nothing sent to the old source will arrive.
        old_gone: bool,
    },
}

impl Surroundings {
    /// The virtual interface, whose addresses are never real ones.
    pub(crate) fn set_own_interface(&mut self, ifindex: Option<u32>) {
        self.own_interface = ifindex;
    }

    /// The ranges of virtual addresses, which are never real ones.
    pub(crate) fn set_ranges(&mut self, ranges: Vec<Prefix>) {
        self.ranges = ranges;
    }

    /// Which links are better than others.
    pub(crate) fn set_preference(&mut self, preference: Preference) {
        self.preference = preference;
    }

    /// How this network reaches IPv4 if it is one of IPv6 alone.
    pub(crate) fn set_nat64(&mut self, nat64: Option<Nat64>) {
        self.nat64 = nat64;
    }

    /// How IPv4 is reached from here, where that takes a translation.
    pub(crate) fn nat64(&self) -> Option<Nat64> {
        self.nat64.filter(|_| self.is_ipv6_only())
    }

    /// Whether there are addresses of IPv6 that reach others, and none of IPv4.
    pub(crate) fn is_ipv6_only(&self) -> bool {
        let has = |ipv6| self.claimed.iter().any(|own| own.addr.is_ipv6() == ipv6);
        has(true) && !has(false)
    }

    /// The addresses to claim.
    pub(crate) fn claimed(&self) -> &[Candidate] {
        &self.claimed
    }

    /// Whether there is a way to `ip` now.
    pub(crate) fn has_route(&self, ip: IpAddr) -> bool {
        self.ways.get(&ip).is_some_and(|outlook| outlook.now.is_some())
    }

    /// Whether something sent to `ip` may arrive: there is a way, or nobody has
    /// asked, and we have an address of its family.
    pub(crate) fn may_reach(&self, ip: IpAddr) -> bool {
        let has_family = || self.claimed.iter().any(|own| own.addr.is_ipv6() == ip.is_ipv6());
        self.ways.get(&ip).map_or_else(has_family, |outlook| outlook.now.is_some())
    }

    /// Whether it is known if there is a way to `ip`.
    pub(crate) fn is_known(&self, ip: IpAddr) -> bool {
        self.ways.contains_key(&ip)
    }

    /// The largest IP packet on the way to `ip`, where known.
    pub(crate) fn mtu_to(&self, ip: IpAddr) -> Option<u32> {
        self.ways.get(&ip).and_then(|outlook| outlook.now).map(|attachment| attachment.mtu)
    }

    /// Forgets destinations that are of no interest any more.
    pub(crate) fn keep_only(&mut self, destinations: &BTreeSet<IpAddr>) {
        self.ways.retain(|ip, _| destinations.contains(ip));
    }

    /// Takes in the ways to destinations that were not asked about before.
    pub(crate) fn add_ways(&mut self, routes: &[(IpAddr, Option<Route>)]) {
        for (ip, route) in routes {
            let system = route.as_ref().and_then(|route| self.attachment(route));
            let outlook = match self.held_like(*ip) {
                Some(other) => Outlook::like(other, system),
                None => Outlook::of_system(system),
            };
            self.ways.entry(*ip).or_insert(outlook);
        }
    }

    /// The single links to ask about before the next [`update`](Self::update),
    /// each with a destination: those in use that the system would leave now, and
    /// where rules choose among links, all.
    pub(crate) fn questions(
        &self,
        snapshot: &Snapshot,
        routes: &[(IpAddr, Option<Route>)],
    ) -> Vec<(u32, IpAddr)> {
        let by_rule = !self.preference.is_the_systems();
        let mut questions = Vec::new();
        for (ip, route) in routes {
            let used = self.ways.get(ip).and_then(|outlook| outlook.now).map(|now| now.ifindex);
            let system = route.as_ref().map(|route| route.ifindex);
            let any = by_rule && Scope::of(*ip) == Scope::Global;
            let links = snapshot.interfaces.iter().filter(|link| {
                let in_use = used == Some(link.index) && system.is_some();
                (in_use || any)
                    && system != Some(link.index)
                    && self.own_interface != Some(link.index)
                    && link.running
                    && !link.loopback
                    && link.addresses.iter().any(|a| a.usable && a.ip.is_ipv6() == ip.is_ipv6())
            });
            questions.extend(links.map(|link| (link.index, *ip)));
        }
        questions
    }

    /// The answers: how a destination is reached by a single link.
    pub(crate) fn note_beside(&mut self, beside: Vec<(IpAddr, Route)>) {
        self.beside = beside;
    }

    /// Where packets to `ip` have to be held to, since the system would send them
    /// by another link. Where nothing is known of `ip`, as others of its family.
    pub(crate) fn pin(&self, ip: IpAddr) -> Option<LocalPin> {
        let outlook = self.ways.get(&ip).or_else(|| self.held_like(ip));
        outlook.and_then(Outlook::pin)
    }

    /// A destination of the same family that is reached against the system's will.
    fn held_like(&self, ip: IpAddr) -> Option<&Outlook> {
        let alike =
            |other: &IpAddr| other.is_ipv6() == ip.is_ipv6() && Scope::of(*other) == Scope::Global;
        let mut held =
            self.ways.iter().filter(|(other, outlook)| alike(other) && outlook.pin().is_some());
        held.next().filter(|_| Scope::of(ip) == Scope::Global).map(|(_, outlook)| outlook)
    }

    /// Whether anything is held to a link.
    pub(crate) fn holds(&self) -> bool {
        self.ways.values().any(|outlook| outlook.pin().is_some())
    }

    /// By which other link `ip` would be reached better.
    pub(crate) fn better(&self, ip: IpAddr) -> Option<LocalPin> {
        self.ways.get(&ip).and_then(Outlook::better)
    }

    /// All links that would be better for something.
    pub(crate) fn better_links(&self) -> BTreeSet<LocalPin> {
        self.ways.values().filter_map(Outlook::better).collect()
    }

    /// Uses the better links: a move. Its source, if there was any.
    pub(crate) fn take_better(&mut self) -> Option<IpAddr> {
        let mut source = None;
        self.left.clear();
        for outlook in self.ways.values_mut() {
            let before = outlook.now;
            if let Some(taken) = outlook.take_better() {
                source = source.or(Some(taken.source));
                self.left.extend(before.map(|before| before.source));
            }
        }
        source
    }

    /// Whether this is an address of ours that was left for a better one: it still
    /// receives, and nobody shall choose it.
    pub(crate) fn has_left(&self, local: Option<LocalPin>) -> bool {
        local.is_some_and(|local| self.left.contains(&local.ip))
    }

    /// Whether we are still where this says.
    pub(crate) fn is_attached(&self, pin: &LocalPin) -> bool {
        self.snapshot.interfaces.iter().any(|link| {
            let has = |ip| link.addresses.iter().any(|address| address.ip == ip && address.usable);
            link.index == pin.ifindex && link.running && has(pin.ip)
        })
    }

    /// Takes in a new look at the addresses and the ways.
    pub(crate) fn update(
        &mut self,
        node: &Node,
        snapshot: Snapshot,
        routes: &[(IpAddr, Option<Route>)],
    ) -> Verdict {
        self.snapshot = snapshot;
        let claimed = self.addresses(node);
        let claims_changed = claimed != self.claimed;
        self.claimed = claimed;
        let mut verdict = if claims_changed { Verdict::Claims } else { Verdict::Same };
        let mut lost = None;
        let mut kept = false;
        let mut gained = None;
        let beside = std::mem::take(&mut self.beside);
        for (ip, route) in routes {
            let is_new = !self.ways.contains_key(ip);
            let mut outlook = self.ways.get(ip).copied().unwrap_or_default();
            let before = outlook.now.or(outlook.before);
            let lost_in_between = outlook.now.is_none() && outlook.before.is_some();
            let attachment = self.choose(&mut outlook, *ip, route.as_ref(), &beside);
            outlook.now = attachment;
            outlook.before = if attachment.is_some() { None } else { before };
            self.ways.insert(*ip, outlook);
            let (Some(now), Some(before)) = (attachment, before) else {
                lost = lost.or(before);
                gained = gained.or(attachment.filter(|_| !is_new));
                continue;
            };
            kept = true;
            if !is_new && (lost_in_between || !now.is_at(&before)) {
                self.left.remove(&now.source);
                let old_gone = !self.has_usable(before.source) || now.source == before.source;
                verdict = match verdict {
                    Verdict::Moved { source, old_gone: and_gone } => {
                        Verdict::Moved { source, old_gone: old_gone && and_gone }
                    }
                    Verdict::Same | Verdict::Claims => {
                        Verdict::Moved { source: now.source, old_gone }
                    }
                };
            }
        }
        // From a network of one family to one of the other: no destination has
        // another way, but nothing is reached that was, and something that was not.
        if let (Some(lost), Some(gained), false) = (lost, gained, kept) {
            let old_gone = !self.has_usable(lost.source);
            return Verdict::Moved { source: gained.source, old_gone };
        }
        verdict
    }

    /// By which link to reach `ip` from now on.
    fn choose(
        &self,
        outlook: &mut Outlook,
        ip: IpAddr,
        route: Option<&Route>,
        beside: &[(IpAddr, Route)],
    ) -> Option<Attachment> {
        let system = route.and_then(|route| self.attachment(route));
        let beside = beside.iter().filter(|(to, _)| *to == ip);
        let beside: Vec<_> = beside.filter_map(|(_, route)| self.attachment(route)).collect();
        let by_rule = !self.preference.is_the_systems() && Scope::of(ip) == Scope::Global;
        let rank = by_rule.then_some(|at: &Attachment| self.rank(at));
        outlook.choose(system, &beside, rank)
    }

    fn rank(&self, at: &Attachment) -> Rank {
        let link = self.snapshot.interfaces.iter().find(|link| link.index == at.ifindex);
        let name = link.map_or("", |link| link.name.as_str());
        self.preference.rank(name, at.source.is_ipv6())
    }

    fn attachment(&self, route: &Route) -> Option<Attachment> {
        let interface = self.snapshot.interfaces.iter().find(|i| i.index == route.ifindex)?;
        let through_ourselves = self.own_interface == Some(route.ifindex)
            || self.ranges.iter().any(|range| range.contains(route.source));
        (interface.running && !through_ourselves).then_some(Attachment {
            source: route.source,
            ifindex: route.ifindex,
            generation: interface.generation,
            mtu: route.mtu,
        })
    }

    fn has_usable(&self, ip: IpAddr) -> bool {
        self.snapshot
            .interfaces
            .iter()
            .filter(|interface| interface.running)
            .flat_map(|interface| &interface.addresses)
            .any(|address| address.ip == ip && address.usable)
    }

    /// The real addresses of this machine, preferred ones first, each with the
    /// port of every transport that carries its family.
    fn addresses(&self, node: &Node) -> Vec<Candidate> {
        let own = self.own_interface;
        let mut addresses: Vec<_> = self
            .snapshot
            .interfaces
            .iter()
            .filter(|i| i.running && !i.loopback && Some(i.index) != own)
            .flat_map(|interface| &interface.addresses)
            .filter(|address| {
                address.usable
                    && Scope::of(address.ip) != Scope::Nowhere
                    && !self.ranges.iter().any(|range| range.contains(address.ip))
            })
            .collect();
        addresses.sort_by_key(|address| !address.preferred);
        let mut claimed = Vec::new();
        for transport in &node.transports {
            for address in &addresses {
                let addr = SocketAddr::new(address.ip, transport.port);
                let candidate = Candidate { kind: transport.kind, addr };
                if transport.carries(address.ip.is_ipv6()) && !claimed.contains(&candidate) {
                    claimed.push(candidate);
                }
            }
        }
        claimed.truncate(RegistrationRequest::MOST_CLAIMED);
        claimed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::address::TransportKind;
    use crate::crypto::Identity;
    use crate::machine::TransportFacts;
    use crate::plugin::{LocalAddress, LocalInterface};

    fn node() -> Node {
        Node {
            identity: Identity::generate(&mut Rng::from_seed([0; 32])),
            name: "mn.example".parse().unwrap(),
            unix_at_zero: 0,
            transports: vec![TransportFacts {
                kind: TransportKind::UDP,
                port: 4330,
                ipv4: true,
                ipv6: true,
            }],
        }
    }

    fn interface(index: u32, generation: u64, addresses: &[&str]) -> LocalInterface {
        LocalInterface {
            index,
            name: format!("eth{index}"),
            running: true,
            generation,
            loopback: false,
            addresses: addresses
                .iter()
                .map(|ip| LocalAddress {
                    ip: ip.parse().unwrap(),
                    prefix: 24,
                    usable: true,
                    preferred: true,
                })
                .collect(),
        }
    }

    fn route(source: &str, ifindex: u32) -> Option<Route> {
        Some(Route { source: source.parse().unwrap(), ifindex, mtu: 1500 })
    }

    const DC: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

    fn look(
        surroundings: &mut Surroundings,
        interfaces: &[LocalInterface],
        way: Option<Route>,
    ) -> Verdict {
        let snapshot = Snapshot { interfaces: interfaces.to_vec() };
        surroundings.update(&node(), snapshot, &[(DC, way)])
    }

    /// A terminal at 192.168.1.2 on interface 1.
    fn settled() -> Surroundings {
        let mut surroundings = Surroundings::default();
        let verdict =
            look(&mut surroundings, &[interface(1, 0, &["192.168.1.2"])], route("192.168.1.2", 1));
        assert_eq!(verdict, Verdict::Claims, "the first look is no move");
        surroundings
    }

    #[test]
    fn another_source_is_a_move() {
        let mut surroundings = settled();
        let both = [interface(1, 0, &["192.168.1.2"]), interface(2, 0, &["10.0.0.7"])];
        assert_eq!(look(&mut surroundings, &both, route("192.168.1.2", 1)), Verdict::Claims);
        let moved = Verdict::Moved { source: "10.0.0.7".parse().unwrap(), old_gone: false };
        assert_eq!(look(&mut surroundings, &both, route("10.0.0.7", 2)), moved);
        assert_eq!(look(&mut surroundings, &both, route("10.0.0.7", 2)), Verdict::Same);
    }

    #[test]
    fn an_address_that_is_lost_and_replaced_is_a_move_and_the_old_one_is_gone() {
        let mut surroundings = settled();
        assert_eq!(look(&mut surroundings, &[], None), Verdict::Claims);
        assert!(!surroundings.has_route(DC));
        let moved = Verdict::Moved { source: "10.0.0.7".parse().unwrap(), old_gone: true };
        let after = [interface(1, 2, &["10.0.0.7"])];
        assert_eq!(look(&mut surroundings, &after, route("10.0.0.7", 1)), moved);
    }

    #[test]
    fn from_one_family_to_the_other_is_a_move_and_another_family_beside_it_is_none() {
        let dc_v6: IpAddr = "2001:db8::1".parse().unwrap();
        let look = |surroundings: &mut Surroundings, addresses: &[&str]| {
            let of = |ipv6: bool| {
                let ip = addresses.iter().find(|ip| ip.contains(':') == ipv6);
                ip.and_then(|ip| route(ip, 1))
            };
            let snapshot = Snapshot { interfaces: vec![interface(1, 0, addresses)] };
            surroundings.update(&node(), snapshot, &[(DC, of(false)), (dc_v6, of(true))])
        };
        let (v4, v6) = ("192.168.1.2", "2001:db8::7");
        let moved = Verdict::Moved { source: v6.parse().unwrap(), old_gone: true };
        let mut surroundings = Surroundings::default();
        assert_eq!(look(&mut surroundings, &[v4]), Verdict::Claims);
        assert_eq!(look(&mut surroundings, &[v6]), moved);
        let mut surroundings = Surroundings::default();
        look(&mut surroundings, &[v4]);
        assert_eq!(look(&mut surroundings, &[]), Verdict::Claims, "nowhere in between");
        assert_eq!(look(&mut surroundings, &[v6]), moved);
        assert_eq!(look(&mut surroundings, &[v6]), Verdict::Same);
        let mut surroundings = Surroundings::default();
        look(&mut surroundings, &[v4]);
        assert_eq!(look(&mut surroundings, &[v4, v6]), Verdict::Claims);
    }

    #[test]
    fn the_same_address_in_another_network_is_a_move() {
        let mut surroundings = settled();
        let moved = Verdict::Moved { source: "192.168.1.2".parse().unwrap(), old_gone: true };
        let replugged = [interface(1, 2, &["192.168.1.2"])];
        assert_eq!(look(&mut surroundings, &replugged, route("192.168.1.2", 1)), moved);
        let mut surroundings = settled();
        look(&mut surroundings, &[], None);
        let back = [interface(1, 0, &["192.168.1.2"])];
        assert_eq!(look(&mut surroundings, &back, route("192.168.1.2", 1)), moved);
    }

    #[test]
    fn a_route_over_a_dead_carrier_is_none() {
        let mut surroundings = settled();
        let dead = LocalInterface { running: false, ..interface(1, 1, &["192.168.1.2"]) };
        look(&mut surroundings, &[dead], route("192.168.1.2", 1));
        assert!(!surroundings.has_route(DC));
        assert_eq!(surroundings.claimed(), []);
    }

    #[test]
    fn what_nobody_asked_about_may_be_reached_by_a_family_that_we_have() {
        let mut surroundings = settled();
        let (four, six) = ([203, 0, 113, 9].into(), "2001:db8::9".parse().unwrap());
        assert_eq!([four, six].map(|ip| surroundings.may_reach(ip)), [true, false]);
        let snapshot = Snapshot { interfaces: vec![interface(1, 0, &["2001:db8::2"])] };
        surroundings.update(&node(), snapshot, &[]);
        assert_eq!([four, six].map(|ip| surroundings.may_reach(ip)), [false, true]);
    }

    #[test]
    fn our_own_tunnel_is_neither_claimed_nor_a_way() {
        let mut surroundings = settled();
        surroundings.set_own_interface(Some(9));
        surroundings.set_ranges(vec!["198.18.0.0/16".parse().unwrap()]);
        let with_tunnel = [
            interface(1, 0, &["192.168.1.2"]),
            interface(9, 0, &["198.18.0.1"]),
            interface(3, 0, &["198.18.0.9"]),
        ];
        assert_eq!(look(&mut surroundings, &with_tunnel, route("192.168.1.2", 1)), Verdict::Same);
        look(&mut surroundings, &with_tunnel, route("198.18.0.1", 9));
        assert!(!surroundings.has_route(DC));
        look(&mut surroundings, &with_tunnel, route("198.18.0.9", 3));
        assert!(!surroundings.has_route(DC));
    }

    #[test]
    fn only_usable_addresses_are_claimed_and_preferred_ones_first() {
        let mut surroundings = Surroundings::default();
        let mut one = interface(1, 0, &["2001:db8::1", "2001:db8::2", "fe80::1", "2001:db8::3"]);
        one.addresses[0].preferred = false;
        one.addresses[3].usable = false;
        look(&mut surroundings, &[one], None);
        let claimed: Vec<_> =
            surroundings.claimed().iter().map(|candidate| candidate.addr.to_string()).collect();
        assert_eq!(claimed, ["[2001:db8::2]:4330", "[2001:db8::1]:4330"]);
    }

    #[test]
    fn a_new_destination_is_a_base_line_and_no_move() {
        let mut surroundings = settled();
        let peer: IpAddr = [203, 0, 113, 9].into();
        let snapshot = Snapshot { interfaces: vec![interface(1, 0, &["192.168.1.2"])] };
        let routes = [(DC, route("192.168.1.2", 1)), (peer, route("192.168.1.2", 1))];
        assert_eq!(surroundings.update(&node(), snapshot, &routes), Verdict::Same);
        assert!(surroundings.has_route(peer));
        surroundings.keep_only(&BTreeSet::from([DC]));
        assert!(!surroundings.is_known(peer));
    }
}
