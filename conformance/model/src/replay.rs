//! The tables of `ntm-core` as plain data: what was done to them, in order. They
//! hold atomics and cipher states, so they are made again from that when they
//! are needed.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ntm_core::address::Leg;
use ntm_core::relay::{ForwardEvent, ForwardTable, Verdict};
use ntm_core::tunnel::{Carrier, Dscp, Inbound, Outbound, Seen, Table, TableEvent, Traffic};
use ntm_core::wire::Envelope;
use ntm_core::{Rng, Time};

/// A table that can be made again.
pub(crate) trait Remade: Sized {
    /// What can be done to it.
    type Input: Clone + Eq + Hash + Send + Sync;
    /// What comes of it.
    type Output;

    fn fresh() -> Self;
    fn apply(&mut self, now: Time, input: &Self::Input) -> Self::Output;
}

/// A table as its history.
pub(crate) struct Replay<T: Remade> {
    history: Vec<(Time, T::Input)>,
    /// The table itself, while this copy of the history goes on.
    made: Option<T>,
}

impl<T: Remade> Default for Replay<T> {
    fn default() -> Self {
        Self { history: Vec::new(), made: None }
    }
}

impl<T: Remade> Clone for Replay<T> {
    fn clone(&self) -> Self {
        Self { history: self.history.clone(), made: None }
    }
}

impl<T: Remade> Hash for Replay<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.history.hash(state);
    }
}

impl<T: Remade> Replay<T> {
    fn made(&mut self) -> &mut T {
        let history = &self.history;
        self.made.get_or_insert_with(|| {
            let mut table = T::fresh();
            for (at, input) in history {
                table.apply(*at, input);
            }
            table
        })
    }

    /// Does something to the table.
    pub(crate) fn apply(&mut self, now: Time, input: T::Input) -> T::Output {
        let output = self.made().apply(now, &input);
        self.history.push((now, input));
        output
    }

    /// Notes something whose outcome nobody wants to know now.
    pub(crate) fn note(&mut self, now: Time, input: T::Input) {
        if let Some(table) = &mut self.made {
            table.apply(now, &input);
        }
        self.history.push((now, input));
    }
}

/// A terminal's tunnel table and its packet worker.
pub(crate) struct Plane {
    table: Table,
    carrier: Carrier,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum PlaneInput {
    Event(TableEvent),
    /// An application's packet.
    Packet(Arc<[u8]>),
    /// A capsule from the network.
    Capsule(Leg, Arc<[u8]>),
    /// What is held back may go.
    Release,
}

#[derive(Default)]
pub(crate) struct PlaneOutput {
    /// Capsules to send.
    pub(crate) capsules: Vec<(Leg, Vec<u8>)>,
    /// A packet has reached the application.
    pub(crate) received: bool,
    pub(crate) seen: Option<Seen>,
    pub(crate) missed: Option<std::net::IpAddr>,
}

impl Remade for Plane {
    type Input = PlaneInput;
    type Output = PlaneOutput;

    fn fresh() -> Self {
        let table = Table::new(&mut Rng::from_seed([0; 32]));
        let carrier = Carrier::new(table.reader(), Dscp::default());
        Self { table, carrier }
    }

    fn apply(&mut self, now: Time, input: &PlaneInput) -> PlaneOutput {
        let mut output = PlaneOutput::default();
        match input {
            PlaneInput::Event(event) => self.table.apply(now, event),
            PlaneInput::Packet(packet) => {
                let mut capsule = Vec::new();
                match self.carrier.outbound(now, packet, &mut capsule) {
                    Outbound::To { leg, .. } => {
                        let mirror = self.carrier.take_mirror();
                        output.capsules.extend(mirror.map(|mirror| (mirror, capsule.clone())));
                        output.capsules.push((leg, capsule));
                    }
                    Outbound::Cut { leg, size, .. } => {
                        let all = capsule.chunks(size).map(|capsule| (leg, capsule.to_vec()));
                        output.capsules.extend(all);
                    }
                    Outbound::Held { miss } => output.missed = miss,
                    Outbound::Answer(_) | Outbound::Dropped => {}
                }
            }
            PlaneInput::Capsule(leg, bytes) => {
                let mut capsule = bytes.to_vec();
                if let Inbound::Packet { seen, .. } =
                    self.carrier.inbound(now, leg, 0, &mut capsule)
                {
                    (output.received, output.seen) = (true, seen);
                }
            }
            PlaneInput::Release => {
                let capsules = &mut output.capsules;
                self.carrier.release(now, |leg, _, _, bytes| capsules.push((leg, bytes.to_vec())));
            }
        }
        output
    }
}

impl Replay<Plane> {
    /// Sends what was held back, if anything is.
    pub(crate) fn release(&mut self, now: Time) -> Vec<(Leg, Vec<u8>)> {
        if self.made().carrier.is_holding() {
            self.apply(now, PlaneInput::Release).capsules
        } else {
            Vec::new()
        }
    }

    /// Each tunnel's traffic so far.
    pub(crate) fn traffic(&mut self) -> Vec<(ntm_core::id::PathId, Traffic)> {
        let tunnels = self.made().table.tunnels();
        tunnels.map(|tunnel| (tunnel.path, tunnel.traffic())).collect()
    }
}

/// A relay's forwarding table.
pub(crate) struct Forwards(ForwardTable);

#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "few at a time, and no allocation each")]
pub(crate) enum ForwardInput {
    Event(ForwardEvent),
    /// A datagram with this envelope, so long.
    Datagram(Leg, Envelope, usize),
}

impl Remade for Forwards {
    type Input = ForwardInput;
    type Output = Option<Verdict>;

    fn fresh() -> Self {
        Self(ForwardTable::new(&mut Rng::from_seed([0; 32])))
    }

    fn apply(&mut self, now: Time, input: &ForwardInput) -> Option<Verdict> {
        match input {
            ForwardInput::Event(event) => {
                self.0.apply(now, event);
                None
            }
            ForwardInput::Datagram(leg, envelope, bytes) => {
                Some(self.0.reader().take().verdict(now, leg, envelope, *bytes))
            }
        }
    }
}
