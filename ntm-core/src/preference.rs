//! Which of several links is the better one.

/// A link that no rule says anything about.
const USUAL_COST: u16 = 100;

/// The order of links: rules of which the first that fits a link counts. Without
/// any, the system's routes decide alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Preference {
    rules: Vec<LinkRule>,
}

/// What is to be thought of the links that it fits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkRule {
    /// The interface's name.
    pub interface: Pattern,
    /// The IP version that it is about; `None`: both.
    pub ipv6: Option<bool>,
    /// Bytes cost money there: used when there is nothing else.
    pub metered: bool,
    /// Of two links that are both metered or both not, the cheaper one is better.
    pub cost: u16,
}

/// A name in which `*` stands for any text and `?` for any one character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(String);

/// How much a link is liked: less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank {
    metered: bool,
    cost: u16,
}

impl Preference {
    /// These rules, of which earlier ones win.
    pub fn new(rules: Vec<LinkRule>) -> Self {
        Self { rules }
    }

    /// Whether the system's routes decide alone.
    pub(crate) fn is_the_systems(&self) -> bool {
        self.rules.is_empty()
    }

    pub(crate) fn rank(&self, interface: &str, ipv6: bool) -> Rank {
        let fits = |rule: &&LinkRule| {
            rule.ipv6.is_none_or(|only| only == ipv6) && rule.interface.fits(interface)
        };
        let rule = self.rules.iter().find(fits);
        rule.map_or(Rank { metered: false, cost: USUAL_COST }, |rule| Rank {
            metered: rule.metered,
            cost: rule.cost,
        })
    }
}

impl Pattern {
    /// From its text; any text is one.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether it stands for this name.
    pub fn fits(&self, name: &str) -> bool {
        let (pattern, name): (Vec<_>, Vec<_>) = (self.0.chars().collect(), name.chars().collect());
        let (mut at, mut read) = (0, 0);
        // Where the last `*` stands, and how much of the name it has been tried for.
        let mut star: Option<(usize, usize)> = None;
        while read < name.len() {
            match pattern.get(at) {
                Some('*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(&one) if one == '?' || one == name[read] => {
                    at += 1;
                    read += 1;
                }
                _ => {
                    let Some((star_at, tried)) = star else { return false };
                    star = Some((star_at, tried + 1));
                    (at, read) = (star_at + 1, tried + 1);
                }
            }
        }
        pattern[at..].iter().all(|one| *one == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(interface: &str, ipv6: Option<bool>, metered: bool, cost: u16) -> LinkRule {
        LinkRule { interface: Pattern::new(interface), ipv6, metered, cost }
    }

    #[test]
    fn a_pattern_stands_for_names() {
        for (pattern, name, fits) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth?", "eth1", true),
            ("eth?", "eth", false),
            ("eth*", "eth", true),
            ("*", "", true),
            ("w*n*0", "wlan0", true),
            ("w*n*0", "wwan10", true),
            ("w*n*0", "wwan1", false),
            ("*a*b", "aab", true),
            ("", "eth0", false),
        ] {
            assert_eq!(Pattern::new(pattern).fits(name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let preference = Preference::new(vec![
            rule("wlan*", Some(true), false, 5),
            rule("wwan*", None, true, 1),
            rule("w*", None, false, 50),
        ]);
        let rank = |name, ipv6| preference.rank(name, ipv6);
        assert!(rank("wlan0", true) < rank("wlan0", false), "its family alone");
        assert!(rank("wlan0", false) < rank("eth0", false), "below the usual cost");
        assert!(rank("wwan0", false) > rank("eth0", false), "metered counts before cost");
        assert_eq!(rank("eth0", false), rank("eth1", true));
    }
}
