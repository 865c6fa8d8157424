use std::sync::Arc;

use ntm_conformance::{Kind, Source, decode};
use ntm_core::plugin::{
    Fault as Blame, Interface, PluginError, Registry, Transport, Traversal, Vip, Watcher,
};
use serde_json::{Value, json};

use crate::{interface, registry, transport, traversal, vip, watcher};

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
    /// Of a transport.
    Transport(transport::Mistake),
    /// Of a watcher.
    Watcher(watcher::Mistake),
    /// Of a traversal.
    Traversal(traversal::Mistake),
    /// Of a vip.
    Vip(vip::Mistake),
    /// Of an interface.
    Interface(interface::Mistake),
    /// Of a registry.
    Registry(registry::Mistake),
}

impl Mistake {
    /// Plugins of each kind that go through the same wrapper and do everything right.
    pub const NONE: [Self; 6] = [
        Self::Transport(transport::Mistake::None),
        Self::Watcher(watcher::Mistake::None),
        Self::Traversal(traversal::Mistake::None),
        Self::Vip(vip::Mistake::None),
        Self::Interface(interface::Mistake::None),
        Self::Registry(registry::Mistake::None),
    ];

    /// What it is a mistake of.
    pub fn kind(self) -> Kind {
        match self {
            Self::Transport(_) => Kind::Transport,
            Self::Watcher(_) => Kind::Watcher,
            Self::Traversal(_) => Kind::Traversal,
            Self::Vip(_) => Kind::Vip,
            Self::Interface(_) => Kind::Interface,
            Self::Registry(_) => Kind::Registry,
        }
    }

    /// The built-in plugin below it.
    pub fn below(self) -> &'static str {
        match self {
            Self::Transport(_) => "udp",
            Self::Watcher(_) => "netlink",
            Self::Traversal(_) => "rs",
            Self::Vip(_) => "pool",
            Self::Interface(_) => "tun",
            Self::Registry(_) => "redb",
        }
    }
}

impl Mistake {
    /// As the configuration of a library writes it.
    pub fn word(self) -> Value {
        match self {
            Self::Transport(mistake) => json!(mistake),
            Self::Watcher(mistake) => json!(mistake),
            Self::Traversal(mistake) => json!(mistake),
            Self::Vip(mistake) => json!(mistake),
            Self::Interface(mistake) => json!(mistake),
            Self::Registry(mistake) => json!(mistake),
        }
    }
}

fn another_kind() -> PluginError {
    PluginError::new(Blame::Config, "this mistake is one of another kind", "")
}

impl Source for Mistake {
    fn transport(&self, config: &Value, lanes: usize) -> Result<Arc<dyn Transport>, PluginError> {
        let Self::Transport(mistake) = self else { return Err(another_kind()) };
        Ok(Arc::new(transport::Faulty::open(decode(config)?, lanes, *mistake)?))
    }

    fn watcher(&self, config: &Value) -> Result<Box<dyn Watcher>, PluginError> {
        let Self::Watcher(mistake) = self else { return Err(another_kind()) };
        Ok(Box::new(watcher::Faulty::open(decode(config)?, *mistake)?))
    }

    fn interface(&self, config: &Value, lanes: usize) -> Result<Arc<dyn Interface>, PluginError> {
        let Self::Interface(mistake) = self else { return Err(another_kind()) };
        Ok(Arc::new(interface::Faulty::open(decode(config)?, lanes, *mistake)?))
    }

    fn registry(&self, config: &Value) -> Result<Arc<dyn Registry>, PluginError> {
        let Self::Registry(mistake) = self else { return Err(another_kind()) };
        Ok(Arc::new(registry::Faulty::open(decode(config)?, *mistake)?))
    }

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

const fn in_watcher(name: &'static str, mistake: watcher::Mistake, breaks: &'static str) -> Fault {
    of(name, Mistake::Watcher(mistake), breaks)
}

const fn in_registry(
    name: &'static str,
    mistake: registry::Mistake,
    breaks: &'static str,
) -> Fault {
    of(name, Mistake::Registry(mistake), breaks)
}

const fn in_interface(
    name: &'static str,
    mistake: interface::Mistake,
    breaks: &'static str,
) -> Fault {
    of(name, Mistake::Interface(mistake), breaks)
}

const fn in_transport(
    name: &'static str,
    mistake: transport::Mistake,
    breaks: &'static str,
) -> Fault {
    of(name, Mistake::Transport(mistake), breaks)
}

impl Fault {
    const fn boasts(self, capability: &'static str) -> Self {
        Self { boasts: Some(capability), ..self }
    }

