//! Tickets in wrong hands, at wrong times and in wrong places.

use super::*;

/// That nothing is answered, bound or forwarded.
fn is_nothing(world: &mut World, from: SocketAddr, datagram: &[u8]) -> bool {
    let before = world.relay.clone();
    world.arrives(from, datagram).is_empty() && world.relay == before
}

#[test]
fn a_ticket_serves_only_who_holds_the_key_of_the_end() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 1);
    let bind = world.bind(Side::Lower, &ticket);
    let thief = PublicKey::from_bytes([66; 32]);
    // Everything on the wire and everything that a member is given for itself.
    let of_another = world.ticket(PathId::from_bytes([2; 16]), 2);
    let keys = [
        Secret::new([0; 32]),
        Secret::new(thief.hash()),
        ticket.end_key(&KEY, Side::Higher),
        of_another.end_key(&KEY, Side::Lower),
        ticket.end_key(&Secret::new([9; 32]), Side::Lower),
    ];
    for key in keys {
        assert!(is_nothing(&mut world, addr(66), &bind.emit(&key)));
    }
    assert!(world.binds(addr(10), &bind).is_some());
}

#[test]
fn a_ticket_serves_its_own_path_relay_and_terms_only() {
    let mut world = World::new();
    let genuine = world.ticket(PATH, 1);
    let changes: [fn(&mut Ticket); 6] = [
        |ticket| ticket.relay = RelayId([7; 16]),
        |ticket| ticket.serial += 1,
        |ticket| ticket.not_after += 1000,
        |ticket| ticket.rate = 1,
        |ticket| ticket.quota = 1,
        |ticket| ticket.lower = [66; 32],
    ];
    for change in changes {
        let mut ticket = genuine.clone();
        change(&mut ticket);
        let bind = world.bind(Side::Lower, &ticket);
        assert!(world.binds(addr(66), &bind).is_none(), "{ticket:?}");
    }
    let elsewhere = Bind { path: PathId::from_bytes([2; 16]), ..world.bind(Side::Lower, &genuine) };
    assert!(world.binds(addr(66), &elsewhere).is_none());
    // Sealed by the coordinator of another domain, for the same relay.
    let other = Secret::new([77; 32]);
    let foreign = Ticket { mac: [0; 16], ..genuine.clone() }.sealed(&PATH, &other);
    let bind = world.bind(Side::Lower, &foreign);
    let datagram = bind.emit(&foreign.end_key(&other, Side::Lower));
    assert!(is_nothing(&mut world, addr(66), &datagram));
    // Another relay of the same coordinator.
    let another = Ticket { relay: RelayId([7; 16]), mac: [0; 16], ..genuine }.sealed(&PATH, &KEY);
    let bind = world.bind(Side::Lower, &another);
    assert!(world.binds(addr(66), &bind).is_none());
    assert_eq!(world.relay.status().pairs, 0);
}

#[test]
fn a_ticket_begins_nothing_after_its_time() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 1);
    world.waits(Duration::from_secs(600));
    let bind = world.bind(Side::Lower, &ticket);
    assert_eq!(world.binds(addr(10), &bind).unwrap().status, BindStatus::Challenge);
    world.waits(Duration::from_secs(301));
    assert_eq!(world.relay.status().pairs, 0, "nobody refreshed it");
    assert_eq!(world.binds(addr(10), &bind).unwrap().status, BindStatus::Expired);
    assert_eq!(world.relay.status().pairs, 0);
}

#[test]
fn a_repeated_bind_turns_no_packets_away() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 1);
    let bind = world.bind(Side::Higher, &ticket);
    let captured = bind.emit(&ticket.end_key(&KEY, Side::Higher));
    world.relayed(&ticket);
    assert!(world.goes_to(20));
    for last in [66, 67, 66] {
        let sent = world.arrives(addr(last), &captured);
        let bytes: usize = sent.iter().map(|(_, datagram)| datagram.len()).sum();
        assert!(bytes < captured.len(), "less than it cost");
        assert!(world.goes_to(20), "to the end that has proved where it is");
    }
    assert_eq!(world.forwards(addr(66), 100), Verdict::NotRelayed, "nor can he send");
}

#[test]
fn a_bind_that_changes_nothing_costs_no_new_table() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 1);
    world.relayed(&ticket);
    let again = world.bind(Side::Lower, &ticket);
    let refresh = again.emit(&ticket.end_key(&KEY, Side::Lower));
    for last in [10, 66, 10] {
        world.drain();
        let leg = Leg::to(TransportId(0), addr(last));
        world.relay.handle_datagram(world.now, &leg, &refresh);
        let events: Vec<_> = std::iter::from_fn(|| world.relay.poll_event()).collect();
        assert!(!events.is_empty(), "it is genuine");
        assert!(!events.iter().any(|event| matches!(event, RelayEvent::Forward(_))));
    }
}

