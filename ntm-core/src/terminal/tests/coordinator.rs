//! A coordinator that lies, or somebody in its place.

use super::*;

#[test]
fn a_direction_that_cannot_be_true_makes_no_tunnel() {
    let mut world = World::new();
    let (cn, other) = (world.peer("cn.example", 20), world.peer("other.example", 30));
    let truth = world.direction(&cn);
    let wrong_path = RouteDirection { path: world.path(&other), ..truth.clone() };
    let for_another = RouteDirection { own: vips(6), ..truth.clone() };
    let mut another_vip = truth.clone();
    another_vip.peer.vips = vips(31);
    let mut ourselves = truth.clone();
    ourselves.peer.name = "mn.example".parse().unwrap();
    let mut own_vip = truth.clone();
    own_vip.peer.vips = world.vips;
    for lie in [wrong_path, for_another, another_vip, ourselves, own_vip] {
        let sent = world.directed(lie);
        assert!(sent.iter().all(|(to, _)| *to == DC), "only acknowledged");
        assert!(world.terminal.tunnels.is_empty());
    }
    world.directed(truth);
    assert!(world.has_tunnel(&cn));
}

#[test]
fn a_changed_key_is_refused_until_a_person_trusts_it() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    let key = cn.info.key;
    let mut changed = world.peer("cn.example", 20);
    changed.epoch = changed.epoch.next();
    let direction = world.direction(&changed);
    for _ in 0..3 {
        world.directed(direction.clone());
        assert_eq!(world.terminal.tunnels[&world.path(&cn)].peer.key, key);
    }
    let (_, first) = world.first_message(&changed);
    assert!(world.arrives(changed.addr, &first).is_empty());
    let told = world.events.iter().filter_map(|event| match event {
        TerminalEvent::KeyChanged { pinned, offered, .. } => Some((*pinned, *offered)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [(key, changed.info.key)], "said once");
    let trust = TerminalCommand::Trust(cn.info.name.clone());
    world.terminal.handle_command(world.now, trust);
    world.directed(direction.clone());
    assert_eq!(world.way(&cn), Some(cn.addr), "a live tunnel keeps its key even then");
    assert_eq!(world.terminal.tunnels[&world.path(&cn)].peer.key, key);
    world.waits(Duration::from_secs(181));
    world.directed(direction);
    let (initiator, first) = world.first_message(&changed);
    let sent = world.arrives(changed.addr, &first);
    assert!(world.answered(&changed, &initiator, &sent).is_some());
}

#[test]
fn a_revoked_peer_is_forgotten_and_answered_no_more() {
    let mut world = World::new();
    let (cn, other) = (world.peer("cn.example", 20), world.peer("other.example", 30));
    let mut session = world.connected(&cn);
    world.connected(&other);
    world.told(RequestId::of_coordinator(99), SignalBody::Revocation { key: cn.info.key });
    assert!(!world.has_tunnel(&cn) && world.way(&other).is_some());
    let removed = TerminalEvent::Table(TableEvent::Remove { path: world.path(&cn) });
    assert!(world.events.contains(&removed), "its packets are not opened either");
    let (_, first) = world.first_message(&cn);
    assert!(world.arrives(cn.addr, &first).is_empty());
    assert!(world.says(&cn, &mut session, &Control::KeepAlive).is_empty());
    assert!(!world.has_tunnel(&cn));
}

#[test]
fn an_address_is_proved_to_the_coordinator_and_not_to_who_was_first_with_its_words() {
    let mut world = World::new();
    let registers = |world: &mut World| {
        let sent = world.waits(Duration::from_millis(100));
        world.hears(&sent).pop()
    };
    let registration = (0..18_000).find_map(|_| registers(&mut world)).expect("it renews");
    let challenged = RegistrationResponse { challenge: Some([7; 8]), ..response() };
    let body = SignalBody::RegistrationResponse(challenged);
    let answer = Signal { request: registration.request, body };
    let datagram = world.session.seal(Epoch(0), &answer).unwrap();
    let sent = world.arrives(addr(66), &datagram);
    assert_eq!(to(&sent, addr(66)), 0);
    let said: Vec<_> = world.hears(&sent).into_iter().map(|signal| signal.body).collect();
    assert_eq!(said, [SignalBody::KeepAlive { token: Some([7; 8]) }]);
}

#[test]
fn addresses_that_lead_nowhere_are_not_checked() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let nowhere = ["127.0.0.1:53", "224.0.0.1:4330", "255.255.255.255:7", "169.254.1.1:80"];
    let mut direction = world.direction(&cn);
    direction.candidates =
        nowhere.iter().map(|text| Candidate::udp(text.parse().unwrap())).collect();
    direction.begin = true;
    let mut sent = world.directed(direction);
    sent.extend(world.waits(Duration::from_secs(30)));
    assert!(sent.iter().all(|(to, _)| *to == DC), "{sent:?}");
}

