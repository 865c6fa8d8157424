use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntm_core::plugin::{
    Fault, Interface, PluginError, Registry, Transport, Traversal, Vip, Watcher,
};
use ntm_host::{Library, Refusal, Why, inspect};
use serde_json::Value;

use crate::claims::Claims;
use crate::kind::Kind;
use crate::subject::{Source, Subject};
use crate::world;

/// The plugins in a library, as [`Subject::library`] has it.
pub(crate) fn subjects(
    path: &Path,
    kind: Option<Kind>,
    claims: Option<&Path>,
) -> Result<Vec<Subject>, PluginError> {
    let library = load(path)?;
    let offered = Kind::of(library.summary().kinds);
    let wanted: Vec<Kind> =
        offered.iter().copied().filter(|of| kind.is_none_or(|kind| kind == *of)).collect();
    if let (Some(kind), true) = (kind, wanted.is_empty()) {
        let offered = library.summary().kinds;
        let message = format!("{} has no {kind}, only {offered}", path.display());
        return Err(PluginError::new(Fault::Config, message, "choose that with `--kind`"));
    }
    let name = &library.summary().name;
    let subject = |kind| {
        let claims = match claims {
            Some(file) => Claims::read_file(file, kind)?,
            None => beside(path, kind)?,
        };
        let origin = path.display().to_string();
        let file = library.path().to_string_lossy();
        Ok(Subject::new(name.clone(), kind, origin, claims, Box::new(library)).known_as(&file))
    };
    wanted.into_iter().map(subject).collect()
}

/// Inside a sandbox everybody is root, and the host would refuse what root has
/// to: a copy that nobody else may write is loaded in its place.
fn load(path: &Path) -> Result<&'static Library, PluginError> {
    let writable = |refusal: &Refusal| matches!(refusal.why(), Why::Writable(_));
    let path = match inspect(path) {
        Err(refusal) if writable(&refusal) && world::is_inside() => {
            let what = format!("copy {}", path.display());
            copy(path).map_err(|error| PluginError::io(what, &error, ""))?
        }
        Ok(_) | Err(_) => path.to_owned(),
    };
    Ok(Library::load(&path)?)
}

fn copy(path: &Path) -> std::io::Result<PathBuf> {
    // Mapped for the life of the process; the sandbox ends with it.
    let folder = tempfile::Builder::new().prefix("plugin").tempdir_in("/run")?.keep();
    let copied = folder.join(path.file_name().unwrap_or_default());
    fs::copy(path, &copied)?;
    fs::set_permissions(&copied, fs::Permissions::from_mode(0o755))?;
    Ok(copied)
}

/// What the file beside a library claims; everything, where there is none.
fn beside(path: &Path, kind: Kind) -> Result<Claims, PluginError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.strip_prefix("lib").unwrap_or(&stem);
    let file = path.with_file_name(format!("{name}.claims.toml"));
    if !file.exists() {
        return Ok(Claims::everything());
    }
    Claims::read_file(&file, kind)
}

impl Source for &'static Library {
    fn transport(&self, config: &Value, lanes: usize) -> Result<Arc<dyn Transport>, PluginError> {
        Library::transport(self, config, lanes)
    }

    fn watcher(&self, config: &Value) -> Result<Box<dyn Watcher>, PluginError> {
        Library::watcher(self, config)
    }

    fn traversal(&self, config: &Value) -> Result<Arc<dyn Traversal>, PluginError> {
        Library::traversal(self, config)
    }

    fn vip(&self, config: &Value) -> Result<Arc<dyn Vip>, PluginError> {
        Library::vip(self, config)
    }

    fn interface(&self, config: &Value, lanes: usize) -> Result<Arc<dyn Interface>, PluginError> {
        Library::interface(self, config, lanes)
    }

    fn registry(&self, config: &Value) -> Result<Arc<dyn Registry>, PluginError> {
        Library::registry(self, config)
    }
}
