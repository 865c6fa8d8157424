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
            format!(
                "cannot read the key file {path_text}: {error}; let the user that runs the node \
                 own it"
            )
        })
    })?;
    if readable_by_others(&file) {
        return Err(refuse(format!(
            "others than its owner may use the key file {path_text}; run `chmod 600 {path_text}`, \
             and make a new key if somebody may have read it"
        )));
    }
    let mut content = Vec::new();
    let read = file.take(LONGEST).read_to_end(&mut content);
    // What is no text is no key either.
    let key = read
        .map_err(|error| format!("cannot read it: {error}; put a key file there"))
        .and_then(|_| parse_key(&String::from_utf8_lossy(&content)));
    key.map_err(|message| refuse(format!("{path_text}: {message}")))
}

/// What is in a key file.
///
/// # Errors
/// Why it is none.
pub fn parse_key(text: &str) -> Result<Identity, String> {
    let bytes = BASE64.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Secret::new).map(Identity::from_private).ok_or_else(|| {
        "this is not a key file, which is one line of 44 characters of base64; make one with \
         `ntm key generate --out PATH`"
            .into()
    })
}

/// What goes into a key file.
pub fn write_key(identity: &Identity) -> String {
    format!("{}\n", BASE64.encode(identity.private().expose()))
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
