use ntm_core::plugin::Change;

/// What happened and was not yet told: each kind once, since one wake-up for a
/// burst is enough.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    resync: bool,
    link: bool,
    address: bool,
    route: bool,
}

impl Pending {
    pub(crate) fn insert(&mut self, change: Change) {
        match change {
            Change::Resync => self.resync = true,
            Change::Link => self.link = true,
            Change::Address => self.address = true,
            Change::Route => self.route = true,
        }
    }

    /// The gravest; a resync stands for all the others.
    pub(crate) fn take(&mut self) -> Option<Change> {
        if std::mem::take(&mut self.resync) {
            *self = Self::default();
            Some(Change::Resync)
        } else if std::mem::take(&mut self.link) {
            Some(Change::Link)
        } else if std::mem::take(&mut self.address) {
            Some(Change::Address)
        } else if std::mem::take(&mut self.route) {
            Some(Change::Route)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_and_a_resync_stands_for_all() {
        let mut pending = Pending::default();
        for change in [Change::Route, Change::Address, Change::Address, Change::Link] {
            pending.insert(change);
        }
        assert_eq!(pending.take(), Some(Change::Link));
        assert_eq!(pending.take(), Some(Change::Address));
        pending.insert(Change::Resync);
        assert_eq!(pending.take(), Some(Change::Resync));
        assert_eq!(pending.take(), None);
    }
}