#[test]
fn a_direction_sends_a_bounded_number_of_checks_to_who_did_not_ask() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    let victim = addr(99);
    let mut direction = world.direction(&cn);
    direction.candidates = vec![Candidate::udp(victim); 8];
    for begin in [false, true] {
        direction.begin = begin;
        let mut sent = world.directed(direction.clone());
        sent.extend(world.waits(Duration::from_secs(60)));
        assert!((1..=8).contains(&to(&sent, victim)), "{}", to(&sent, victim));
    }
}

#[test]
fn a_peer_that_has_got_other_addresses_has_no_tunnel_to_those_before() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    let (before, mut after) = (world.path(&cn), cn.clone());
    after.info.vips = vips(21);
    let direction = world.direction(&after);
    world.directed(direction);
    assert!(world.has_tunnel(&after) && !world.has_tunnel(&cn));
    let removed = TerminalEvent::Table(TableEvent::Remove { path: before });
    assert!(world.events.contains(&removed));
}

#[test]
fn who_starts_with_a_calendar_behind_the_coordinators_takes_that() {
    let starts = |unix| World::registered(RegistrationResponse { unix, ..response() });
    let punctual = starts(response().unix + 1);
    assert_eq!(punctual.terminal.epoch.start(), response().unix, "a second is nothing");
    let mut late = starts(response().unix + 3000);
    assert_eq!(late.terminal.epoch.start(), response().unix + 3000);
    let sent = std::mem::take(&mut late.first);
    let said = late.hears(&sent).into_iter();
    let epochs: Vec<_> = said
        .filter_map(|signal| match signal.body {
            SignalBody::RegistrationRequest(request) => Some(request.epoch.start()),
            _ => None,
        })
        .collect();
    assert_eq!(epochs, [response().unix + 3000], "and says so at once");
}

#[test]
fn a_registration_is_repeated_by_the_family_that_has_not_answered() {
    let six: SocketAddr = "[2001:db8::1]:4330".parse().unwrap();
    let coordinators = vec![Candidate::udp(six)];
    let mut world = World::registered(RegistrationResponse { coordinators, ..response() });
    world.drain();
    for answered in [false, true] {
        world.terminal.register(world.now, Vec::new());
        let sent = world.drain();
        assert_eq!([DC, six].map(|at| to(&sent, at)), [1, 1]);
        let id = world.hears(&sent).remove(0).request;
        let coordinators = vec![Candidate::udp(six)];
        let response = RegistrationResponse { coordinators, ..response() };
        world.told(id, SignalBody::RegistrationResponse(response.clone()));
        if answered {
            let observed = Candidate::udp("[2001:db8::10]:4330".parse().unwrap());
            let response = RegistrationResponse { observed, ..response };
            world.told(id, SignalBody::RegistrationResponse(response));
        }
        let sent = world.waits(Duration::from_secs(100));
        let expected = if answered { 0..=0 } else { 2..=5 };
        assert!(expected.contains(&to(&sent, six)), "{}", to(&sent, six));
        assert_eq!(to(&sent, DC), 0);
    }
}

#[test]
fn a_coordinator_that_has_got_slower_is_asked_at_its_pace_after_a_while() {
    let mut world = World::new();
    let copies: Vec<_> = (0..5)
        .map(|_| {
            world.terminal.register(world.now, Vec::new());
            world.terminal.settle(world.now);
            let mut sent = world.drain();
            sent.extend(world.waits(Duration::from_millis(172)));
            let asked = world.hears(&sent);
            let id = asked.first().expect("it is asked").request;
            world.told(id, SignalBody::RegistrationResponse(response()));
            asked.iter().filter(|signal| signal.request == id).count()
        })
        .collect();
    assert!(copies[0] > 2 && copies[4] == 1, "{copies:?}");
}
