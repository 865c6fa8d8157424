use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use ntm::Exit;
use ntm_core::crypto::{Identity, Secret};

use super::{Failure, output};

/// Make and show keys.
#[derive(Subcommand)]
pub(super) enum Key {
    /// Make a private key and print the public one.
    Generate {
        /// Where to write the private key; an existing file is never replaced.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the public key of a private one.
    Public {
        /// The file of the private key.
        key: PathBuf,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Key {
    pub(super) fn execute(self) -> Result<(), Failure> {
        let (identity, json) = match self {
            Self::Generate { out, json } => (generate(&out)?, json),
            Self::Public { key, json } => (read(&key)?, json),
        };
        let public = identity.public();
        if json {
            output::say(serde_json::json!({ "public_key": public }).to_string());
        } else {
            output::say(public.to_string());
        }
        Ok(())
    }
}

fn generate(out: &Path) -> Result<Identity, Failure> {
    let seed = ntm::random_seed()?;
    let identity = Identity::from_private(Secret::new(seed));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(out)?;
        file.write_all(ntm::config::write_key(&identity).as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| {
        let kind = error.kind();
        let (exit, remedy) = if kind == ErrorKind::AlreadyExists {
            (Exit::Busy, "it is left as it is; choose another name")
        } else if kind == ErrorKind::NotFound {
            (Exit::Missing, "make its folder first")
        } else if kind == ErrorKind::PermissionDenied {
            (Exit::Permission, "choose another place")
        } else {
            (Exit::Failed, "choose another place")
        };
        Failure::new(exit, format!("cannot write {}: {error}; {remedy}", out.display()))
    })?;
    Ok(identity)
}

fn read(path: &Path) -> Result<Identity, Failure> {
    let content = fs::read(path).map_err(|error| {
        let kind = error.kind();
        let (exit, remedy) = if kind == ErrorKind::NotFound {
            (Exit::Missing, "make one with `ntm key generate --out FILE`")
        } else if kind == ErrorKind::PermissionDenied {
            (Exit::Permission, "ask as its owner")
        } else {
            (Exit::Failed, "name the file that `ntm key generate` made")
        };
        Failure::new(exit, format!("cannot read {}: {error}; {remedy}", path.display()))
    })?;
    ntm::config::parse_key(&String::from_utf8_lossy(&content))
        .map_err(|message| Failure::new(Exit::Usage, format!("{}: {message}", path.display())))
}
