//! Two terminals to which anything happens, again and again, against a model that
//! says what must hold whatever it was.
//!
//! A [`Course`] is a list of [`Step`]s with a time to talk after each. [`run`]
//! plays it and judges: always, and after everything has been mended. A course
//! that fails is made shorter by [`shorten`] and kept as a file, one JSON object a
//! line.

mod play;
mod spot;
mod step;
mod stream;
mod tale;

use ntm_core::Rng;
use serde::{Deserialize, Serialize};

pub use play::{Report, run, tell};
pub use spot::{Kind, Spot};
pub use step::{End, KINDS, Step};
pub use stream::Stream;
pub use tale::Listener;

/// What happens in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// Everything random follows from it.
    pub seed: u64,
    /// The steps.
    pub steps: Vec<Timed>,
}

/// A step, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// What happens.
    #[serde(rename = "do")]
    pub step: Step,
    /// For so many milliseconds both ends talk.
    pub talk: u64,
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Head {
    seed: u64,
}

impl Course {
    /// The course of a seed.
    pub fn of(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[31] = 1;
        let mut rng = Rng::from_seed(bytes);
        let count = 2 + rng.number() % 16;
        let timed = |rng: &mut Rng| {
            let step = Step::draw(rng);
            let most = [3, 30, 300, 3000][(rng.number() % 4) as usize];
            Timed { step, talk: rng.number() % most }
        };
        Self { seed, steps: (0..count).map(|_| timed(&mut rng)).collect() }
    }

    /// As a file.
    pub fn to_text(&self) -> String {
        let lines = self.steps.iter().map(serde_json::to_string);
        let head = serde_json::to_string(&Head { seed: self.seed });
        let lines = std::iter::once(head).chain(lines).filter_map(Result::ok);
        lines.map(|line| line + "\n").collect()
    }

    /// From a file; lines that begin with `#` are remarks.
    ///
    /// # Errors
    /// Which line is wrong, and why.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let mut lines =
            text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let at = |nth: usize| move |error: serde_json::Error| format!("line {}: {error}", nth + 1);
        let (nth, head) = lines.next().ok_or("an empty file")?;
        let Head { seed } = serde_json::from_str(head).map_err(at(nth))?;
        let steps = lines.map(|(nth, line)| serde_json::from_str(line).map_err(at(nth)));
        Ok(Self { seed, steps: steps.collect::<Result<_, _>>()? })
    }
}

/// A course that fails as well, and has no step that could be left out.
pub fn shorten(course: &Course, fails: impl Fn(&Course) -> bool) -> Course {
    let mut course = course.clone();
    let mut chunk = course.steps.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        let mut less = false;
        while at < course.steps.len() {
            let mut without = course.clone();
            without.steps.drain(at..(at + chunk).min(course.steps.len()));
            if fails(&without) {
                course = without;
                less = true;
            } else {
                at += chunk;
            }
        }
        if !less || chunk > 1 {
            chunk /= 2;
        }
    }
    course
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_read_as_it_was_written() {
        for seed in 0..200 {
            let course = Course::of(seed);
            let text = format!("# a remark\n{}", course.to_text());
            assert_eq!(Course::from_text(&text), Ok(course));
        }
    }

    #[test]
    fn every_kind_of_step_is_drawn() {
        let steps = (0..300).flat_map(|seed| Course::of(seed).steps);
        let kinds: std::collections::HashSet<_> =
            steps.map(|timed| std::mem::discriminant(&timed.step)).collect();
        assert_eq!(kinds.len() as u64, KINDS);
    }

    #[test]
    fn a_failing_course_is_made_as_short_as_it_can_be() {
        let course = Course::of(7);
        let wanted = [course.steps[0], course.steps[course.steps.len() - 1]];
        let fails = |course: &Course| wanted.iter().all(|step| course.steps.contains(step));
        assert_eq!(shorten(&course, fails).steps, wanted);
    }
}
