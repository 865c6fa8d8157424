//! A packet that is genuine and newer than all before, but comes from elsewhere
//! than its peer is known to be: captured and repeated first by a stranger, or
//! sent through a NAT that has forgotten.

use super::*;
use crate::wire::Token;

const HERE: u8 = 20;
const ELSEWHERE: u8 = 66;

/// No round trip is waited for less: with a peer that answers in no time, the
/// wait of a contest.
const PATIENCE: Duration = Duration::from_millis(20);

/// A peer with a tunnel in use.
struct Talk {
    world: World,
    cn: Peer,
    session: Session,
    /// Events that there were before.
    known: usize,
}

impl Talk {
    fn new() -> Self {
        let mut world = World::new();
        let cn = world.peer("cn.example", HERE);
        let session = world.connected(&cn);
        world.waits(Duration::from_secs(1));
        let known = world.events.len();
        Self { world, cn, session, known }
    }

    fn epoch_low(&self) -> u16 {
        self.cn.epoch.low()
    }

    /// A worker reports a capsule from there.
    fn seen(&mut self, last: u8, epoch_low: u16) -> Sent {
        let (leg, path) = (Leg::to(TransportId(0), addr(last)), self.world.path(&self.cn));
        self.world.terminal.handle_seen(self.world.now, &path, &leg, epoch_low);
        self.world.drain()
    }

    /// The peer as it is reached there.
    fn at(&self, last: u8) -> Peer {
        Peer { addr: addr(last), ..self.cn.clone() }
    }

    /// The challenges among these that go there.
    fn asked(&mut self, last: u8, sent: &Sent) -> Vec<Token> {
        let peer = self.at(last);
        let said = self.world.peer_hears(&peer, &mut self.session, sent);
        said.into_iter()
            .map(|control| match control {
                Control::Challenge { token, .. } => token,
                other => panic!("{other:?} for a packet"),
            })
            .collect()
    }

    /// The peer answers a challenge from there.
    fn answers(&mut self, last: u8, token: Token) -> Sent {
        let (peer, epoch) = (self.at(last), self.cn.epoch);
        let answer = Control::ChallengeResponse { epoch, token };
        self.world.says(&peer, &mut self.session, &answer)
    }

    /// What is asked here and elsewhere when a capsule comes from elsewhere.
    fn contested(&mut self) -> [Token; 2] {
        let sent = self.seen(ELSEWHERE, self.epoch_low());
        let here = self.asked(HERE, &sent);
        let elsewhere = self.asked(ELSEWHERE, &sent);
        assert_eq!((here.len(), elsewhere.len(), sent.len()), (1, 1, 2), "both are asked");
        self.stays();
        [here[0], elsewhere[0]]
    }

    /// The peer answers every challenge among these, from where it was sent to.
    fn proves_all(&mut self, sent: &Sent) {
        for last in [HERE, ELSEWHERE] {
            let peer = self.at(last);
            self.world.proves(&peer, &mut self.session, sent);
        }
    }

    /// The table has been told nothing, and packets go where they went.
    fn stays(&self) {
        assert_eq!(self.world.way(&self.cn), Some(addr(HERE)));
        let news = &self.world.events[self.known..];
        let points = |event: &TerminalEvent| match event {
            TerminalEvent::Table(event) => !matches!(event, TableEvent::Mirror { .. }),
            _ => false,
        };
        assert!(!news.iter().any(points), "{news:?}");
    }
}

#[test]
fn both_addresses_are_asked_with_different_tokens_and_packets_stay() {
    let [here, elsewhere] = Talk::new().contested();
    assert_ne!(here, elsewhere);
}

impl Talk {
    /// Where packets go as well.
    fn mirrored(&self) -> Option<SocketAddr> {
        let mirror = self.world.events.iter().rev().find_map(|event| match event {
            TerminalEvent::Table(TableEvent::Mirror { to, .. }) => Some(*to),
            TerminalEvent::Table(TableEvent::Point { .. }) => Some(None),
            _ => None,
        });
        mirror.flatten().map(|leg| leg.remote)
    }
}

