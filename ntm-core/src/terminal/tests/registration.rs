//! A terminal that has not been registered yet, or not from here.

use super::*;
use crate::wire::Refusal;

/// Coordinators at `.1` and `.2`.
fn coordinators(rng: &mut Rng) -> [(Identity, SocketAddr); 2] {
    [1, 2].map(|last| (Identity::generate(rng), addr(last)))
}

/// A terminal that has just learned its addresses.
fn starting(coordinators: &[(Identity, SocketAddr)], rng: &mut Rng) -> (Time, Terminal) {
    let node = Node {
        identity: Identity::generate(rng),
        name: "mn.example".parse().unwrap(),
        unix_at_zero: 1_700_000_000,
        transports: vec![facts()],
    };
    let coordinators = coordinators.iter().map(|(identity, at)| CoordinatorAddress {
        key: identity.public(),
        addresses: vec![Candidate::udp(*at)],
    });
    let config = TerminalConfig {
        mode: Mode::Fast,
        suites: Suites::ALL,
        mtu: 1400,
        coordinators: coordinators.collect(),
    };
    let now = Time::ZERO + Duration::from_secs(100);
    let mut terminal = Terminal::new(now, node, config, rng.split());
    let (load, _) = terminal.poll_effect().unwrap();
    terminal.handle_outcome(now, load, Outcome::Loaded(Ok((Vec::new(), Vec::new()))));
    let routes: Vec<_> =
        terminal.destinations().into_iter().map(|ip| (ip, Some(route()))).collect();
    terminal.handle_addresses(now, snapshot(), &routes);
    (now, terminal)
}

/// Whom it speaks to within `span`, and what it says.
fn says(terminal: &mut Terminal, now: &mut Time, span: Duration) -> Sent {
    let end = *now + span;
    let mut buffer = Vec::new();
    let mut sent = Vec::new();
    loop {
        while let Some(leg) = terminal.poll_transmit(&mut buffer) {
            sent.push((leg.remote, std::mem::take(&mut buffer)));
        }
        match terminal.poll_timeout().filter(|(at, _)| *at <= end) {
            Some((at, _)) => {
                *now = (*now).max(at);
                terminal.handle_timeout(*now);
            }
            None => break,
        }
    }
    *now = end;
    sent
}

/// The coordinator's answer to the latest first message among these.
fn answers(
    coordinator: &Identity,
    sent: &Sent,
    answer: Result<SessionId, Refusal>,
    rng: &mut Rng,
) -> (Vec<u8>, crate::crypto::Established) {
    let first = sent.iter().rev().find_map(|(_, bytes)| Handshake1::parse(bytes).ok()).unwrap();
    let responder = Responder::read(coordinator, &prologue(), rng.bytes(), &first.noise).unwrap();
    let (noise, keys) = responder.answer(&CoordinatorAnswer { session: answer }.emit()).unwrap();
    let second = Handshake2 { role: RoleTag::Terminal, id: first.id, side: Side::Lower, noise };
    (second.emit(), keys)
}

#[test]
fn who_is_no_member_yet_asks_again_ever_less_often() {
    let mut rng = Rng::from_seed([4; 32]);
    let [dc, _] = coordinators(&mut rng);
    let (mut now, mut terminal) = starting(std::slice::from_ref(&dc), &mut rng);
    let mut sent = says(&mut terminal, &mut now, Duration::ZERO);
    for wait in [5, 10, 20, 40, 60, 60] {
        let (no, _) = answers(&dc.0, &sent, Err(Refusal::NotMember), &mut rng);
        terminal.handle_datagram(now, &Leg::to(TransportId(0), dc.1), &no);
        let wait = Duration::from_secs(wait);
        assert!(says(&mut terminal, &mut now, wait * 8 / 10).is_empty(), "before {wait:?}");
        sent = says(&mut terminal, &mut now, wait * 4 / 10);
        assert!(!sent.is_empty(), "after {wait:?}");
    }
}

