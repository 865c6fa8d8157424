//! Which fault is found by which promise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ntm_conformance::{Check, Kind, Runner, Subject, contract};
use ntm_core::plugin::PluginError;
use serde_json::{Value, json};

use crate::faults::{Fault, Mistake};

/// How many faults are tried at once: most only wait.
const AT_ONCE: usize = 10;
/// What is done some thousand times is done for a moment.
const QUICK: Runner = Runner { limit: None, repeat: Duration::from_millis(500) };
/// For how long what never comes is waited for.
const NEVER: Duration = Duration::from_secs(5);

/// What became of a fault.
#[derive(Clone, Debug)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// How it was opened: "linked", or a file.
    pub via: String,
    /// The promises that were found broken, and how that was seen.
    pub caught: Vec<(&'static str, String)>,
}

impl Row {
    /// Whether the promise that it breaks was found broken.
    pub fn is_caught(&self) -> bool {
        self.caught.iter().any(|(id, _)| *id == self.fault.breaks)
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let caught: Vec<_> =
            self.caught.iter().map(|(id, how)| json!({ "id": id, "how": how })).collect();
        json!({
            "fault": self.fault.name,
            "kind": self.fault.mistake.kind().name(),
            "via": self.via,
            "breaks": self.fault.breaks,
            "caught": self.is_caught(),
            "caught_by": caught,
        })
    }
}

/// Where faults come from.
#[derive(Clone, Debug, Default)]
pub struct Libraries(BTreeMap<Kind, PathBuf>);

impl Libraries {
    /// Those that are in this folder, as a build leaves them.
    pub fn of(folder: &Path) -> Self {
        let file = |kind: &Kind| {
            let name = format!("libntm_faulty_{kind}_dyn{}", std::env::consts::DLL_SUFFIX);
            let path = folder.join(name);
            path.exists().then_some((*kind, path))
        };
        Self(Kind::ALL.iter().filter_map(file).collect())
    }

    /// All subjects that have this fault: linked, and in a library where it gets through.
    ///
    /// # Errors
    /// The claims of the plugin below cannot be read, or the library cannot be loaded.
    pub fn subjects(&self, fault: &Fault) -> Result<Vec<Subject>, PluginError> {
        let mistake = fault.mistake;
        let mut claims = below(mistake)?.claims().clone();
        if let Some(capability) = fault.boasts {
            claims = claims.with(capability, true);
        }
        let kind = mistake.kind();
        let linked = Subject::new(fault.name, kind, "linked", claims.clone(), Box::new(mistake));
        let mut subjects = vec![linked];
        if let Some(file) = self.0.get(&kind).filter(|_| fault.crosses) {
            let claims = claims.with_key("mistake", &mistake.word());
            let library = Subject::library(file, Some(kind), None)?;
            subjects.extend(library.into_iter().map(|it| it.with_claims(claims.clone())));
        }
        Ok(subjects)
    }
}

/// The good plugin.
fn below(mistake: Mistake) -> Result<Subject, PluginError> {
    Subject::built_in(mistake.below(), Some(mistake.kind()), None)
}

/// Tries a fault: the promise that it breaks, or with `all` every promise of its kind.
///
/// # Errors
/// There is nothing to try.
fn one(fault: &Fault, subject: Subject, all: bool) -> Result<Row, String> {
    let expected = |check: &&Check| check.id() == fault.breaks;
    let any = contract::of(subject.kind()).filter(|check| !check.lab);
    let checks: Vec<Check> = match all {
        true => any.filter(|check| !check.id().starts_with("HND")).copied().collect(),
        false => contract::all().filter(expected).copied().collect(),
    };
    if !checks.iter().any(|check| check.id() == fault.breaks) {
        return Err(format!("{}: there is no promise {}", fault.name, fault.breaks));
    }
    let via = subject.origin().to_owned();
    let limit = (fault.hangs || all).then_some(NEVER);
    let report = Runner { limit, ..QUICK }.run(subject, &checks, |_| {});
    let caught = report.failed().map(|it| (it.requirement.id, it.outcome.remark()));
    Ok(Row { fault: *fault, via, caught: caught.collect() })
}

/// Tries all of these, several at a time; in their order.
///
/// # Errors
/// One of them cannot be tried.
pub fn many(faults: &[Fault], libraries: &Libraries, all: bool) -> Result<Vec<Row>, String> {
    let rows = Mutex::new(Vec::new());
    let place = |(at, fault): &(usize, &Fault)| {
        let tried = libraries.subjects(fault).map_err(|error| error.to_string());
        let tried = tried.and_then(|subjects| {
            subjects.into_iter().map(|it| one(fault, it, all)).collect::<Result<Vec<_>, _>>()
        });
        rows.lock().unwrap_or_else(PoisonError::into_inner).push((*at, tried));
    };
    // Some count what the process has open.
    let (alone, others): (Vec<_>, Vec<_>) =
        faults.iter().enumerate().partition(|(_, fault)| fault.breaks == "ANY-1");
    alone.iter().for_each(place);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(fault) = others.get(next.fetch_add(1, Ordering::Relaxed)) {
            place(fault);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(at, _)| *at);
    let rows: Result<Vec<_>, _> = rows.into_iter().map(|(_, tried)| tried).collect();
    Ok(rows?.concat())
}

/// What the suite finds wrong with the same wrapper around a good plugin: nothing.
///
/// # Errors
/// The claims of the plugin below it cannot be read.
pub fn control(mistake: Mistake) -> Result<Vec<(&'static str, String)>, PluginError> {
    let (claims, kind) = (below(mistake)?.claims().clone(), mistake.kind());
    let subject = Subject::new("control", kind, "linked", claims, Box::new(mistake));
    let checks = contract::of(kind).filter(|check| !check.lab && !check.id().starts_with("HND"));
    let report = QUICK.run(subject, &checks.copied().collect::<Vec<_>>(), |_| {});
    let found = report.failed();
    Ok(found.map(|it| (it.requirement.id, it.outcome.remark())).collect())
}
