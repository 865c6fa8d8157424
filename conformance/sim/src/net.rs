use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ntm_core::{Rng, Time};

use crate::host::{Attachment, Host, HostId};
use crate::nat::{Nat, NatId};

/// How a host's datagrams fare between it and the middle of the network.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// One way.
    pub delay: Duration,
    /// Added at random, up to this; datagrams may overtake each other.
    pub jitter: Duration,
    /// Of a thousand datagrams, so many are lost.
    pub loss_permille: u32,
    /// Of a thousand datagrams, so many arrive twice.
    pub duplicate_permille: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_micros(100),
            jitter: Duration::ZERO,
            loss_permille: 0,
            duplicate_permille: 0,
        }
    }
}

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

/// The network between the hosts.
#[derive(Debug)]
pub struct Network {
    nats: Vec<Nat>,
    rng: Rng,
    /// Everything that crossed the network, if a test wants to see it.
    pub tap: Option<Vec<Observed>>,
    /// Pairs of addresses between which nothing passes.
    cut: Vec<IpAddr>,
}

impl Network {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { nats: Vec::new(), rng, tap: None, cut: Vec::new() }
    }

    pub(crate) fn add_nat(&mut self, nat: Nat) -> NatId {
        self.nats.push(nat);
        NatId(self.nats.len() - 1)
    }

    /// A NAT, to change or to make it forget.
    pub fn nat_mut(&mut self, id: NatId) -> &mut Nat {
        &mut self.nats[id.0]
    }

    /// Nothing reaches or leaves this address any more.
    pub fn cut(&mut self, ip: IpAddr) {
        self.cut.push(ip);
    }

    /// Everything passes again.
    pub fn mend(&mut self) {
        self.cut.clear();
    }

    /// Sends a datagram from a host; where and when it arrives, perhaps twice or
    /// nowhere.
    pub(crate) fn send(
        &mut self,
        now: Time,
        hosts: &[Host],
        sender: HostId,
        to: SocketAddr,
        datagram: &[u8],
    ) -> Vec<Arrival> {
        let host = &hosts[sender.0];
        if to.ip().is_loopback() {
            let at = now + Duration::from_micros(10);
            let from = SocketAddr::new(to.ip(), host.port);
            return vec![Arrival { at, host: sender, from, to, datagram: datagram.to_vec() }];
        }
        let Some(way) = host.attachment(to.is_ipv6()) else { return Vec::new() };
        let Some((from, target, to_inner)) = self.route(now, hosts, way, host.port, to) else {
            return Vec::new();
        };
        if let Some(tap) = &mut self.tap {
            let datagram = datagram.to_vec();
            tap.push(Observed { at: now, host: sender, target, from, to, datagram });
        }
        if self.cut.contains(&from.ip()) || self.cut.contains(&to.ip()) {
            return Vec::new();
        }
        let (here, there) = (host.link, hosts[target.0].link);
        let mut arrivals = Vec::new();
        let copies =
            if self.happens(here.duplicate_permille + there.duplicate_permille) { 2 } else { 1 };
        for _ in 0..copies {
            if self.happens(here.loss_permille + there.loss_permille) {
                continue;
            }
            let jitter = here.jitter + there.jitter;
            let extra = match u64::try_from(jitter.as_nanos()).unwrap_or(u64::MAX) {
                0 => Duration::ZERO,
                nanos => Duration::from_nanos(self.rng.number() % nanos),
            };
            arrivals.push(Arrival {
                at: now + here.delay + there.delay + extra,
                host: target,
                from,
                to: to_inner,
                datagram: datagram.to_vec(),
            });
        }
        arrivals
    }

    fn happens(&mut self, permille: u32) -> bool {
        permille > 0 && self.rng.number() % 1000 < u64::from(permille)
    }

    /// The source that the receiver sees, the receiver, and the address it is
    /// known by there.
    fn route(
        &mut self,
        now: Time,
        hosts: &[Host],
        way: Attachment,
        port: u16,
        to: SocketAddr,
    ) -> Option<(SocketAddr, HostId, SocketAddr)> {
        let source = SocketAddr::new(way.ip, port);
        let holds = |host: &Host, nat: Option<NatId>, addr: SocketAddr| {
            host.alive
                && host.port == addr.port()
                && host.attachments.iter().any(|a| a.ip == addr.ip() && a.nat == nat)
        };
        let find = |nat: Option<NatId>, addr: SocketAddr| {
            hosts.iter().position(|host| holds(host, nat, addr)).map(HostId)
        };
        if let Some(nat) = way.nat {
            // A neighbour behind the same NAT is reached as it is.
            if let Some(neighbour) = find(Some(nat), to) {
                return Some((source, neighbour, to));
            }
            let outer = self.nats[nat.0].outbound(now, source, to)?;
            return self.deliver(now, outer, to, find);
        }
        self.deliver(now, source, to, find)
    }

    fn deliver(
        &mut self,
        now: Time,
        from: SocketAddr,
        to: SocketAddr,
        find: impl Fn(Option<NatId>, SocketAddr) -> Option<HostId>,
    ) -> Option<(SocketAddr, HostId, SocketAddr)> {
        if let Some(host) = find(None, to) {
            return Some((from, host, to));
        }
        let at = self.nats.iter().position(|nat| nat.public().contains(&to.ip()))?;
        let inner = self.nats[at].inbound(now, from, to)?;
        find(Some(NatId(at)), inner).map(|host| (from, host, inner))
    }
}