#[test]
fn packets_go_both_ways_until_it_is_decided() {
    for winner in [Some(HERE), Some(ELSEWHERE), None] {
        let mut talk = Talk::new();
        assert_eq!(talk.mirrored(), None);
        let [here, elsewhere] = talk.contested();
        assert_eq!(talk.mirrored(), Some(addr(ELSEWHERE)));
        match winner {
            Some(HERE) => talk.answers(HERE, here),
            Some(last) => talk.answers(last, elsewhere),
            None => Sent::new(),
        };
        talk.world.waits(Duration::from_secs(10));
        assert_eq!(talk.mirrored(), None, "{winner:?}");
    }
}

#[test]
fn the_old_address_stays_if_it_answers_first() {
    let mut talk = Talk::new();
    let [here, elsewhere] = talk.contested();
    talk.answers(HERE, here);
    talk.answers(ELSEWHERE, elsewhere);
    talk.world.waits(Duration::from_secs(10));
    talk.stays();
}

#[test]
fn the_old_address_stays_if_it_answers_within_a_round_trip_of_the_new_one() {
    let mut talk = Talk::new();
    let [here, elsewhere] = talk.contested();
    talk.answers(ELSEWHERE, elsewhere);
    talk.stays();
    talk.world.waits(PATIENCE - Duration::from_millis(1));
    talk.stays();
    talk.answers(HERE, here);
    talk.world.waits(Duration::from_secs(10));
    talk.stays();
}

#[test]
fn the_new_address_wins_a_round_trip_after_it_alone_has_answered() {
    let mut talk = Talk::new();
    let [_, elsewhere] = talk.contested();
    talk.answers(ELSEWHERE, elsewhere);
    talk.stays();
    talk.world.waits(PATIENCE);
    assert_eq!(talk.world.way(&talk.cn), Some(addr(ELSEWHERE)));
    let to = talk.world.events.iter().rev().find_map(|event| match event {
        TerminalEvent::Table(TableEvent::Point { to, .. }) => *to,
        _ => None,
    });
    assert_eq!(to.unwrap().proof, crate::tunnel::Proof::Proved);
    talk.world.waits(Duration::from_secs(10));
    assert_eq!(talk.world.way(&talk.cn), Some(addr(ELSEWHERE)), "and stays so");
}

#[test]
fn the_new_address_is_asked_thrice_and_wins_nothing_without_an_answer() {
    let mut talk = Talk::new();
    let [here, _] = talk.contested();
    talk.answers(HERE, here);
    let sent = talk.world.waits(Duration::from_secs(20));
    assert_eq!(to(&sent, addr(ELSEWHERE)), 2);
    assert_eq!(to(&sent, addr(HERE)), 0, "it has answered");
    talk.stays();
    assert!(talk.world.waits(Duration::from_secs(20)).iter().all(|(to, _)| *to == DC));
}

#[test]
fn if_nobody_answers_packets_stay_and_the_next_one_begins_anew() {
    let mut talk = Talk::new();
    talk.contested();
    let sent = talk.world.waits(Duration::from_secs(20));
    assert_eq!([HERE, ELSEWHERE].map(|last| to(&sent, addr(last))), [2, 2]);
    talk.stays();
    let [here, elsewhere] = talk.contested();
    talk.answers(ELSEWHERE, elsewhere);
    talk.answers(HERE, here);
    talk.world.waits(PATIENCE);
    talk.stays();
}

#[test]
fn an_answer_with_the_token_of_the_other_address_proves_that_one() {
    let mut talk = Talk::new();
    let [here, _] = talk.contested();
    // Whoever sends it on has it come from where he is.
    talk.answers(ELSEWHERE, here);
    talk.world.waits(Duration::from_secs(10));
    talk.stays();
    talk.contested();
    talk.answers(ELSEWHERE, [0; 8]);
    talk.world.waits(Duration::from_secs(10));
    talk.stays();
}

#[test]
fn more_packets_from_elsewhere_are_answered_with_nothing_for_a_while() {
    let mut talk = Talk::new();
    let [here, _] = talk.contested();
    for _ in 0..100 {
        assert!(talk.seen(ELSEWHERE, talk.epoch_low()).is_empty());
    }
    talk.answers(HERE, here);
    // Decided: as long as both work, it is decided so again and again.
    let mut asked = 0;
    for _ in 0..4000 {
        let sent = talk.world.waits(Duration::from_millis(10));
        talk.proves_all(&sent);
        let sent = talk.seen(ELSEWHERE, talk.epoch_low());
        asked += to(&sent, addr(HERE));
        talk.proves_all(&sent);
        talk.stays();
    }
    assert!((4..=12).contains(&asked), "{asked} times in 40 s");
}

