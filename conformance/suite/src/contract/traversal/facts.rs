//! What a plan is asked for: the rows of the decision table, and anything at all.

use std::net::{IpAddr, SocketAddr};

use ntm_core::Rng;
use ntm_core::address::{Candidate, Location, Observed, TransportKind};
use ntm_core::plugin::{Begin, PlanRequest, RelayOption};

/// One family's addresses.
pub(super) struct Family {
    pub(super) mn: &'static str,
    pub(super) mn_private: &'static str,
    pub(super) mn_nat: &'static str,
    pub(super) cn: &'static str,
    pub(super) cn_private: &'static str,
    pub(super) cn_nat: &'static str,
    /// The same public address as `mn_nat`.
    pub(super) cn_same_nat: &'static str,
    pub(super) relay: &'static str,
}

pub(super) const V4: Family = Family {
    mn: "192.0.2.10:4330",
    mn_private: "10.1.0.10:4330",
    mn_nat: "203.0.113.1:20001",
    cn: "198.51.100.20:4330",
    cn_private: "10.1.0.20:4330",
    cn_nat: "203.0.113.2:20002",
    cn_same_nat: "203.0.113.1:20002",
    relay: "203.0.113.99:4330",
};

pub(super) const V6: Family = Family {
    mn: "[2001:db8:a::10]:4330",
    mn_private: "[fd00:1::10]:4330",
    mn_nat: "[2001:db8:1::1]:20001",
    cn: "[2001:db8:c::20]:4330",
    cn_private: "[fd00:1::20]:4330",
    cn_nat: "[2001:db8:2::2]:20002",
    cn_same_nat: "[2001:db8:1::1]:20002",
    relay: "[2001:db8:f::99]:4330",
};

/// A case of the decision table (docs/PROTOCOL.md, 9.3), with what it says.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) request: PlanRequest,
    pub(super) to_initiator: Vec<Candidate>,
    pub(super) to_responder: Vec<Candidate>,
    pub(super) begin: Begin,
    pub(super) relays: Vec<usize>,
}

pub(super) fn udp(addr: &str) -> Candidate {
    #[expect(clippy::unwrap_used, reason = "constants of this file")]
    Candidate::udp(addr.parse().unwrap())
}

fn all(addrs: &[&str]) -> Vec<Candidate> {
    addrs.iter().map(|addr| udp(addr)).collect()
}

pub(super) fn at(claimed: &[&str], observed: &[&str]) -> Location {
    let seen = |candidate| Observed { candidate, proved: true };
    Location { claimed: all(claimed), observed: all(observed).into_iter().map(seen).collect() }
}

pub(super) fn relay(addrs: &[&str]) -> RelayOption {
    RelayOption { candidates: all(addrs) }
}

/// Every row, in both families; with and without a location that was seen.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |name: &str,
                   ends: [Location; 2],
                   direct: [&[&str]; 2],
                   begin,
                   relays: &[&[&str]],
                   used: &[usize]| {
        let [initiator, responder] = ends;
        rows.push(Row {
            name: name.to_owned(),
            request: PlanRequest {
                initiator,
                responder,
                relays: relays.iter().map(|addrs| relay(addrs)).collect(),
            },
            to_initiator: all(direct[0]),
            to_responder: all(direct[1]),
            begin,
            relays: used.to_vec(),
        });
    };
    use Begin::{Initiator, Responder};
    for f in [&V4, &V6] {
        let family = if f.mn.starts_with('[') { "IPv6" } else { "IPv4" };
        let rs: &[&[&str]] = &[&[f.relay]];
        let natted = |private, nat| at(&[private], &[nat]);
        let open = |addr| at(&[addr], &[addr]);
        let name = |row: &str| format!("row {row}, {family}");
        row(&name("1"), [open(f.mn), open(f.cn)], [&[f.mn], &[f.cn]], Initiator, rs, &[0]);
        let mn = natted(f.mn_private, f.mn_nat);
        row(&name("2"), [mn.clone(), open(f.cn)], [&[f.mn_nat], &[f.cn]], Initiator, rs, &[0]);
        let cn = natted(f.cn_private, f.cn_nat);
        row(&name("3"), [open(f.mn), cn.clone()], [&[f.mn], &[f.cn_nat]], Responder, rs, &[0]);
        row(&name("4"), [mn.clone(), cn.clone()], [&[], &[]], Initiator, rs, &[0]);
        let same = natted(f.cn_private, f.cn_same_nat);
        let inside: [&[&str]; 2] = [&[f.mn_private], &[f.cn_private]];
        row(&name("5"), [mn.clone(), same], inside, Initiator, rs, &[0]);
        row(&name("4 without a relay"), [mn, cn], [&[], &[]], Initiator, &[], &[]);
        // Nothing observed counts as natted.
        let unseen = at(&[f.mn], &[]);
        let ends = [unseen.clone(), open(f.cn)];
        row(&name("2, MN not seen"), ends, [&[], &[f.cn]], Initiator, rs, &[0]);
        let ends = [open(f.cn), unseen];
        row(&name("3, CN not seen"), ends, [&[f.cn], &[]], Responder, rs, &[0]);
    }
    for (mn, cn) in [(&V4, &V6), (&V6, &V4)] {
        let ends = || [at(&[mn.mn], &[mn.mn]), at(&[cn.cn], &[cn.cn])];
        let relays: &[&[&str]] = &[&[mn.relay], &[cn.relay], &[mn.relay, cn.relay]];
        row("row 6", ends(), [&[], &[]], Initiator, relays, &[2]);
        row("row 6 without a relay", ends(), [&[], &[]], Initiator, &[], &[]);
        let dual = at(&[cn.mn, mn.mn], &[cn.mn, mn.mn]);
        let single = at(&[mn.cn], &[mn.cn]);
        row("row 7", [dual, single], [&[mn.mn], &[mn.cn]], Initiator, &[&[mn.relay]], &[0]);
        let dual = at(&[cn.mn, mn.mn_private], &[cn.mn, mn.mn_nat]);
        let single = at(&[mn.cn], &[mn.cn]);
        let ends = [single, dual];
        row("row 7, CN natted", ends, [&[mn.cn], &[mn.mn_nat]], Responder, &[&[mn.relay]], &[0]);
    }
    let both = |one: &str, two: &str| at(&[one, two], &[one, two]);
    let rs: &[&[&str]] = &[&[V4.relay]];
    let ends = [both(V4.mn, V6.mn), both(V4.cn, V6.cn)];
    row("row 8", ends, [&[V6.mn, V4.mn], &[V6.cn, V4.cn]], Initiator, rs, &[0]);
    let cn = at(&[V4.cn_private, V6.cn], &[V4.cn_nat, V6.cn]);
    let ends = [both(V4.mn, V6.mn), cn.clone()];
    let direct: [&[&str]; 2] = [&[V6.mn, V4.mn], &[V6.cn, V4.cn_nat]];
    row("row 8, CN natted in IPv4", ends, direct, Responder, rs, &[0]);
    let mn = at(&[V4.mn_private, V6.mn], &[V4.mn_nat, V6.mn]);
    row("row 8, both natted in IPv4", [mn, cn], [&[V6.mn], &[V6.cn]], Initiator, rs, &[0]);
    let nowhere = || [Location::default(), Location::default()];
    row("neither end is anywhere", nowhere(), [&[], &[]], Initiator, rs, &[]);
    row("nothing at all", nowhere(), [&[], &[]], Initiator, &[], &[]);
    rows
}

