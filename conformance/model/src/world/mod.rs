//! The hosts and what is under way between them.

mod fate;
mod flight;
mod watch;

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::id::PathId;
use ntm_core::tunnel::Proof;
use ntm_sim::inner_packet;

use flight::{Flight, delay};

use crate::host::{Departure, Done, Host, Shared, TERMINALS, Who, socket};
use crate::knowledge::Knowledge;
use crate::ledger::Ledger;
use crate::scenario::{Budget, Scenario};

/// Between two reports of a terminal's traffic.
const REPORT_EVERY: Duration = Duration::from_millis(250);
/// The bytes of an application's packet behind its header.
const PAYLOAD: usize = 400;

/// Four hosts and what is under way between them, at one moment.
#[derive(Clone)]
pub struct World {
    pub(crate) now: Time,
    hosts: [Shared; 4],
    /// What is under way, in the order of arrival.
    lane: Vec<Arc<Flight>>,
    /// What arrives at any moment, or never.
    late: Vec<Arc<Flight>>,
    pub(crate) left: Budget,
    /// The next packets of the applications, if they talk.
    pub(crate) talk: Option<(Time, Duration)>,
    reported: Time,
    /// Things go wrong up to then.
    until: Time,
    knowledge: Knowledge,
    ledger: Ledger,
    /// The Path ID of the pair, once an end has had a tunnel.
    path: Option<PathId>,
    /// What must never happen and has.
    pub(crate) broken: Broken,
    /// How it ended, once it has.
    pub(crate) end: Option<End>,
}

/// What must never happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broken {
    /// Somebody points to where a terminal has gone from, though it has told him.
    pub(crate) stale: Option<Stale>,
    /// Somebody sends more than he may to a place that has not proved itself.
    pub(crate) flood: Option<(Who, SocketAddr)>,
    /// A pair has two tunnels, or one with two names.
    pub(crate) double: Option<Who>,
}

/// Who points where instead of to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stale {
    pub(crate) listener: Who,
    pub(crate) speaker: Who,
    pub(crate) ip: IpAddr,
}

/// How a world ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// Both ends use one path, and packets arrive both ways.
    Agreed,
    /// They do not, long after the network works again.
    Apart,
}

/// What happens next by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Arrival,
    Timer(Who),
    Talk,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.now.hash(state);
        self.hosts.hash(state);
        self.lane.hash(state);
        self.late.hash(state);
        self.left.hash(state);
        self.talk.hash(state);
        (self.reported, self.until).hash(state);
        self.knowledge.hash(state);
        self.ledger.hash(state);
        self.broken.hash(state);
        self.end.hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        let hash = |world: &Self| {
            let mut hasher = std::hash::DefaultHasher::new();
            world.hash(&mut hasher);
            hasher.finish()
        };
        hash(self) == hash(other)
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "World at {:?}", self.now)
    }
}

impl World {
    pub(crate) fn new(now: Time, hosts: [Host; 4]) -> Self {
        let mut knowledge = Knowledge::default();
        for who in TERMINALS {
            let host = &hosts[who as usize];
            knowledge.arrived(who, host.terminal().status(now).epoch, host.ip);
        }
        Self {
            now,
            hosts: hosts.map(Shared::new),
            lane: Vec::new(),
            late: Vec::new(),
            left: Budget::default(),
            talk: None,
            reported: now,
            until: now,
            knowledge,
            ledger: Ledger::default(),
            path: None,
            broken: Broken::default(),
            end: None,
        }
    }

    pub(crate) fn host(&self, who: Who) -> &Host {
        self.hosts[who as usize].get()
    }

    /// Does something with a host and takes what comes of it.
    pub(crate) fn with(
        &mut self,
        scenario: &Scenario,
        who: Who,
        act: impl FnOnce(&mut Host, Time, &mut Done),
    ) -> Done {
        let mut done = Done::default();
        let host = self.hosts[who as usize].get_mut();
        act(host, self.now, &mut done);
        host.drain(self.now, scenario.route, &mut done);
        for to in &done.pointed {
            if let Proof::Unproved { credit: Some(rtt), .. } = to.proof {
                self.ledger.credit(self.now, who, to.leg.remote, rtt);
            }
        }
        for departure in std::mem::take(&mut done.departures) {
            self.depart(who, departure);
        }
        if TERMINALS.contains(&who) {
            self.look_at_tunnels(who);
        }
        done
    }

