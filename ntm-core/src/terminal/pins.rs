use std::collections::BTreeMap;

use crate::id::{NodeName, PublicKey};
use crate::plugin::{MemberRole, NodeRecord, Record, Write};

/// Names whose keys are remembered.
const MOST_PINS: usize = 65_536;

/// The first key seen for each name. A coordinator that was taken over could
/// introduce itself under a friend's name; it cannot do so to those who know
/// the friend's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Pins {
    keys: BTreeMap<NodeName, PublicKey>,
    /// Changed keys that were refused, should a person accept them.
    offered: BTreeMap<NodeName, PublicKey>,
}

/// What the pins say of a name and a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key that is known.
    Known,
    /// The name is new.
    New,
    /// Another key is known, and this refusal is news.
    Changed(PublicKey),
    /// As before, and said before.
    StillChanged,
}

fn record(name: &NodeName, key: PublicKey) -> Write {
    let (name, roles, vips) = (name.clone(), MemberRole::Terminal.into(), None);
    Write::Put(Record::Node(NodeRecord { name, key, roles, vips }))
}

impl Pins {
    /// Takes over what was stored.
    pub(super) fn load(&mut self, records: Vec<Record>) {
        for record in records {
            if let Record::Node(node) = record {
                self.keys.insert(node.name, node.key);
            }
        }
    }

    /// Compares a key that the coordinator names for `name`.
    pub(super) fn check(&mut self, name: &NodeName, key: PublicKey) -> Verdict {
        match self.keys.get(name) {
            Some(pinned) if *pinned == key => Verdict::Known,
            Some(pinned) => {
                let news = self.offered.insert(name.clone(), key) != Some(key);
                while self.offered.len() > MOST_PINS {
                    self.offered.pop_first();
                }
                if news { Verdict::Changed(*pinned) } else { Verdict::StillChanged }
            }
            None => Verdict::New,
        }
    }

    /// Remembers a key; what to store.
    pub(super) fn pin(&mut self, name: &NodeName, key: PublicKey) -> Option<Write> {
        if self.keys.len() >= MOST_PINS {
            return None;
        }
        self.keys.insert(name.clone(), key);
        Some(record(name, key))
    }

    /// Whether there is a changed key of `name` to accept.
    pub(super) fn is_offered(&self, name: &NodeName) -> bool {
        self.offered.contains_key(name)
    }

    /// A person accepts the changed key of `name`; what to store, if there was
    /// one.
    pub(super) fn trust(&mut self, name: &NodeName) -> Option<Write> {
        let key = self.offered.remove(name)?;
        self.keys.insert(name.clone(), key);
        Some(record(name, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_key_is_refused_until_a_person_accepts_it() {
        let mut pins = Pins::default();
        let name: NodeName = "cn.example".parse().unwrap();
        let (old, new) = (PublicKey::from_bytes([1; 32]), PublicKey::from_bytes([2; 32]));
        assert_eq!(pins.check(&name, old), Verdict::New);
        let stored = pins.pin(&name, old).unwrap();
        assert_eq!(pins.check(&name, old), Verdict::Known);
        assert_eq!(pins.check(&name, new), Verdict::Changed(old));
        assert_eq!(pins.check(&name, new), Verdict::StillChanged, "said once");
        assert!(pins.trust(&name).is_some());
        assert_eq!(pins.check(&name, new), Verdict::Known);
        assert_eq!(pins.trust(&name), None, "nothing to accept");

        let mut restarted = Pins::default();
        let Write::Put(record) = stored else { panic!("not a put") };
        restarted.load(vec![record]);
        assert_eq!(restarted.check(&name, old), Verdict::Known);
    }
}
