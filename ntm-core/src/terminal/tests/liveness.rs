//! A path that dies, and one that only falls silent.

use super::*;

const MS: Duration = Duration::from_millis(1);

/// A peer with a tunnel in use, and the traffic with it as workers count it.
struct Talk {
    world: World,
    cn: Peer,
    session: Session,
    traffic: Traffic,
}

/// What a terminal has said to its peer.
#[derive(Default)]
struct Said {
    challenges: Vec<crate::wire::Token>,
    reports: usize,
    others: usize,
}

impl Talk {
    fn new() -> Self {
        let mut world = World::new();
        let cn = world.peer("cn.example", 20);
        let session = world.connected(&cn);
        world.waits(Duration::from_secs(1));
        Self { world, cn, session, traffic: Traffic::default() }
    }

    /// A quarter of a second in which so much was sent, and then so much received.
    fn quarter(&mut self, sent: u64, received: u64) -> Said {
        let mut said = self.world.waits(250 * MS);
        self.traffic.sent += sent;
        self.traffic.received += received;
        if received > 0 {
            self.traffic.unanswered = None;
        } else if sent > 0 {
            self.traffic.unanswered.get_or_insert(self.world.now - 100 * MS);
        }
        if sent + received > 0 {
            self.told();
            said.extend(self.world.drain());
        }
        self.heard(&said)
    }

    fn told(&mut self) {
        let path = self.world.path(&self.cn);
        self.world.terminal.handle_traffic(self.world.now, &path, self.traffic);
    }

    fn heard(&mut self, sent: &Sent) -> Said {
        let mut said = Said::default();
        for control in self.world.peer_hears(&self.cn, &mut self.session, sent) {
            match control {
                Control::Challenge { token, .. } => said.challenges.push(token),
                Control::Report => said.reports += 1,
                _ => said.others += 1,
            }
        }
        said
    }

    fn says(&mut self, control: &Control) {
        self.world.says(&self.cn, &mut self.session, control);
    }

    fn answers(&mut self, said: &Said) {
        let epoch = self.cn.epoch;
        for token in said.challenges.clone() {
            self.says(&Control::ChallengeResponse { epoch, token });
        }
    }

    fn is_alive(&self) -> bool {
        let is_death = |event: &TerminalEvent| {
            matches!(event, TerminalEvent::Phase { phase: Phase::Detected(Cause::DeadPath), .. })
        };
        !self.world.events.iter().any(is_death) && self.world.way(&self.cn) == Some(self.cn.addr)
    }
}

#[test]
fn who_only_receives_reports_once_a_second() {
    let mut talk = Talk::new();
    let said: Vec<_> = (0..80).map(|_| talk.quarter(0, 10)).collect();
    assert_eq!(said.iter().map(|said| said.reports).sum::<usize>(), 20);
    assert!(said.iter().all(|said| said.challenges.is_empty() && said.others == 0));
}

#[test]
fn who_sends_or_is_idle_reports_nothing() {
    let mut talk = Talk::new();
    let both: usize = (0..40).map(|_| talk.quarter(1, 10).reports).sum();
    assert_eq!(both, 0, "the peer hears packets");
    talk.quarter(0, 1);
    let after: usize = (0..80).map(|_| talk.quarter(0, 0).reports).sum();
    assert_eq!(after, 1, "for the last packet, and then nothing");
}

#[test]
fn a_path_that_answers_nothing_is_asked_ten_times_and_then_dead() {
    let mut talk = Talk::new();
    talk.quarter(1, 1);
    // Silent for longer than three PTO: asked at once.
    let mut challenges = talk.quarter(1, 0).challenges;
    assert_eq!(challenges.len(), 1);
    let sent = talk.world.waits(524 * MS);
    challenges.extend(talk.heard(&sent).challenges);
    assert_eq!(challenges.len(), 10);
    assert!(talk.is_alive(), "not before");
    talk.world.waits(MS);
    assert!(!talk.is_alive());
}

#[test]
fn one_answer_in_ten_keeps_a_path_alive() {
    let mut talk = Talk::new();
    for _ in 0..50 {
        talk.quarter(1, 1);
        talk.quarter(1, 0);
        let sent = talk.world.waits(500 * MS);
        let mut said = talk.heard(&sent);
        said.challenges.drain(..said.challenges.len().saturating_sub(1));
        talk.answers(&said);
        assert!(talk.is_alive());
    }
}

#[test]
fn a_packet_in_the_last_moment_keeps_a_path_alive() {
    let mut talk = Talk::new();
    talk.quarter(1, 1);
    talk.quarter(1, 0);
    talk.world.waits(524 * MS);
    talk.world.now += MS;
    let path = talk.world.path(&talk.cn);
    let depending: Vec<_> = talk.world.terminal.depending_on_traffic(talk.world.now).collect();
    assert_eq!(depending, [path]);
    talk.traffic.received += 1;
    talk.traffic.unanswered = None;
    talk.told();
    assert_eq!(talk.world.terminal.depending_on_traffic(talk.world.now).count(), 0);
    talk.world.waits(Duration::from_secs(10));
    assert!(talk.is_alive());
}

#[test]
fn a_report_is_an_answer() {
    let mut talk = Talk::new();
    for _ in 0..20 {
        for _ in 0..4 {
            let said = talk.quarter(10, 0);
            // Before it was clear that this peer only reports.
            assert!(said.challenges.is_empty() || talk.traffic.sent < 300);
            talk.answers(&said);
        }
        talk.says(&Control::Report);
    }
    assert!(talk.is_alive());
}

#[test]
fn a_peer_that_answers_challenges_alone_is_asked_less_and_less() {
    let mut talk = Talk::new();
    let mut challenges = 0;
    for _ in 0..240 {
        let said = talk.quarter(10, 0);
        talk.answers(&said);
        challenges += said.challenges.len();
    }
    assert!(talk.is_alive());
    assert!((10..40).contains(&challenges), "{challenges} in a minute");
}

#[test]
fn pauses_that_the_traffic_is_used_to_are_not_asked_about_until_it_has_no_more() {
    let mut talk = Talk::new();
    let pausing = |talk: &mut Talk, rounds: usize| -> usize {
        let rounds = (0..rounds).map(|_| {
            let mut asked = talk.quarter(1, 1).challenges.len();
            for _ in 0..3 {
                let said = talk.quarter(1, 0);
                talk.answers(&said);
                asked += said.challenges.len();
            }
            asked
        });
        rounds.sum()
    };
    pausing(&mut talk, 10);
    let asked = pausing(&mut talk, 60);
    assert!(asked < 12, "{asked} in a minute");
    for _ in 0..400 {
        talk.quarter(1, 1);
    }
    assert_eq!(talk.quarter(1, 0).challenges.len(), 1, "asked at once again");
}

#[test]
fn what_the_peer_says_by_another_way_is_no_answer_on_this_one() {
    let mut talk = Talk::new();
    talk.quarter(1, 1);
    talk.quarter(1, 0);
    let elsewhere = Peer { addr: addr(66), ..talk.cn.clone() };
    let epoch = elsewhere.epoch;
    for _ in 0..6 {
        let challenge = Control::Challenge { epoch, token: [9; 8] };
        talk.world.says(&elsewhere, &mut talk.session, &challenge);
        talk.world.waits(100 * MS);
    }
    assert!(!talk.is_alive());
}