    fn depart(&mut self, who: Who, departure: Departure) {
        let Departure { to, name, bytes } = departure;
        if !self.ledger.departs(self.now, who, to, name, bytes.len()) {
            self.broken.flood.get_or_insert((who, to));
        }
        let host = self.hosts[who as usize].get_mut();
        host.sent += 1;
        let (number, ip) = (host.sent, host.ip);
        // Nobody is there, or will be before it arrives.
        let Some(target) = self.at(to.ip()) else { return };
        let answers = self.ledger.has_heard(ip, to);
        let flight = Arc::new(Flight {
            at: self.now + delay(who) + delay(target),
            sender: who,
            number,
            from: socket(ip),
            to,
            name,
            answers,
            bytes: bytes.into(),
        });
        let behind = self.lane.partition_point(|other| *other < flight);
        self.lane.insert(behind, flight);
    }

    /// Who is at this address.
    fn at(&self, ip: IpAddr) -> Option<Who> {
        self.hosts.iter().map(Shared::get).find(|host| host.ip == ip).map(|host| host.who)
    }

    fn next(&self) -> (Time, Next) {
        let arrival = self.lane.first().map(|flight| (flight.at, 0, Next::Arrival));
        let timers = self.hosts.iter().map(Shared::get).filter_map(|host| {
            Some((host.deadline()?.max(self.now), 1 + host.who as u8, Next::Timer(host.who)))
        });
        let talk = self.talk.map(|(at, _)| (at, 9, Next::Talk));
        let all = timers.chain(arrival).chain(talk);
        let (at, _, next) =
            all.min_by_key(|(at, order, _)| (*at, *order)).expect("registrations are renewed");
        (at, next)
    }

    /// When something happens next by itself.
    pub(crate) fn next_at(&self) -> Time {
        self.next().0
    }

    /// Lets happen what happens next.
    pub(crate) fn step(&mut self, scenario: &Scenario) {
        let (at, next) = self.next();
        self.now = at;
        match next {
            Next::Arrival => {
                let flight = self.lane.remove(0);
                self.arrive(scenario, &flight, None);
            }
            Next::Timer(who) => {
                self.with(scenario, who, |host, now, _| host.timeout(now));
            }
            Next::Talk => self.speak(scenario),
        }
    }

    /// A datagram arrives, perhaps as if it came from somewhere else.
    fn arrive(&mut self, scenario: &Scenario, flight: &Flight, from: Option<SocketAddr>) {
        let Some(who) = self.at(flight.to.ip()) else { return };
        let answers = flight.answers && from.is_none();
        let from = from.unwrap_or(flight.from);
        self.ledger.arrived(who, flight.to.ip(), from, flight.bytes.len(), answers);
        let before = self.way_of(who);
        let location = self.location_of(who, flight.sender);
        let done = self.with(scenario, who, |host, now, done| {
            host.arrive(now, from, &flight.bytes, done);
        });
        self.note_what_was_told(who, flight, &done);
        self.look_for_stale(who, before, location, flight.sender, &done);
    }

    /// Both applications send a packet, and workers report now and then.
    fn speak(&mut self, scenario: &Scenario) {
        let due = self.now.since(self.reported) >= REPORT_EVERY;
        if due {
            self.reported = self.now;
        }
        for who in TERMINALS {
            let [own, peer] = [who, who.peer()].map(|who| who.vips().v4.expect("each has one"));
            let packet: Arc<[u8]> = inner_packet(own.into(), peer.into(), &[0; PAYLOAD]).into();
            self.with(scenario, who, |host, now, done| {
                host.say(now, packet, done);
                if due {
                    host.report(now);
                }
            });
        }
        if let Some((at, every)) = &mut self.talk {
            *at += *every;
        }
    }

    /// The datagram that arrives next, if that is what happens next.
    pub(crate) fn arriving(&self) -> Option<&Flight> {
        let (_, next) = self.next();
        (next == Next::Arrival).then(|| &**self.lane.first().expect("it arrives"))
    }

    /// Makes it comparable with others.
    pub(crate) fn seal(&mut self) {
        self.hosts.iter_mut().for_each(Shared::seal);
    }
}
