use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ntm_core::plugin::{Interface, PluginError, Registry, Transport, Traversal, Vip, Watcher};
use serde_json::Value;
use tempfile::TempDir;

use crate::claims::{Claims, fill};
use crate::outcome::Stop;
use crate::subject::Subject;
use crate::world::World;

/// What a check works with: the plugin, and a place of its own.
#[derive(Debug)]
pub struct Case {
    subject: Arc<Subject>,
    folder: TempDir,
    world: Result<World, String>,
    opened: AtomicUsize,
    repeat: Duration,
}

impl Case {
    pub(crate) fn new(
        subject: Arc<Subject>,
        world: Result<World, String>,
        repeat: Duration,
    ) -> Result<Self, PluginError> {
        let folder = tempfile::Builder::new().prefix("ntm-conformance-").tempdir();
        let folder = folder.map_err(|error| PluginError::io("make a folder", &error, ""))?;
        Ok(Self { subject, folder, world, opened: AtomicUsize::new(0), repeat })
    }

    /// The plugin under test.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// For how long to go on with what is done some thousand times.
    pub fn repeat(&self) -> Duration {
        self.repeat
    }

    /// What it says it can do.
    pub fn claims(&self) -> &Claims {
        self.subject.claims()
    }

    /// An empty folder, which is removed when the check is over.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The network namespace that the check runs in, with nothing but a loopback at
    /// first.
    ///
    /// # Errors
    /// There is none: the check cannot be tried here.
    pub fn world(&self) -> Result<&World, Stop> {
        self.world.as_ref().map_err(|why| Stop::not_tried(why.clone()))
    }

    /// The configuration of the next instance.
    pub fn config(&self) -> Value {
        self.config_of(self.opened.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The configuration of the instance with this number.
    pub fn config_of(&self, nth: usize) -> Value {
        fill(self.claims().config(), &self.folder.path().to_string_lossy(), nth)
    }

    /// All configurations that are worth trying, each for one more instance.
    pub fn configs(&self) -> Vec<Value> {
        let folder = self.folder.path().to_string_lossy();
        let nth = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        self.claims().configs().map(|config| fill(config, &folder, nth)).collect()
    }

    /// A fresh transport with so many lanes.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn transport(&self, lanes: usize) -> Result<Arc<dyn Transport>, PluginError> {
        self.subject.source().transport(&self.config(), lanes)
    }

    /// The same with another configuration.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn transport_with(
        &self,
        config: &Value,
        lanes: usize,
    ) -> Result<Arc<dyn Transport>, PluginError> {
        self.subject.source().transport(config, lanes)
    }

    /// A fresh watcher.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn watcher(&self) -> Result<Box<dyn Watcher>, PluginError> {
        self.subject.source().watcher(&self.config())
    }

    /// A fresh traversal.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn traversal(&self) -> Result<Arc<dyn Traversal>, PluginError> {
        self.subject.source().traversal(&self.config())
    }

    /// A fresh vip.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn vip(&self) -> Result<Arc<dyn Vip>, PluginError> {
        self.subject.source().vip(&self.config())
    }

    /// A fresh vip of one of [`configs`](Self::configs).
    ///
    /// # Errors
    /// As the plugin says.
    pub fn vip_with(&self, config: &Value) -> Result<Arc<dyn Vip>, PluginError> {
        self.subject.source().vip(config)
    }

    /// A fresh interface with so many lanes.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn interface(&self, lanes: usize) -> Result<Arc<dyn Interface>, PluginError> {
        self.subject.source().interface(&self.config(), lanes)
    }

    /// The interface with this number, with so many lanes: of a name that may be
    /// used again.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn interface_of(
        &self,
        nth: usize,
        lanes: usize,
    ) -> Result<Arc<dyn Interface>, PluginError> {
        self.subject.source().interface(&self.config_of(nth), lanes)
    }

    /// The registry of the check's own folder, fresh or as it was left.
    ///
    /// # Errors
    /// As the plugin says.
    pub fn registry(&self) -> Result<Arc<dyn Registry>, PluginError> {
        self.subject.source().registry(&self.config_of(1))
    }
}