/// Few enough that ends often share addresses; good ones and bad ones.
const ADDRESSES: [&str; 18] = [
    "192.0.2.1",
    "192.0.2.2",
    "198.51.100.1",
    "10.0.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.0.1",
    "224.0.0.1",
    "0.0.0.0",
    "2001:db8::1",
    "2001:db8::2",
    "fd00::1",
    "fe80::1",
    "ff02::1",
    "::",
    "::1",
    "::ffff:192.0.2.1",
];

/// As many as a registration can claim (docs/PROTOCOL.md, 7.1).
const MOST_CLAIMED: u64 = 16;

/// Requests that follow from a seed: any number of claims, seen or not, with relays or
/// without.
pub(super) struct Anything(Rng);

impl Anything {
    pub(super) fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self(Rng::from_seed(bytes))
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0.number() % most
    }

    fn candidate(&mut self) -> Candidate {
        let ip: IpAddr = {
            let at = self.below(ADDRESSES.len() as u64) as usize;
            #[expect(clippy::unwrap_used, reason = "constants of this file")]
            ADDRESSES[at].parse().unwrap()
        };
        let port = [0, 4330, 4331, 443][self.below(4) as usize];
        let kind = TransportKind(self.below(3) as u8 + 1);
        Candidate { kind, addr: SocketAddr::new(ip, port) }
    }

    /// Claims, and what was seen: often one of them, at most one a transport and
    /// family.
    pub(super) fn location(&mut self) -> Location {
        let count = match self.below(8) {
            0 => MOST_CLAIMED,
            _ => self.below(5),
        };
        let claimed: Vec<_> = (0..count).map(|_| self.candidate()).collect();
        let mut location = Location { claimed, observed: Vec::new() };
        for _ in 0..self.below(4) {
            let candidate = match self.below(2) {
                0 if count > 0 => location.claimed[self.below(count) as usize],
                _ => self.candidate(),
            };
            if location.observed(candidate.kind, candidate.addr.is_ipv6()).is_none() {
                let proved = self.below(2) == 0;
                location.observed.push(Observed { candidate, proved });
            }
        }
        location
    }

    pub(super) fn request(&mut self) -> PlanRequest {
        let (initiator, responder) = (self.location(), self.location());
        let relays = (0..self.below(5))
            .map(|_| {
                let count = self.below(4);
                RelayOption { candidates: (0..count).map(|_| self.candidate()).collect() }
            })
            .collect();
        PlanRequest { initiator, responder, relays }
    }
}

/// The other end asks.
pub(super) fn swapped(request: &PlanRequest) -> PlanRequest {
    PlanRequest {
        initiator: request.responder.clone(),
        responder: request.initiator.clone(),
        relays: request.relays.clone(),
    }
}
