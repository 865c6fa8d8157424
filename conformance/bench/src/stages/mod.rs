//! What each stage of a packet's way costs, without a network: sealing, opening,
//! cutting, joining, looking up, deciding.

pub(crate) mod baseline;
mod ends;
mod many;
mod single;

use std::hint::black_box;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use ntm_lab::{Error, Result};

use crate::bed::doing;

/// All others are told as so many times this one.
pub(crate) const REFERENCE: &str = "aes-seal-1400";

/// How often the whole list is measured; the best round counts.
const ROUNDS: u32 = 15;
/// Processor time of a stage in each round.
const SLICE: Duration = Duration::from_millis(10);

/// Something to measure.
struct Stage {
    name: String,
    /// Works for a while, some of it on the watch.
    step: Box<Step>,
}

type Step = dyn FnMut(&mut Watch) -> Result<()>;

/// What a stage cost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// Nanoseconds of processor time for one packet or run.
    pub(crate) nanos: f64,
}

/// Two stages that differ in how many peers there are.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) what: &'static str,
    pub(crate) one: String,
    pub(crate) many: String,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    rounds: u32,
    slice: Duration,
    /// Peers or paths at most.
    most: usize,
}

impl Plan {
    /// For figures.
    pub(crate) const WHOLE: Self = Self { rounds: ROUNDS, slice: SLICE, most: usize::MAX };
    /// To see that it works.
    pub(crate) const QUICK: Self = Self { rounds: 1, slice: Duration::from_micros(100), most: 100 };
}

/// Processor time, and for how much.
#[derive(Default)]
struct Watch {
    spent: Duration,
    units: u64,
}

impl Watch {
    /// Times the work, which is done for so many packets or runs.
    fn time<T>(&mut self, units: usize, work: impl FnOnce() -> T) -> Result<T> {
        let begin = on_processor()?;
        let done = black_box(work());
        self.spent += on_processor()?.saturating_sub(begin);
        self.units += units as u64;
        Ok(done)
    }
}

/// How long this thread has been on a processor: others that run meanwhile cost it
/// cache, but no time.
fn on_processor() -> Result<Duration> {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(std::io::Error::from);
    Ok(now.map_err(doing("read the clock"))?.into())
}

impl Stage {
    fn new(name: impl Into<String>, step: impl FnMut(&mut Watch) -> Result<()> + 'static) -> Self {
        Self { name: name.into(), step: Box::new(step) }
    }

    /// The same small thing again and again.
    fn repeated<T>(name: impl Into<String>, mut once: impl FnMut() -> T + 'static) -> Self {
        const TIMES: usize = 500;
        let mut times = move || (0..TIMES).for_each(|_| drop(black_box(once())));
        Self::new(name, move |watch| watch.time(TIMES, &mut times))
    }

    fn round(&mut self, slice: Duration) -> Result<f64> {
        // What the stages before have pushed out of the cache comes back.
        (self.step)(&mut Watch::default())?;
        let mut watch = Watch::default();
        while watch.spent < slice || watch.units == 0 {
            (self.step)(&mut watch)?;
        }
        Ok(watch.spent.as_nanos() as f64 / watch.units as f64)
    }
}

/// Measures everything: one stage after the other, and all again; of each the best
/// round, which others have disturbed least.
///
/// # Errors
/// The clock cannot be read, or a stage does not do what it is there for.
pub(crate) fn measure(plan: Plan, mut progress: impl FnMut(&str)) -> Result<Vec<Figure>> {
    progress("setting up");
    let mut stages = single::stages(plan.most);
    stages.extend(many::stages(plan.most));
    let mut best = vec![f64::INFINITY; stages.len()];
    for round in 1..=plan.rounds {
        progress(&format!("round {round} of {}", plan.rounds));
        for (stage, best) in stages.iter_mut().zip(&mut best) {
            *best = best.min(stage.round(plan.slice)?);
        }
    }
    let figures = stages.into_iter().zip(best);
    Ok(figures.map(|(stage, nanos)| Figure { name: stage.name, nanos }).collect())
}

/// What many peers are compared by.
pub(crate) fn pairs() -> Vec<Pair> {
    many::pairs()
}

/// Of a stage that must do something and did not.
fn wrong(what: &str) -> Error {
    Error::Wrong(format!("a stage does not work: {what}"))
}
