//! The worlds that are explored, by name.

use std::time::Duration;

use ntm_core::terminal::Mode;
use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::model::Schedules;
use crate::scenario::{Budget, Scenario, Start};

/// A world with its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// As in `docs/TESTING.md`.
    pub name: String,
    /// What may happen in it.
    pub scenario: Scenario,
}

/// What exploring a world has shown.
#[derive(Clone, Debug)]
pub struct Explored {
    /// Different states.
    pub states: usize,
    /// The steps of the longest schedule.
    pub longest: usize,
    /// Properties that do not hold, each with a schedule that breaks it.
    pub broken: Vec<(&'static str, Vec<String>)>,
}

impl Named {
    /// Explores every schedule, up to the first that breaks a property.
    pub fn explore(&self, threads: usize) -> Explored {
        let model = Schedules::of(self.scenario.clone());
        let checker = model.clone().checker().threads(threads);
        let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
        let mut broken: Vec<_> = checker.discoveries().into_iter().collect();
        broken.sort_by_key(|(property, _)| *property);
        let tell = |(property, path): (_, stateright::Path<_, _>)| {
            (property, model.tell(&path.into_actions()))
        };
        Explored {
            states: checker.unique_state_count(),
            longest: checker.max_depth(),
            broken: broken.into_iter().map(tell).collect(),
        }
    }
}

/// What a world is made of, before its budget.
type Kind = (&'static str, fn(Mode) -> Scenario);

const KINDS: [Kind; 9] = [
    ("direct", Scenario::direct),
    ("direct, at once", |mode| within(25, Scenario::direct(mode))),
    ("direct, in a breath", |mode| within(19, Scenario::direct(mode))),
    ("direct, talking", |mode| talking(Scenario::direct(mode))),
    ("direct, a relay at hand", |mode| Scenario { relay: true, ..Scenario::direct(mode) }),
    ("relayed", Scenario::relayed),
    ("relayed, at once", |mode| within(25, Scenario::relayed(mode))),
    ("relayed, in a breath", |mode| within(13, Scenario::relayed(mode))),
    ("glare", |mode| Scenario { start: Start::Strangers, ..Scenario::direct(mode) }),
];

/// Both applications send a packet every 20 ms.
fn talking(scenario: Scenario) -> Scenario {
    Scenario { talk: Some(Duration::from_millis(20)), ..scenario }
}

/// One thing comes within so many milliseconds of the other; a round trip is
/// 18 ms between the ends, 12 to the coordinator.
fn within(ms: u64, scenario: Scenario) -> Scenario {
    Scenario { horizon: Duration::from_millis(ms), ..scenario }
}

const fn budget(moves: u8, losses: u8, doubles: u8, delays: u8, captures: u8) -> Budget {
    Budget { moves, losses, doubles, delays, captures }
}

/// Explored with every run of the tests.
const SMALL: [(&str, Budget); 17] = [
    ("direct", budget(2, 0, 0, 0, 0)),
    ("direct", budget(1, 1, 0, 0, 0)),
    ("direct", budget(1, 0, 1, 0, 0)),
    ("direct", budget(1, 0, 0, 1, 0)),
    ("direct", budget(1, 0, 0, 0, 1)),
    ("direct, in a breath", budget(2, 0, 0, 1, 0)),
    ("direct, talking", budget(1, 0, 0, 0, 1)),
    ("direct, talking", budget(1, 1, 0, 0, 0)),
    ("direct, a relay at hand", budget(1, 1, 0, 0, 0)),
    ("relayed", budget(1, 1, 0, 0, 0)),
    ("relayed", budget(1, 0, 1, 0, 0)),
    ("relayed", budget(1, 0, 0, 0, 1)),
    ("relayed", budget(2, 0, 0, 0, 0)),
    ("relayed, in a breath", budget(2, 0, 0, 1, 0)),
    ("glare", budget(2, 1, 0, 0, 0)),
    ("glare", budget(2, 0, 1, 0, 0)),
    ("glare", budget(2, 0, 0, 0, 1)),
];

/// Explored by `just model`.
const LARGE: [(&str, Budget); 16] = [
    ("direct", budget(3, 0, 0, 0, 0)),
    ("direct", budget(2, 1, 0, 0, 0)),
    ("direct", budget(2, 0, 1, 0, 0)),
    ("direct", budget(2, 0, 0, 1, 0)),
    ("direct", budget(1, 2, 0, 0, 0)),
    ("direct", budget(1, 1, 1, 0, 0)),
    ("direct", budget(1, 0, 0, 2, 0)),
    ("direct, at once", budget(3, 0, 0, 0, 0)),
    ("relayed, at once", budget(2, 0, 0, 1, 0)),
    ("direct, talking", budget(2, 0, 0, 0, 1)),
    ("direct, a relay at hand", budget(2, 0, 0, 0, 0)),
    ("relayed", budget(1, 0, 0, 1, 0)),
    ("relayed", budget(2, 1, 0, 0, 0)),
    ("relayed", budget(2, 0, 0, 0, 1)),
    ("glare", budget(2, 0, 0, 1, 0)),
    ("glare", budget(2, 1, 1, 0, 0)),
];

fn named(worlds: &[(&str, Budget)]) -> Vec<Named> {
    let mut all = Vec::new();
    for (kind, budget) in worlds {
        let made = KINDS.iter().find(|(name, _)| name == kind);
        let (_, make) = made.expect("a kind of world");
        for mode in [Mode::Fast, Mode::Seed] {
            let scenario = Scenario { budget: *budget, ..make(mode) };
            all.push(Named { name: format!("{kind}, {}", budget.describe(mode)), scenario });
        }
    }
    all
}

impl Budget {
    fn describe(&self, mode: Mode) -> String {
        let mode = if mode == Mode::Fast { "fast" } else { "seed" };
        let counts = [
            (self.moves, "moves"),
            (self.losses, "lost"),
            (self.doubles, "doubled"),
            (self.delays, "late"),
            (self.captures, "captured"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        format!("{mode}: {}", counts.join(", "))
    }
}

/// Those that every run of the tests explores.
pub fn small() -> Vec<Named> {
    named(&SMALL)
}

/// Those that take minutes.
pub fn large() -> Vec<Named> {
    named(&LARGE)
}
