use crate::address::{Candidate, Leg};
use crate::machine::Node;

/// The open ways to a coordinator: of each of our transports one in each family, in
/// the order in which the transports are preferred.
///
/// A message goes by the first transport alone, and by one more with each copy that
/// follows without an answer (a head start, as in RFC 8305). So a network that blocks
/// the first costs one time-out, and one that does not carries nothing twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ways(Vec<Leg>);

impl Ways {
    /// The first of each transport and family among these; for a transport by which
    /// none of them is reached, the first of those through a translator.
    pub(super) fn choose(
        node: &Node,
        native: impl Iterator<Item = Candidate>,
        translated: impl Iterator<Item = Candidate>,
    ) -> Self {
        let mut legs: Vec<Leg> = Vec::new();
        for leg in native.filter_map(|candidate| node.leg_to(&candidate)) {
            let alike = |known: &Leg| {
                known.transport == leg.transport && known.remote.is_ipv6() == leg.remote.is_ipv6()
            };
            if !legs.iter().any(alike) {
                legs.push(leg);
            }
        }
        for leg in translated.filter_map(|candidate| node.leg_to(&candidate)) {
            if !legs.iter().any(|known| known.transport == leg.transport) {
                legs.push(leg);
            }
        }
        // Stable: within a transport the coordinator's addresses keep their order.
        legs.sort_by_key(|leg| leg.transport);
        Self(legs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_family(&self, ipv6: bool) -> bool {
        self.0.iter().any(|leg| leg.remote.is_ipv6() == ipv6)
    }

    pub(super) fn best(&self) -> Option<Leg> {
        self.0.first().copied()
    }

    pub(super) fn contains(&self, leg: &Leg) -> bool {
        self.0.iter().any(|known| known.same_remote(leg))
    }

    /// How many transports are better than that of this way; `None` if it is not
    /// among these.
    pub(super) fn rank(&self, leg: &Leg) -> Option<usize> {
        self.contains(leg).then(|| {
            let better = self.0.iter().filter(|known| known.transport < leg.transport);
            let mut better: Vec<_> = better.map(|known| known.transport).collect();
            better.dedup();
            better.len()
        })
    }

    /// The ways by transports that are better than that of this way.
    pub(super) fn better_than(&self, leg: &Leg) -> Vec<Leg> {
        let better = self.0.iter().filter(|known| known.transport < leg.transport);
        better.copied().collect()
    }

    /// The ways for a message's first, second, … copy. The transport by which there was
    /// an answer last is always among them.
    pub(super) fn of_copy(&self, copy: u32, answered: Option<Leg>) -> Vec<Leg> {
        let answered = answered.map(|leg| leg.transport);
        let legs = self.0.iter().filter(|leg| {
            let rank = self.rank(leg).unwrap_or_default();
            rank < copy.max(1) as usize || answered == Some(leg.transport)
        });
        legs.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use crate::address::{TransportId, TransportKind};
    use crate::crypto::Identity;
    use crate::machine::TransportFacts;

    fn ways(candidates: &[&str]) -> Ways {
        ways_with(candidates, &[])
    }

    fn ways_with(native: &[&str], translated: &[&str]) -> Ways {
        let facts = |kind| TransportFacts { kind, port: 1, ipv4: true, ipv6: true };
        let node = Node {
            identity: Identity::generate(&mut Rng::from_seed([0; 32])),
            name: "mn.example".parse().unwrap(),
            unix_at_zero: 0,
            transports: vec![facts(TransportKind::UDP), facts(TransportKind::QUIC)],
        };
        let parse = |text: &&str| text.parse().unwrap();
        Ways::choose(&node, native.iter().map(parse), translated.iter().map(parse))
    }

    fn shown(legs: &[Leg]) -> Vec<String> {
        legs.iter().map(Leg::to_string).collect()
    }

    const ALL: [&str; 5] = [
        "quic:203.0.113.1:443",
        "203.0.113.1:4330",
        "203.0.113.2:4330",
        "quic:[2001:db8::1]:443",
        "[2001:db8::1]:4330",
    ];

    #[test]
    fn each_copy_goes_by_one_transport_more() {
        let ways = ways(&ALL);
        let udp = ["0/203.0.113.1:4330", "0/[2001:db8::1]:4330"];
        let quic = ["1/203.0.113.1:443", "1/[2001:db8::1]:443"];
        assert_eq!(shown(&ways.of_copy(1, None)), udp, "our order, not the coordinator's");
        assert_eq!(shown(&ways.of_copy(2, None)), [udp, quic].concat());
        assert_eq!(shown(&ways.of_copy(9, None)), [udp, quic].concat());
        let answered = Leg::to(TransportId(1), "203.0.113.1:443".parse().unwrap());
        assert_eq!(shown(&ways.of_copy(1, Some(answered))), [udp, quic].concat());
        assert_eq!(shown(&ways.better_than(&answered)), udp);
        assert_eq!((ways.rank(&answered), ways.rank(&ways.0[1])), (Some(1), Some(0)));
    }

    #[test]
    fn a_coordinator_without_the_first_transport_is_asked_by_the_second_at_once() {
        let ways = ways(&ALL[..1]);
        assert_eq!(shown(&ways.of_copy(1, None)), ["1/203.0.113.1:443"]);
        assert_eq!(ways.rank(&ways.0[0]), Some(0));
        let stranger = Leg::to(TransportId(0), "203.0.113.9:4330".parse().unwrap());
        assert_eq!(ways.rank(&stranger), None);
        assert!(Ways::default().of_copy(3, Some(stranger)).is_empty());
    }

    #[test]
    fn a_translator_is_used_by_those_transports_that_have_no_other_way() {
        let translated = ["[64:ff9b::1]:4330", "[64:ff9b::2]:4330", "quic:[64:ff9b::1]:443"];
        let ways = ways_with(&ALL[3..4], &translated);
        assert_eq!(shown(&ways.of_copy(1, None)), ["0/[64:ff9b::1]:4330"]);
        assert_eq!(shown(&ways.of_copy(2, None))[1..], ["1/[2001:db8::1]:443"]);
        assert_eq!(ways_with(&ALL[1..2], &translated[..2]), ways_with(&ALL[1..2], &[]));
    }
}
