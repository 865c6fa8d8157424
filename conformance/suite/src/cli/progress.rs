use std::io::{IsTerminal as _, Write as _, stderr};

use ntm_conformance::Progress;

/// How far a run is, for who watches: on a terminal alone.
pub(super) struct Bar {
    watched: bool,
    name: String,
}

impl Bar {
    pub(super) fn new(name: &str) -> Self {
        Self { watched: stderr().is_terminal(), name: name.to_owned() }
    }

    /// In the place of what it showed before.
    pub(super) fn show(&self, progress: Progress) {
        const WIDTH: usize = 30;
        if !self.watched {
            return;
        }
        let Progress { done, of, failed, id } = progress;
        let full = (WIDTH * done).checked_div(of).unwrap_or(WIDTH);
        let (name, full) = (&self.name, "#".repeat(full));
        let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
        let _nobody_listens =
            write!(stderr(), "\r{name} [{full:<WIDTH$}] {done} of {of}{failed} {id}\x1b[K");
    }

    /// Takes it away.
    pub(super) fn end(&self) {
        if self.watched {
            let _nobody_listens = write!(stderr(), "\r\x1b[K");
        }
    }
}