#[test]
fn a_registration_that_failed_is_repeated() {
    let mut rng = Rng::from_seed([4; 32]);
    let [dc, _] = coordinators(&mut rng);
    let (mut now, mut terminal) = starting(std::slice::from_ref(&dc), &mut rng);
    let sent = says(&mut terminal, &mut now, Duration::ZERO);
    let id = SessionId([9; 16]);
    let (yes, keys) = answers(&dc.0, &sent, Ok(id), &mut rng);
    let mut session = SignalSession::of_coordinator(id, &keys);
    let leg = Leg::to(TransportId(0), dc.1);
    terminal.handle_datagram(now, &leg, &yes);
    let mut requests = |terminal: &mut Terminal, now: &mut Time, span| {
        let sent = says(terminal, now, span);
        let open = |(_, bytes): &(_, Vec<u8>)| session.open(&Header::parse(bytes).ok()?, bytes);
        let asked = sent
            .iter()
            .filter_map(open)
            .filter(|signal| matches!(signal.body, SignalBody::RegistrationRequest(_)));
        asked.map(|signal| signal.request).collect::<Vec<_>>()
    };
    let request = requests(&mut terminal, &mut now, Duration::ZERO)[0];
    let mut answers = SignalSession::of_coordinator(id, &keys);
    let no = Signal { request, body: SignalBody::Refusal(Refusal::Failure) };
    terminal.handle_datagram(now, &leg, &answers.seal(Epoch(0), &no).unwrap());
    assert!(requests(&mut terminal, &mut now, Duration::from_secs(4)).is_empty());
    assert!(!requests(&mut terminal, &mut now, Duration::from_secs(2)).is_empty());
}

#[test]
fn a_proof_that_nobody_has_acknowledged_is_given_again_in_a_new_session() {
    let mut rng = Rng::from_seed([4; 32]);
    let [dc, _] = coordinators(&mut rng);
    let (mut now, mut terminal) = starting(std::slice::from_ref(&dc), &mut rng);
    let leg = Leg::to(TransportId(0), dc.1);
    let mut begun = |terminal: &mut Terminal, sent: &Sent, id| {
        let (yes, keys) = answers(&dc.0, sent, Ok(id), &mut rng);
        (yes, SignalSession::of_coordinator(id, &keys), terminal.epoch)
    };
    let open = |session: &mut SignalSession, sent: &Sent| -> Vec<Signal> {
        let open = |(_, bytes): &(_, Vec<u8>)| session.open(&Header::parse(bytes).ok()?, bytes);
        sent.iter().filter_map(open).collect()
    };
    let sent = says(&mut terminal, &mut now, Duration::ZERO);
    let (yes, mut first, _) = begun(&mut terminal, &sent, SessionId([8; 16]));
    terminal.handle_datagram(now, &leg, &yes);
    let sent = says(&mut terminal, &mut now, Duration::ZERO);
    let request = open(&mut first, &sent)[0].request;
    // With its second copy it begins a session anew, and the first is answered late.
    let anew = says(&mut terminal, &mut now, Duration::from_millis(300));
    let (yes, mut second, epoch) = begun(&mut terminal, &anew, SessionId([9; 16]));
    let token = [7; 8];
    let body = RegistrationResponse { challenge: Some(token), epoch_seen: epoch, ..response() };
    let answer = Signal { request, body: SignalBody::RegistrationResponse(body) };
    terminal.handle_datagram(now, &leg, &first.seal(Epoch(0), &answer).unwrap());
    let proves = |signal: &Signal| signal.body == SignalBody::KeepAlive { token: Some(token) };
    let lost = says(&mut terminal, &mut now, Duration::ZERO);
    assert!(open(&mut first, &lost).iter().any(proves));
    terminal.handle_datagram(now, &leg, &yes);
    let sent = says(&mut terminal, &mut now, Duration::ZERO);
    assert!(open(&mut second, &sent).iter().any(proves));
}

