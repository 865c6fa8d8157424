use stateright::{Model, Property};

use crate::host::{TERMINALS, Who};
use crate::scenario::Scenario;
use crate::start::steady;
use crate::world::{End, World};

/// A scenario, to be explored.
#[derive(Clone, Debug)]
pub struct Schedules {
    scenario: Scenario,
}

/// One step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// What happens next by itself: an arrival, a deadline, an application's
    /// packet.
    Next,
    /// The datagram that would arrive next is lost.
    Lose,
    /// It arrives, and once more at any later moment or never.
    Double,
    /// It arrives at any later moment or never.
    Delay,
    /// A copy of it arrives first, from the stranger's address.
    Capture,
    /// One of those that arrive at any moment arrives now.
    Late(usize),
    /// This terminal moves, or calls the other.
    Act(Who),
    /// From now on nothing goes wrong, and the applications talk.
    Settle,
}

/// Nobody believes an old place of a terminal against what it has said since.
pub const NO_STALE_WAY: &str = "an older epoch moves nothing";
/// A pair has one tunnel, with one Path ID at both ends.
pub const ONE_TUNNEL: &str = "one tunnel a pair";
/// Nobody sends more than three times what came from a place, and the credit of
/// a move, before it has proved that it receives.
pub const NO_FLOOD: &str = "at most 3 × and the credit of a move to an unproved place";
/// When the network works again both ends use one path, and packets arrive.
pub const AGREED: &str = "both ends agree in the end";

impl Schedules {
    /// Every schedule of this scenario.
    pub fn of(scenario: Scenario) -> Self {
        Self { scenario }
    }

    /// What happens in a schedule, a line a step.
    pub fn tell(&self, actions: &[Action]) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(mut world) = self.init_states().pop() else { return lines };
        let began = world.now;
        for action in actions {
            let what = match action {
                Action::Act(who) => format!("{who:?}"),
                Action::Late(_) | Action::Settle => String::new(),
                Action::Next | Action::Lose | Action::Double | Action::Delay | Action::Capture => {
                    world.arriving().map(ToString::to_string).unwrap_or_default()
                }
            };
            let Some(next) = self.next_state(&world, *action) else { break };
            world = next;
            let action = format!("{action:?}");
            let word = action.split('(').next().unwrap_or_default();
            let at = world.now.since(began);
            lines.push(format!("{at:>12.3?} {word:8} {what}"));
        }
        lines.push(format!("{:?} {:?}", world.broken, world.end));
        lines
    }
}

impl Model for Schedules {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![steady(&self.scenario)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.end.is_some() {
            return;
        }
        let acts = TERMINALS.into_iter().filter(|who| world.may_act(&self.scenario, *who));
        actions.extend(acts.map(Action::Act));
        if world.is_fresh(&self.scenario) {
            // Before the first move nothing is under way that could go wrong.
            return;
        }
        actions.extend((0..world.late()).map(Action::Late));
        if world.is_over() {
            actions.push(Action::Settle);
            return;
        }
        actions.push(Action::Next);
        if world.arriving().is_some() {
            let left = world.left;
            let faults = [
                (left.losses, Action::Lose),
                (left.doubles, Action::Double),
                (left.delays, Action::Delay),
                (left.captures, Action::Capture),
            ];
            actions
                .extend(faults.into_iter().filter(|(left, _)| *left > 0).map(|(_, fault)| fault));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut world = world.clone();
        let scenario = &self.scenario;
        match action {
            Action::Next => world.step(scenario),
            Action::Lose => world.lose(),
            Action::Double => world.double(scenario),
            Action::Delay => world.delay(),
            Action::Capture => world.capture(scenario),
            Action::Late(at) => world.deliver_late(scenario, at),
            Action::Act(who) => world.act(scenario, who),
            Action::Settle => world.settle(scenario),
        }
        world.seal();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_STALE_WAY, |_, world: &World| world.broken.stale.is_none()),
            Property::always(ONE_TUNNEL, |_, world: &World| world.broken.double.is_none()),
            Property::always(NO_FLOOD, |_, world: &World| world.broken.flood.is_none()),
            Property::always(AGREED, |_, world: &World| world.end != Some(End::Apart)),
        ]
    }
}
