use std::sync::Arc;

use ntm_conformance::{Kind, Source, decode};
use ntm_core::plugin::{Fault as Blame, PluginError, Traversal, Vip};
use serde_json::{Value, json};

use crate::{traversal, vip};

/// A plugin with one mistake.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What it is called.
    pub name: &'static str,
    /// The mistake.
    pub mistake: Mistake,
    /// The promise that it breaks.
    pub breaks: &'static str,
    /// Whether that is only seen by waiting for what never comes.
    pub hangs: bool,
    /// Whether the host lets it through, where it is in a library: it contains the others.
    pub crosses: bool,
    /// A capability that it claims, though the plugin below it does not.
    pub boasts: Option<&'static str>,
}

/// A mistake of a kind of plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Of a traversal.
    Traversal(traversal::Mistake),
    /// Of a vip.
    Vip(vip::Mistake),
}

impl Mistake {
    /// Plugins of each kind that go through the same wrapper and do everything right.
    pub const NONE: [Self; 2] =
        [Self::Traversal(traversal::Mistake::None), Self::Vip(vip::Mistake::None)];

    /// What it is a mistake of.
    pub fn kind(self) -> Kind {
        match self {
            Self::Traversal(_) => Kind::Traversal,
            Self::Vip(_) => Kind::Vip,
        }
    }

    /// The built-in plugin below it.
    pub fn below(self) -> &'static str {
        match self {
            Self::Traversal(_) => "rs",
            Self::Vip(_) => "pool",
        }
    }
}

impl Mistake {
    /// As the configuration of a library writes it.
    pub fn word(self) -> Value {
        match self {
            Self::Traversal(mistake) => json!(mistake),
            Self::Vip(mistake) => json!(mistake),
        }
    }
}

fn another_kind() -> PluginError {
    PluginError::new(Blame::Config, "this mistake is one of another kind", "")
}

impl Source for Mistake {
    fn traversal(&self, config: &Value) -> Result<Arc<dyn Traversal>, PluginError> {
        let Self::Traversal(mistake) = self else { return Err(another_kind()) };
        Ok(Arc::new(traversal::Faulty::open(decode(config)?, *mistake)?))
    }

    fn vip(&self, config: &Value) -> Result<Arc<dyn Vip>, PluginError> {
        let Self::Vip(mistake) = self else { return Err(another_kind()) };
        Ok(Arc::new(vip::Faulty::open(decode(config)?, *mistake)?))
    }
}

const fn of(name: &'static str, mistake: Mistake, breaks: &'static str) -> Fault {
    Fault { name, mistake, breaks, hangs: false, crosses: false, boasts: None }
}

const fn in_vip(name: &'static str, mistake: vip::Mistake, breaks: &'static str) -> Fault {
    of(name, Mistake::Vip(mistake), breaks)
}

const fn in_plan(name: &'static str, mistake: traversal::Mistake, breaks: &'static str) -> Fault {
    of(name, Mistake::Traversal(mistake), breaks)
}

impl Fault {
    const fn crosses(self) -> Self {
        Self { crosses: true, ..self }
    }

    const fn hangs(self) -> Self {
        Self { hangs: true, ..self }
    }
}

/// All of them. The name says what is wrong.
pub const FAULTS: &[Fault] = &[
    in_vip("gives-the-broadcast-address", vip::Mistake::Broadcast, "VIP-1").crosses(),
    in_vip("goes-on-behind-the-end", vip::Mistake::BehindTheEnd, "VIP-1").crosses(),
    in_vip("gives-a-lease-twice", vip::Mistake::Twice, "VIP-2").crosses(),
    in_vip("looks-then-takes", vip::Mistake::LooksThenTakes, "VIP-3"),
    in_vip("races-threads", vip::Mistake::RacesThreads, "VIP-4"),
    in_vip("ranges-grow", vip::Mistake::RangesGrow, "VIP-5"),
    in_vip("one-family-of-two", vip::Mistake::OneFamily, "VIP-6").crosses(),
    in_vip("gives-up-early", vip::Mistake::GivesUpEarly, "VIP-7").crosses(),
    in_vip("panics-at-the-end", vip::Mistake::PanicsAtTheEnd, "VIP-7"),
    in_vip("hangs-at-the-end", vip::Mistake::HangsAtTheEnd, "VIP-7").hangs(),
    in_vip("takes-nothing-back", vip::Mistake::KeepsAll, "VIP-8").crosses(),
    in_vip("frees-strangers", vip::Mistake::FreesStrangers, "VIP-9").crosses(),
    in_vip("forgets-leases-with-a-restart", vip::Mistake::Forgets, "VIP-10").crosses(),
    in_vip("keeps-restored-leases-for-good", vip::Mistake::RestoredForGood, "VIP-11").crosses(),
    in_vip("restores-anything", vip::Mistake::TakesAnything, "VIP-12").crosses(),
    in_vip("restores-half", vip::Mistake::TakesHalf, "VIP-13").crosses(),
    in_vip("jams-when-given-up", vip::Mistake::Jams, "VIP-14").hangs(),
    in_vip("dawdles", vip::Mistake::Dawdles, "VIP-15"),
    in_plan("plans-for-somebody-somewhere-only", traversal::Mistake::NotTotal, "TRV-1"),
    in_plan("panics-without-ipv4", traversal::Mistake::Panics, "TRV-1"),
    in_plan("alternates", traversal::Mistake::Alternates, "TRV-2"),
    in_plan("mixes-questions-up", traversal::Mistake::MixesUp, "TRV-3"),
    in_plan("jams-when-given-up", traversal::Mistake::Jams, "TRV-4").hangs(),
    in_plan("dawdles", traversal::Mistake::Dawdles, "TRV-5"),
    in_plan("invents-a-candidate", traversal::Mistake::Invents, "TRV-6"),
    in_plan("tells-ends-their-own-places", traversal::Mistake::SwapsLists, "TRV-6"),
    in_plan("passes-loopback-on", traversal::Mistake::Loopback, "TRV-7"),
    in_plan("passes-any-family-on", traversal::Mistake::AnyFamily, "TRV-8"),
    in_plan("names-candidates-twice", traversal::Mistake::Doubles, "TRV-9"),
    in_plan("names-a-relay-behind-the-last", traversal::Mistake::BehindTheLast, "TRV-10"),
    in_plan("has-a-relay-stand-by-for-itself", traversal::Mistake::OwnStandBy, "TRV-10"),
    in_plan("takes-any-relay", traversal::Mistake::AnyRelay, "TRV-11"),
    in_plan("forgets-the-relay", traversal::Mistake::NoRelay, "TRV-12"),
    in_plan("lets-the-open-end-begin", traversal::Mistake::WrongEnd, "TRV-13"),
    in_plan("lets-the-asker-begin", traversal::Mistake::AskerBegins, "TRV-14"),
    in_plan("cuts-one-side", traversal::Mistake::OneSided, "TRV-15"),
    in_plan("is-never-direct", traversal::Mistake::NeverDirect, "TRV-16"),
    in_plan("puts-ipv4-first", traversal::Mistake::OldFirst, "TRV-17"),
];