#[test]
fn the_next_coordinator_is_asked_where_the_first_is_silent() {
    let mut rng = Rng::from_seed([4; 32]);
    let both = coordinators(&mut rng);
    let (mut now, mut terminal) = starting(&both, &mut rng);
    let sent = says(&mut terminal, &mut now, Duration::from_secs(120));
    for (_, at) in &both {
        assert!(to(&sent, *at) > 0, "{at} is not asked");
    }
    let again = says(&mut terminal, &mut now, Duration::from_secs(300));
    assert!(to(&again, both[0].1) > 0, "the first has its turn again");
}

#[test]
fn a_registration_names_the_tunnels_of_one_that_nobody_answered() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    let named = |world: &mut World, sent: &Sent| -> Vec<usize> {
        let bodies = world.hears(sent).into_iter().map(|signal| signal.body);
        let paths = |body| match body {
            SignalBody::RegistrationRequest(request) => Some(request.paths.len()),
            _ => None,
        };
        bodies.filter_map(paths).collect()
    };
    let routes: Vec<_> =
        world.terminal.destinations().into_iter().map(|ip| (ip, Some(route()))).collect();
    let mut moved = snapshot();
    moved.interfaces[0].generation = 1;
    world.terminal.handle_addresses(world.now, moved.clone(), &routes);
    let lost = world.drain();
    assert_eq!(named(&mut world, &lost), [1]);
    // A further address turns up before there is an answer.
    let ip = "2001:db8::9".parse().unwrap();
    let address = LocalAddress { ip, prefix: 64, usable: true, preferred: true };
    moved.interfaces[0].addresses.push(address);
    world.terminal.handle_addresses(world.now, moved, &routes);
    let sent = world.drain();
    assert_eq!(named(&mut world, &sent), [1]);
}

#[test]
fn a_tunnel_that_goes_takes_no_address_from_the_one_that_follows_it() {
    let mut world = World::new();
    let cn = world.peer("cn.example", 20);
    world.connected(&cn);
    let (vip, newer) = (cn.info.vips.iter().next().unwrap(), PathId::from_bytes([9; 16]));
    world.terminal.by_vip.insert(vip, newer);
    world.terminal.remove_tunnel(world.path(&cn));
    assert_eq!(world.terminal.by_vip.get(&vip), Some(&newer));
}

#[test]
fn the_coordinator_sees_us_by_the_other_ip_version_as_soon_as_there_is_a_way() {
    let six: SocketAddr = "[2001:db8::1]:4330".parse().unwrap();
    for at_once in [true, false] {
        let mut world = World::new();
        // Claims that change are told, and the answer names one more address.
        let mut both = snapshot();
        let own = "2001:db8::10".parse().unwrap();
        let own = LocalAddress { ip: own, prefix: 64, usable: true, preferred: true };
        both.interfaces[0].addresses.push(own);
        let four = (DC.ip(), Some(route()));
        world.terminal.handle_addresses(world.now, both.clone(), std::slice::from_ref(&four));
        let sent = world.drain();
        let request = world.hears(&sent).remove(0).request;
        let coordinators = vec![Candidate::udp(six)];
        let body =
            SignalBody::RegistrationResponse(RegistrationResponse { coordinators, ..response() });
        let answer = world.session.seal(Epoch(0), &Signal { request, body }).unwrap();
        let leg = Leg::to(TransportId(0), DC);
        world.terminal.handle_datagram(world.now, &leg, &answer);
        let (id, effect) = world.terminal.poll_effect().unwrap();
        assert_eq!(effect, Effect::Routes(vec![six.ip()]));
        let way = at_once.then(route);
        let routed = Outcome::Routed(vec![(six.ip(), way)]);
        world.terminal.handle_outcome(world.now, id, routed);
        assert_eq!(to(&world.drain(), six), usize::from(at_once));
        // Nothing else has changed.
        let routes = [four, (six.ip(), Some(route()))];
        world.terminal.handle_addresses(world.now, both, &routes);
        assert_eq!(to(&world.drain(), six), usize::from(!at_once));
    }
}
