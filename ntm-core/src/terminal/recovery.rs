//! Looking for a peer that does not answer: not at the same pace for ever.

use std::time::Duration;

use super::cx::{Ask, Cx};
use super::tunnel::Tunnel;
use crate::Time;

/// After a path has died, another that dies without a sign of life from the peer is
/// no reason to act as after a move before this,
const FIRST: Duration = Duration::from_secs(1);
/// and each time not before twice as long, up to this.
const LONGEST: Duration = Duration::from_secs(16);

/// How long the peer has been looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Recovery {
    /// What had come from the peer when we acted last: packets, and bytes of what it
    /// said itself.
    heard: (u64, u64),
    wait: Duration,
    not_before: Time,
}

impl Tunnel {
    /// The path is dead: acts as after a move, unless that has just led to nothing.
    /// Meanwhile packets take what ways there are, and each asks when it falls silent.
    pub(super) fn recover(&mut self, cx: &mut Cx<'_>) {
        let said = self.remotes.iter().map(|remote| remote.received).sum();
        let heard = (self.liveness.received(), said);
        let Recovery { heard: before, wait, not_before } = self.recovery;
        let wait = if heard == before { wait } else { Duration::ZERO };
        if !wait.is_zero() && cx.now < not_before {
            return;
        }
        let wait = (2 * wait).clamp(FIRST, LONGEST);
        self.recovery = Recovery { heard, wait, not_before: cx.now + wait };
        cx.asks.push(Ask::Recover(self.path));
    }
}
