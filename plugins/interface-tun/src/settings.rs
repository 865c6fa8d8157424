use std::fmt;
use std::net::IpAddr;

use ntm_core::address::Prefix;
use ntm_core::plugin::InterfaceSettings;
use rustix::io::Errno;

/// What an interface has: nothing, or an MTU, being up, and items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    mtu: Option<u16>,
    items: Vec<Item>,
}

/// Something an interface has or has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An address with the length of its range: the kernel then leads the range
    /// into the interface by itself.
    Address(IpAddr, u8),
    /// A range in which we have no address.
    Route(Prefix),
}

/// One request to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Up with this MTU, or down.
    Link {
        from: Option<u16>,
        to: Option<u16>,
    },
    Give(Item),
    Take(Item),
}

/// A change that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) what: Change,
    pub(super) errno: Errno,
    /// The changes before it were taken back.
    pub(super) undone: bool,
}

impl State {
    /// What the interface is to have.
    pub(super) fn of(settings: &InterfaceSettings) -> Self {
        let address = |ip: IpAddr| {
            let range = settings.ranges.iter().find(|range| range.contains(ip));
            let alone = if ip.is_ipv4() { 32 } else { 128 };
            Item::Address(ip, range.map_or(alone, Prefix::length))
        };
        let empty = |range: &&Prefix| !settings.vips.iter().any(|ip| range.contains(ip));
        let routes = settings.ranges.iter().filter(empty).copied().map(Item::Route);
        let items = settings.vips.iter().map(address).chain(routes).collect();
        Self { mtu: Some(settings.mtu), items }
    }

    /// Brings the interface from here to `wanted`, or leaves it as it was, or, where
    /// even that fails, without settings.
    pub(super) fn reach(
        &mut self,
        wanted: Self,
        mut kernel: impl FnMut(&Change) -> Result<(), Errno>,
    ) -> Result<(), Failed> {
        let result = apply(&changes(self, &wanted), &mut kernel);
        match &result {
            Ok(()) => *self = wanted,
            Err(failed) if failed.undone => {}
            Err(_) => {
                for left in changes(self, &Self::default()) {
                    let _gone_already = kernel(&left);
                }
                *self = Self::default();
            }
        }
        result
    }

    /// Its addresses.
    #[cfg(target_os = "linux")]
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.items.iter().filter_map(|item| match item {
            Item::Address(ip, _) => Some(*ip),
            Item::Route(_) => None,
        })
    }

    /// The same without IPv6.
    #[cfg(target_os = "linux")]
    pub(super) fn without_ipv6(mut self) -> Self {
        self.items.retain(|item| !item.is_ipv6());
        self
    }
}

/// The way from one state to the other. What stays is not touched; what goes
/// goes first, since an address may come back with another length.
fn changes(old: &State, new: &State) -> Vec<Change> {
    let gone = |item: &&Item| !new.items.contains(item);
    let added = |item: &&Item| !old.items.contains(item);
    let takes = old.items.iter().filter(gone).copied().map(Change::Take);
    let link = (old.mtu != new.mtu).then_some(Change::Link { from: old.mtu, to: new.mtu });
    let gives = new.items.iter().filter(added).copied().map(Change::Give);
    takes.chain(link).chain(gives).collect()
}

/// Makes all changes, or takes back those already made.
fn apply(
    changes: &[Change],
    mut kernel: impl FnMut(&Change) -> Result<(), Errno>,
) -> Result<(), Failed> {
    for (made, change) in changes.iter().enumerate() {
        if let Err(errno) = kernel(change) {
            let mut back = changes[..made].iter().rev().map(Change::inverse);
            let undone = back.all(|change| kernel(&change).is_ok());
            return Err(Failed { what: *change, errno, undone });
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
impl Item {
    fn is_ipv6(&self) -> bool {
        match self {
            Self::Address(ip, _) => ip.is_ipv6(),
            Self::Route(range) => range.base().is_ipv6(),
        }
    }
}

impl Change {
    fn inverse(&self) -> Self {
        match *self {
            Self::Link { from, to } => Self::Link { from: to, to: from },
            Self::Give(item) => Self::Take(item),
            Self::Take(item) => Self::Give(item),
        }
    }
}

#[cfg(target_os = "linux")]
impl Failed {
    /// The kernel's reason, if it wants no IPv6 on this interface at all:
    /// `EACCES` where it is switched off, the others where it is not built in.
    pub(super) fn ipv6_refusal(&self) -> Option<Errno> {
        let Change::Give(item) = self.what else { return None };
        let refusal = matches!(self.errno, Errno::ACCESS | Errno::AFNOSUPPORT | Errno::OPNOTSUPP);
        (item.is_ipv6() && refusal).then_some(self.errno)
    }
}

/// As the words between "cannot" and the interface's name.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { to: Some(mtu), .. } => write!(f, "set an MTU of {mtu} on"),
            Self::Link { to: None, .. } => f.write_str("take down"),
            Self::Give(Item::Address(ip, length)) => write!(f, "give {ip}/{length} to"),
            Self::Take(Item::Address(ip, length)) => write!(f, "take {ip}/{length} from"),
            Self::Give(Item::Route(range)) => write!(f, "lead {range} into"),
            Self::Take(Item::Route(range)) => write!(f, "stop leading {range} into"),
        }
    }
}

#[cfg(test)]
mod tests {
    use ntm_core::address::Vips;

    use super::*;

