use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ntm_abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, HEADER_SYMBOL};
use ntm_core::plugin::{Fault, PluginError};

use crate::inspect::{Kinds, Summary};

/// Why a library is not used: who, what, and what to do, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    path: PathBuf,
    summary: Option<Box<Summary>>,
    why: Why,
}

/// Why a library is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no such file.
    Absent,
    /// It may not be read.
    Unreadable(String),
    /// It is a folder.
    Folder,
    /// It is neither ELF nor Mach-O.
    NotLibrary,
    /// It is one of them, but not whole.
    Damaged(String),
    /// It exports no header.
    NoSymbol,
    /// What it exports by that name is none.
    NoMagic,
    /// It is for another system.
    System(&'static str),
    /// It is for pointers of another size.
    Width {
        /// Its pointers, in bytes.
        plugin: u8,
        /// This host's, in bytes.
        host: usize,
    },
    /// It is for another machine.
    Machine(String),
    /// It speaks another major.
    Major,
    /// It needs a newer minor.
    Minor,
    /// No kind in it is known here.
    NoKind,
    /// It is not what this place in the configuration needs.
    WrongKind {
        /// What is needed.
        wanted: Kinds,
    },
    /// Others could change it, and we are root.
    Writable(PathBuf),
    /// This program cannot load libraries at all: what it is.
    StaticBuild(&'static str),
    /// The system's loader would not.
    Loader(String),
    /// What was loaded is not what was read from the file.
    Changed,
    /// It has no entry.
    NoEntry,
    /// Its entry failed.
    Entry(String),
    /// Its table has a size that cannot be.
    TableSize(u32),
    /// Its table has no such function.
    NullEntry(&'static str),
    /// Its tables are not what its header says.
    NoTable(Kinds),
}

impl Why {
    pub(crate) fn io(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Absent
        } else {
            Self::Unreadable(error.to_string())
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Absent => Fault::Missing,
            Self::Unreadable(_) | Self::Writable(_) => Fault::Permission,
            Self::System(_)
            | Self::Width { .. }
            | Self::Machine(_)
            | Self::Major
            | Self::Minor
            | Self::NoKind
            | Self::StaticBuild(_) => Fault::Unsupported,
            Self::Loader(_) | Self::Entry(_) => Fault::System,
            Self::Folder
            | Self::NotLibrary
            | Self::Damaged(_)
            | Self::NoSymbol
            | Self::NoMagic
            | Self::WrongKind { .. }
            | Self::Changed
            | Self::NoEntry
            | Self::TableSize(_)
            | Self::NullEntry(_)
            | Self::NoTable(_) => Fault::Config,
        }
    }
}

impl Refusal {
    pub(crate) fn new(path: &Path, summary: Option<Summary>, why: Why) -> Self {
        Self { path: path.to_owned(), summary: summary.map(Box::new), why }
    }

    /// What could be read of it nevertheless.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_deref()
    }

    /// Why.
    pub fn why(&self) -> &Why {
        &self.why
    }

    /// What happened and what to do about it, each half a sentence.
    fn halves(&self) -> (String, String) {
        let path = self.path.display();
        let who = match &self.summary {
            None => path.to_string(),
            Some(it) => {
                let (name, version) = (&it.name, &it.version);
                format!("plugin `{name}` {version} ({path}; {}, {})", it.sdk, it.toolchain)
            }
        };
        let abi = self.summary.as_ref().map_or((0, 0), |it| it.abi);
        let needs = self.summary.as_ref().map_or(0, |it| it.needs_minor);
        let kinds = self.summary.as_ref().map_or(Kinds(0), |it| it.kinds);
        let rebuild = "rebuild it with ntm-sdk or ntm_plugin.h as they are";
        let (what, remedy) = match &self.why {
            Why::Absent => {
                return (format!("there is no plugin {path}"), "name a file that is there".into());
            }
            Why::Unreadable(error) => {
                (format!("cannot be read: {error}"), "make it readable for this user".into())
            }
            Why::Folder => ("is a folder".into(), "name the library in it".into()),
            Why::NotLibrary => (
                "is no shared object (neither ELF nor Mach-O)".into(),
                "name the library that the plugin was built as".into(),
            ),
            Why::Damaged(how) => {
                (format!("is damaged or cut short: {how}"), "copy or build it again".into())
            }
            Why::NoSymbol => (
                format!("is a library, but no plugin of ntm: it exports no {HEADER_SYMBOL}"),
                "name another file, or build it with ntm-sdk or ntm_plugin.h".into(),
            ),
            Why::NoMagic => (
                format!("exports a {HEADER_SYMBOL} that is none"),
                "build it with ntm-sdk or ntm_plugin.h".into(),
            ),
            Why::System(system) => {
                (format!("is built for {system}"), "use its build for this system".into())
            }
            Why::Width { plugin, host } => (
                format!(
                    "has pointers of {} bits, and this host of {}",
                    u32::from(*plugin) * 8,
                    host * 8
                ),
                "use its build for this machine".into(),
            ),
            Why::Machine(machine) => (
                format!("is built for {machine}, and this host for {}", std::env::consts::ARCH),
                "use its build for this machine".into(),
            ),
            Why::Major => {
                let remedy = if abi.0 > ABI_MAJOR {
                    "upgrade ntm, or use an older version of the plugin"
                } else {
                    "use a newer version of the plugin"
                };
                let what = format!(
                    "speaks plugin ABI {}.{}, and this host {ABI_MAJOR}.{ABI_MINOR}",
                    abi.0, abi.1
                );
                (what, remedy.into())
            }
            Why::Minor => (
                format!(
                    "needs plugin ABI {}.{needs} or newer, and this host offers \
                     {ABI_MAJOR}.{ABI_MINOR}",
                    abi.0
                ),
                "upgrade ntm, or use an older version of the plugin".into(),
            ),
            Why::NoKind => {
                ("offers no kind of plugin that this host knows".into(), "upgrade ntm".into())
            }
            Why::WrongKind { wanted } => (
                format!("is a plugin for {kinds}, not for {wanted}"),
                format!("name a {wanted} here"),
            ),
            Why::Writable(place) => (
                format!("will not be loaded as root, since others may write {}", place.display()),
                format!("run `chmod go-w {}`", place.display()),
            ),
            Why::StaticBuild(how) => (
                format!("cannot be loaded: this build of ntm {how}, and has no dynamic plugins"),
                "use another build, such as one for glibc, or a built-in plugin".into(),
            ),
            Why::Loader(error) => {
                (format!("cannot be loaded: {error}"), "build it for this system".into())
            }
            Why::Changed => (
                "has another header in memory than in its file".into(),
                "replace libraries by renaming, and restart ntm".into(),
            ),
            Why::NoEntry => (format!("exports no {ENTRY_SYMBOL}"), rebuild.into()),
            Why::Entry(said) => (format!("would not start: {said}"), "ask its author".into()),
            Why::TableSize(size) => {
                (format!("has a table of {size} bytes, which cannot be"), rebuild.into())
            }
            Why::NullEntry(entry) => {
                (format!("lacks the mandatory entry `{entry}`: it is null"), rebuild.into())
            }
            Why::NoTable(kind) => {
                (format!("has no table for {kind}, though its header says so"), rebuild.into())
            }
        };
        (format!("{who} {what}"), remedy)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, remedy) = self.halves();
        write!(f, "{what}; {remedy}")
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for PluginError {
    fn from(refusal: Refusal) -> Self {
        let (what, remedy) = refusal.halves();
        Self::new(refusal.why.fault(), what, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each; `number` does not compile without a new one, and then it is missed here.
    fn each() -> Vec<Why> {
        vec![
            Why::Absent,
            Why::Unreadable("denied".into()),
            Why::Folder,
            Why::NotLibrary,
            Why::Damaged("a table".into()),
            Why::NoSymbol,
            Why::NoMagic,
            Why::System("macOS"),
            Why::Width { plugin: 4, host: 8 },
            Why::Machine("aarch64".into()),
            Why::Major,
            Why::Minor,
            Why::NoKind,
            Why::WrongKind { wanted: Kinds(ntm_abi::kind::VIP) },
            Why::Writable("/tmp/x".into()),
            Why::StaticBuild("is static (musl)"),
            Why::Loader("no symbol".into()),
            Why::Changed,
            Why::NoEntry,
            Why::Entry("not today".into()),
            Why::TableSize(7),
            Why::NullEntry("create"),
            Why::NoTable(Kinds(ntm_abi::kind::VIP)),
        ]
    }

    fn number(why: &Why) -> usize {
        match why {
            Why::Absent => 0,
            Why::Unreadable(_) => 1,
            Why::Folder => 2,
            Why::NotLibrary => 3,
            Why::Damaged(_) => 4,
            Why::NoSymbol => 5,
            Why::NoMagic => 6,
            Why::System(_) => 7,
            Why::Width { .. } => 8,
            Why::Machine(_) => 9,
            Why::Major => 10,
            Why::Minor => 11,
            Why::NoKind => 12,
            Why::WrongKind { .. } => 13,
            Why::Writable(_) => 14,
            Why::StaticBuild(_) => 15,
            Why::Loader(_) => 16,
            Why::Changed => 17,
            Why::NoEntry => 18,
            Why::Entry(_) => 19,
            Why::TableSize(_) => 20,
            Why::NullEntry(_) => 21,
            Why::NoTable(_) => 22,
        }
    }

    /// Whether a heading says this, with dots for what differs from case to case.
    fn says(heading: &str, sentence: &str) -> bool {
        let mut rest = sentence;
        heading.split('…').map(str::trim).all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }

    #[test]
    fn the_page_about_refusals_has_each_and_no_other() {
        let page = include_str!("../../../docs/plugins/REFUSALS.md");
        let entries: Vec<(&str, &str)> =
            page.split("\n### ").skip(1).filter_map(|entry| entry.split_once('\n')).collect();
        let mut used = vec![0; entries.len()];
        for (at, why) in each().into_iter().enumerate() {
            assert_eq!(number(&why), at);
            let sentence = Refusal::new(Path::new("/p.so"), None, why).to_string();
            let known = |(heading, _): &(&str, &str)| says(heading, &sentence);
            // The longest, where one says what another says too.
            let found = (0..entries.len()).filter(|&it| known(&entries[it]));
            let found = found.max_by_key(|&it| entries[it].0.len());
            used[found.unwrap_or_else(|| panic!("nothing about: {sentence}"))] += 1;
        }
        for ((heading, text), used) in entries.iter().zip(used) {
            assert!(used > 0, "nothing is refused with: {heading}");
            assert!(text.contains("**Why:**") && text.contains("**Remedy:**"), "{heading}");
        }
    }
}
