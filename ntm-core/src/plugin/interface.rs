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

    /// What super-packets its lanes take. It does not change while the
    /// interface is open; one that finds out later that it cannot cuts them itself.
    fn offload(&self) -> Offload {
        Offload::NONE
    }

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

/// What an interface is spared: cutting a long packet into segments, and joining
/// segments to a long packet.
///
/// A super-packet is one IP packet of at most 65,535 bytes whose TCP or UDP
/// payload stands for several packets of `segment` payload bytes each, the last
/// perhaps shorter. Its lengths are those of the whole; its TCP or UDP checksum
/// field holds the sum over the pseudo-header alone, folded and not inverted, as
/// virtio-net has it. A packet that is none (`segment` 0) is complete, its
/// checksums with it.
///
/// Lanes may always *give* super-packets; they are sent only what is declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// TCP over IPv4 and IPv6, without extension headers.
    pub tcp: bool,
    /// UDP likewise.
    pub udp: bool,
}

impl Offload {
    /// Single packets alone.
    pub const NONE: Self = Self { tcp: false, udp: false };
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
