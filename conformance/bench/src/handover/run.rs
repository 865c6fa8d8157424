//! One tunnel, one variant, move after move.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use ntm_lab::scenario::until;
use ntm_lab::traffic::{Download, Probe, RunningDownload, RunningProbe};
use ntm_lab::{Error, Result, now};

use super::account::Account;
use super::figures::{Flows, Moved, Outcome};
use super::ground::{Ground, Moment};
use super::variant::Variant;
use crate::tunnel::{Programs, Running, Tunnel};

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Moves of each tunnel in each variant.
    pub(crate) moves: u32,
    /// A tunnel that has not recovered by then does not move again.
    pub(crate) limit: Duration,
    /// From a tunnel's recovery to its next move, beside what a few round trips take.
    pub(crate) rest: Duration,
}

/// Between two packets of a direction.
pub(crate) const PACE: Duration = Duration::from_millis(1);

/// Measures; `say` hears what is being done.
///
/// # Errors
/// The tunnel does not start, or the network not change.
pub(crate) fn run(
    ground: &mut Ground,
    tunnel: &Tunnel,
    variant: Variant,
    programs: &Programs,
    folder: &Path,
    plan: &Plan,
    mut say: impl FnMut(&str),
) -> Result<Outcome> {
    ground.reset()?;
    let running = tunnel.start(&ground.bed, programs, folder, &|_| {})?;
    let settle = plan.rest + 5 * ground.round_trip.median;
    // Lets tunnels settle, as they are when nobody has just started them.
    sleep(settle);
    let traffic = Traffic::start(ground, &running, variant)?;
    sleep(settle);
    let (mut moments, mut accounts, mut cut) = (Vec::new(), Vec::new(), false);
    for nth in 0..plan.moves {
        say(&format!("move {} of {}", nth + 1, plan.moves));
        let moment = variant.step(ground, nth)?;
        moments.push(moment);
        if !traffic.recovers(variant, moment, plan.limit)? {
            cut = true;
            break;
        }
        sleep(settle);
        accounts.push(Account::of(&running, moment)?);
    }
    let end = now();
    let flows = traffic.stop(ground)?;
    let ends = moments.iter().skip(1).map(|next| next.begin).chain([end]);
    let moves =
        moments.iter().zip(ends).map(|(moment, end)| Moved::of(moment, end, variant, &flows));
    let mut moves: Vec<_> = moves.collect();
    for (moved, account) in moves.iter_mut().zip(accounts) {
        moved.account = account;
    }
    Ok(Outcome { moves, cut })
}

/// What goes through the tunnel.
struct Traffic {
    probe: RunningProbe,
    _download: Option<RunningDownload>,
}

impl Traffic {
    fn start(ground: &Ground, running: &Running, variant: Variant) -> Result<Self> {
        let bed = &ground.bed;
        let left = (&bed.left, running.left.into());
        let right = (&bed.right, running.right.into());
        let probe = Probe { interval: PACE, ..Probe::default() };
        // The peer comes first: what it sends is the first stream.
        let probe = match variant.mover_sends() {
            true => probe.start(right, left)?,
            false => probe.start_one_way(right, left)?,
        };
        let download = variant.download().map(|pace| {
            let all = Download::of(u64::MAX).paced(pace);
            let running = all.start(&bed.right, running.right.into(), &bed.left)?;
            running.wait_for(pace / 2, Duration::from_secs(10)).map(|()| running)
        });
        Ok(Self { probe, _download: download.transpose()? })
    }

    /// Whether packets come through again in time, in each direction that there is.
    fn recovers(&self, variant: Variant, moment: Moment, limit: Duration) -> Result<bool> {
        let heard = || {
            let [from_peer, from_mover] = self.probe.newest().map(|sent| sent >= moment.usable);
            Ok((from_peer && (from_mover || !variant.mover_sends())).then_some(()))
        };
        match until("packets after a move", limit, heard) {
            Ok(()) => Ok(true),
            Err(Error::Timeout { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn stop(self, ground: &Ground) -> Result<Flows> {
        let (started, round_trip) = (self.probe.started(), ground.round_trip.median);
        let flows = self.probe.stop(Duration::from_millis(100) + round_trip)?;
        Ok(Flows { started, round_trip, to_mover: flows.there, to_peer: flows.back })
    }
}
