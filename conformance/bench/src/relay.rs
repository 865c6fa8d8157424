//! What it costs a relay to forward a packet: that of `ntm` beside coturn.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ntm_lab::{Error, Process, Result};
use serde_json::{Value, json};

use crate::bed::{Bed, Cable, Way, doing, finish, program};
use crate::measure::flow::{self, Flow};
use crate::measure::host;
use crate::tunnel::{NTM, Programs};

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
    let running = NTM.start(bed, programs, folder)?;
    // The first of the path is the relay.
    let relay = &running.ids()[..1];
    let flow = Flow::new((&bed.left, running.left), (&bed.right, running.right))?;
    let before = host::spent(relay)?;
    let outcome = flow.run(Some(pace), duration)?;
    let spent = host::spent(relay)? - before;
    let packets = outcome.received;
    Ok(Forwarded { packets, pace: outcome.delivered(), spent })
}

/// Message of coturn's client, in bytes: with the header of a channel (4) as much UDP
/// as 64 bytes of UDP in a capsule (44, and 28 of inner headers).
const SIZE: usize = flow::SIZE + 28 + 44 - 4;
/// Between two messages of one of coturn's clients; it knows none shorter.
const CLIENT_INTERVAL: Duration = Duration::from_millis(1);

/// coturn's own client sends through coturn's server, by channels, to coturn's own
/// echo: each message goes through twice.
///
/// # Errors
/// coturn is not installed, or does not do what we ask.
pub(crate) fn coturn(bed: &Bed, folder: &Path, pace: f64, duration: Duration) -> Result<Forwarded> {
    let (server, client, echo) =
        (program("turnserver")?, program("turnutils_uclient")?, program("turnutils_peer")?);
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
    let mut command = Command::new(echo);
    command.args(["-L", &bed.right_address.to_string(), "-p", "3480"]);
    let _echo = Process::start(&bed.right, command)?;
    // The client tries again by itself, but not when it is refused.
    server.wait_for_line("Total General servers", Duration::from_secs(10))?;
    let clients = (pace / 2.0 * CLIENT_INTERVAL.as_secs_f64()).ceil().max(1.0);
    let messages = duration.as_secs_f64() / CLIENT_INTERVAL.as_secs_f64();
    let mut command = Command::new(client);
    command.args(["-c", "-m", &format!("{clients:.0}"), "-n", &format!("{messages:.0}")]);
    command.args(["-z", &CLIENT_INTERVAL.as_millis().to_string(), "-l", &SIZE.to_string()]);
    command.args(["-e", &bed.right_address.to_string(), "-r", "3480", "-X", &hub]);
    let begin = Instant::now();
    let before = host::spent(&[server.id()])?;
    let said = finish(Process::start(&bed.left, command)?, duration * 5 + Duration::from_secs(30))?;
    let spent = host::spent(&[server.id()])? - before;
    let total = |key: &str| {
        let numbers = said.lines().filter_map(|line| {
            let rest = line.split(key).nth(1)?;
            rest.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty())?.parse().ok()
        });
        let most: Option<u64> = numbers.max();
        most.ok_or_else(|| Error::Wrong(format!("turnutils_uclient says nothing of {key}")))
    };
    let packets = total("tot_send_msgs")? + total("tot_recv_msgs")?;
    let pace = packets as f64 / begin.elapsed().as_secs_f64();
    Ok(Forwarded { packets, pace, spent })
}

/// The network for both.
///
/// # Errors
/// As for [`Bed::new`].
pub(crate) fn bed() -> Result<Bed> {
    Bed::new(Way::Relayed, Cable::Offload)
}
