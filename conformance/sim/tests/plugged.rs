//! Something else in the place of what is simulated.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ntm_core::machine::{Effect, Outcome};
use ntm_core::terminal::Mode;
use ntm_sim::{Answers, HostId, Road, World};

mod common;
use common::{Pair, setup};

/// Counts what comes by, and leaves the rest to the simulation.
#[derive(Clone, Debug, Default)]
struct Counting {
    plans: Arc<AtomicU64>,
    datagrams: Arc<AtomicU64>,
    /// Loses one datagram of so many; 0: none.
    loses: Arc<AtomicU64>,
}

impl Answers for Counting {
    fn answer(&mut self, effect: &Effect) -> Option<Outcome> {
        let is_plan = matches!(effect, Effect::Plan(_));
        self.plans.fetch_add(u64::from(is_plan), Ordering::Relaxed);
        None
    }
}

impl Road for Counting {
    fn carry(&mut self, _: HostId, _: HostId, datagram: Vec<u8>) -> Option<Vec<u8>> {
        let nth = self.datagrams.fetch_add(1, Ordering::Relaxed);
        let loses = self.loses.load(Ordering::Relaxed);
        (loses == 0 || !nth.is_multiple_of(loses)).then_some(datagram)
    }
}

#[test]
fn plugins_are_asked_and_the_road_carries_everything() {
    let counting = Counting::default();
    let mut world = World::new(setup(1, Mode::Fast));
    world.set_answers(Box::new(counting.clone()));
    world.set_road(Box::new(counting.clone()));
    let mut pair = Pair::in_world(world, 1, false);
    assert!(pair.talks());
    assert!(counting.plans.load(Ordering::Relaxed) > 0);
    let before = counting.datagrams.load(Ordering::Relaxed);
    assert!(pair.talks());
    // A hundred packets each way, and nothing beside the road.
    assert!(counting.datagrams.load(Ordering::Relaxed) >= before + 200);
}

#[test]
fn what_the_road_loses_does_not_arrive() {
    let counting = Counting::default();
    let mut world = World::new(setup(1, Mode::Fast));
    world.set_road(Box::new(counting.clone()));
    let mut pair = Pair::in_world(world, 1, false);
    assert!(pair.talks());
    counting.loses.store(2, Ordering::Relaxed);
    assert!(!pair.talks());
}
