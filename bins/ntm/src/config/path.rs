use std::fmt;

/// Elements of a list that a path may name, so that a slip of the finger does
/// not make a list of millions.
const LONGEST_LIST: usize = 256;

/// Where a value is: `node.role[0]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPath(pub(super) Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

impl KeyPath {
    /// Reads `node.role[0]`; an index may also stand as a key, as in
    /// `transport.0.plugin`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for part in text.split('.') {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            segments.push(match key.parse() {
                Ok(index) if !segments.is_empty() => Segment::index(index)?,
                Ok(_) | Err(_) => Segment::key(key)?,
            });
            while !rest.is_empty() {
                let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
                segments.push(Segment::index(index.parse().ok()?)?);
                rest = after;
            }
        }
        Some(Self(segments))
    }

    pub(super) fn then(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.into()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    pub(super) fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The path of what this one lies in, and its own name there.
    pub(super) fn split_last(&self) -> Option<(Self, &Segment)> {
        let (last, parent) = self.0.split_last()?;
        Some((Self(parent.to_vec()), last))
    }

    /// The path itself, then what it lies in, outwards.
    pub(super) fn outwards(&self) -> impl Iterator<Item = Self> {
        (0..=self.0.len()).rev().map(|length| Self(self.0[..length].to_vec()))
    }

    pub(super) fn starts_with(&self, outer: &Self) -> bool {
        self.0.starts_with(&outer.0)
    }

    /// What the table at this path is called in a file: `[vip.config]`.
    pub(super) fn table(&self) -> String {
        let keys = self.0.iter().filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        });
        let keys = keys.collect::<Vec<_>>().join(".");
        match self.0.last() {
            None => "the file".into(),
            Some(Segment::Key(_)) => format!("[{keys}]"),
            Some(Segment::Index(_)) => format!("[[{keys}]]"),
        }
    }

    /// What the value at this path is called: `role` in [node].
    pub(super) fn value(&self) -> String {
        let key = |segment: &Segment| matches!(segment, Segment::Key(_));
        let Some(at) = self.0.iter().rposition(key) else { return self.table() };
        match &self.0[at] {
            Segment::Key(_) if at == 0 => Self(self.0.clone()).table(),
            Segment::Key(key) => format!("`{key}` in {}", Self(self.0[..at].to_vec()).table()),
            Segment::Index(_) => self.table(),
        }
    }
}

impl Segment {
    fn index(index: usize) -> Option<Self> {
        (index < LONGEST_LIST).then_some(Self::Index(index))
    }

    fn key(key: &str) -> Option<Self> {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        (!key.is_empty() && key.chars().all(valid)).then(|| Self::Key(key.into()))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_write_an_index_are_one_path() {
        let path = KeyPath::parse("transport[1].config.bind").unwrap();
        assert_eq!(KeyPath::parse("transport.1.config.bind"), Some(path.clone()));
        assert_eq!(path.to_string(), "transport[1].config.bind");
        assert_eq!(path.value(), "`bind` in [transport.config]");
        assert_eq!(KeyPath::parse("dc[0]").unwrap().table(), "[[dc]]");
    }

    #[test]
    fn other_texts_are_no_paths() {
        for text in ["", ".", "a.", "a..b", "a b", "a[", "a[x]", "a[-1]", "a]0[", "a[0]b", "a[256]"]
        {
            assert_eq!(KeyPath::parse(text), None, "{text}");
        }
    }
}
