//! Room for packets, and the order of transports.

use super::super::transports::staggered;
use super::*;

fn limit(world: &World) -> Option<u16> {
    world.events.iter().rev().find_map(|event| match event {
        TerminalEvent::Table(TableEvent::Point { to: Some(to), .. }) => Some(to.limit),
        _ => None,
    })
}

#[test]
fn the_limit_follows_what_the_transport_has_room_for() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    assert_eq!(limit(&world), Some(1400));
    let legs: Vec<_> = world.terminal.legs_by(TransportId(0)).into_iter().collect();
    assert_eq!(legs, [Leg::to(TransportId(0), cn.addr)]);
    assert!(world.terminal.legs_by(TransportId(1)).is_empty());
    for (payload, expected) in [(1362, 1318), (1414, 1370), (9000, 1400), (1162, 1280)] {
        world.terminal.handle_payloads(world.now, &[(legs[0], payload)]);
        world.drain();
        assert_eq!(limit(&world), Some(expected), "{payload} bytes");
    }
    let told = world.events.len();
    world.terminal.handle_payloads(world.now, &[(legs[0], 1162)]);
    world.drain();
    assert_eq!(world.events.len(), told, "no news");
    world.terminal.handle_payloads(world.now, &[]);
    world.drain();
    assert_eq!(limit(&world), Some(1400), "the route's MTU alone");
}

#[test]
fn the_best_transport_of_those_that_lead_there_has_a_head_start() {
    let leg = |transport, last| Leg::to(TransportId(transport), addr(last));
    let pacing = Duration::from_millis(20);
    let due = |legs: &[Leg]| -> Vec<u128> {
        let now = Time::ZERO + Duration::from_secs(1);
        staggered(now, legs, pacing).map(|(at, _)| at.since(now).as_millis()).collect()
    };
    assert_eq!(due(&[leg(0, 1), leg(0, 2), leg(1, 1), leg(0, 3)]), [0, 20, 250, 60]);
    assert_eq!(due(&[leg(1, 1), leg(1, 2)]), [0, 20], "no other is waited for");
    let many: Vec<_> = (0..16).map(|last| leg(u8::from(last > 13), last)).collect();
    assert_eq!(due(&many)[13..], [260, 280, 300], "never before its turn");
}
