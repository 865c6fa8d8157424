//! Many terminals, of which some move every second: what a move costs, and whether
//! that depends on how many there are.

mod plot;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

pub use plot::plot;

use crate::{Attachment, HostId, Nat, NatId, Setup, Signalled, World, inner_packet};

/// Terminals behind one NAT.
const BEHIND_ONE: usize = 10;
/// Of a thousand terminals, so many move in a second.
const MOVE_PERMILLE: usize = 10;
/// Packets of a second are sent in so many portions.
const PORTIONS: usize = 10;

/// What a crowd's moves cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Terminals.
    pub terminals: usize,
    /// Moves that were counted.
    pub moves: usize,
    /// Signalling of the terminals for a move, both ends together.
    pub of_terminals: PerMove,
    /// Of the coordinator.
    pub of_coordinator: PerMove,
    /// Of the relays.
    pub of_relays: PerMove,
    /// What the coordinator worked, on this machine, for a move and what is said
    /// besides in its time.
    pub coordinator_time: Duration,
    /// What the coordinator would print of itself, in bytes for a terminal: before
    /// and after the moves.
    pub coordinator_size: [usize; 2],
    /// Pairs that could not talk to each other in the end.
    pub silent: usize,
}

/// Datagrams and bytes, beyond those of a crowd that stays where it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerMove {
    /// Datagrams.
    pub datagrams: f64,
    /// Bytes.
    pub bytes: f64,
}

/// A coordinator, relays, and pairs of terminals that talk to each other: in the
/// open, behind NATs, and mixed.
pub struct Crowd {
    world: World,
    dc: HostId,
    relays: Vec<HostId>,
    terminals: Vec<HostId>,
    vips: Vec<IpAddr>,
    nats: Vec<NatId>,
    moves: usize,
}

impl std::fmt::Debug for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crowd").field("terminals", &self.terminals.len()).finish_non_exhaustive()
    }
}

fn numbered(net: u8, number: usize) -> Ipv4Addr {
    let [.., a, b, c] = number.to_be_bytes();
    Ipv4Addr::new(net, a, b, c)
}

impl Crowd {
    /// So many terminals, registered, in pairs that talk.
    ///
    /// # Panics
    /// One could not register: a failure of what is tested.
    pub fn gather(setup: Setup, terminals: usize) -> Self {
        let mut world = World::new(setup);
        let at = |last| [Attachment::global([203, 0, 113, last])];
        let dc = world.add_host("dc.example", &["coordinator"], &at(1));
        let relays = (2..6)
            .map(|last| world.add_host(&format!("rs{last}.example"), &["relay"], &at(last)))
            .collect();
        let nats = (0..(terminals / BEHIND_ONE).max(2))
            .map(|nth| world.add_nat(Nat::like_linux(&[numbered(9, nth).into()])))
            .collect();
        world.run_for(Duration::from_secs(1));
        let mut crowd =
            Self { world, dc, relays, terminals: Vec::new(), vips: Vec::new(), nats, moves: 0 };
        for nth in 0..terminals {
            let spot = crowd.spot(nth);
            let host = crowd.world.add_host(&format!("t{nth}.example"), &["terminal"], &[spot]);
            crowd.world.host_mut(host).link.delay = Duration::from_millis(5);
            crowd.terminals.push(host);
            crowd.world.run_for(Duration::from_millis(2));
        }
        crowd.world.run_for(Duration::from_secs(1));
        crowd.vips = crowd.terminals.iter().map(|host| crowd.world.vip(*host)).collect();
        for nth in (0..terminals).step_by(2) {
            crowd.speak(nth);
            crowd.world.run_for(Duration::from_millis(2));
        }
        crowd
    }

    /// Where a terminal is next: in a network of the kind that it always is in.
    fn spot(&mut self, nth: usize) -> Attachment {
        self.moves += 1;
        if nth.is_multiple_of(3) {
            return Attachment::global(numbered(11, self.moves));
        }
        let nat = self.nats[(nth + self.moves) % self.nats.len()];
        Attachment::behind(nat, numbered(10, self.moves))
    }

