use super::*;
use crate::address::LocalPin;
use crate::plugin::Route;
use crate::terminal::overlap::LAG;
use crate::tunnel::Pointing;
use crate::wire::{Token, TunnelResponse};

type Left = Vec<(Leg, Vec<u8>)>;

/// The way by the first link, on which the terminal begins, or by the second.
fn way(link: u32) -> Route {
    Route { source: addr(9 + link as u8).ip(), ifindex: link + 1, mtu: 1500 }
}

fn pin(link: u32) -> LocalPin {
    LocalPin { ip: way(link).source, ifindex: link + 1 }
}

fn links(present: &[u32]) -> Snapshot {
    let link = |link: &u32| LocalInterface {
        index: link + 1,
        name: format!("eth{}", link - 1),
        running: true,
        generation: 0,
        loopback: false,
        addresses: vec![LocalAddress {
            ip: way(*link).source,
            prefix: 24,
            usable: true,
            preferred: true,
        }],
    };
    Snapshot { interfaces: present.iter().map(link).collect() }
}

impl World {
    /// The links that are there now, the one that the system uses first.
    fn has_links(&mut self, present: &[u32]) -> Left {
        let snapshot = links(present);
        let to = self.terminal.destinations();
        let routes: Vec<_> = to.iter().map(|ip| (*ip, Some(way(present[0])))).collect();
        let asked = self.terminal.links_in_question(&snapshot, &routes);
        let answers = asked.into_iter().map(|(index, ip)| (ip, way(index - 1)));
        self.terminal.note_links(answers.collect());
        self.terminal.handle_addresses(self.now, snapshot, &routes);
        self.left()
    }

    /// What is sent, with the way it takes.
    fn left(&mut self) -> Left {
        self.events.extend(std::iter::from_fn(|| self.terminal.poll_event()));
        let mut buffer = Vec::new();
        let mut next = || Some((self.terminal.poll_transmit(&mut buffer)?, buffer.clone()));
        std::iter::from_fn(&mut next).collect()
    }

    /// Where packets for the peer go now, and under which epoch.
    fn points(&self) -> (Option<Pointing>, Epoch) {
        let point = self.events.iter().rev().find_map(|event| match event {
            TerminalEvent::Table(TableEvent::Point { to, epoch, .. }) => Some((*to, *epoch)),
            _ => None,
        });
        point.unwrap()
    }

    fn points_by(&self) -> (Option<LocalPin>, Epoch) {
        let (to, epoch) = self.points();
        (to.unwrap().leg.local, epoch)
    }

    /// What the peer reads of those that left held to this link.
    fn by_link(&self, peer: &Peer, session: &mut Session, left: &Left, link: u32) -> Vec<Control> {
        let by_it = left.iter().filter(|(leg, _)| leg.local == Some(pin(link)));
        let sent = by_it.map(|(leg, datagram)| (leg.remote, datagram.clone())).collect();
        self.peer_hears(peer, session, &sent)
    }

    fn failed(&self) -> usize {
        let is = |event: &&TerminalEvent| {
            matches!(event, TerminalEvent::Link { trial: LinkTrial::Failed, .. })
        };
        self.events.iter().filter(is).count()
    }
}

fn connected() -> (World, Peer, Session) {
    let mut world = World::new();
    let peer = world.peer("cn.example", 20);
    let session = world.connected(&peer);
    assert_eq!(world.points_by().0, None, "the system chooses");
    (world, peer, session)
}

fn token_of(controls: &[Control]) -> Token {
    let token = controls.iter().find_map(|control| match control {
        Control::Challenge { token, .. } => Some(*token),
        _ => None,
    });
    token.unwrap()
}

#[test]
fn a_better_link_is_asked_and_then_told_and_then_used() {
    let (mut world, peer, mut session) = connected();
    let before = world.terminal.epoch;
    let left = world.has_links(&[2, 1]);
    assert_eq!(world.points_by(), (Some(pin(1)), before), "held to what was used");
    let asked = world.by_link(&peer, &mut session, &left, 2);
    assert_eq!(asked.len(), 1, "{asked:?}");
    let token = token_of(&asked);
    assert!(left.iter().any(|(leg, _)| leg.remote == DC && leg.local == Some(pin(2))));
    assert!(left.iter().all(|(leg, _)| leg.local.is_some()), "nothing as the system likes");

    let answer = Control::ChallengeResponse { epoch: peer.epoch, token };
    let datagram = session.seal(world.path(&peer), Side::Higher, peer.epoch, &answer);
    let leg = Leg::to(TransportId(0), peer.addr);
    world.terminal.handle_datagram(world.now, &leg, &datagram);
    let left = world.left();
    assert_eq!(world.terminal.epoch, before.next(), "it has moved");
    assert_eq!(world.points_by(), (Some(pin(1)), before), "packets are not ahead of the news");
    assert!(left.iter().all(|(leg, _)| leg.local.is_none()), "the system likes the new link");
    let sent: Sent = left.into_iter().map(|(leg, datagram)| (leg.remote, datagram)).collect();
    let told = world.peer_hears(&peer, &mut session, &sent);
    let [Control::TunnelRequest(request)] = &told[..] else { panic!("{told:?}") };
    assert!(!request.old_gone);

    let echo = request.challenge;
    let response = TunnelResponse { epoch: peer.epoch, echo, challenge: None };
    world.says(&peer, &mut session, &Control::TunnelResponse(response));
    assert_eq!(world.points_by(), (None, before.next()));
}

