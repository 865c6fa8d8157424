use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A node's name: a lower-case host name such as `mn.example`, at most 253
/// bytes of labels of at most 63 letters, digits and inner hyphens (RFC 1123).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// A text is not a node name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a node name: use letters, digits, hyphens and dots, as in `laptop.example`")]
pub struct BadName(String);

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl FromStr for NodeName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let lower = text.to_ascii_lowercase();
        if lower.len() <= 253 && lower.split('.').all(is_label) {
            Ok(Self(lower))
        } else {
            Err(BadName(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for NodeName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_taken_and_lowered() {
        assert_eq!("MN.Example".parse::<NodeName>().unwrap().as_str(), "mn.example");
        assert!("a".parse::<NodeName>().is_ok());
        assert!("laptop-2.home.example".parse::<NodeName>().is_ok());
    }

    #[test]
    fn other_texts_are_refused() {
        let long = vec!["a".repeat(63); 5].join(".");
        for text in ["", ".", "a..b", "-a", "a-", "a b", "ü.example", &"a".repeat(64), &long] {
            assert!(text.parse::<NodeName>().is_err(), "{text}");
        }
    }
}
