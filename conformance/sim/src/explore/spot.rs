use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Attachment, Nat, NatId, World};

/// What kind of network an end is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A global IPv4 address.
    Open,
    /// A global IPv6 address and nothing else.
    Six,
    /// Global addresses of both families.
    Dual,
    /// Behind a NAT as Linux makes it.
    Nat,
    /// Behind one that shows another port to each.
    Symmetric,
    /// Behind one that lets anybody in.
    Cone,
    /// Behind the NAT where the other end may be as well.
    Home,
    /// Behind a home's NAT behind the carrier's that both ends have.
    Carrier,
    /// IPv6 alone, with a way out to IPv4 by NAT64.
    Nat64,
}

const KINDS: [(Kind, &str); 9] = [
    (Kind::Open, "open"),
    (Kind::Six, "six"),
    (Kind::Dual, "dual"),
    (Kind::Nat, "nat"),
    (Kind::Symmetric, "symmetric"),
    (Kind::Cone, "cone"),
    (Kind::Home, "home"),
    (Kind::Carrier, "carrier"),
    (Kind::Nat64, "nat64"),
];

/// A place for an end: one of two networks of a kind, written `nat-1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Spot {
    /// The kind of network.
    pub kind: Kind,
    /// Which of the two.
    pub variant: u8,
}

impl Spot {
    /// One of all, by number.
    pub(super) fn nth(number: u64) -> Self {
        let kinds = KINDS.len() as u64;
        let variant = if (number / kinds).is_multiple_of(2) { 1 } else { 2 };
        Self { kind: KINDS[(number % kinds) as usize].0, variant }
    }
}

impl From<Spot> for String {
    fn from(spot: Spot) -> Self {
        spot.to_string()
    }
}

impl TryFrom<String> for Spot {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| name);
        write!(f, "{name}-{}", self.variant)
    }
}

impl FromStr for Spot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no place; one is \"nat-1\"");
        let (name, variant) = text.split_once('-').ok_or_else(wrong)?;
        let (kind, _) = KINDS.iter().find(|(_, known)| *known == name).ok_or_else(wrong)?;
        let variant = variant.parse().ok().filter(|nth| (1..=2).contains(nth)).ok_or_else(wrong)?;
        Ok(Self { kind: *kind, variant })
    }
}

/// The networks of a run.
#[derive(Debug)]
pub(super) struct Map {
    /// Of each end and variant: Linux-like, symmetric, open to anybody, and a
    /// home behind the carrier.
    own: [[[NatId; 4]; 2]; 2],
    home: [NatId; 2],
    nat64: [NatId; 2],
}

fn global(last: u8) -> IpAddr {
    [203, 0, 113, last].into()
}

fn six(net: u16, last: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, last.into()).into()
}

impl Map {
    pub(super) fn new(world: &mut World) -> Self {
        let carrier = world.add_nat(Nat::full_cone(&[global(140)]));
        let mut own = |end: u8, variant: u8| {
            let at = |base: u8| [global(base + 2 * end + variant)];
            [
                world.add_nat(Nat::like_linux(&at(100))),
                world.add_nat(Nat::symmetric(&at(110))),
                world.add_nat(Nat::full_cone(&at(120))),
                world.add_nat(Nat::like_linux(&[[100, 64, end, variant].into()]).behind(carrier)),
            ]
        };
        let own = [0, 1].map(|end| [1, 2].map(|variant| own(end, variant)));
        let home = [1, 2].map(|variant| world.add_nat(Nat::like_linux(&[global(130 + variant)])));
        let nat64 = [1, 2].map(|variant| world.add_nat(Nat::nat64(global(150 + variant))));
        Self { own, home, nat64 }
    }

    /// What an end is attached to at a place.
    pub(super) fn attachments(&self, end: usize, spot: Spot) -> Vec<Attachment> {
        let (variant, nth) = (spot.variant, usize::from(spot.variant - 1));
        let last = 10 + 10 * end as u8 + variant;
        let own =
            |which: usize| vec![Attachment::behind(self.own[end][nth][which], [192, 168, 1, 2])];
        match spot.kind {
            Kind::Open => vec![Attachment::global(global(last))],
            Kind::Six => vec![Attachment::global(six(0, last))],
            Kind::Dual => {
                vec![Attachment::global(global(last + 40)), Attachment::global(six(0, last + 40))]
            }
            Kind::Nat => own(0),
            Kind::Symmetric => own(1),
            Kind::Cone => own(2),
            Kind::Carrier => own(3),
            Kind::Home => vec![Attachment::behind(self.home[nth], [192, 168, 50, last])],
            Kind::Nat64 => {
                let net = 0x640 + u16::from(variant);
                vec![Attachment::behind(self.nat64[nth], six(net, last))]
            }
        }
    }

    /// The decision table: whether two ends attached like this meet directly, or
    /// through a relay.
    pub(super) fn meet_directly(&self, one: &[Attachment], other: &[Attachment]) -> bool {
        [false, true].into_iter().any(|ipv6| {
            let way = |of: &[Attachment]| of.iter().find(|a| a.ip.is_ipv6() == ipv6).copied();
            let (Some(one), Some(other)) = (way(one), way(other)) else { return false };
            let natted = |a: &Attachment| a.nat.is_some() && !a.ip.is_ipv6();
            match (natted(&one), natted(&other)) {
                (true, true) => one.nat == other.nat,
                (true, false) | (false, true) | (false, false) => true,
            }
        })
    }
}
