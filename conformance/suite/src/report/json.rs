use serde_json::{Value, json};

use super::Report;
use crate::outcome::Outcome;

impl Report {
    /// As programs read it: `name`, `kind`, `from`, `passed` and, for each promise in
    /// `results`, `id`, `outcome` (`passed`, `failed`, `not_claimed`, `not_tried`),
    /// `remark` (null if there is none), `section` and `ms`.
    pub fn to_json(&self) -> Value {
        let results: Vec<_> = self
            .tried
            .iter()
            .map(|it| {
                let outcome = match it.outcome {
                    Outcome::Passed(_) => "passed",
                    Outcome::Failed(_) => "failed",
                    Outcome::NotClaimed(_) => "not_claimed",
                    Outcome::NotTried(_) => "not_tried",
                };
                let remark = Some(it.outcome.remark()).filter(|remark| !remark.is_empty());
                json!({
                    "id": it.requirement.id, "outcome": outcome, "remark": remark,
                    "section": it.requirement.section, "ms": it.took.as_secs_f64() * 1e3,
                })
            })
            .collect();
        json!({
            "name": self.name, "kind": self.kind, "from": self.origin,
            "passed": self.passed(), "results": results,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;

    #[test]
    fn every_outcome_has_its_word() {
        let json = sample().to_json();
        let words: Vec<_> =
            (0..4).map(|at| json["results"][at]["outcome"].as_str().unwrap()).collect();
        assert_eq!(words, ["passed", "failed", "not_claimed", "not_tried"]);
        assert_eq!(json["results"][0]["ms"], 1500.0);
        assert_eq!(json["passed"], false);
    }
}
