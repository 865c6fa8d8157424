use std::sync::Arc;

use async_trait::async_trait;

use super::{Lane, PluginError};
use crate::address::{Prefix, Vips};

/// Where application packets enter and leave.
///
/// Opening is the plugin's own constructor; addresses come later, when the
/// coordinator has handed them out.
///
/// # For implementers
///
/// - Whole IP packets cross [`Interface::lanes`], without link headers. Towards
///   applications they have been authenticated, and their addresses are the
///   pair's; a packet that is altered or invented here is believed by nobody but
///   the applications of this machine.
/// - The async methods may await but must not block; each is cancel safe and
///   may be repeated with other settings. The node's control task waits for
///   `configure`, so it takes milliseconds.
/// - What `configure` set up, `close` takes away, and so does the end of the
///   process by any cause.
#[async_trait]
pub trait Interface: Send + Sync {
    /// The interface's name, such as `ntm0`.
    fn name(&self) -> String;

    /// The system's index of it; 0 where it is not an interface of the system.
    /// The terminal never takes its addresses for real ones; with a wrong index it
    /// may claim virtual addresses, or take the tunnel for a way out.
    fn ifindex(&self) -> u32;

    /// The lanes, one for each worker; the same ones at every call.
    fn lanes(&self) -> Vec<Arc<dyn Lane>>;

    /// Gives the interface these settings and takes away what an earlier call
    /// gave it.
    ///
    /// # Errors
    /// Nothing half configured is left: the interface has the old settings or
    /// none. A node ends with the reason.
    async fn configure(&self, settings: &InterfaceSettings) -> Result<(), PluginError>;

    /// Takes the interface away. Lanes answer with an error afterwards.
    async fn close(&self);

    /// What a person wants to know about how it runs, as key and value.
    fn facts(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// What the interface looks like to applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Our own virtual addresses.
    pub vips: Vips,
    /// The ranges that lead into the interface.
    pub ranges: Vec<Prefix>,
    /// The largest packet applications may send, in bytes.
    pub mtu: u16,
}