    const fn crosses(self) -> Self {
        Self { crosses: true, ..self }
    }

    const fn hangs(self) -> Self {
        Self { hangs: true, ..self }
    }
}

/// All of them. The name says what is wrong.
pub const FAULTS: &[Fault] = &[
    in_transport("joins-datagrams", transport::Mistake::Joins, "TRN-1").crosses(),
    in_transport("cuts-datagrams", transport::Mistake::Cuts, "TRN-1").crosses(),
    in_transport("alters-a-bit", transport::Mistake::Alters, "TRN-1").crosses(),
    in_transport("panics-at-a-datagram", transport::Mistake::PanicsInReceive, "TRN-1"),
    in_transport("tells-a-wrong-source", transport::Mistake::WrongSource, "TRN-2")
        .crosses()
        .hangs(),
    in_transport("reorders", transport::Mistake::Reorders, "TRN-3").crosses(),
    in_transport("drops-the-tail-of-a-batch", transport::Mistake::DropsTail, "TRN-4")
        .crosses()
        .hangs(),
    in_transport("is-broken-by-one-datagram", transport::Mistake::BrokenByOne, "TRN-5"),
    in_transport("loses-the-last-of-a-run", transport::Mistake::LosesLastOfRun, "TRN-6")
        .crosses()
        .hangs(),
    in_transport("tells-a-wrong-segment", transport::Mistake::WrongSegment, "TRN-6").crosses(),
    in_transport("halves-long-runs", transport::Mistake::HalvesLongRuns, "TRN-7").crosses().hangs(),
    in_transport("cuts-what-is-too-large", transport::Mistake::CutsTooLarge, "TRN-8").crosses(),
    in_transport("blocks-in-send", transport::Mistake::BlocksInSend, "TRN-9"),
    in_transport("is-readable-always", transport::Mistake::AlwaysReadable, "TRN-10").crosses(),
    in_transport("receives-nothing-with-success", transport::Mistake::NothingIsSuccess, "TRN-10"),
    in_transport("loses-wake-ups", transport::Mistake::LosesWakeUps, "TRN-11").hangs(),
    in_transport("loses-what-follows-a-cut", transport::Mistake::LosesBehindCut, "TRN-12")
        .crosses()
        .hangs(),
    in_transport("has-other-lanes-each-time", transport::Mistake::OtherLanes, "TRN-13"),
    in_transport("has-too-few-lanes", transport::Mistake::TooFewLanes, "TRN-13"),
    in_transport("tells-a-wrong-port", transport::Mistake::WrongLocal, "TRN-14").hangs(),
    in_transport("tells-port-0", transport::Mistake::NoPort, "TRN-14"),
    in_transport("tells-a-wrong-arrival", transport::Mistake::WrongArrival, "TRN-15").crosses(),
    in_transport("changes-its-kind", transport::Mistake::ChangesKind, "TRN-16"),
    in_transport("boasts-of-size", transport::Mistake::BoastsOfSize, "TRN-17")
        .boasts("largest_payload")
        .hangs(),
    in_transport("moves-its-port-with-rebind", transport::Mistake::RebindMovesPort, "TRN-18")
        .crosses()
        .hangs(),
    in_transport("forgets-lanes-with-rebind", transport::Mistake::RebindForgetsLanes, "TRN-18"),
    in_transport("is-dead-after-a-move", transport::Mistake::DeadAfterMove, "TRN-19"),
    in_transport("is-dead-when-rebind-is-given-up", transport::Mistake::RebindHalfway, "TRN-20"),
    in_transport("takes-packets-after-its-end", transport::Mistake::TakesAfterClose, "TRN-21"),
    in_transport("is-silent-after-its-end", transport::Mistake::SilentAfterClose, "TRN-21"),
    in_transport("wakes-nobody-at-its-end", transport::Mistake::NoWakeAtClose, "TRN-21").hangs(),
    in_transport("keeps-its-port", transport::Mistake::KeepsPort, "TRN-21").hangs(),
    in_transport("never-ends", transport::Mistake::HangsInClose, "TRN-21").hangs(),
    in_transport("blames-the-system", transport::Mistake::BlamesSystem, "TRN-22").crosses(),
    in_transport("loses-congestion-marks", transport::Mistake::LosesEcn, "TRN-23").crosses(),
    in_transport("ignores-the-source", transport::Mistake::IgnoresSource, "TRN-24").crosses(),
    in_transport("shows-ipv4-as-ipv6", transport::Mistake::Mapped, "TRN-25").crosses(),
    in_transport("knows-one-thread", transport::Mistake::OneThread, "TRN-26").hangs(),
    in_transport("leaks-a-descriptor", transport::Mistake::Leaks, "ANY-1").hangs(),
    in_transport("hangs-when-it-is-opened", transport::Mistake::HangsInOpen, "ANY-1").hangs(),
    in_watcher("has-no-order", watcher::Mistake::Unordered, "WAT-1"),
    in_watcher("calls-nothing-usable", watcher::Mistake::NothingUsable, "WAT-1"),
    in_watcher("sorts-its-answers", watcher::Mistake::SortsAnswers, "WAT-2"),
    in_watcher("hides-tunnels", watcher::Mistake::HidesTunnels, "WAT-3"),
    in_watcher("is-deaf", watcher::Mistake::Deaf, "WAT-4").hangs(),
    in_watcher("keeps-what-has-gone", watcher::Mistake::KeepsGone, "WAT-4").hangs(),
    in_watcher("calls-everything-up", watcher::Mistake::AlwaysUp, "WAT-5").hangs(),
    in_watcher("has-one-route-for-ever", watcher::Mistake::OneRouteForEver, "WAT-6").hangs(),
    in_watcher("has-room-for-64-addresses", watcher::Mistake::SmallTable, "WAT-7").hangs(),
    in_watcher("drowns-in-a-storm", watcher::Mistake::DrownsInStorm, "WAT-8"),
    in_watcher("loses-a-change-with-the-call", watcher::Mistake::LosesWithCall, "WAT-9").hangs(),
    in_watcher("takes-looking-for-telling", watcher::Mistake::LookingIsTelling, "WAT-10").hangs(),
    in_watcher("jams-when-given-up", watcher::Mistake::JamsWhenGivenUp, "WAT-11"),
    in_watcher("never-rests", watcher::Mistake::NeverRests, "WAT-12"),
    in_watcher("takes-any-interface", watcher::Mistake::AnyInterface, "WAT-13"),
    in_watcher("has-one-generation", watcher::Mistake::OneGeneration, "WAT-14").hangs(),
    in_watcher("knows-old-links-alone", watcher::Mistake::KnowsOldLinks, "WAT-15").hangs(),
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
    in_interface("has-other-lanes-each-time", interface::Mistake::OtherLanes, "IFC-1"),
    in_interface("has-a-wrong-index", interface::Mistake::WrongIndex, "IFC-2"),
    in_interface("ignores-the-largest-packet", interface::Mistake::IgnoresMtu, "IFC-3"),
    in_interface("forgets-the-ranges", interface::Mistake::ForgetsRanges, "IFC-3"),
    in_interface("leaves-half-a-configuration", interface::Mistake::LeavesHalf, "IFC-4"),
    in_interface("alters-a-bit", interface::Mistake::Alters, "IFC-5").hangs(),
    in_interface("reorders", interface::Mistake::Reorders, "IFC-6"),
    in_interface("is-broken-by-nonsense", interface::Mistake::BrokenByOne, "IFC-7").hangs(),
    in_interface("stays-when-it-is-closed", interface::Mistake::Stays, "IFC-8").hangs(),
    in_interface(
        "is-half-configured-when-given-up",
        interface::Mistake::ConfiguresHalfway,
        "IFC-9",
    ),
    in_registry("writes-half-a-batch", registry::Mistake::HalfBatch, "REG-1"),
    in_registry("forgets-what-rests", registry::Mistake::ForgetsQuarantine, "REG-1"),
    in_registry("forgets-roles", registry::Mistake::ForgetsRoles, "REG-1"),
    in_registry("has-no-order", registry::Mistake::Unordered, "REG-1"),
    in_registry("writes-back-to-front", registry::Mistake::BackToFront, "REG-2"),
    in_registry("keeps-what-was-deleted", registry::Mistake::KeepsDeleted, "REG-2"),
    in_registry("never-replaces", registry::Mistake::NeverReplaces, "REG-2"),
    in_registry("refuses-to-delete-nothing", registry::Mistake::RefusesAbsent, "REG-2"),
    in_registry("lets-commits-overtake", registry::Mistake::Overtakes, "REG-3"),
    in_registry("writes-half-when-given-up", registry::Mistake::HalfWhenGivenUp, "REG-4"),
    in_registry("loses-the-last-commit", registry::Mistake::LosesLast, "REG-5"),
    in_registry("acknowledges-before-it-writes", registry::Mistake::LosesLast, "REG-6"),
    in_registry("is-open-to-everybody", registry::Mistake::ForEverybody, "REG-8"),
];
