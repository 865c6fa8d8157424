//! What was measured once, to compare with: each stage divided by the reference of
//! the same run, so that it means something on another machine too.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Figure, REFERENCE};

/// Cost by stage, as so many times the reference's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ratios(pub(crate) BTreeMap<String, f64>);

impl Ratios {
    /// Nothing if the reference was not measured.
    pub(crate) fn of(figures: &[Figure]) -> Self {
        let Some(reference) = figures.iter().find(|it| it.name == REFERENCE) else {
            return Self(BTreeMap::new());
        };
        let ratio = |it: &Figure| (it.name.clone(), it.nanos / reference.nanos);
        Self(figures.iter().map(ratio).collect())
    }

    pub(crate) fn get(&self, stage: &str) -> Option<f64> {
        self.0.get(stage).copied()
    }

    /// As the file has it: `schema`, `reference`, `ratios`.
    pub(crate) fn json(&self) -> Value {
        // Four digits: what follows is noise.
        let rounded = |ratio: f64| format!("{ratio:.3e}").parse().unwrap_or(ratio);
        let ratios: BTreeMap<_, f64> =
            self.0.iter().map(|(n, ratio)| (n, rounded(*ratio))).collect();
        json!({ "schema": 1, "reference": REFERENCE, "ratios": ratios })
    }

    /// # Errors
    /// Why this is no such file.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file["schema"] != 1 || file["reference"] != REFERENCE {
            return Err(format!("not of schema 1 with the reference {REFERENCE}"));
        }
        let ratios = file["ratios"].as_object().ok_or("no ratios")?;
        let ratio = |(name, ratio): (&String, &Value)| {
            let ratio = ratio.as_f64().filter(|ratio| *ratio > 0.0);
            Ok((name.clone(), ratio.ok_or(format!("no ratio of {name}"))?))
        };
        ratios.iter().map(ratio).collect::<Result<_, String>>().map(Self)
    }

    /// What is worse than in `baseline` by more than `factor`, or in one of the
    /// two alone: a line each.
    pub(crate) fn complaints(&self, baseline: &Self, factor: f64) -> Vec<String> {
        let missing = |name: &&String| !baseline.0.contains_key(*name);
        let new = self.0.keys().filter(missing);
        let new = new.map(|name| format!("{name}: not in the baseline"));
        let compared = baseline.0.iter().filter_map(|(name, before)| match self.get(name) {
            None => Some(format!("{name}: not measured any more")),
            Some(now) if now > before * factor => Some(format!(
                "{name}: {now:.3} of {REFERENCE}, {:.1} times the baseline's {before:.3}",
                now / before
            )),
            Some(_) => None,
        });
        new.chain(compared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratios(figures: &[(&str, f64)]) -> Ratios {
        let figure = |(name, nanos): &(&str, f64)| Figure { name: (*name).into(), nanos: *nanos };
        Ratios::of(&figures.iter().map(figure).collect::<Vec<_>>())
    }

    #[test]
    fn a_machine_half_as_fast_has_the_same_ratios() {
        let fast = ratios(&[(REFERENCE, 200.0), ("cut", 100.0)]);
        let slow = ratios(&[(REFERENCE, 400.0), ("cut", 200.0)]);
        assert_eq!(fast, slow);
        assert_eq!(fast.get("cut"), Some(0.5));
    }

    #[test]
    fn what_got_worse_is_told_and_what_got_better_is_not() {
        let before = ratios(&[(REFERENCE, 1.0), ("cut", 0.5), ("gone", 1.0), ("better", 9.0)]);
        let now = ratios(&[(REFERENCE, 1.0), ("cut", 1.1), ("new", 1.0), ("better", 1.0)]);
        let complaints = now.complaints(&before, 2.0);
        let told: Vec<_> = complaints.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(told, ["new", "cut", "gone"]);
        assert_eq!(now.complaints(&now, 1.0), Vec::<String>::new());
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let ratios = ratios(&[(REFERENCE, 190.0), ("cut", 95.0)]);
        assert_eq!(Ratios::read(&ratios.json().to_string()), Ok(ratios));
        for wrong in ["", "{}", r#"{"schema":1,"reference":"aes-seal-1400","ratios":{"cut":0}}"#] {
            assert!(Ratios::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_committed_baseline_is_one() {
        let baseline = Ratios::read(include_str!("../../stages.json")).unwrap();
        assert_eq!(baseline.get(REFERENCE), Some(1.0));
    }
}
