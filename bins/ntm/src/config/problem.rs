use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One thing that is wrong, or that deserves a look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it comes from.
    pub place: Place,
    /// What it is and what to do about it, without a full stop.
    pub message: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A part of a line of a file.
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// In characters, at least 1.
        width: usize,
        /// The whole line.
        text: String,
    },
    /// A file, and no line in particular.
    File(PathBuf),
    /// An environment variable, or an argument with its value.
    Given(String),
    /// A value that was built by a program.
    Program,
}

impl ConfigError {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        Self { problems }
    }

    /// The problems, at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, message } = self;
        match place {
            Place::Line { file, line, column, width, text } => {
                let gutter = " ".repeat(line.to_string().len());
                // Tabs stay tabs, so that the caret lands below what it means.
                let blank = |c: char| if c == '\t' { c } else { ' ' };
                let indent: String =
                    text.chars().take(column.saturating_sub(1)).map(blank).collect();
                let carets = "^".repeat(*width);
                writeln!(f, "{}:{line}:{column}: {message}", file.display())?;
                writeln!(f, "  {line} | {text}")?;
                write!(f, "  {gutter} | {indent}{carets}")
            }
            Place::File(file) => write!(f, "{}: {message}", file.display()),
            Place::Given(origin) => write!(f, "{origin}: {message}"),
            Place::Program => f.write_str(message),
        }
    }
}

/// `; did you mean …?` with the nearest of `known`, or all of them where none
/// is near.
pub(super) fn suggest(unknown: &str, known: &[&str]) -> String {
    match (nearest(unknown, known), known) {
        (Some(nearest), _) => format!("; did you mean `{nearest}`?"),
        (None, []) => "; there is nothing to set here".into(),
        (None, known) => format!("; use one of {}", list(known)),
    }
}

/// The one of `known` that somebody who wrote `unknown` may have meant.
pub(super) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&unknown, known);
    let nearest = known.iter().copied().min_by_key(|known| distance(known))?;
    (distance(nearest) <= 1 + nearest.len() / 3).then_some(nearest)
}

fn list(known: &[&str]) -> String {
    known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ")
}
