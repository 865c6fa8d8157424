use std::collections::BTreeMap;
use std::net::IpAddr;

use ntm_core::id::Epoch;

use crate::host::Who;

/// Where the terminals have been, and what others have heard of that from
/// themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Knowledge {
    /// Each terminal's places, with the epoch that it came there in.
    places: BTreeMap<Who, Vec<(Epoch, IpAddr)>>,
    /// The highest epoch of the second that the first has accepted a message of.
    told: BTreeMap<(Who, Who), Epoch>,
}

impl Knowledge {
    /// A terminal is somewhere else now.
    pub(crate) fn arrived(&mut self, who: Who, epoch: Epoch, ip: IpAddr) {
        self.places.entry(who).or_default().push((epoch, ip));
    }

    /// Somebody has accepted a message that a terminal sent in the epoch with
    /// these low bits.
    pub(crate) fn told(&mut self, listener: Who, speaker: Who, low: u16) {
        let Some((epoch, _)) = self.places.get(&speaker).and_then(|places| places.first()) else {
            return;
        };
        let epoch = Epoch(epoch.0 & !0xffff | u64::from(low));
        let told = self.told.entry((listener, speaker)).or_default();
        *told = epoch.max(*told);
    }

    /// Whether a terminal has left this place, and the listener has heard from it
    /// since.
    pub(crate) fn is_stale(&self, listener: Who, speaker: Who, ip: IpAddr) -> bool {
        let told = self.told.get(&(listener, speaker)).copied().unwrap_or_default();
        self.is_older(speaker, ip, told)
    }

    /// Whether a terminal had left this place for good before the epoch.
    pub(crate) fn is_older(&self, who: Who, ip: IpAddr, epoch: Epoch) -> bool {
        let Some(places) = self.places.get(&who) else { return false };
        let since = places.iter().rposition(|(came, _)| *came <= epoch).unwrap_or(0);
        let was_there = places.iter().any(|(_, place)| *place == ip);
        was_there && !places[since..].iter().any(|(_, place)| *place == ip)
    }
}
