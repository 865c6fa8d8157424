use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, Document, Item, TableLike, Value};

use super::path::{KeyPath, Segment};
use super::problem::{ConfigError, Place, Problem};

/// Knows where each value of a configuration comes from, so that whoever finds
/// fault with one later can still point at it.
///
/// The default knows nothing, for a configuration that a program has built.
#[derive(Debug, Default)]
pub struct Sources {
    pub(super) file: Option<File>,
    /// What the environment and the command line said, by where it went.
    pub(super) given: BTreeMap<KeyPath, String>,
}

/// The file and its parse tree, which has the positions.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) document: Document<String>,
}

/// What of an entry is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

impl Sources {
    /// `path` as it is meant in the file: relative ones count from the file's
    /// folder.
    pub fn beside(&self, path: &Path) -> PathBuf {
        match self.file.as_ref().and_then(|file| file.path.parent()) {
            Some(folder) => folder.join(path),
            None => path.to_owned(),
        }
    }

    /// An error about the value at `path`, such as `transport[1].config.bind`,
    /// or about the nearest table around it that was written down.
    pub fn error(&self, path: &str, message: impl Into<String>) -> ConfigError {
        let path = KeyPath::parse(path).unwrap_or_default();
        ConfigError::new(vec![self.problem(&path, Part::Value, message)])
    }

    /// Where the value at `path` comes from, for an error that shows only later.
    pub fn origin(&self, path: &str) -> Place {
        self.place(&KeyPath::parse(path).unwrap_or_default(), Part::Value)
    }

    /// Whether anybody wrote the section `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        let section = KeyPath::default().key(name);
        let in_file =
            self.file.as_ref().is_some_and(|file| file.document.as_table().contains_key(name));
        in_file || self.given.keys().any(|given| given.starts_with(&section))
    }

    /// Whether anybody wrote exactly this value.
    pub(super) fn is_there(&self, path: &KeyPath) -> bool {
        self.given.contains_key(path) || self.line(path, Part::Value).is_some()
    }

    pub(super) fn problem(
        &self,
        path: &KeyPath,
        part: Part,
        message: impl Into<String>,
    ) -> Problem {
        Problem { place: self.place(path, part), message: message.into() }
    }

    pub(super) fn place(&self, path: &KeyPath, part: Part) -> Place {
        // A list that was given replaces the file's, with all that is in it.
        if let Some(origin) = path.outwards().find_map(|outer| self.given.get(&outer)) {
            return Place::Given(origin.clone());
        }
        if let Some(place) = self.line(path, part) {
            return place;
        }
        // A table that is there for what was given in it.
        if let Some((_, origin)) = self.given.iter().find(|(given, _)| given.starts_with(path))
            && !path.0.is_empty()
        {
            return Place::Given(origin.clone());
        }
        match (path.split_last(), &self.file) {
            (Some((outer, _)), _) => self.place(&outer, Part::Value),
            (None, Some(file)) => Place::File(file.path.clone()),
            (None, None) => Place::Program,
        }
    }

    fn line(&self, path: &KeyPath, part: Part) -> Option<Place> {
        let File { path: file, document } = self.file.as_ref()?;
        if path.0.is_empty() {
            return None;
        }
        let mut key = None;
        let mut at = At::of(document.as_item())?;
        for segment in &path.0 {
            (key, at) = at.descend(segment)?;
        }
        let span = match part {
            Part::Key => key.or_else(|| at.span()),
            Part::Value => at.span().or(key),
        };
        Some(line_of(file, document.raw(), span?))
    }
}

/// The part of `text` at `span`, up to the end of its first line.
pub(super) fn line_of(file: &Path, text: &str, span: Range<usize>) -> Place {
    let start = floor(text, span.start);
    let begin = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let stop = floor(text, span.end).clamp(start, end);
    Place::Line {
        file: file.to_owned(),
        line: text[..begin].matches('\n').count() + 1,
        column: text[begin..start].chars().count() + 1,
        width: text[start..stop].chars().count().max(1),
        text: text[begin..end].trim_end().to_owned(),
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// A place in the parse tree.
enum At<'a> {
    Table(&'a dyn TableLike, Option<Range<usize>>),
    Tables(&'a ArrayOfTables),
    Value(&'a Value),
}

impl<'a> At<'a> {
    fn of(item: &'a Item) -> Option<Self> {
        match item {
            Item::None => None,
            Item::Value(value) => Some(Self::of_value(value)),
            Item::Table(table) => Some(Self::Table(table, table.span())),
            Item::ArrayOfTables(tables) => Some(Self::Tables(tables)),
        }
    }

    fn of_value(value: &'a Value) -> Self {
        match value.as_inline_table() {
            Some(table) => Self::Table(table, table.span()),
            None => Self::Value(value),
        }
    }

    /// The key and value of this name.
    fn descend(&self, segment: &Segment) -> Option<(Option<Range<usize>>, Self)> {
        match (self, segment) {
            (Self::Table(table, _), Segment::Key(key)) => {
                let (key, item) = table.get_key_value(key)?;
                Some((key.span(), Self::of(item)?))
            }
            (Self::Tables(tables), Segment::Index(index)) => {
                let table = tables.get(*index)?;
                Some((None, Self::Table(table, table.span())))
            }
            (Self::Value(value), Segment::Index(index)) => {
                Some((None, Self::of_value(value.as_array()?.get(*index)?)))
            }
            (Self::Table(..), Segment::Index(_))
            | (Self::Tables(_) | Self::Value(_), Segment::Key(_)) => None,
        }
    }

    fn span(&self) -> Option<Range<usize>> {
        match self {
            Self::Table(_, span) => span.clone(),
            Self::Tables(tables) => tables.get(0)?.span(),
            Self::Value(value) => value.span(),
        }
    }
}