    fn speak(&mut self, nth: usize) {
        let peer = nth ^ 1;
        if peer < self.vips.len() {
            let packet = inner_packet(self.vips[nth], self.vips[peer], b"a packet now and then");
            self.world.send_packet(self.terminals[nth], &packet);
        }
    }

    /// A second in which everybody says something, and some move.
    fn second(&mut self, moving: usize) -> usize {
        let count = self.terminals.len();
        let mut moved = 0;
        for portion in 0..PORTIONS {
            for nth in (portion..count).step_by(PORTIONS) {
                self.speak(nth);
            }
            let due = moving * (portion + 1) / PORTIONS;
            while moved < due {
                // A step that meets everybody before anybody again.
                let nth = (self.moves * 7919) % count;
                let spot = self.spot(nth);
                self.world.move_host(self.terminals[nth], &[spot]);
                moved += 1;
            }
            self.world.run_for(Duration::from_secs(1) / PORTIONS as u32);
        }
        for host in self.terminals.iter().chain(&self.relays).chain([&self.dc]) {
            self.world.host_mut(*host).forget_events();
        }
        moved
    }

    fn signalled(&self, hosts: &[HostId]) -> Signalled {
        let each = hosts.iter().map(|host| self.world.host(*host).signalled);
        each.fold(Signalled::default(), |sum, one| Signalled {
            datagrams: sum.datagrams + one.datagrams,
            bytes: sum.bytes + one.bytes,
        })
    }

    fn all(&self) -> [Signalled; 3] {
        [&self.terminals[..], &[self.dc], &self.relays].map(|hosts| self.signalled(hosts))
    }

    fn size(&self) -> usize {
        let coordinator = &self.world.host(self.dc).roles.coordinator;
        format!("{coordinator:?}").len() / self.terminals.len().max(1)
    }

    /// How long the coordinator has been worked for so far.
    pub fn coordinator_time(&self) -> Duration {
        self.world.host(self.dc).spent
    }

    /// Stays for `seconds`, moves for as long, and says what a move has cost.
    pub fn cost(&mut self, seconds: u32, mut progress: impl FnMut(&str)) -> Cost {
        progress("settling");
        (0..5).for_each(|_| _ = self.second(0));
        let began = self.all();
        let size = self.size();
        progress("staying");
        (0..seconds).for_each(|_| _ = self.second(0));
        let stayed = self.all();
        let spent = self.coordinator_time();
        progress("moving");
        let moving = (self.terminals.len() * MOVE_PERMILLE / 1000).max(1);
        let moves: usize = (0..seconds).map(|_| self.second(moving)).sum();
        let moved = self.all();
        let coordinator_time = (self.coordinator_time() - spent) / moves.max(1) as u32;
        let per_move = |at: usize| {
            let more = |of: fn(&Signalled) -> u64| {
                let [began, stayed, moved] = [began, stayed, moved].map(|all| of(&all[at]) as f64);
                (moved - stayed - (stayed - began)) / moves.max(1) as f64
            };
            PerMove { datagrams: more(|s| s.datagrams), bytes: more(|s| s.bytes) }
        };
        progress("listening");
        (0..5).for_each(|_| _ = self.second(0));
        Cost {
            terminals: self.terminals.len(),
            moves,
            of_terminals: per_move(0),
            of_coordinator: per_move(1),
            of_relays: per_move(2),
            coordinator_time,
            coordinator_size: [size, self.size()],
            silent: self.silent(),
        }
    }

    /// Terminals that hear nothing from their peers.
    fn silent(&mut self) -> usize {
        for nth in 0..self.terminals.len() {
            self.speak(nth);
        }
        self.world.run_for(Duration::from_millis(500));
        let hears = |nth: &usize| !self.world.host(self.terminals[*nth]).received.is_empty();
        (0..self.terminals.len()).filter(|nth| !hears(nth)).count()
    }
}
