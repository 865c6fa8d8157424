use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::path::{KeyPath, Segment};
use super::problem::{Problem, nearest, suggest};
use super::sources::{Part, Sources};
use super::value::{Encoded, Failure};

/// Decodes values and collects everything that is wrong with them.
pub(super) struct Decoder<'a> {
    pub(super) sources: &'a Sources,
    pub(super) problems: Vec<Problem>,
}

impl Decoder<'_> {
    /// The value at `base`, if it can be had, with or without problems.
    ///
    /// Serde stops at the first thing that is wrong. So whatever is wrong is
    /// reported, taken out, and the rest tried again.
    pub(super) fn decode<T: DeserializeOwned>(
        &mut self,
        base: &KeyPath,
        mut value: Json,
    ) -> Option<T> {
        let mut removed = Vec::new();
        loop {
            let (at, failure) = match decode_once(&value) {
                Ok(decoded) => return Some(decoded),
                Err(failed) => failed,
            };
            if let Failure::MissingKey(key) = failure
                && removed.contains(&at.key(key))
            {
                return None;
            }
            if let (Failure::UnknownKey { key, known }, Some((table, _))) =
                (&failure, at.split_last())
                && let Some(meant) = nearest(key, known)
            {
                // That it is missing now goes without saying.
                removed.push(table.key(meant));
            }
            self.problems.push(describe(self.sources, &base.join(&at), &failure));
            removed.push(remove(&mut value, &at)?);
        }
    }

    /// The section [`name`], as if it were empty where it is not there.
    pub(super) fn section<T: DeserializeOwned>(
        &mut self,
        name: &str,
        value: Option<Json>,
    ) -> Option<T> {
        self.decode(&KeyPath::default().key(name), value.unwrap_or_else(|| Map::new().into()))
    }

    /// The sections [[`name`]]: each by itself, so that one does not hide what
    /// is wrong with the next.
    pub(super) fn sections<T: DeserializeOwned>(
        &mut self,
        name: &str,
        value: Option<Json>,
    ) -> Option<Vec<T>> {
        let base = KeyPath::default().key(name);
        let list: Vec<Json> =
            self.decode(&base, value.unwrap_or_else(|| Vec::<Json>::new().into()))?;
        let mut decoded = Vec::new();
        for (at, value) in list.into_iter().enumerate() {
            let at = base.index(at);
            if value.is_null() {
                // A later element was given by its number.
                let message = format!("there is no `{at}`; the first in a list is number 0");
                self.problems.push(self.sources.problem(&base, Part::Value, message));
                decoded.push(None);
            } else {
                decoded.push(self.decode(&at, value));
            }
        }
        decoded.into_iter().collect()
    }
}

fn decode_once<T: for<'de> Deserialize<'de>>(value: &Json) -> Result<T, (KeyPath, Failure)> {
    serde_path_to_error::deserialize(Encoded(value)).map_err(|error| {
        let at = key_path(error.path());
        (at, error.into_inner())
    })
}

fn key_path(path: &serde_path_to_error::Path) -> KeyPath {
    use serde_path_to_error::Segment as Step;
    let steps = path.iter().filter_map(|step| match step {
        Step::Seq { index } => Some(Segment::Index(*index)),
        Step::Map { key } => Some(Segment::Key(key.clone())),
        Step::Enum { variant } => Some(Segment::Key(variant.clone())),
        Step::Unknown => None,
    });
    KeyPath(steps.collect())
}

/// Takes out the entry that `at` is or lies in; a whole list rather than one of
/// its elements, since the others would change their places.
fn remove(value: &mut Json, at: &KeyPath) -> Option<KeyPath> {
    for outer in at.outwards() {
        let Some((table, Segment::Key(key))) = outer.split_last() else { continue };
        let table = table.0.iter().try_fold(&mut *value, |value, segment| match segment {
            Segment::Key(key) => value.get_mut(key),
            Segment::Index(index) => value.get_mut(index),
        });
        if table.is_some_and(|table| table.as_object_mut().is_some_and(|t| t.remove(key).is_some()))
        {
            return Some(outer);
        }
    }
    None
}

fn describe(sources: &Sources, at: &KeyPath, failure: &Failure) -> Problem {
    match failure {
        Failure::UnknownKey { key, known } => {
            let table = at.split_last().map(|(table, _)| table).unwrap_or_default();
            let suggestion = suggest(key, known);
            let message = if table.0.is_empty() {
                format!("unknown section [{key}]{suggestion}")
            } else {
                format!("unknown key `{key}` in {}{suggestion}", table.table())
            };
            sources.problem(at, Part::Key, message)
        }
        Failure::UnknownValue { value, known } => {
            let suggestion = suggest(value, known);
            let message = format!("`{value}` is no value of {}{suggestion}", at.value());
            sources.problem(at, Part::Value, message)
        }
        Failure::MissingKey(key) => {
            sources.problem(at, Part::Value, format!("{} lacks the key `{key}`", at.table()))
        }
        Failure::WrongType { found, expected } => {
            let message = format!("{} has to be {expected}, not {found}", at.value());
            sources.problem(at, Part::Value, message)
        }
        Failure::Other(message) => {
            sources.problem(at, Part::Value, format!("{}: {message}", at.value()))
        }
    }
}