#[test]
fn of_two_direct_ways_that_are_no_surprise_the_higher_end_takes_the_lower_ones() {
    for (own, follows) in [(5, false), (50, true)] {
        let mut world = World::with_vips(vips(own));
        let cn = world.peer("cn.example", HERE);
        let mut direction = world.direction(&cn);
        direction.candidates.push(Candidate::udp(addr(ELSEWHERE)));
        let session = world.connected_as(&cn, direction);
        world.waits(Duration::from_secs(1));
        let known = world.events.len();
        let mut talk = Talk { world, cn, session, known };
        let sent = talk.seen(ELSEWHERE, talk.epoch_low());
        talk.proves_all(&sent);
        talk.world.waits(Duration::from_secs(1));
        let way = addr(if follows { ELSEWHERE } else { HERE });
        assert_eq!(talk.world.way(&talk.cn), Some(way));
        // Nor does it go back when the way before it says something.
        talk.world.waits(Duration::from_secs(10));
        assert_eq!(talk.world.way(&talk.cn), Some(way));
    }
}

#[test]
fn the_next_packet_from_elsewhere_begins_a_contest_of_its_own() {
    let mut talk = Talk::new();
    for _ in 0..5 {
        let [here, elsewhere] = talk.contested();
        talk.answers(HERE, here);
        talk.answers(ELSEWHERE, elsewhere);
        talk.world.waits(Duration::from_secs(8));
        talk.stays();
    }
    let [_, elsewhere] = talk.contested();
    talk.answers(ELSEWHERE, elsewhere);
    talk.world.waits(PATIENCE);
    assert_eq!(talk.world.way(&talk.cn), Some(addr(ELSEWHERE)), "now it has moved");
}

#[test]
fn of_two_newcomers_the_later_one_is_believed() {
    let mut talk = Talk::new();
    let [_, first] = talk.contested();
    let sent = talk.seen(67, talk.epoch_low());
    let second = talk.asked(67, &sent);
    talk.answers(ELSEWHERE, first);
    talk.world.waits(PATIENCE);
    talk.stays();
    talk.answers(67, second[0]);
    talk.world.waits(PATIENCE);
    assert_eq!(talk.world.way(&talk.cn), Some(addr(67)));
}

#[test]
fn a_packet_from_the_address_in_use_asks_nobody() {
    let mut talk = Talk::new();
    assert!(talk.seen(HERE, talk.epoch_low()).is_empty());
    talk.stays();
}

#[test]
fn a_packet_from_before_the_last_move_asks_nobody() {
    let mut talk = Talk::new();
    assert!(talk.seen(ELSEWHERE, talk.epoch_low().wrapping_sub(1)).is_empty());
    talk.stays();
}

#[test]
fn a_packet_that_outruns_the_news_of_its_move_moves_nothing_itself() {
    let mut talk = Talk::new();
    let sent = talk.seen(ELSEWHERE, talk.epoch_low().wrapping_add(1));
    assert_eq!((to(&sent, addr(ELSEWHERE)), sent.len()), (1, 1), "the old place says nothing");
    talk.world.waits(Duration::from_secs(10));
    talk.stays();
    let sent = talk.seen(ELSEWHERE, talk.epoch_low().wrapping_add(1));
    let token = talk.asked(ELSEWHERE, &sent)[0];
    talk.cn.epoch = talk.cn.epoch.next();
    talk.answers(ELSEWHERE, token);
    assert_eq!(talk.world.way(&talk.cn), Some(addr(ELSEWHERE)), "it says that it has moved");
}

#[test]
fn a_keep_alive_from_elsewhere_is_a_packet_like_any() {
    let mut talk = Talk::new();
    let elsewhere = talk.at(ELSEWHERE);
    let sent = talk.world.says(&elsewhere, &mut talk.session, &Control::KeepAlive);
    let here = talk.asked(HERE, &sent);
    assert_eq!((here.len(), to(&sent, addr(ELSEWHERE)), sent.len()), (1, 1, 2));
    talk.answers(HERE, here[0]);
    talk.world.waits(Duration::from_secs(10));
    talk.stays();
}
