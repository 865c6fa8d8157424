//! Who of a crowd has a tunnel with whom.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ntm_core::Time;
use ntm_core::id::{NodeName, PathId};
use ntm_core::terminal::{TerminalCommand, TerminalEvent};
use ntm_core::wire::Target;

use super::Stranger;
use super::present::Present;

/// The tunnels that a crowd is to have, all through a relay: asked for, a few at a time,
/// asked for again where they end, and each used a little.
#[derive(Default)]
pub(crate) struct Pairs {
    all: Vec<Pair>,
    /// Those without a tunnel, which nobody has asked for yet.
    waiting: VecDeque<usize>,
    /// Those asked for, since when.
    asked: BTreeMap<usize, Time>,
    by_callee: BTreeMap<(usize, NodeName), usize>,
    /// Those that have a tunnel, by who has asked for it.
    by_path: BTreeMap<(usize, PathId), usize>,
    /// Whose turn it is to say something, and since when.
    turn: (usize, Time),
}

/// Two of a crowd.
struct Pair {
    /// Who asks for the tunnel.
    caller: usize,
    callee: NodeName,
    path: Option<PathId>,
}

/// Asked for at once: of no terminal more than a coordinator takes (64 under way), and of all
/// no more than strangers have room in a relay's mailbox (256 datagrams).
const AT_ONCE: usize = 128;
/// What is not there after this is asked for again.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two words, each a question through the relay and its answer.
const WORD_EVERY: Duration = Duration::from_millis(4);
/// Words that are so late are not said.
const LATE: Duration = Duration::from_millis(100);

impl Pairs {
    /// How many it takes for so many pairs.
    pub(crate) fn people(count: usize) -> usize {
        2 * Self::side(count)
    }

    fn side(count: usize) -> usize {
        let root = count.isqrt();
        if root * root < count { root + 1 } else { root }
    }

    /// So many pairs out of [`people`](Self::people): each of one whose number is even and
    /// one whose number is odd, and each pair once.
    pub(crate) fn of(strangers: &[Stranger], count: usize) -> Self {
        let side = Self::side(count);
        let mut this = Self::default();
        for nth in 0..count {
            let (row, column) = (nth / side, nth % side);
            let (caller, callee) = (2 * column, 2 * ((row + column) % side) + 1);
            let Some(callee) = strangers.get(callee).map(|stranger| stranger.name.clone()) else {
                continue;
            };
            this.by_callee.insert((caller, callee.clone()), this.all.len());
            this.waiting.push_back(this.all.len());
            this.all.push(Pair { caller, callee, path: None });
        }
        this
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How many there are now.
    pub(super) fn joined(&self) -> usize {
        self.by_path.len()
    }

    /// Does what is to be done now.
    pub(super) fn act(&mut self, now: Time, crowd: &mut [Present]) {
        let late = self.asked.iter().filter(|(_, since)| now.since(**since) >= PATIENCE);
        let late: Vec<_> = late.map(|(nth, _)| *nth).collect();
        for nth in late {
            self.asked.remove(&nth);
            self.waiting.push_back(nth);
        }
        while self.asked.len() < AT_ONCE
            && let Some(nth) = self.waiting.pop_front()
        {
            let target = Target::Name(self.all[nth].callee.clone());
            let caller = &mut crowd[self.all[nth].caller];
            caller.terminal.handle_command(now, TerminalCommand::Connect(target));
            self.asked.insert(nth, now);
        }
        self.talk(now, crowd);
    }

    /// Once all have met: one after the other says a word.
    fn talk(&mut self, now: Time, crowd: &mut [Present]) {
        let (mut nth, mut since) = self.turn;
        if self.joined() < self.len() || now.since(since) > LATE {
            since = now;
        }
        while now.since(since) >= WORD_EVERY {
            since += WORD_EVERY;
            nth = (nth + 1) % self.len();
            let Pair { caller, path, .. } = &self.all[nth];
            if let Some(path) = *path {
                crowd[*caller].terminal.handle_command(now, TerminalCommand::Ping(path));
            }
        }
        self.turn = (nth, since);
    }

    /// What one of the crowd says of itself.
    pub(super) fn hear(&mut self, who: usize, event: &TerminalEvent) {
        if let TerminalEvent::Connected { path, peer, way, .. } = event
            && way.relayed
            && let Some(nth) = self.by_callee.get(&(who, peer.clone())).copied()
        {
            self.all[nth].path = Some(*path);
            self.by_path.insert((who, *path), nth);
            self.asked.remove(&nth);
        }
        if let TerminalEvent::Disconnected { path } = event
            && let Some(nth) = self.by_path.remove(&(who, *path))
        {
            self.all[nth].path = None;
            self.waiting.push_back(nth);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn so_many_pairs_are_made_of_few_and_each_is_another() {
        for count in [0, 1, 2, 9, 10, 10_000] {
            let strangers = Stranger::some(Pairs::people(count)).unwrap();
            let pairs = Pairs::of(&strangers, count);
            let all = pairs.all.iter().map(|pair| (pair.caller, &pair.callee));
            assert_eq!(all.collect::<BTreeSet<_>>().len(), count);
            for Pair { caller, callee, .. } in &pairs.all {
                let other = strangers.iter().position(|other| other.name == *callee).unwrap();
                assert_eq!((caller % 2, other % 2), (0, 1));
            }
        }
        assert_eq!(Pairs::people(10_000), 200);
    }
}
