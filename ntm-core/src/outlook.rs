//! How one destination is reached: by which link now, and whether another that is
//! there as well would be better.

use std::net::IpAddr;

use crate::address::LocalPin;
use crate::preference::Rank;

/// Where we are attached, as far as one destination is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attachment {
    pub(crate) source: IpAddr,
    pub(crate) ifindex: u32,
    pub(crate) generation: u64,
    pub(crate) mtu: u32,
}

impl Attachment {
    /// Whether both are the same place; the MTU tells nothing of that.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        (self.source, self.ifindex, self.generation)
            == (other.source, other.ifindex, other.generation)
    }

    pub(crate) fn pin(&self) -> LocalPin {
        LocalPin { ip: self.source, ifindex: self.ifindex }
    }
}

/// How a destination is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Outlook {
    /// What is used.
    pub(crate) now: Option<Attachment>,
    /// Before it was lost, if it is lost.
    pub(crate) before: Option<Attachment>,
    /// What the system would use.
    system: Option<Attachment>,
    /// What would be better than what is used, while that still works.
    better: Option<Attachment>,
    /// Rules choose among links. The system does not even where both agree: it may
    /// change its mind before we hear of it.
    by_rule: bool,
}

impl Outlook {
    /// A destination that the system reaches like this.
    pub(crate) fn of_system(system: Option<Attachment>) -> Self {
        Self { now: system, system, ..Self::default() }
    }

    /// The same link as another destination that is reached against the system's
    /// will.
    pub(crate) fn like(other: &Self, system: Option<Attachment>) -> Self {
        let now = other.now.map(|now| Attachment {
            mtu: system.map_or(now.mtu, |system| system.mtu.min(now.mtu)),
            ..now
        });
        Self { now, before: None, system, better: None, by_rule: other.by_rule }
    }

    /// What is to be used from now on. `beside`: the ways by single links that
    /// were asked about; `rank` says how much a link is liked, and nothing where
    /// the system decides. Whatever is used stays as long as it works.
    pub(crate) fn choose(
        &mut self,
        system: Option<Attachment>,
        beside: &[Attachment],
        rank: Option<impl Fn(&Attachment) -> Rank>,
    ) -> Option<Attachment> {
        let all = || system.iter().chain(beside);
        let kept = self.now.and_then(|used| all().find(|there| there.is_at(&used)).copied());
        let wanted = match &rank {
            Some(rank) => {
                let in_use = |one: &Attachment| kept.is_some_and(|kept| kept.is_at(one));
                let by_system = |one: &Attachment| system.is_some_and(|system| system.is_at(one));
                all()
                    .min_by_key(|one| (rank(one), !by_system(one), !in_use(one), one.ifindex))
                    .copied()
            }
            None => system,
        };
        self.system = system;
        self.better = wanted.filter(|wanted| kept.is_some_and(|k| k.ifindex != wanted.ifindex));
        self.by_rule = rank.is_some();
        kept.filter(|_| self.better.is_some()).or(wanted)
    }

    /// What packets have to be held to, since the system would do otherwise.
    pub(crate) fn pin(&self) -> Option<LocalPin> {
        let now = self.now?;
        let agrees = self.system.is_some_and(|system| system.is_at(&now));
        (self.by_rule || !agrees).then(|| now.pin())
    }

    /// What would be better, if anything.
    pub(crate) fn better(&self) -> Option<LocalPin> {
        self.better.map(|better| better.pin())
    }

