//! A registry that fails, or takes its time.

use super::*;
use crate::plugin::{Fault, PluginError};
use crate::wire::{DirectionRequest, Target};

fn full() -> PluginError {
    PluginError::new(Fault::System, "the disk is full", "make room")
}

fn failures(world: &mut World) -> usize {
    let mut events = std::iter::from_fn(|| world.coordinator.poll_event());
    events.by_ref().filter(|event| matches!(event, CoordinatorEvent::Failure(_))).count()
}

fn only(asked: Vec<(EffectId, Effect)>) -> (EffectId, Effect) {
    let [one] = <[_; 1]>::try_from(asked).unwrap();
    one
}

/// What plugins are asked from now on waits for `answer`.
fn hold(world: &mut World) {
    world.unanswered = Some(Vec::new());
}

fn held(world: &mut World) -> Vec<(EffectId, Effect)> {
    world.unanswered.replace(Vec::new()).unwrap()
}

fn answer(world: &mut World, id: EffectId, outcome: Outcome) {
    world.coordinator.handle_outcome(world.now, id, outcome);
    world.drain();
}

#[test]
fn a_registry_that_cannot_be_read_is_asked_until_it_can() {
    let mut world = World::starting();
    hold(&mut world);
    world.drain();
    for _ in 0..3 {
        let (id, effect) = only(held(&mut world));
        assert_eq!(effect, Effect::Load);
        answer(&mut world, id, Outcome::Loaded(Err(full())));
        assert_eq!(failures(&mut world), 1);
        assert!(!world.coordinator.status().ready);
        world.waits(LOAD_AGAIN);
    }
    let (id, _) = only(held(&mut world));
    let ranges = world.vips.ranges();
    answer(&mut world, id, Outcome::Loaded(Ok((Vec::new(), ranges.clone()))));
    // The domain's secret cannot be stored: all is read again.
    let (id, _) = only(held(&mut world));
    answer(&mut world, id, Outcome::Stored(Err(full())));
    world.waits(LOAD_AGAIN);
    let (id, effect) = only(held(&mut world));
    assert_eq!(effect, Effect::Load);
    world.unanswered = None;
    answer(&mut world, id, Outcome::Loaded(Ok((Vec::new(), ranges))));
    assert!(world.coordinator.status().ready);
}

#[test]
fn a_registry_that_is_slow_to_be_read_is_waited_for() {
    let mut world = World::starting();
    hold(&mut world);
    world.drain();
    let (id, _) = only(held(&mut world));
    world.waits(Duration::from_secs(60));
    assert_eq!(failures(&mut world), 1);
    assert!(held(&mut world).is_empty(), "it is asked once");
    world.unanswered = None;
    let ranges = world.vips.ranges();
    answer(&mut world, id, Outcome::Loaded(Ok((Vec::new(), ranges))));
    assert!(world.coordinator.status().ready);
}

#[test]
fn a_lease_that_is_stored_late_counts_and_is_given_to_nobody_else() {
    let mut world = World::new();
    let mut mn = world.member("mn.example", MemberRole::Terminal, 5);
    world.opens_session(&mut mn);
    hold(&mut world);
    let registration = mn.registration(Vec::new());
    world.says(&mut mn, registration);
    let (id, _) = only(held(&mut world));
    let vips = world.vips.take().unwrap();
    answer(&mut world, id, Outcome::Leased(Ok(vips)));
    let (id, effect) = only(held(&mut world));
    assert!(matches!(effect, Effect::Store(_)));
    let sent = world.waits(Duration::from_secs(10));
    assert_eq!(mn.is_refused(&sent), Some(Refusal::Failure));
    let registration = mn.registration(Vec::new());
    world.says(&mut mn, registration);
    assert!(held(&mut world).is_empty(), "nothing is leased twice, and nothing released");

    world.unanswered = None;
    answer(&mut world, id, Outcome::Stored(Ok(())));
    assert!(world.released.is_empty());
    assert_eq!(world.vips_of(&mn), vips);
    assert_eq!(world.registers(&mut mn, Vec::new()).vips, vips);
}

