//! Moves in virtual time, with real instances of the plugin.

use std::time::Duration;

use ntm_core::terminal::Mode;

use super::stage::{Spot, Stage, play};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

/// Every kind of move: in the open, to behind a NAT, to another, and back.
const JOURNEY: [Spot; 5] =
    [Spot::Open(1), Spot::Natted(0), Spot::Natted(1), Spot::Open(2), Spot::Open(0)];

fn journey<'a>(case: &'a Case, mode: Mode) -> Result<Stage<'a>, Stop> {
    let mut stage = Stage::new(case, mode)?;
    let before = stage.identity()?;
    // CN in the open, then behind a NAT of its own: so the way is direct and relayed.
    for cn in [Spot::Open(0), Spot::Natted(2)] {
        stage.go(stage.cn, cn);
        stage.talk(Duration::from_millis(500))?;
        for spot in JOURNEY {
            stage.go(stage.mn, spot);
            stage.talk(Duration::from_millis(500))?;
            stage.well(&format!("MN at {spot:?}, CN at {cn:?}"))?;
            let after = stage.identity()?;
            ensure!(after == before, "MN at {spot:?}: {before:?} became {after:?}");
        }
    }
    Ok(stage)
}

pub(super) fn fast(case: &Case) -> Verdict {
    play(case, |case| Ok(journey(case, Mode::Fast)?.remark().into()))
}

pub(super) fn seed(case: &Case) -> Verdict {
    play(case, |case| Ok(journey(case, Mode::Seed)?.remark().into()))
}

pub(super) fn both_at_once(case: &Case) -> Verdict {
    play(case, |case| {
        let mut stage = Stage::new(case, Mode::Fast)?;
        let before = stage.identity()?;
        for (mn, cn) in [
            (Spot::Open(1), Spot::Open(1)),
            (Spot::Natted(0), Spot::Open(2)),
            (Spot::Natted(1), Spot::Natted(2)),
            (Spot::Open(0), Spot::Open(0)),
        ] {
            stage.talk(Duration::from_millis(300))?;
            stage.go(stage.mn, mn);
            stage.go(stage.cn, cn);
            stage.talk(Duration::from_millis(300))?;
            stage.well(&format!("both moved, to {mn:?} and {cn:?}"))?;
            let after = stage.identity()?;
            ensure!(after == before, "{mn:?}, {cn:?}: {before:?} became {after:?}");
        }
        Ok(stage.remark().into())
    })
}

pub(super) fn exclusive(case: &Case) -> Verdict {
    play(case, |case| {
        let mut stage = Stage::new(case, Mode::Fast)?;
        let mut old = Vec::new();
        for spot in JOURNEY {
            stage.go(stage.mn, spot);
            stage.talk(Duration::from_millis(500))?;
            stage.well(&format!("MN at {spot:?}"))?;
            // Whatever was looked for beside the way in use has been found by now.
            stage.talk(Duration::from_secs(3))?;
            let ways = stage.ways()?;
            for (end, ways) in ["MN", "CN"].into_iter().zip(&ways) {
                ensure!(ways.len() == 1, "MN at {spot:?}: {end} sends by {ways:?}");
            }
            ensure!(!old.contains(&ways), "MN at {spot:?}: the way is an old one, {ways:?}");
            if spot != Spot::Open(0) {
                old.push(ways);
            }
        }
        Ok(stage.remark().into())
    })
}

pub(super) fn killed(case: &Case) -> Verdict {
    play(case, |case| {
        let mut stage = Stage::new(case, Mode::Fast)?;
        let before = stage.identity()?;
        for round in 0..3 {
            stage.talk(Duration::from_millis(300))?;
            stage.break_plugin();
            // Something happens while it is away, too.
            stage.talk(Duration::from_secs(1))?;
            if round > 0 {
                stage.go(stage.mn, Spot::Open(round));
                stage.talk(Duration::from_secs(2))?;
            }
            stage.mend_plugin()?;
            stage.well(&format!("after the plugin broke the {}. time", round + 1))?;
            let after = stage.identity()?;
            ensure!(after == before, "{before:?} became {after:?} when the plugin broke");
        }
        Ok(stage.remark().into())
    })
}

pub(super) fn restarted(case: &Case) -> Verdict {
    play(case, |case| {
        let mut stage = Stage::new(case, Mode::Fast)?;
        let before = stage.identity()?;
        for round in 1..=2 {
            stage.world.kill(stage.dc);
            stage.break_plugin();
            stage.talk(Duration::from_secs(2))?;
            stage.mend_plugin()?;
            stage.world.restart(stage.dc);
            let ready = stage.world.is_ready();
            ensure!(ready, "after a restart the coordinator cannot read what it stored");
            stage.talk(Duration::from_secs(1))?;
            stage.go(stage.mn, Spot::Open(round));
            stage.well("after a restart of the coordinator, and a move")?;
            let after = stage.identity()?;
            ensure!(after == before, "{before:?} became {after:?} with a restart");
        }
        Ok(stage.remark().into())
    })
}

pub(super) fn rebound(case: &Case) -> Verdict {
    play(case, |case| {
        let mut stage = Stage::new(case, Mode::Fast)?;
        let before = stage.identity()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for _ in 0..3 {
            stage.talk(Duration::from_millis(300))?;
            for transport in stage.transports() {
                let again = runtime.block_on(async {
                    tokio::time::timeout(crate::wait::PATIENCE, transport.rebind()).await
                });
                again.map_err(|_| Stop::broken("`rebind` does not come back"))??;
            }
            stage.well("after `rebind` of every transport")?;
            let after = stage.identity()?;
            ensure!(after == before, "{before:?} became {after:?} with `rebind`");
        }
        Ok(Note(stage.remark()))
    })
}
