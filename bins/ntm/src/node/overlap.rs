use ntm_core::address::Prefix;
use ntm_core::plugin::Snapshot;

/// A range of virtual addresses that shares some with a network of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) range: Prefix,
    pub(crate) network: Prefix,
    pub(crate) interface: String,
}

impl Overlap {
    /// The first one, on any interface but our own.
    pub(crate) fn find(ranges: &[Prefix], snapshot: &Snapshot, own: u32) -> Option<Self> {
        let others = snapshot.interfaces.iter().filter(|interface| interface.index != own);
        let mut networks = others.flat_map(|interface| {
            let networks = interface.addresses.iter();
            let networks = networks.filter_map(|addr| Prefix::new(addr.ip, addr.prefix));
            networks.map(|network| (&interface.name, network))
        });
        networks.find_map(|(name, network)| {
            let range = *ranges.iter().find(|range| range.overlaps(&network))?;
            Some(Self { range, network, interface: name.clone() })
        })
    }
}
