use ntm_core::preference::{LinkRule, Pattern, Preference};
use serde::Deserialize;

/// `[paths]`: which of a terminal's links are better than others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Paths {
    /// `[[paths.link]]`: the first that fits a link counts.
    pub link: Vec<LinkKeys>,
}

/// `[[paths.link]]`: what to think of links.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkKeys {
    /// The interface's name; `*` stands for any text, `?` for one character.
    pub interface: String,
    /// The IP version that this is about; both where it is not set.
    pub family: Option<IpVersion>,
    /// Used only when no other is there.
    pub metered: bool,
    /// The less, the better.
    pub cost: u16,
}

impl Default for LinkKeys {
    fn default() -> Self {
        Self { interface: "*".into(), family: None, metered: false, cost: 100 }
    }
}

/// A version of the Internet Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpVersion {
    /// `ipv4`
    Ipv4,
    /// `ipv6`
    Ipv6,
}

impl Paths {
    /// The same for the machine that chooses.
    pub fn preference(&self) -> Preference {
        let rule = |keys: &LinkKeys| LinkRule {
            interface: Pattern::new(&keys.interface),
            ipv6: keys.family.map(|family| family == IpVersion::Ipv6),
            metered: keys.metered,
            cost: keys.cost,
        };
        Preference::new(self.link.iter().map(rule).collect())
    }
}
