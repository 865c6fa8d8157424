use std::sync::{Mutex, MutexGuard, PoisonError};

/// How the instances of a library fare, for whoever wants to know.
#[derive(Debug, Default)]
pub struct Health(Mutex<Record>);

#[derive(Debug, Default)]
struct Record {
    working: u64,
    broken: u64,
    last: Option<String>,
}

impl Health {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Instances in use now; none while another is being opened.
    pub fn working(&self) -> u64 {
        self.record().working
    }

    /// Instances that broke so far.
    pub fn broken(&self) -> u64 {
        self.record().broken
    }

    /// What the last one of these did, as it stands behind the plugin's name.
    pub fn last(&self) -> Option<String> {
        self.record().last.clone()
    }

    pub(crate) fn opened(&self) {
        self.record().working += 1;
    }

    pub(crate) fn lost(&self) {
        let mut record = self.record();
        record.working = record.working.saturating_sub(1);
    }

    pub(crate) fn note(&self, what: &str) {
        let mut record = self.record();
        record.broken += 1;
        record.last = Some(what.to_owned());
    }
}
