//! What it costs that a transport is in a shared object: the same plugin linked and
//! loaded, over loopback, and the bare call.

mod call;
mod loopback;

use std::path::Path;
use std::time::{Duration, Instant};

use ntm_core::plugin::PluginError;
use ntm_lab::{Error, Result};
use serde_json::{Value, json};

use crate::stats::{median, span};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How often each way gets its turn.
    pub(crate) repeats: u32,
    /// How long such a turn is.
    pub(crate) slice: Duration,
}

/// Two or more ways of doing the same, measured in turns.
pub(crate) struct Comparison {
    /// What is done.
    pub(crate) what: String,
    /// The unit of the values.
    pub(crate) unit: &'static str,
    /// Each way, with a value of each turn; the first is what others are compared with.
    pub(crate) ways: Vec<(&'static str, Vec<f64>)>,
}

impl Comparison {
    /// A way's values divided by the first's of the same turn: the median, and all
    /// between.
    pub(crate) fn ratio(&self, at: usize) -> Option<(f64, (f64, f64))> {
        let values = |at: usize| self.ways.get(at).map(|(_, values)| values);
        let (way, first) = (values(at)?, values(0)?);
        let ratios: Vec<f64> = way.iter().zip(first).map(|(way, first)| way / first).collect();
        Some((median(&ratios)?, span(&ratios)?))
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let way = |(at, (name, values)): (usize, &(&str, Vec<f64>))| {
            json!({
                "way": name, "median": median(values), "values": values,
                "ratio": self.ratio(at).map(|(ratio, _)| ratio),
            })
        };
        let ways: Vec<_> = self.ways.iter().enumerate().map(way).collect();
        json!({ "what": self.what, "unit": self.unit, "ways": ways })
    }
}

/// Something that is done again and again: how much a call did.
type Step<'a> = Box<dyn FnMut() -> Result<u64> + 'a>;

/// Lets each way have its turn, one after the other, again and again, each time
/// beginning with another; and makes a value of what a turn did in its time.
fn alternate(
    plan: Plan,
    what: impl Into<String>,
    unit: &'static str,
    mut ways: Vec<(&'static str, Step<'_>)>,
    value: impl Fn(u64, Duration) -> f64,
) -> Result<Comparison> {
    let mut values: Vec<_> = ways.iter().map(|(name, _)| (*name, Vec::new())).collect();
    let turn = |step: &mut Step<'_>, slice: Duration| -> Result<f64> {
        let (begin, mut done) = (Instant::now(), 0);
        while begin.elapsed() < slice {
            done += step()?;
        }
        Ok(value(done, begin.elapsed()))
    };
    for (_, step) in &mut ways {
        turn(step, plan.slice / 4)?;
    }
    for repeat in 0..plan.repeats as usize {
        for nth in 0..values.len() {
            let at = (repeat + nth) % values.len();
            let found = turn(&mut ways[at].1, plan.slice)?;
            values[at].1.push(found);
        }
    }
    Ok(Comparison { what: what.into(), unit, ways: values })
}

/// Measures everything, with the transport `udp` in this shared object.
///
/// # Errors
/// It cannot be loaded, or loopback does not carry.
pub(crate) fn measure(
    library: &Path,
    plan: Plan,
    mut progress: impl FnMut(&str),
) -> Result<Vec<Comparison>> {
    let mut all = Vec::new();
    for batch in [64, 1] {
        progress(&format!("loopback, {batch} a call"));
        all.push(loopback::measure(library, plan, batch)?);
    }
    progress("the bare call");
    all.push(call::measure(plan)?);
    Ok(all)
}

fn failed(error: &PluginError) -> Error {
    Error::Wrong(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_its_turns_and_is_compared_within_them() {
        let plan = Plan { repeats: 4, slice: Duration::from_micros(50) };
        let ways: Vec<(_, Step<'_>)> =
            vec![("one", Box::new(|| Ok(1))), ("twice", Box::new(|| Ok(2)))];
        let found = alternate(plan, "counting", "1", ways, |done, _| done as f64).unwrap();
        assert!(found.ways.iter().all(|(_, values)| values.len() == 4));
        let fixed = Comparison {
            ways: vec![("one", vec![1.0, 2.0, 4.0]), ("twice", vec![2.0, 4.0, 4.0])],
            ..found
        };
        assert_eq!(fixed.ratio(1), Some((2.0, (1.0, 2.0))));
        assert_eq!(fixed.json()["ways"][0]["median"], 2.0);
        let failing: Vec<(_, Step<'_>)> =
            vec![("none", Box::new(|| Err(Error::Wrong("no".into()))))];
        assert!(alternate(plan, "failing", "1", failing, |_, _| 0.0).is_err());
    }
}
