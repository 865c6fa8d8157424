use std::ffi::{CStr, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};
use ntm_abi::{Component, Entry, Error, HEADER_SIZE, Header, Plugin, status};

use crate::health::Health;
use crate::inspect::{Kinds, Summary, inspect};
use crate::log;
use crate::refusal::{Refusal, Why};
use crate::table::{self, Table};

/// A library that was loaded, for the life of the process.
#[derive(Debug)]
pub struct Library {
    path: PathBuf,
    summary: Summary,
    components: Vec<(u32, Pointer)>,
    /// How its instances fare.
    pub(crate) health: Health,
}

/// To a constant of the library.
#[derive(Clone, Copy, Debug)]
struct Pointer(*const c_void);

// SAFETY: what it points to does not change and is never unloaded.
unsafe impl Send for Pointer {}
// SAFETY: as above.
unsafe impl Sync for Pointer {}

/// A library is loaded once, and its entry called once.
static ALL: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());

/// Components that a library may have: one of each kind.
const MOST: u32 = 32;

impl Library {
    /// Loads the library at `path`, unless that was done before, and checks what
    /// it offers. Its constructors and its entry run; neither is waited for with a
    /// limit, so that [`inspect`] is for libraries that nobody has chosen.
    ///
    /// # Errors
    /// It is not one that this host can use.
    pub fn load(path: &Path) -> Result<&'static Self, Refusal> {
        let summary = inspect(path)?;
        let refused = |why| Refusal::new(path, Some(summary.clone()), why);
        let path = path.canonicalize().map_err(|error| refused(Why::io(&error)))?;
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|known| known.path == path) {
            return Ok(known);
        }
        let components = open(&path, &summary).map_err(refused)?;
        tracing::info!(
            plugin = %summary.name, version = %summary.version, library = %path.display(),
            sdk = %summary.sdk, toolchain = %summary.toolchain, "plugin loaded"
        );
        let library = Box::leak(Box::new(Self::new(path, summary, components)));
        all.push(library);
        Ok(library)
    }

    /// A plugin that is linked into this program and crosses the boundary all the
    /// same; `name` stands for its file.
    ///
    /// # Errors
    /// Its header is not one that this host can use.
    pub fn linked(
        name: &str,
        header: &Header,
        components: &'static [Component],
    ) -> Result<&'static Self, Refusal> {
        let path = Path::new(name);
        let summary =
            crate::inspect::linked(header).map_err(|why| Refusal::new(path, None, why))?;
        let components = components.iter().map(|it| (it.kind, Pointer(it.table))).collect();
        Ok(Box::leak(Box::new(Self::new(path.to_owned(), summary, components))))
    }

    fn new(path: PathBuf, summary: Summary, components: Vec<(u32, Pointer)>) -> Self {
        Self { path, summary, components, health: Health::default() }
    }

    /// All that were loaded from files, in their order.
    pub fn loaded() -> Vec<&'static Self> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// How its instances fare.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Its name and file, as messages have it.
    pub(crate) fn who(&self) -> String {
        format!("plugin `{}` ({})", self.summary.name, self.path.display())
    }

    pub(crate) fn table<T: Table>(&self) -> Result<T, Refusal> {
        let refused = |why| Refusal::new(&self.path, Some(self.summary.clone()), why);
        let wanted = Kinds(T::KIND);
        if self.summary.kinds.0 & T::KIND == 0 {
            return Err(refused(Why::WrongKind { wanted }));
        }
        let component = self.components.iter().find(|(kind, _)| *kind == T::KIND);
        let Some((_, Pointer(table))) = component else {
            return Err(refused(Why::NoTable(wanted)));
        };
        // SAFETY: the plugin's promise about what its entry gave.
        unsafe { table::copy(*table) }.map_err(refused)
    }
}

fn open(path: &Path, summary: &Summary) -> Result<Vec<(u32, Pointer)>, Why> {
    let loader = |error: libloading::Error| Why::Loader(said(&error));
    // SAFETY: whoever chose the library answers for what its constructors do.
    let loaded = unsafe { Loaded::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(loader)?;
    // Never unloaded: its threads and its thread-local values may outlive any use.
    let loaded = Box::leak(Box::new(loaded));
    // SAFETY: the file has a header by this name, which was read from it.
    let header = unsafe { loaded.get::<*const [u8; HEADER_SIZE]>(HEADER) }.map_err(loader)?;
    // SAFETY: as above; it is plain bytes.
    let header = unsafe { ptr::read(*header) };
    let again = crate::inspect::again(&header, summary);
    if again.as_ref() != Some(summary) {
        return Err(Why::Changed);
    }
    // SAFETY: that is the type of whatever has this name.
    let entry = unsafe { loaded.get::<Entry>(ENTRY) }.map_err(|_| Why::NoEntry)?;
    let mut plugin: *const Plugin = ptr::null();
    let mut error = Error::NONE;
    // SAFETY: the host's table stays, and the rest is lent for the call.
    let answer = unsafe { entry(log::host(&summary.name), &raw mut plugin, &raw mut error) };
    if answer != status::OK {
        return Err(Why::Entry(match crate::inspect::text(&error.message) {
            said if said.is_empty() => format!("status {answer}"),
            said => said,
        }));
    }
    // SAFETY: the plugin's promise about what its entry gave.
    unsafe { components(plugin) }.ok_or(Why::NoTable(summary.kinds))
}

const HEADER: &CStr = c"NTM_PLUGIN_HEADER";
const ENTRY: &CStr = c"ntm_plugin_entry_v1";

fn said(error: &libloading::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// The kinds of a plugin's components, and their tables.
///
/// # Safety
/// `plugin` is null, or a plugin's list as the boundary has it.
unsafe fn components(plugin: *const Plugin) -> Option<Vec<(u32, Pointer)>> {
    if plugin.is_null() {
        return None;
    }
    // SAFETY: what the caller promises. Neither struct was ever shorter.
    let plugin = unsafe { plugin.read_unaligned() };
    let stride = usize::try_from(plugin.stride).ok()?;
    let too_short = (plugin.size as usize) < size_of::<Plugin>() || stride < size_of::<Component>();
    if too_short || plugin.count > MOST || plugin.list.is_null() {
        return None;
    }
    let component = |at: u32| {
        // SAFETY: as above.
        let component = unsafe { plugin.list.byte_add(at as usize * stride).read_unaligned() };
        (component.kind, Pointer(component.table))
    };
    Some((0..plugin.count).map(component).collect())
}