#[test]
fn a_bind_overheard_and_sent_first_from_elsewhere_gains_three_times_and_is_overtaken() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 1);
    world.relayed(&ticket);
    let moved = Bind { epoch: Epoch(6), ..world.bind(Side::Higher, &ticket) };
    let captured = moved.emit(&ticket.end_key(&KEY, Side::Higher));
    let mut reflected: usize =
        world.arrives(addr(66), &captured).iter().map(|(_, datagram)| datagram.len()).sum();
    let to_thief = Verdict::To(Leg::to(TransportId(0), addr(66)));
    let spent = captured.len();
    for _ in 0..100 {
        // The other end goes on, in packets and in Binds that carry some.
        let carried = vec![0; 100];
        let other = Bind { carried, ..world.bind(Side::Lower, &ticket) };
        let datagram = other.emit(&ticket.end_key(&KEY, Side::Lower));
        let sent = world.arrives(addr(10), &datagram);
        let to_him = sent.iter().filter(|(to, _)| *to == addr(66));
        reflected += to_him.map(|(_, datagram)| datagram.len()).sum::<usize>();
        reflected += if world.forwards(addr(10), 100) == to_thief { 100 } else { 0 };
    }
    // Its answer is counted apart: it is smaller than the question.
    assert!(reflected <= 3 * spent + 61, "{reflected} bytes for {spent}");
    let genuine = Bind { epoch: Epoch(6), ..world.bind(Side::Higher, &ticket) };
    let token = world.binds(addr(21), &genuine).unwrap().challenge;
    let proof = Bind { token, epoch: Epoch(6), ..world.bind(Side::Higher, &ticket) };
    assert_eq!(world.binds(addr(21), &proof).unwrap().status, BindStatus::Bound);
    assert!(world.goes_to(21), "the end itself");
}

#[test]
fn a_revoked_pair_ends_and_its_tickets_with_it() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 5);
    world.relayed(&ticket);
    world.revokes(PathId::from_bytes([2; 16]), u64::MAX);
    assert!(world.goes_to(20), "another pair was");
    world.revokes(PATH, 5);
    assert_eq!(world.forwards(addr(10), 100), Verdict::NotRelayed);
    for serial in [1, 5] {
        let bind = Bind { epoch: Epoch(9), ..world.bind(Side::Lower, &world.ticket(PATH, serial)) };
        assert_eq!(world.binds(addr(10), &bind).unwrap().status, BindStatus::Expired);
    }
    assert_eq!(world.relay.status().pairs, 0);
    let later = world.ticket(PATH, 6);
    world.relayed(&later);
    assert!(world.goes_to(20), "the coordinator has changed its mind");
}

#[test]
fn only_the_coordinator_revokes() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 5);
    world.relayed(&ticket);
    let direction = RelayDirection { path: PATH, serial: 9, revoke: true };
    let body = SignalBody::RelayDirection(direction);
    let signal = Signal { request: RequestId::of_coordinator(1), body };
    let mut genuine = world.session.clone();
    let mut forged = genuine.seal(Epoch(0), &signal).unwrap();
    *forged.last_mut().unwrap() ^= 1;
    assert!(is_nothing(&mut world, DC, &forged));
    assert!(world.goes_to(20));
}

#[test]
fn a_quota_is_for_the_ticket_however_often_it_is_shown() {
    let mut world = World::new();
    let limited = Ticket { quota: 1000, mac: [0; 16], ..world.ticket(PATH, 5) };
    let limited = limited.sealed(&PATH, &KEY);
    world.relayed(&limited);
    let sent = (0..20).filter(|_| world.goes_to(20)).count();
    assert_eq!(sent, 10);
    assert_eq!(world.forwards(addr(10), 100), Verdict::Exhausted);
    let again = Bind { epoch: Epoch(6), ..world.bind(Side::Lower, &limited) };
    world.binds(addr(10), &again);
    assert_eq!(world.forwards(addr(10), 100), Verdict::Exhausted);
    world.relay.handle_exhausted(PATH);
    assert_eq!(world.binds(addr(10), &again).unwrap().status, BindStatus::Quota);
    // An older ticket of the same pair does not help.
    let older = Bind { epoch: Epoch(7), ..world.bind(Side::Lower, &world.ticket(PATH, 4)) };
    assert_eq!(world.binds(addr(10), &older).unwrap().status, BindStatus::Quota);
}

#[test]
fn nobody_is_served_at_addresses_inside_or_of_the_relay_itself() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 5);
    let inside = [
        "10.0.0.1:4330",
        "192.168.1.1:53",
        "127.0.0.1:53",
        "224.0.0.1:4330",
        "169.254.0.1:80",
        "[fd00::1]:4330",
        "203.0.113.5:22",
    ];
    for text in inside {
        let from: SocketAddr = text.parse().unwrap();
        let bind = world.bind(Side::Lower, &ticket);
        assert_eq!(world.binds(from, &bind).unwrap().status, BindStatus::Address, "{text}");
        assert_eq!(world.relay.status().pairs, 0);
    }
}

#[test]
fn a_relay_without_a_coordinator_serves_nobody() {
    let mut world = World::new();
    let ticket = world.ticket(PATH, 5);
    let bind = world.bind(Side::Lower, &ticket);
    world.relay.ticket_keys.clear();
    let datagram = bind.emit(&ticket.end_key(&KEY, Side::Lower));
    assert!(is_nothing(&mut world, addr(10), &datagram));
}