#[test]
fn a_link_that_does_not_answer_is_tried_again_ever_less_often() {
    let (mut world, peer, mut session) = connected();
    let before = world.terminal.epoch;
    world.has_links(&[2, 1]);
    let sent = world.waits(Duration::from_secs(3));
    let asked = world.peer_hears(&peer, &mut session, &sent);
    assert!((2..20).contains(&asked.len()), "{asked:?}");
    assert_eq!((world.failed(), world.terminal.epoch), (1, before));
    let sent = world.waits(Duration::from_secs(7));
    assert_eq!(world.peer_hears(&peer, &mut session, &sent), []);
    world.waits(Duration::from_secs(100));
    let tries = world.failed();
    assert!((3..=4).contains(&tries), "{tries}");
    assert_eq!(world.terminal.epoch, before);
    assert_eq!(world.points_by(), (Some(pin(1)), before));
}

#[test]
fn the_link_in_use_that_goes_ends_the_trial() {
    let (mut world, _, _) = connected();
    let before = world.terminal.epoch;
    world.has_links(&[2, 1]);
    let left = world.has_links(&[2]);
    assert_eq!(world.points_by(), (None, before.next()));
    assert!(left.iter().all(|(leg, _)| leg.local.is_none()));
    world.waits(Duration::from_secs(10));
    assert_eq!(world.failed(), 0);
}

#[test]
fn a_route_that_comes_back_ends_the_trial() {
    let (mut world, _, _) = connected();
    let before = world.terminal.epoch;
    world.has_links(&[2, 1]);
    world.has_links(&[1, 2]);
    assert_eq!(world.points_by(), (None, before));
    world.waits(Duration::from_secs(10));
    assert_eq!((world.failed(), world.terminal.epoch), (0, before));
}

#[test]
fn packets_follow_after_a_while_if_nobody_says_that_he_knows() {
    let (mut world, peer, mut session) = connected();
    let before = world.terminal.epoch;
    let left = world.has_links(&[2, 1]);
    let token = token_of(&world.by_link(&peer, &mut session, &left, 2));
    let epoch = peer.epoch;
    world.says(&peer, &mut session, &Control::ChallengeResponse { epoch, token });
    world.waits(LAG - Duration::from_millis(1));
    assert_eq!(world.points_by(), (Some(pin(1)), before));
    world.waits(Duration::from_millis(1));
    assert_eq!(world.points_by(), (None, before.next()));
}

#[test]
fn packets_do_not_stay_on_a_link_that_goes() {
    let (mut world, peer, mut session) = connected();
    let before = world.terminal.epoch;
    let left = world.has_links(&[2, 1]);
    let token = token_of(&world.by_link(&peer, &mut session, &left, 2));
    let epoch = peer.epoch;
    world.says(&peer, &mut session, &Control::ChallengeResponse { epoch, token });
    assert_eq!(world.points_by(), (Some(pin(1)), before));
    world.has_links(&[2]);
    assert_eq!(world.points_by(), (None, before.next()));
}

#[test]
fn nobody_is_told_that_the_address_left_works() {
    let (mut world, peer, mut session) = connected();
    let left = world.has_links(&[2, 1]);
    let token = token_of(&world.by_link(&peer, &mut session, &left, 2));
    let epoch = peer.epoch;
    world.says(&peer, &mut session, &Control::ChallengeResponse { epoch, token });
    for (at, answers) in [(1, 0), (2, 1)] {
        let challenge = Control::Challenge { epoch, token: [at as u8; 8] };
        let datagram = session.seal(world.path(&peer), Side::Higher, epoch, &challenge);
        let leg = Leg::to(TransportId(0), peer.addr).pinned(Some(pin(at)));
        world.terminal.handle_datagram(world.now, &leg, &datagram);
        let sent = world.drain();
        let heard = world.peer_hears(&peer, &mut session, &sent);
        let is = |control: &&Control| matches!(control, Control::ChallengeResponse { .. });
        assert_eq!(heard.iter().filter(is).count(), answers, "at link {at}: {heard:?}");
    }
}
