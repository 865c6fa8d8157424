use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ntm_core::plugin::{
    Fault, Interface, PluginError, Registry, Transport, Traversal, Vip, Watcher,
};
use serde_json::Value;

use crate::claims::Claims;
use crate::kind::Kind;
use crate::{built_in, library};

/// Where fresh instances of a plugin come from. A source offers one kind, and
/// refuses the others.
pub trait Source: Send + Sync {
    /// A transport with so many lanes.
    ///
    /// # Errors
    /// As the plugin says, or this is none.
    fn transport(&self, _: &Value, _lanes: usize) -> Result<Arc<dyn Transport>, PluginError> {
        Err(another_kind(Kind::Transport))
    }

    /// A watcher.
    ///
    /// # Errors
    /// As the plugin says, or this is none.
    fn watcher(&self, _: &Value) -> Result<Box<dyn Watcher>, PluginError> {
        Err(another_kind(Kind::Watcher))
    }

    /// A traversal.
    ///
    /// # Errors
    /// As the plugin says, or this is none.
    fn traversal(&self, _: &Value) -> Result<Arc<dyn Traversal>, PluginError> {
        Err(another_kind(Kind::Traversal))
    }

    /// A vip.
    ///
    /// # Errors
    /// As the plugin says, or this is none.
    fn vip(&self, _: &Value) -> Result<Arc<dyn Vip>, PluginError> {
        Err(another_kind(Kind::Vip))
    }

    /// An interface with so many lanes.
    ///
    /// # Errors
    /// As the plugin says, or this is none.
    fn interface(&self, _: &Value, _lanes: usize) -> Result<Arc<dyn Interface>, PluginError> {
        Err(another_kind(Kind::Interface))
    }

    /// A registry.
    ///
    /// # Errors
    /// As the plugin says, or this is none.
    fn registry(&self, _: &Value) -> Result<Arc<dyn Registry>, PluginError> {
        Err(another_kind(Kind::Registry))
    }
}

fn another_kind(kind: Kind) -> PluginError {
    let message = format!("this plugin is no {kind}");
    PluginError::new(Fault::Config, message, "choose another kind with `--kind`")
}

/// A plugin to test.
pub struct Subject {
    name: String,
    kind: Kind,
    origin: String,
    claims: Claims,
    source: Box<dyn Source>,
    again: Option<String>,
}

impl Subject {
    /// The built-in plugin of this name; with its own claims, unless a file of
    /// others is given.
    ///
    /// # Errors
    /// There is none of this name (and kind, if one is given).
    pub fn built_in(
        name: &str,
        kind: Option<Kind>,
        claims: Option<&Path>,
    ) -> Result<Self, PluginError> {
        let (kind, own, source) = built_in::find(name, kind)?;
        let claims = match claims {
            Some(file) => Claims::read_file(file, kind)?,
            None => Claims::read(own, kind)?,
        };
        Ok(Self::new(name, kind, "built in", claims, source).known_as(name))
    }

    /// The plugins in a library; of this kind alone, if one is given. Without a file
    /// of `claims`, those in `NAME.claims.toml` beside it (`libNAME.so`) or else
    /// everything.
    ///
    /// # Errors
    /// It cannot be loaded, has no such kind, or its claims cannot be read.
    pub fn library(
        path: &Path,
        kind: Option<Kind>,
        claims: Option<&Path>,
    ) -> Result<Vec<Self>, PluginError> {
        library::subjects(path, kind, claims)
    }

    /// A plugin from anywhere, for who embeds the suite.
    pub fn new(
        name: impl Into<String>,
        kind: Kind,
        origin: impl Into<String>,
        claims: Claims,
        source: Box<dyn Source>,
    ) -> Self {
        let (name, origin) = (name.into(), origin.into());
        Self { name, kind, origin, claims, source, again: None }
    }

    /// Another process of this program can open it by this name or file.
    pub(crate) fn known_as(mut self, name: &str) -> Self {
        self.again = Some(name.to_owned());
        self
    }

    /// What another process of this program opens it by.
    pub(crate) fn again(&self) -> Option<&str> {
        self.again.as_deref()
    }

    /// What its author calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it comes from: "built in", or a file.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What it says it can do.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The same, with other claims.
    #[must_use]
    pub fn with_claims(self, claims: Claims) -> Self {
        Self { claims, ..self }
    }

    /// The same with another configuration.
    #[must_use]
    pub fn with_config(mut self, config: Value) -> Self {
        self.claims = self.claims.with_config(config);
        self
    }

    pub(crate) fn source(&self) -> &dyn Source {
        &*self.source
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.name, self.origin)
    }
}
