//! The control socket: one JSON request a line, one JSON answer a line.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{Fault, MemberRoles, PluginError};
use rustix::fs::Mode;
use rustix::process::umask;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::config::Loaded;
use crate::error::StartError;

/// Bytes of a request.
const LONGEST: u64 = 65_536;
/// Clients at once.
const MOST_CLIENTS: usize = 32;

/// What a client may ask of a running node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// How it is.
    Status,
    /// Its last moves.
    Handover {
        /// How many.
        last: usize,
    },
    /// A sign of life from a peer; connects first, if need be.
    Ping {
        /// The peer.
        name: NodeName,
        /// How long to wait, in milliseconds.
        timeout_ms: u64,
    },
    /// Accept the changed key of a node.
    Trust {
        /// The node.
        name: NodeName,
    },
    /// Add a member to the domain, or change it.
    MemberAdd {
        /// Its name.
        name: NodeName,
        /// Its key.
        public_key: PublicKey,
        /// What it may be.
        roles: MemberRoles,
    },
    /// Remove a member from the domain.
    MemberRemove {
        /// Its name.
        name: NodeName,
    },
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// It was done; what there is to show.
    Ok(Value),
    /// It was not done, and why.
    Error(String),
}

/// A request on its way to the node.
pub(crate) type Call = (Request, oneshot::Sender<Response>);

/// The listening socket; its file goes when it is dropped, and so does a folder
/// that was made for it.
pub(crate) struct Server {
    _made: Made,
    listener: UnixListener,
}

/// What is to be removed.
struct Made {
    socket: Option<PathBuf>,
    folder: Option<PathBuf>,
}

impl Server {
    /// Listens where the configuration says, which nobody but this user can
    /// reach.
    pub(crate) fn bind(loaded: &Loaded) -> Result<Self, StartError> {
        let path = loaded.config.control.socket.as_path();
        Self::bind_at(path)
            .map_err(|error| StartError::at(&loaded.sources, "control.socket", &error))
    }

    fn bind_at(path: &Path) -> Result<Self, PluginError> {
        let what = format_args!("listen at {}", path.display());
        let failed = |error: io::Error| PluginError::io(what, &error, ELSEWHERE);
        let mut made = Made { socket: None, folder: None };
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            fs::create_dir_all(folder).map_err(failed)?;
            made.folder = Some(folder.to_owned());
        }
        remove_stale(path)?;
        // Private from the first moment on, whatever the user's mask says.
        let before = umask(Mode::RWXG | Mode::RWXO);
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(failed)?;
        made.socket = Some(path.to_owned());
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { _made: made, listener })
    }

    /// Serves clients until the node is gone.
    pub(crate) async fn serve(self, calls: mpsc::Sender<Call>) {
        let places = Arc::new(Semaphore::new(MOST_CLIENTS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let calls = calls.clone();
                    tokio::spawn(async move {
                        let _gone = client(stream, calls).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket does not accept a client");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _gone_already = fs::remove_file(socket);
        }
        if let Some(folder) = &self.folder {
            let _others_use_it = fs::remove_dir(folder);
        }
    }
}

/// Removes a socket that a node left behind when it was killed, and nothing
/// else.
fn remove_stale(path: &Path) -> Result<(), PluginError> {
    let path_text = path.display();
    let failed = |error: io::Error| {
        PluginError::io(format_args!("look after {path_text}"), &error, ELSEWHERE)
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => {
            let message = format!("{path_text} is there already and not a socket");
            return Err(PluginError::new(Fault::Busy, message, ELSEWHERE));
        }
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            let message = format!("a node is running already with the control socket {path_text}");
            Err(PluginError::new(Fault::Busy, message, format!("stop it, or {ELSEWHERE}")))
        }
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

const ELSEWHERE: &str = "choose another place with `socket` in [control]";

async fn client(stream: UnixStream, calls: mpsc::Sender<Call>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader.take(LONGEST)).lines();
    while let Some(line) = lines.next_line().await? {
        let response = match serde_json::from_str(&line) {
            Ok(request) => call(&calls, request).await,
            Err(error) => Response::Error(format!("not a request: {error}")),
        };
        let mut text = serde_json::to_string(&response).map_err(io::Error::other)?;
        text.push('\n');
        writer.write_all(text.as_bytes()).await?;
    }
    Ok(())
}

async fn call(calls: &mpsc::Sender<Call>, request: Request) -> Response {
    let (answer, answered) = oneshot::channel();
    if calls.send((request, answer)).await.is_err() {
        return Response::Error("the node is stopping".into());
    }
    answered.await.unwrap_or_else(|_| Response::Error("the node is stopping".into()))
}

/// Asks the node behind `socket`.
///
/// # Errors
/// Nobody listens there, or not a node.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Response> {
    use std::io::{BufRead as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    let mut text = serde_json::to_string(request).map_err(io::Error::other)?;
    text.push('\n');
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    io::BufReader::new(stream).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(io::Error::other)
}
