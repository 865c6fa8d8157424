//! Mutations: each takes one thing away that an invariant stands on, and names the
//! test that has to notice. A test that cannot fail shows nothing.
//!
//! A mutation is a file `NAME.patch` in this crate's folder: a few words, then a
//! unified diff, as `git diff` writes it. `just mutations` makes each in a copy of
//! the sources, and expects that the named tests fail by their assertions.
#![forbid(unsafe_code)]

mod mutation;
mod patch;
mod tree;
mod trial;

pub use mutation::{Catch, Mutation, all};
pub use patch::{Patch, Replacement};
pub use trial::{Outcome, Workshop};

use std::path::{Path, PathBuf};

/// The root of the workspace that this crate was built in.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}
