//! Large challenges: whom they are sent to, and what follows from silence.

use super::*;
use crate::wire::{Token, TunnelRequest};

const ELSEWHERE: u8 = 21;
/// A capsule with a packet as large as the interface's MTU, and with the least.
const FULL: usize = 1400 + 44;
const LEAST: usize = 1280 + 44;

/// A peer that has moved, and what was said to it since.
struct Moved {
    world: World,
    cn: Peer,
    session: Session,
    sent: Sent,
}

impl Moved {
    fn new() -> Self {
        let mut world = World::new();
        let mut cn = world.peer("cn.example", 20);
        let mut session = world.connected(&cn);
        cn.addr = addr(ELSEWHERE);
        cn.epoch = cn.epoch.next();
        let (epoch, challenge, candidates) = (cn.epoch, [1; 8], Vec::new());
        let request = TunnelRequest { epoch, challenge, old_gone: true, candidates };
        let mut sent = world.says(&cn, &mut session, &Control::TunnelRequest(request));
        sent.extend(world.waits(Duration::from_millis(100)));
        Self { world, cn, session, sent }
    }

    /// Bytes of what was sent to where it is now.
    fn sizes(&self) -> Vec<usize> {
        let there = self.sent.iter().filter(|(to, _)| *to == self.cn.addr);
        there.map(|(_, datagram)| datagram.len()).collect()
    }

    /// The tokens of challenges of this size.
    fn asked(&mut self, small: bool) -> Vec<Token> {
        let mut tokens = Vec::new();
        for (to, datagram) in std::mem::take(&mut self.sent) {
            let is_small = datagram.len() < 200;
            let heard = self.world.peer_hears(&self.cn, &mut self.session, &vec![(to, datagram)]);
            tokens.extend(heard.into_iter().filter(|_| is_small == small).filter_map(|said| {
                match said {
                    Control::Challenge { token, .. } => Some(token),
                    Control::TunnelResponse(response) => response.challenge,
                    _ => None,
                }
            }));
        }
        tokens
    }

    /// It answers the last of these, and this happens within `span`.
    fn answers(&mut self, tokens: &[Token], span: Duration) {
        let (epoch, token) = (self.cn.epoch, *tokens.last().unwrap());
        let answer = Control::ChallengeResponse { epoch, token };
        self.sent = self.world.says(&self.cn, &mut self.session, &answer);
        self.sent.extend(self.world.waits(span));
    }

    fn limit(&self) -> Option<u16> {
        self.world.terminal.status(self.world.now).tunnels[0].limit
    }
}

#[test]
fn nothing_large_goes_where_nobody_has_answered() {
    let mut moved = Moved::new();
    assert!(!moved.sizes().is_empty() && moved.sizes().iter().all(|bytes| *bytes < 200));
    let small = moved.asked(true);
    moved.answers(&small, Duration::ZERO);
    assert_eq!(moved.sizes().into_iter().filter(|bytes| *bytes >= 200).collect::<Vec<_>>(), [FULL]);
}

#[test]
fn silence_narrows_the_limit_and_an_answer_widens_it_however_late() {
    let mut moved = Moved::new();
    let small = moved.asked(true);
    moved.answers(&small, Duration::from_millis(900));
    assert_eq!(moved.limit(), Some(1280));
    let large = moved.sizes().into_iter().filter(|bytes| *bytes >= 200).collect::<Vec<_>>();
    assert_eq!(large, [FULL, FULL, LEAST, LEAST]);
    let large = moved.asked(false);
    moved.answers(&large[..1], Duration::ZERO);
    assert_eq!(moved.limit(), Some(1400));
    moved.sent = moved.world.waits(Duration::from_secs(100));
    assert!(moved.asked(false).is_empty(), "all is known");
}

#[test]
fn a_way_with_the_least_limit_is_asked_again_while_it_is_used_and_not_when_idle() {
    let mut moved = Moved::new();
    let small = moved.asked(true);
    moved.answers(&small, Duration::from_secs(40));
    moved.sent.clear();
    moved.sent = moved.world.waits(Duration::from_secs(60));
    assert!(moved.asked(false).is_empty(), "nobody uses it");
    let path = moved.world.path(&moved.cn);
    let traffic = Traffic { received: 1, ..Traffic::default() };
    moved.world.terminal.handle_traffic(moved.world.now, &path, traffic);
    moved.sent = moved.world.waits(Duration::from_secs(30));
    let large = moved.asked(false);
    moved.answers(&large[..1], Duration::ZERO);
    assert_eq!(moved.limit(), Some(1400));
}
