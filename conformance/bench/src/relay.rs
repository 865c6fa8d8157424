//! What it costs a relay to forward a packet: that of `ntm` beside coturn.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ntm_lab::{Error, Process, Result};
use serde_json::{Value, json};

use crate::bed::{Bed, Cable, Way, doing, program};
use crate::measure::flow::{self, Flow};
use crate::measure::host;
use crate::tunnel::{NTM, Programs};
use crate::turn;

/// What a relay did.
pub(crate) struct Forwarded {
    /// Packets that went through it.
    pub(crate) packets: u64,
    /// So many a second.
    pub(crate) pace: f64,
    /// How long its process was on a processor.
    pub(crate) spent: Duration,
}

impl Forwarded {
    /// Packets for a second of its own processor time.
    pub(crate) fn per_cpu_second(&self) -> f64 {
        self.packets as f64 / self.spent.as_secs_f64().max(0.01)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "packets": self.packets,
            "packets_per_second": self.pace,
            "cpu_seconds": self.spent.as_secs_f64(),
            "packets_per_cpu_second": self.per_cpu_second(),
        })
    }
}

/// Terminals send through a relay server, one way.
///
/// # Errors
/// The tunnel does not start, or a probe fails.
pub(crate) fn ntm(
    bed: &Bed,
    programs: &Programs,
    folder: &Path,
    pace: f64,
    duration: Duration,
) -> Result<Forwarded> {
    let running = NTM.start(bed, programs, folder, &|_| {})?;
    // The first of the path is the relay.
    let relay = &running.ids()[..1];
    let flow = Flow::new((&bed.left, running.left), (&bed.right, running.right))?;
    forwarded(&flow, relay, pace, duration)
}

/// Message through coturn, in bytes: with the header of a channel (4) as much UDP as 64
/// bytes of UDP in a capsule (44, and 28 of inner headers).
const SIZE: usize = flow::SIZE + 28 + 44 - 4;

/// The same sender and receiver, and coturn's server between them, by a channel.
///
/// # Errors
/// coturn is not installed, or does not do what we ask.
pub(crate) fn coturn(bed: &Bed, folder: &Path, pace: f64, duration: Duration) -> Result<Forwarded> {
    let server = program("turnserver")?;
    fs::create_dir_all(folder).map_err(doing("make a folder"))?;
    let hub = bed.hub_address.to_string();
    let mut command = Command::new(server);
    command.args(["-n", "--no-auth", "--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout"]);
    command.args(["--relay-threads", "1", "--listening-ip", &hub, "--relay-ip", &hub]);
    command.args(["--realm", "bench.example", "--allow-loopback-peers"]);
    command.arg("--pidfile").arg(folder.join("turnserver.pid"));
    command.arg("--userdb").arg(folder.join("turndb"));
    command.current_dir(folder);
    let server = Process::start(&bed.hub, command)?;
    let receiver = flow::open(&bed.right, bed.right_address)?;
    let SocketAddr::V4(peer) = receiver.local_addr().map_err(doing("open a UDP socket"))? else {
        return Err(Error::Wrong("a socket of IPv4 has an address of IPv6".into()));
    };
    let sender = flow::open(&bed.left, bed.left_address)?;
    turn::connect(&sender, bed.hub_address, peer)?;
    let flow = Flow::between(sender, receiver, turn::envelope(SIZE), SIZE)?;
    forwarded(&flow, &[server.id()], pace, duration)
}

fn forwarded(flow: &Flow, relay: &[u32], pace: f64, duration: Duration) -> Result<Forwarded> {
    let before = host::spent(relay)?;
    let outcome = flow.run(Some(pace), duration)?;
    let spent = host::spent(relay)? - before;
    Ok(Forwarded { packets: outcome.received, pace: outcome.delivered(), spent })
}

/// The network for both.
///
/// # Errors
/// As for [`Bed::new`].
pub(crate) fn bed() -> Result<Bed> {
    Bed::new(Way::Relayed, Cable::Offload)
}