#[test]
fn both_copies_of_a_registration_that_waited_for_a_lease_are_answered() {
    let mut world = World::new();
    let mut mn = world.member("mn.example", MemberRole::Terminal, 5);
    world.opens_session(&mut mn);
    hold(&mut world);
    let v6: SocketAddr = "[2001:db8::5]:4330".parse().unwrap();
    for _ in 0..2 {
        for from in [mn.addr, v6] {
            let copy = mn.seals_as(RequestId::of_node(1), mn.registration(Vec::new()));
            assert!(world.arrives(from, &copy).is_empty());
        }
    }
    let (id, _) = only(held(&mut world));
    world.unanswered = None;
    let vips = world.vips.take();
    world.coordinator.handle_outcome(world.now, id, Outcome::Leased(vips));
    world.drain();
    let answered: Vec<_> = world.sent.iter().map(|(to, _)| *to).collect();
    assert_eq!(answered, [mn.addr, v6], "once each, where it came from");
    let presence = world
        .coordinator
        .members
        .presence(Station { key: mn.identity.public(), role: MemberRole::Terminal });
    let seen = presence.unwrap().location.observed.iter().map(|seen| seen.candidate.addr);
    assert_eq!(seen.collect::<Vec<_>>(), [mn.addr, v6]);
}

#[test]
fn a_lease_that_cannot_be_stored_is_released() {
    let mut world = World::new();
    let mut mn = world.member("mn.example", MemberRole::Terminal, 5);
    world.opens_session(&mut mn);
    hold(&mut world);
    let registration = mn.registration(Vec::new());
    world.says(&mut mn, registration);
    let (id, _) = only(held(&mut world));
    let vips = world.vips.take().unwrap();
    answer(&mut world, id, Outcome::Leased(Ok(vips)));
    let (id, _) = only(held(&mut world));
    world.unanswered = None;
    answer(&mut world, id, Outcome::Stored(Err(full())));
    assert_eq!(world.released, [vips]);
    assert_ne!(world.registers(&mut mn, Vec::new()).vips, vips);
}

#[test]
fn a_change_of_members_counts_when_it_is_durable_and_who_asked_hears_when_it_is_not() {
    let mut world = World::new();
    hold(&mut world);
    let mn = world.member("mn.example", MemberRole::Terminal, 5);
    let (id, _) = only(held(&mut world));
    assert!(world.coordinator.members.named(&mn.name).is_none());
    answer(&mut world, id, Outcome::Stored(Err(full())));
    let mut events = std::iter::from_fn(|| world.coordinator.poll_event());
    let said = events.find_map(|event| match event {
        CoordinatorEvent::MemberNotStored { name, failure } => Some((name, failure.said)),
        _ => None,
    });
    let (name, said) = said.unwrap();
    assert_eq!(name, mn.name);
    assert!(said.unwrap().contains("the disk is full"));
    assert!(world.coordinator.members.named(&mn.name).is_none());
}

#[test]
fn a_plan_for_where_an_end_was_is_asked_for_again() {
    let mut world = World::new();
    let mut mn = world.terminal("mn.example", 5);
    let mut cn = world.terminal("cn.example", 6);
    let target = Target::Vip(world.vip_of(&cn));
    hold(&mut world);
    world.says(&mut mn, SignalBody::DirectionRequest(DirectionRequest { target, path: None }));
    let (id, effect) = only(held(&mut world));
    (cn.addr, cn.epoch) = (addr(7), cn.epoch.next());
    let registration = cn.registration(Vec::new());
    world.says(&mut cn, registration);
    let Effect::Plan(before) = effect else { panic!("{effect:?}") };
    answer(&mut world, id, Outcome::Planned(Ok(plan(&before))));
    assert!(cn.hears(&std::mem::take(&mut world.sent)).is_empty(), "nothing is directed by it");
    let (id, effect) = only(held(&mut world));
    let Effect::Plan(after) = effect else { panic!("{effect:?}") };
    assert_eq!(after.responder.observed[0].candidate.addr, cn.addr);
    answer(&mut world, id, Outcome::Planned(Ok(plan(&after))));
    let told = cn.hears(&std::mem::take(&mut world.sent));
    assert!(told.iter().any(|signal| matches!(signal.body, SignalBody::RouteDirection(_))));
}
