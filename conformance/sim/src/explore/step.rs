use ntm_core::Rng;
use serde::{Deserialize, Serialize};

use super::spot::Spot;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The terminal `mn.example`.
    Mn,
    /// The terminal `cn.example`.
    Cn,
}

impl End {
    pub(super) fn index(self) -> usize {
        match self {
            Self::Mn => 0,
            Self::Cn => 1,
        }
    }
}

/// Milliseconds.
type Millis = u64;
/// Seconds.
type Seconds = u64;

/// Something that happens to the ends or around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Moves at once.
    Move(End, Spot),
    /// Moves, and is nowhere for a while in between.
    MoveInTheDark(End, Spot, Millis),
    /// Both move, one so much after the other.
    MoveBoth(Spot, Spot, Millis),
    /// Moves back to where it was before.
    Back(End),
    /// Moves to a network without IPv4.
    SixOnly(End, u8),
    /// Moves to a network without IPv6.
    FourOnly(End, u8),
    /// Changes between two places so many times, with so much in between.
    Flap(End, Spot, u8, Millis),
    /// Moves, and its watcher tells so much later.
    MoveUnseen(End, Spot, Millis),
    /// A second interface appears; the kernel prefers the first.
    SecondUplink(End, Spot),
    /// The interface in use disappears; the other, if there is one, stays.
    FirstGone(End),
    /// Talks until the session's keys are about to be renewed, and moves.
    MoveAtRenewal(End, Spot),
    /// The NAT before it forgets everything.
    FlushNat(End),
    /// Sleeps for so long.
    Sleep(End, Seconds),
    /// Its clock leaps ahead.
    Leap(End, Seconds),
    /// Starts again with the same key.
    Restart(End),
    /// The same, with its wall clock set back.
    RestartBehind(End, Seconds),
    /// Reaches nobody until its registration has expired.
    Lapse(End),
    /// A person removes it from the domain and adds it again: other addresses.
    Relet(End),
    /// Its link gets bad: 0 fair, 1 jitter and loss, 2 bursts, 3 duplicates and
    /// late ones, 4 narrow, 5 small packets.
    Weather(End, u8),
    /// What the coordinator says to it takes so much longer from now on.
    Late(End, Millis),
    /// No longer; what was said meanwhile is overtaken.
    OnTime(End),
    /// What it was told before is told again, by somebody else.
    Replay(End),
    /// The coordinator is cut off.
    CutCoordinator,
    /// It is not any more.
    JoinCoordinator,
    /// The coordinator is killed.
    KillCoordinator,
    /// It starts with an empty memory, or again if it runs.
    StartCoordinator,
    /// The link of the coordinator takes so long.
    SlowCoordinator(Millis),
    /// The coordinator's plugins take so long.
    SlowPlugins(Millis),
    /// A relay is killed.
    KillRelay(u8),
    /// It starts, or again if it runs.
    StartRelay(u8),
    /// A relay with another key takes its place.
    ReplaceRelay(u8),
    /// An end and a relay do not reach each other.
    CutRelay(End, u8),
    /// They do again.
    JoinRelay(End, u8),
    /// The ends do not reach each other but through others.
    CutDirect,
    /// They do again.
    JoinDirect,
    /// Nobody says anything until the sessions are over; then both at once.
    Glare,
    /// Nobody says anything for so long.
    Idle(Seconds),
}

/// How many kinds there are.
pub const KINDS: u64 = 37;

impl Step {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let kind = rng.number() % KINDS;
        let end = if rng.number().is_multiple_of(2) { End::Mn } else { End::Cn };
        let (spot, other) = (Spot::nth(rng.number()), Spot::nth(rng.number()));
        let relay = (rng.number() % 2) as u8;
        // Less than a round trip, about one, or much more.
        let most = [4, 15, 40, 300, 1000][(rng.number() % 5) as usize];
        let millis = 1 + rng.number() % most;
        let most = [3, 30, 200, 3600][(rng.number() % 4) as usize];
        let seconds = 1 + rng.number() % most;
        let small = rng.number();
        match kind {
            0 => Self::Move(end, spot),
            1 => Self::MoveInTheDark(end, spot, millis),
            2 => Self::MoveBoth(spot, other, millis % 16),
            3 => Self::Back(end),
            4 => Self::SixOnly(end, relay + 1),
            5 => Self::FourOnly(end, relay + 1),
            6 => Self::Flap(end, spot, 2 + (small % 7) as u8, millis % 16),
            7 => Self::MoveUnseen(end, spot, millis),
            8 => Self::SecondUplink(end, spot),
            9 => Self::FirstGone(end),
            10 => Self::MoveAtRenewal(end, spot),
            11 => Self::FlushNat(end),
            12 => Self::Sleep(end, seconds),
            13 => Self::Leap(end, seconds),
            14 => Self::Restart(end),
            15 => Self::RestartBehind(end, seconds),
            16 => Self::Lapse(end),
            17 => Self::Relet(end),
            18 => Self::Weather(end, (small % 6) as u8),
            19 => Self::Late(end, millis),
            20 => Self::OnTime(end),
            21 => Self::Replay(end),
            22 => Self::CutCoordinator,
            23 => Self::JoinCoordinator,
            24 => Self::KillCoordinator,
            25 => Self::StartCoordinator,
            26 => Self::SlowCoordinator(millis),
            27 => Self::SlowPlugins(millis),
            28 => Self::KillRelay(relay),
            29 => Self::StartRelay(relay),
            30 => Self::ReplaceRelay(relay),
            31 => Self::CutRelay(end, relay),
            32 => Self::JoinRelay(end, relay),
            33 => Self::CutDirect,
            34 => Self::JoinDirect,
            35 => Self::Glare,
            _ => Self::Idle(seconds % 400),
        }
    }
}
