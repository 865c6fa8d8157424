//! Unified diffs, applied without any guess: what is to be replaced has to be in the
//! file, and only once.

use std::path::Path;

/// What to change, a file at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    files: Vec<File>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    path: String,
    hunks: Vec<Hunk>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hunk {
    old: Vec<String>,
    new: Vec<String>,
}

/// A file with its new text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// From the root of the sources.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Patch {
    /// From the text of a diff; lines before its first file are passed over.
    ///
    /// # Errors
    /// What is no diff.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut files: Vec<File> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(path) = line.strip_prefix("+++ ") {
                let path = path.strip_prefix("b/").ok_or(format!("not \"b/…\": {path}"))?;
                files.push(File { path: path.to_owned(), hunks: Vec::new() });
            } else if line.starts_with("@@ ") {
                let file = files.last_mut().ok_or("a hunk before any file")?;
                file.hunks.push(Hunk::parse(line, &mut lines)?);
            }
        }
        if files.is_empty() || files.iter().any(|file| file.hunks.is_empty()) {
            return Err("nothing to change".into());
        }
        Ok(Self { files })
    }

    /// The files that it changes in the sources at `root`, as they would be.
    ///
    /// # Errors
    /// Which file cannot be read, or is not what the diff was made for.
    pub fn apply(&self, root: &Path) -> Result<Vec<Replacement>, String> {
        let changed = |file: &File| {
            let read = std::fs::read_to_string(root.join(&file.path));
            let mut text = read.map_err(|error| format!("{}: {error}", file.path))?;
            for hunk in &file.hunks {
                text = hunk.apply(&text).map_err(|what| format!("{}: {what}", file.path))?;
            }
            Ok(Replacement { path: file.path.clone(), text })
        };
        self.files.iter().map(changed).collect()
    }
}

impl Hunk {
    /// The body of a hunk with this head.
    fn parse<'a>(head: &str, lines: &mut impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let wrong = || format!("no head of a hunk: {head}");
        let count = |range: &str| range.split_once(',').map_or(Some(1), |(_, n)| n.parse().ok());
        let mut words = head.split(' ').skip(1);
        let mut side = |sign| {
            let range = words.next().and_then(|word| word.strip_prefix(sign));
            range.and_then(count).ok_or_else(wrong)
        };
        let (old, new): (usize, usize) = (side('-')?, side('+')?);
        let mut hunk = Self::default();
        while hunk.old.len() < old || hunk.new.len() < new {
            let line = lines.next().ok_or_else(|| format!("the hunk ends early: {head}"))?;
            let (sign, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
            match sign {
                "-" => hunk.old.push(rest.to_owned()),
                "+" => hunk.new.push(rest.to_owned()),
                " " => {
                    hunk.old.push(rest.to_owned());
                    hunk.new.push(rest.to_owned());
                }
                _ => return Err(format!("no line of a hunk: {line}")),
            }
        }
        Ok(hunk)
    }

    fn apply(&self, text: &str) -> Result<String, String> {
        let lines: Vec<&str> = text.lines().collect();
        let mut places = (0..lines.len()).filter(|at| {
            lines.get(*at..at + self.old.len()).is_some_and(|there| there == self.old.as_slice())
        });
        let first = self.old.first().map_or("", String::as_str);
        let at = places.next().ok_or_else(|| format!("not there any more: {first:?} …"))?;
        if places.next().is_some() {
            return Err(format!("there more than once: {first:?} …"));
        }
        let new = self.new.iter().map(String::as_str);
        let (before, after) = (&lines[..at], &lines[at + self.old.len()..]);
        let all = before.iter().copied().chain(new).chain(after.iter().copied());
        Ok(all.map(|line| format!("{line}\n")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "words\n--- a/x\n+++ b/x\n@@ -1,3 +1,2 @@ fn\n one\n-two\n-three\n+2\n";

    fn applied(diff: &str, text: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        std::fs::write(folder.path().join("x"), text).map_err(|error| error.to_string())?;
        Ok(Patch::parse(diff)?.apply(folder.path())?.remove(0).text)
    }

    #[test]
    fn lines_are_replaced_wherever_they_are_now() {
        assert_eq!(applied(DIFF, "one\ntwo\nthree\n"), Ok("one\n2\n".into()));
        assert_eq!(applied(DIFF, "0\none\ntwo\nthree\n4\n"), Ok("0\none\n2\n4\n".into()));
    }

    #[test]
    fn what_is_not_there_or_there_twice_is_refused() {
        assert!(applied(DIFF, "one\ntwo\nfour\n").is_err());
        assert!(applied(DIFF, "one\ntwo\nthree\none\ntwo\nthree\n").is_err());
    }

    #[test]
    fn what_is_no_diff_is_refused() {
        for text in ["", "--- a/x\n+++ b/x\n", "@@ -1 +1 @@\n-a\n+b\n", &DIFF[..DIFF.len() - 3]] {
            assert!(Patch::parse(text).is_err(), "{text}");
        }
    }
}