    /// Uses it.
    pub(crate) fn take_better(&mut self) -> Option<Attachment> {
        let better = self.better.take()?;
        self.now = Some(better);
        Some(better)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preference::{LinkRule, Pattern, Preference};

    fn at(ifindex: u32) -> Attachment {
        let source = [10, 0, 0, ifindex as u8].into();
        Attachment { source, ifindex, generation: 0, mtu: 1500 }
    }

    fn by_system(outlook: &mut Outlook, system: u32, beside: &[u32]) -> u32 {
        let beside: Vec<_> = beside.iter().copied().map(at).collect();
        outlook.now = outlook.choose(Some(at(system)), &beside, None::<fn(&Attachment) -> Rank>);
        outlook.now.unwrap().ifindex
    }

    /// Interfaces below 10 cost as much as their number, those from 10 are metered.
    fn by_rule(outlook: &mut Outlook, system: u32, beside: &[u32]) -> u32 {
        let rules = (1..20).map(|index| LinkRule {
            interface: Pattern::new(format!("eth{index}")),
            ipv6: None,
            metered: index >= 10,
            cost: index,
        });
        let preference = Preference::new(rules.collect());
        let rank = |one: &Attachment| preference.rank(&format!("eth{}", one.ifindex), false);
        let beside: Vec<_> = beside.iter().copied().map(at).collect();
        outlook.now = outlook.choose(Some(at(system)), &beside, Some(rank));
        outlook.now.unwrap().ifindex
    }

    #[test]
    fn what_works_stays_until_the_other_link_is_taken() {
        let mut outlook = Outlook::of_system(Some(at(1)));
        assert_eq!(outlook.pin(), None, "the system agrees");
        assert_eq!(by_system(&mut outlook, 2, &[1]), 1);
        assert_eq!((outlook.pin(), outlook.better()), (Some(at(1).pin()), Some(at(2).pin())));
        assert_eq!(outlook.take_better(), Some(at(2)));
        assert_eq!((outlook.pin(), outlook.better()), (None, None));
        assert_eq!(by_system(&mut outlook, 2, &[]), 2);
    }

    #[test]
    fn what_works_no_more_is_left_at_once() {
        let mut outlook = Outlook::of_system(Some(at(1)));
        assert_eq!(by_system(&mut outlook, 2, &[]), 2, "not there any more");
        assert_eq!((outlook.pin(), outlook.better()), (None, None));
        let mut outlook = Outlook::of_system(Some(at(1)));
        by_system(&mut outlook, 2, &[1]);
        assert_eq!(by_system(&mut outlook, 2, &[]), 2, "in the middle of a trial");
        let replugged = Attachment { generation: 1, ..at(1) };
        let mut outlook = Outlook::of_system(Some(at(1)));
        let none = None::<fn(&Attachment) -> Rank>;
        assert_eq!(outlook.choose(Some(at(2)), &[replugged], none), Some(at(2)));
    }

    #[test]
    fn another_source_on_the_same_link_is_no_second_link() {
        let mut outlook = Outlook::of_system(Some(at(1)));
        let renumbered = Attachment { source: [10, 0, 0, 99].into(), ..at(1) };
        let none = None::<fn(&Attachment) -> Rank>;
        assert_eq!(outlook.choose(Some(renumbered), &[], none), Some(renumbered));
        assert_eq!(outlook.better(), None);
    }

    #[test]
    fn a_route_that_comes_back_ends_it() {
        let mut outlook = Outlook::of_system(Some(at(1)));
        by_system(&mut outlook, 2, &[1]);
        assert_eq!(by_system(&mut outlook, 1, &[]), 1);
        assert_eq!((outlook.pin(), outlook.better()), (None, None));
    }

    #[test]
    fn rules_attract_to_a_better_link_and_hold_against_a_worse_one() {
        let mut outlook = Outlook::of_system(Some(at(2)));
        assert_eq!(by_rule(&mut outlook, 2, &[1, 3, 11]), 2);
        assert_eq!(outlook.better(), Some(at(1).pin()));
        outlook.take_better();
        assert_eq!(outlook.pin(), Some(at(1).pin()), "the system would use another");
        assert_eq!(by_rule(&mut outlook, 3, &[1, 2]), 1, "whatever the system would do");
        assert_eq!(outlook.better(), None);
        assert_eq!(by_rule(&mut outlook, 3, &[2, 11]), 2, "the next one at once");
        assert_eq!(outlook.better(), None);
        assert_eq!(by_rule(&mut outlook, 11, &[]), 11, "metered, but all there is");
        assert_eq!(by_rule(&mut outlook, 11, &[3]), 11);
        assert_eq!(outlook.better(), Some(at(3).pin()), "anything but metered");
    }

    #[test]
    fn where_rules_choose_what_is_used_is_held_even_while_the_system_agrees() {
        let mut outlook = Outlook::of_system(Some(at(1)));
        for beside in [&[2][..], &[]] {
            assert_eq!(by_rule(&mut outlook, 1, beside), 1);
            assert_eq!((outlook.pin(), outlook.better()), (Some(at(1).pin()), None));
        }
    }
}
