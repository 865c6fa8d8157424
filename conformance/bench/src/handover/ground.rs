//! The network in which ends move: each has two cables to a router, of which one is in
//! use; a coordinator, or whatever else a tunnel needs, hangs from a third place.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use ntm_core::Time;
use ntm_lab::link::Conditions;
use ntm_lab::traffic::{RoundTrip, round_trip};
use ntm_lab::{Error, Fabric, Link, Netns, Result, now};

use super::lose::Lose;
use crate::bed::{Bed, at, net};

/// Left's two networks, right's two, and the hub's. The router is `.254` in each.
const LEFT: [[u8; 3]; 2] = [[203, 0, 113], [192, 0, 2]];
const RIGHT: [[u8; 3]; 2] = [[198, 51, 100], [192, 31, 196]];
const HUB: [u8; 3] = [192, 52, 193];

/// The interfaces of an end.
const UPLINKS: [&str; 2] = ["wire", "spare"];

pub(crate) struct Ground {
    pub(crate) bed: Bed,
    /// Between any two of left, right and hub.
    pub(crate) round_trip: RoundTrip,
    /// Loses what left sends or hears, when asked to.
    pub(crate) lose: Lose,
    left: Mover,
    right: Mover,
    _links: Vec<Link>,
    _router: Netns,
    _fabric: Fabric,
}

/// When an end moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Just before anything changed.
    pub(crate) begin: Time,
    /// Just before the system was told of the way out from the new address, the last
    /// thing that it needs.
    pub(crate) usable: Time,
    /// The same of left alone, where both moved.
    pub(crate) left_usable: Time,
}

/// What becomes of an end's old address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Old {
    /// It is taken away first.
    Goes,
    /// It stays for a while after the new one is there, and only then goes.
    Stays(Duration),
}

impl Ground {
    /// Any two ends see this round trip between them, which is looked at first.
    ///
    /// # Errors
    /// The network cannot be built, or has another round trip.
    pub(crate) fn build(distance: Duration) -> Result<Self> {
        let (left, right, hub) = (Netns::new("left")?, Netns::new("right")?, Netns::new("hub")?);
        let (fabric, router) = (Fabric::new("fabric")?, Netns::new("router")?);
        router.set_sysctl("net.ipv4.ip_forward", 1)?;
        let conditions = Conditions::round_trip(distance);
        let lose = Lose::default();
        let mut links = Vec::new();
        let ends = [(&left, LEFT.as_slice()), (&right, &RIGHT), (&hub, &[HUB])];
        for (machine, networks) in ends {
            // What arrives for an address on one interface while packets leave by another.
            machine.set_sysctl("net.ipv4.conf.all.rp_filter", 0)?;
            machine.set_sysctl("net.ipv4.ping_group_range", "0 0")?;
            for (network, interface) in networks.iter().zip(UPLINKS) {
                let segment = fabric.segment()?;
                let port = format!("r{}", links.len());
                fabric.attach(&router, &port, &segment)?;
                router.netlink().add_address(&port, net(at(*network, 254), 24))?;
                let middlebox = (machine.name() == "left").then(|| lose.middlebox());
                let seed = links.len() as u64;
                let link = Link::with(&fabric, machine, interface, conditions, seed, middlebox)?;
                link.plug(&segment)?;
                links.push(link);
            }
        }
        let addresses = [at(LEFT[0], 1), at(RIGHT[0], 1), at(HUB, 1)];
        let bed = Bed::joined([left.clone(), right.clone(), hub.clone()], addresses);
        let mover =
            |machine, networks| Mover { machine, networks, at: 0, host: 1, metric: 100_000 };
        let (mut left, mut right) = (mover(left, LEFT), mover(right, RIGHT));
        left.arrive(0)?;
        right.arrive(0)?;
        hub.netlink().add_address(UPLINKS[0], net(addresses[2], 24))?;
        hub.netlink().add_default_route(at(HUB, 254).into(), UPLINKS[0], 0)?;
        there(&bed.left, &bed.hub, bed.hub_address, distance)?;
        let round_trip = there(&bed.left, &bed.right, bed.right_address, distance)?;
        Ok(Self {
            bed,
            round_trip,
            lose,
            left,
            right,
            _links: links,
            _router: router,
            _fabric: fabric,
        })
    }

    /// Takes both ends to where tunnels expect them when they start.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn reset(&mut self) -> Result<()> {
        for mover in [&mut self.left, &mut self.right] {
            for uplink in [0, 1] {
                mover.leave(uplink)?;
            }
            mover.host = 1;
            mover.arrive(0)?;
            mover.at = 0;
        }
        Ok(())
    }

    /// Left moves to its other cable.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn move_left(&mut self, old: Old) -> Result<Moment> {
        let (begin, usable) = self.left.go(old)?;
        Ok(Moment { begin, usable, left_usable: usable })
    }

    /// Both ends move in the same instant: the later of each of their moments counts.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn move_both(&mut self) -> Result<Moment> {
        let (left, right) = (&mut self.left, &mut self.right);
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(|| right.go(Old::Goes));
            (left.go(Old::Goes), other.join())
        });
        let other = other.map_err(|_| Error::Wrong("a move panicked".into()))??;
        let (one, other) = (one?, other);
        let (begin, usable) = (one.0.min(other.0), one.1.max(other.1));
        Ok(Moment { begin, usable, left_usable: one.1 })
    }
}

/// Looks whether the delay is really there. It may be more on a machine that does much
/// else; the report says what was measured.
fn there(from: &Netns, to: &Netns, address: Ipv4Addr, expected: Duration) -> Result<RoundTrip> {
    let measured = round_trip(from, to, address.into(), 20)?;
    if measured.min < expected {
        let measured = measured.min;
        return Err(Error::Wrong(format!("a round trip of {measured:?} and not {expected:?}")));
    }
    Ok(measured)
}

/// An end with two cables.
struct Mover {
    machine: Netns,
    networks: [[u8; 3]; 2],
    at: usize,
    /// The last byte of its address.
    host: u8,
    /// Of its newest default route. Each is better than the one before, as where a
    /// manager prefers what has just come.
    metric: u32,
}

impl Mover {
    /// Says when it began, and when it asked for the way out.
    fn go(&mut self, old: Old) -> Result<(Time, Time)> {
        let (from, to) = (self.at, 1 - self.at);
        // A place where it has never been: what is known of the other helps nobody.
        self.host = self.host % 250 + 1;
        let begin = now();
        if old == Old::Goes {
            self.leave(from)?;
        }
        let usable = self.arrive(to)?;
        if let Old::Stays(overlap) = old {
            thread::sleep(overlap);
            self.leave(from)?;
        }
        self.at = to;
        Ok((begin, usable))
    }

    /// The cables themselves stay in: news of carriers may be late.
    fn leave(&self, uplink: usize) -> Result<()> {
        let netlink = self.machine.netlink();
        netlink.flush_routes(UPLINKS[uplink])?;
        netlink.flush_addresses(UPLINKS[uplink])
    }

    /// Says when it asked for the way out.
    fn arrive(&mut self, uplink: usize) -> Result<Time> {
        let (interface, network) = (UPLINKS[uplink], self.networks[uplink]);
        let netlink = self.machine.netlink();
        netlink.add_address(interface, net(at(network, self.host), 24))?;
        self.metric -= 1;
        let asked = now();
        netlink.add_default_route(at(network, 254).into(), interface, self.metric)?;
        Ok(asked)
    }
}