    fn settings(v4: &str, v6: &str, ranges: &[&str]) -> InterfaceSettings {
        InterfaceSettings {
            vips: Vips { v4: v4.parse().ok(), v6: v6.parse().ok() },
            ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
            mtu: 1400,
        }
    }

    fn address(text: &str) -> Item {
        let (ip, length) = text.split_once('/').unwrap();
        Item::Address(ip.parse().unwrap(), length.parse().unwrap())
    }

    /// An interface that refuses what `refuses` says.
    fn run(
        on: &mut State,
        changes: &[Change],
        refuses: impl Fn(&Change) -> bool,
    ) -> Result<(), Failed> {
        apply(changes, |change| {
            if refuses(change) {
                return Err(Errno::PERM);
            }
            match *change {
                Change::Link { from, to } => {
                    assert_eq!(on.mtu, from);
                    on.mtu = to;
                }
                Change::Give(item) => {
                    assert!(!on.items.contains(&item));
                    on.items.push(item);
                }
                Change::Take(item) => {
                    let before = on.items.len();
                    on.items.retain(|have| *have != item);
                    assert_eq!(on.items.len() + 1, before);
                }
            }
            Ok(())
        })
    }

    #[test]
    fn addresses_take_the_length_of_their_range_and_empty_ranges_get_a_route() {
        let ranges = ["198.18.0.0/16", "fd00:1::/48", "fd00:2::/48"];
        let state = State::of(&settings("198.18.0.5", "fd00:1::5", &ranges));
        let route = Item::Route("fd00:2::/48".parse().unwrap());
        assert_eq!(state.items, [address("fd00:1::5/48"), address("198.18.0.5/16"), route]);
        let alone = State::of(&settings("198.18.0.5", "fd00:1::5", &[]));
        assert_eq!(alone.items, [address("fd00:1::5/128"), address("198.18.0.5/32")]);
        #[cfg(target_os = "linux")]
        assert_eq!(state.without_ipv6().items, [address("198.18.0.5/16")]);
    }

    #[test]
    fn what_stays_is_not_touched_and_the_new_settings_are_reached() {
        let old = State::of(&settings("198.18.0.5", "fd00:1::5", &["198.18.0.0/16"]));
        let new = State::of(&settings("198.18.0.6", "fd00:1::5", &["198.18.0.0/16"]));
        let way = changes(&old, &new);
        let expected =
            [Change::Take(address("198.18.0.5/16")), Change::Give(address("198.18.0.6/16"))];
        assert_eq!(way, expected);
        assert_eq!(changes(&new, &new), []);
    }

    #[test]
    fn whichever_change_fails_the_old_settings_stay() {
        let old = State::of(&settings("198.18.0.5", "fd00:1::5", &["198.18.0.0/16"]));
        let mut new = State::of(&settings("198.18.0.6", "fd00:2::5", &["198.18.0.0/15"]));
        new.mtu = Some(1300);
        let way = changes(&old, &new);
        for failing in &way {
            let mut on = old.clone();
            let failed = run(&mut on, &way, |change| change == failing).unwrap_err();
            assert_eq!((failed.what, failed.undone), (*failing, true));
            assert_eq!((on.mtu, sorted(&on)), (old.mtu, sorted(&old)));
        }
        let mut on = old.clone();
        run(&mut on, &way, |_| false).unwrap();
        assert_eq!((on.mtu, sorted(&on)), (new.mtu, sorted(&new)));
    }

    #[test]
    fn what_cannot_be_taken_back_is_said() {
        let new = State::of(&settings("198.18.0.5", "fd00:1::5", &[]));
        let way = changes(&State::default(), &new);
        let mut on = State::default();
        let stuck = |change: &Change| {
            matches!(change, Change::Take(_)) || *change == Change::Give(address("198.18.0.5/32"))
        };
        assert!(!run(&mut on, &way, stuck).unwrap_err().undone);
    }

    #[test]
    fn what_cannot_be_taken_back_leaves_nothing() {
        let old = State::of(&settings("198.18.0.5", "fd00:1::5", &["198.18.0.0/16"]));
        let new = State::of(&settings("198.18.0.6", "fd00:1::5", &["198.18.0.0/16"]));
        let (mut state, mut taken) = (old.clone(), Vec::new());
        let stuck = |change: &Change| match change {
            Change::Give(_) => Err(Errno::PERM),
            other @ (Change::Link { .. } | Change::Take(_)) => {
                taken.push(*other);
                Ok(())
            }
        };
        assert!(!state.reach(new, stuck).unwrap_err().undone);
        assert_eq!(state, State::default());
        for item in old.items {
            assert!(taken.contains(&Change::Take(item)), "{taken:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_the_refusal_of_an_ipv6_address_is_one_of_ipv6() {
        let failed = |what, errno| Failed { what, errno, undone: true };
        let give = |text| Change::Give(address(text));
        for errno in [Errno::ACCESS, Errno::AFNOSUPPORT, Errno::OPNOTSUPP] {
            assert_eq!(failed(give("fd00::1/64"), errno).ipv6_refusal(), Some(errno));
            assert_eq!(failed(give("198.18.0.5/16"), errno).ipv6_refusal(), None);
        }
        assert_eq!(failed(give("fd00::1/64"), Errno::PERM).ipv6_refusal(), None);
    }

    fn sorted(state: &State) -> Vec<String> {
        let mut items: Vec<_> = state.items.iter().map(|item| format!("{item:?}")).collect();
        items.sort();
        items
    }
}
