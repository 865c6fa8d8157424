use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::effect::{Effect, EffectId};
use super::trace::{Sent, SignalTrace};
use crate::Time;
use crate::address::Leg;

/// Datagrams a machine may have ready at once; beyond that it is being asked
/// for more than a network carries, and they are dropped as a network would.
const MOST_TRANSMITS: usize = 4096;

/// Effects under way at once.
const MOST_EFFECTS: usize = 1024;

/// How long a plugin may take.
const EFFECT_PATIENCE: Duration = Duration::from_secs(2);

/// What a machine has to say: datagrams and events in the order they were
/// made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outbox<E> {
    transmits: VecDeque<(Leg, Vec<u8>)>,
    events: VecDeque<E>,
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self { transmits: VecDeque::new(), events: VecDeque::new() }
    }
}

impl<E: From<SignalTrace>> Outbox<E> {
    /// Queues a datagram; `name` is what charts call the message.
    pub(crate) fn send(&mut self, leg: Leg, name: &'static str, datagram: Vec<u8>) {
        if self.transmits.len() == MOST_TRANSMITS {
            return;
        }
        self.event(SignalTrace { sent: Sent::Out, name, leg, bytes: datagram.len() }.into());
        self.transmits.push_back((leg, datagram));
    }

    /// Notes a message that arrived and was genuine.
    pub(crate) fn received(&mut self, leg: &Leg, name: &'static str, bytes: usize) {
        self.event(SignalTrace { sent: Sent::In, name, leg: *leg, bytes }.into());
    }
}

impl<E> Outbox<E> {
    pub(crate) fn event(&mut self, event: E) {
        self.events.push_back(event);
    }

    pub(crate) fn poll_transmit(&mut self, buffer: &mut Vec<u8>) -> Option<Leg> {
        let (leg, datagram) = self.transmits.pop_front()?;
        *buffer = datagram;
        Some(leg)
    }

    pub(crate) fn poll_event(&mut self) -> Option<E> {
        self.events.pop_front()
    }
}

/// Questions to plugins that are under way, each with what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Effects<W> {
    ready: VecDeque<(EffectId, Effect)>,
    waiting: BTreeMap<EffectId, Question<W>>,
    next: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question<W> {
    /// When the answer is due; `None`: it is late already.
    due: Option<Time>,
    why: W,
}

impl<W> Default for Effects<W> {
    fn default() -> Self {
        Self { ready: VecDeque::new(), waiting: BTreeMap::new(), next: 0 }
    }
}

impl<W> Effects<W> {
    /// Asks; gives `why` back if too much is being asked already.
    pub(crate) fn ask(&mut self, now: Time, effect: Effect, why: W) -> Result<(), W> {
        if self.waiting.len() == MOST_EFFECTS {
            return Err(why);
        }
        let id = EffectId(self.next);
        self.next += 1;
        self.waiting.insert(id, Question { due: Some(now + EFFECT_PATIENCE), why });
        self.ready.push_back((id, effect));
        Ok(())
    }

    /// What the answer with this id is for; `None` if nobody waits for it.
    pub(crate) fn answered(&mut self, id: EffectId) -> Option<W> {
        self.waiting.remove(&id).map(|question| question.why)
    }

    /// The questions that have not been answered in time, each once. Those that
    /// `change_things` stay open: a late answer to them still counts, since what
    /// was asked for may have happened.
    pub(crate) fn expired(&mut self, now: Time, change_things: impl Fn(&W) -> bool) -> Vec<W>
    where
        W: Clone,
    {
        let mut late = Vec::new();
        self.waiting.retain(|_, question| {
            if question.due.is_none_or(|due| due > now) {
                return true;
            }
            question.due = None;
            late.push(question.why.clone());
            change_things(&question.why)
        });
        late
    }

    /// Whether a question for this reason is open.
    pub(crate) fn is_open(&self, is: impl Fn(&W) -> bool) -> bool {
        self.waiting.values().any(|question| is(&question.why))
    }

    pub(crate) fn poll(&mut self) -> Option<(EffectId, Effect)> {
        self.ready.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.waiting.values().filter_map(|question| question.due).min()
    }
}
