//! The call alone: a lane that takes everything and does nothing, called directly,
//! through the trait as workers do, and through the table of a shared object (linked
//! in, with both sides of the boundary).

use std::hint::black_box;
use std::io::{self, PipeReader};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use async_trait::async_trait;
use ntm_abi::{Component, Header, kind};
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Addr, Lane, PluginError, RxSlot, Transport, TxPacket};
use ntm_host::Library;
use ntm_lab::{Error, Result};
use ntm_sdk::{Exported, TransportShims};
use serde_json::{Value, json};

use super::{Comparison, Plan, Step, alternate, failed};
use crate::bed::doing;

/// Packets in a call,
const BATCH: usize = 64;
/// and calls between two looks at the clock.
const CALLS: u64 = 2000;

/// Takes everything.
struct Nothing(PipeReader);

impl Lane for Nothing {
    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        take(packets)
    }

    fn try_recv(&self, _: &mut [RxSlot<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Not inlined, so that the direct call is one.
#[inline(never)]
fn take(packets: &[TxPacket<'_>]) -> io::Result<usize> {
    Ok(black_box(packets).len())
}

struct Nowhere(Arc<Nothing>);

impl Nowhere {
    fn open() -> io::Result<Self> {
        Ok(Self(Arc::new(Nothing(io::pipe()?.0))))
    }
}

#[async_trait]
impl Transport for Nowhere {
    fn kind(&self) -> TransportKind {
        TransportKind::UDP
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        vec![self.0.clone()]
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        vec![([127, 0, 0, 1], 4330).into()]
    }

    fn max_payload(&self, _: SocketAddr) -> Option<usize> {
        None
    }

    async fn rebind(&self) -> std::result::Result<(), PluginError> {
        Ok(())
    }

    async fn close(&self) {}
}

struct Ours;

impl Exported for Ours {
    type Config = Value;
    type Plugin = Nowhere;

    const NAME: &'static str = "nowhere";

    fn check(_: &Value) -> std::result::Result<(), PluginError> {
        Ok(())
    }

    fn open(_: Value, _: usize) -> std::result::Result<Nowhere, PluginError> {
        Nowhere::open().map_err(|error| PluginError::io("open a pipe", &error, ""))
    }
}

static TABLE: ntm_abi::TransportTable = TransportShims::<Ours>::TABLE;

pub(super) fn measure(plan: Plan) -> Result<Comparison> {
    let header = Header::new(kind::TRANSPORT, "nowhere", "1", "linked", "rustc");
    let size = size_of::<Component>() as u32;
    let component = Component { size, kind: kind::TRANSPORT, table: (&raw const TABLE).cast() };
    // Once a process, and a few bytes.
    let components = Box::leak(Box::new([component]));
    let library = Library::linked("nowhere", &header, components);
    let library = library.map_err(|error| Error::Wrong(error.to_string()))?;
    let dynamic = library.transport(&json!({}), 1).map_err(|error| failed(&error))?;
    let dynamic = dynamic.lanes().remove(0);
    // Whoever receives by a lane is its worker, and goes into the plugin itself.
    let _nothing = dynamic.try_recv(&mut []);
    let open = || Nowhere::open().map_err(doing("open a pipe"));
    let (direct, linked) = (open()?.0, open()?.lanes().remove(0));

    let payload = [7; 1200];
    let packets = [TxPacket::new(&payload, Addr::NONE); BATCH];
    let ways: Vec<(_, Step<'_>)> = vec![
        ("direct", Box::new(|| calls(|| direct.try_send(black_box(&packets))))),
        ("linked", Box::new(|| calls(|| black_box(&*linked).try_send(black_box(&packets))))),
        (
            "shared object",
            Box::new(|| calls(|| black_box(&*dynamic).try_send(black_box(&packets)))),
        ),
    ];
    let what = format!("a call that does nothing, with {BATCH} packets");
    alternate(plan, what, "ns", ways, |done, time| time.as_nanos() as f64 / done as f64)
}

fn calls(mut call: impl FnMut() -> io::Result<usize>) -> Result<u64> {
    for _ in 0..CALLS {
        let sent = call().map_err(doing("send nothing"))?;
        if sent != BATCH {
            return Err(Error::Wrong(format!("{sent} of {BATCH} packets were taken")));
        }
    }
    Ok(CALLS)
}
