//! A transport that carries datagrams in UDP, as `udp` does, and does wrong whatever
//! it is told to: a file `FAULT-ENTRY` in the folder of its configuration is a fault,
//! taken away by whoever commits it. So one node meets them all, one after the other.
//!
//! | fault | what the entry does |
//! | --- | --- |
//! | `panic` | panics |
//! | `block` | never comes back |
//! | `never` | waits for what never comes (entries that may wait) |
//! | `count` | says that it did 1,000 more than it was asked for |
//! | `none` | fills no slot, and says that it did |
//! | `error` | says that the lane is broken |
//! | `flood` | logs 100,000 lines |
//! | `refuse` | fails; the file stays (`open` alone) |
//!
//! Entries: `open`, `kind`, `lanes`, `local_addrs`, `max_payload`, `rebind`, `close`,
//! `moved`, `facts`, `drop`, `try_send`, `try_recv`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Fault, Lane, PluginError, RxSlot, Transport, TxPacket};
use ntm_transport_udp::Udp;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Where faults are asked for.
    faults: PathBuf,
    #[serde(default)]
    udp: ntm_transport_udp::Config,
}

#[derive(Clone)]
struct Faults(PathBuf);

impl Faults {
    /// Whether the entry is to do this wrong, now; asked once.
    fn asked(&self, fault: &str, entry: &str) -> bool {
        std::fs::remove_file(self.0.join(format!("{fault}-{entry}"))).is_ok()
    }

    /// What any entry can do wrong.
    fn may_fail(&self, entry: &str) {
        if self.asked("flood", entry) {
            (0..100_000).for_each(|line| tracing::info!(line, "a flood"));
        }
        assert!(!self.asked("panic", entry), "the fault in {entry}");
        if self.asked("block", entry) {
            loop {
                std::thread::park();
            }
        }
    }

    async fn may_never_end(&self, entry: &str) {
        self.may_fail(entry);
        if self.asked("never", entry) {
            std::future::pending::<()>().await;
        }
    }
}

struct Faulty {
    faults: Faults,
    udp: Udp,
}

struct FaultyLane {
    faults: Faults,
    udp: Arc<dyn Lane>,
}

impl Faulty {
    fn open(config: Config, lanes: usize) -> Result<Self, PluginError> {
        let faults = Faults(config.faults);
        if faults.0.join("refuse-open").exists() {
            return Err(PluginError::new(Fault::System, "it will not open today", ""));
        }
        faults.may_fail("open");
        Ok(Self { udp: Udp::open(config.udp, lanes)?, faults })
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.faults.may_fail("drop");
    }
}

#[async_trait]
impl Transport for Faulty {
    fn kind(&self) -> TransportKind {
        self.faults.may_fail("kind");
        self.udp.kind()
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.faults.may_fail("lanes");
        let lane =
            |udp| -> Arc<dyn Lane> { Arc::new(FaultyLane { faults: self.faults.clone(), udp }) };
        self.udp.lanes().into_iter().map(lane).collect()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.faults.may_fail("local_addrs");
        self.udp.local_addrs()
    }

    fn max_payload(&self, to: SocketAddr) -> Option<usize> {
        self.faults.may_fail("max_payload");
        self.udp.max_payload(to)
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        self.faults.may_never_end("rebind").await;
        self.udp.rebind().await
    }

    async fn close(&self) {
        self.faults.may_never_end("close").await;
        self.udp.close().await;
    }

    fn moved(&self) {
        self.faults.may_fail("moved");
        self.udp.moved();
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.faults.may_fail("facts");
        self.udp.facts()
    }
}

impl Lane for FaultyLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.udp.fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        self.faults.may_fail("try_send");
        if self.faults.asked("count", "try_send") {
            return Ok(packets.len() + 1000);
        }
        self.udp.try_send(packets)
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        self.faults.may_fail("try_recv");
        let received = self.udp.try_recv(slots)?;
        if self.faults.asked("count", "try_recv") {
            return Ok(slots.len() + 1000);
        }
        if self.faults.asked("none", "try_recv") {
            return Ok(0);
        }
        if self.faults.asked("error", "try_recv") {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(received)
    }
}

ntm_sdk::export_plugin! {
    transport: Faulty,
    name = "fault",
    config = Config,
    open = |config, lanes| Faulty::open(config, lanes),
}
