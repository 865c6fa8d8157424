use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::{Doing as _, Error, Result};

/// Asks a running node over its control socket.
pub(super) fn ask(socket: &Path, request: &Value) -> Result<Value> {
    let what = || format!("ask the node at {}", socket.display());
    let mut stream = UnixStream::connect(socket).doing(what)?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).doing(what)?;
    writeln!(stream, "{request}").doing(what)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).doing(what)?;
    let answer: Value =
        serde_json::from_str(&line).map_err(|error| Error::wrong(error.to_string()))?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(Error::wrong(error)),
        None => Ok(answer["ok"].clone()),
    }
}

pub(super) fn status(socket: &Path) -> Result<Value> {
    ask(socket, &json!({ "command": "status" }))
}

/// The last moves of the node that listens there, as `ntm handover --json` says.
///
/// # Errors
/// It does not answer.
pub fn handovers(socket: &Path) -> Result<Vec<Value>> {
    let moves = ask(socket, &json!({ "command": "handover", "last": 64 }))?;
    Ok(moves.as_array().cloned().unwrap_or_default())
}

pub(super) fn ping(socket: &Path, name: &str) -> Result<Value> {
    ask(socket, &json!({ "command": "ping", "name": name, "timeout_ms": 10_000 }))
}

/// Looks again and again until there is something to return.
///
/// # Errors
/// What looking returns, or there was nothing in time.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begin.elapsed() > limit {
            return Err(Error::Timeout { what: what.to_owned(), limit });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
