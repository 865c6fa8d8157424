use std::fs::File;
use std::io::{ErrorKind, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ntm_core::crypto::{Identity, Secret};

use super::Loaded;
use super::problem::ConfigError;

/// A key file is 44 characters and a newline; no more than this is read.
const LONGEST: u64 = 1024;

/// The node's key pair, from the file that `key` in `[node]` names: the private
/// X25519 key, 32 bytes in one line of base64.
///
/// # Errors
/// There is no such file, others than its owner may read it, or it holds
/// something else.
pub fn read_key(loaded: &Loaded) -> Result<Identity, ConfigError> {
    let path = &loaded.config.node.key;
    let refuse = |message: String| loaded.sources.error("node.key", message);
    let path_text = path.display();
    let file = File::open(path).map_err(|error| {
        refuse(if error.kind() == ErrorKind::NotFound {
            format!(
                "there is no key file {path_text}; make one with `ntm key generate --out \
                 {path_text}`"
            )
        } else {
            format!("cannot read the key file {path_text}: {error}")
        })
    })?;
    if readable_by_others(&file) {
        return Err(refuse(format!(
            "others than its owner may use the key file {path_text}; run `chmod 600 {path_text}`, \
             and make a new key if somebody may have read it"
        )));
    }
    let mut text = String::new();
    let read = file.take(LONGEST).read_to_string(&mut text);
    let bytes = read.ok().and_then(|_| BASE64.decode(text.trim()).ok());
    let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| {
        refuse(format!(
            "{path_text} is not a key file, which is one line of 44 characters of base64; make \
             one with `ntm key generate --out PATH`"
        ))
    })?;
    Ok(Identity::from_private(Secret::new(bytes)))
}

#[cfg(unix)]
fn readable_by_others(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    // Of the open file: its name may lead elsewhere by now.
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn readable_by_others(_: &File) -> bool {
    false
}
