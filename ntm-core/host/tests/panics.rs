//! Plugins in Rust that panic in any entry: the panic stays on their side, and
//! another instance takes over.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "these are tests")]
#![cfg(target_os = "linux")]

mod common;

use std::future::pending;
use std::io::{self, PipeReader};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ntm_abi::{Component, Header, kind};
use ntm_core::address::{Prefix, TransportKind, Vips};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::memory::Direct;
use ntm_core::plugin::{
    Addr, Change, Fault, Lane, Plan, PlanRequest, PluginError, Route, RxSlot, Snapshot, Transport,
    Traversal, TxPacket, Vip, Watcher,
};
use ntm_host::Library;
use ntm_sdk::{Exported, TransportShims, TraversalShims, VipShims, WatcherShims};
use ntm_vip_pool::Pool;
use serde::Deserialize;
use serde_json::json;

/// Where to panic; the first instance alone, so that the next one works. A name
/// of its own for each test keeps them apart.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    panic: String,
}

/// Panics in this place, once for each configuration.
#[derive(Clone)]
struct Mine {
    place: String,
    armed: bool,
}

impl Mine {
    fn new(config: Config) -> Self {
        static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
        let mut seen = SEEN.lock().unwrap();
        let armed = !seen.contains(&config.panic);
        seen.push(config.panic.clone());
        let place = config.panic.split(' ').next().unwrap().to_owned();
        Self { place, armed }
    }

    fn may_panic(&self, place: &str) {
        assert!(!self.armed || self.place != place, "the mistake in {place}");
    }
}

fn library(kind: u32, table: *const std::ffi::c_void) -> &'static Library {
    let header = Header::new(kind, "mistaken", "1", "linked", "rustc");
    let size = u32::try_from(size_of::<Component>()).unwrap();
    let components = Box::leak(Box::new([Component { size, kind, table }]));
    Library::linked("here", &header, components).unwrap()
}

macro_rules! exported {
    ($name:ident, $plugin:ty, $open:expr) => {
        struct $name;

        impl Exported for $name {
            type Config = Config;
            type Plugin = $plugin;

            const NAME: &'static str = "mistaken";

            fn check(_: &Config) -> Result<(), PluginError> {
                Ok(())
            }

            fn open(config: Config, _: usize) -> Result<$plugin, PluginError> {
                // Every entry has a runtime.
                let _here = tokio::runtime::Handle::current();
                let mine = Mine::new(config);
                mine.may_panic("open");
                let open: fn(Mine) -> $plugin = $open;
                Ok(open(mine))
            }
        }
    };
}

// A transport of one datagram.

struct Mistaken(Mine, Arc<OneLane>);

struct OneLane(Mine, PipeReader, io::PipeWriter, AtomicBool);

impl Lane for OneLane {
    fn fd(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        self.0.may_panic("try_send");
        let _here = tokio::runtime::Handle::current();
        if !self.3.swap(true, Ordering::AcqRel) {
            io::Write::write_all(&mut &self.2, b"x")?;
        }
        Ok(packets.len())
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        self.0.may_panic("try_recv");
        if !self.3.swap(false, Ordering::AcqRel) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        io::Read::read_exact(&mut &self.1, &mut [0])?;
        slots[0].buffer()[0] = b'x';
        slots[0].fill(1, 0);
        Ok(1)
    }
}

#[async_trait]
impl Transport for Mistaken {
    fn kind(&self) -> TransportKind {
        self.0.may_panic("kind");
        TransportKind::UDP
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.0.may_panic("lanes");
        vec![self.1.clone()]
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        self.0.may_panic("local_addrs");
        vec!["127.0.0.1:4330".parse().unwrap()]
    }

    fn max_payload(&self, _: SocketAddr) -> Option<usize> {
        self.0.may_panic("max_payload");
        Some(1200)
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        tokio::time::sleep(Duration::ZERO).await;
        self.0.may_panic("rebind");
        Err(PluginError::new(Fault::Busy, "no", "wait").at("bind"))
    }

    async fn close(&self) {
        self.0.may_panic("close");
    }

    fn facts(&self) -> Vec<(String, String)> {
        self.0.may_panic("facts");
        vec![("colour".into(), "blue".into())]
    }
}

impl Drop for Mistaken {
    fn drop(&mut self) {
        self.0.may_panic("drop");
    }
}

exported!(OurTransport, Mistaken, |mine| {
    let (reader, writer) = io::pipe().unwrap();
    let lane = OneLane(mine.clone(), reader, writer, AtomicBool::new(false));
    Mistaken(mine, Arc::new(lane))
});

fn transport(panic: &str) -> Result<Arc<dyn Transport>, PluginError> {
    static TABLE: ntm_abi::TransportTable = TransportShims::<OurTransport>::TABLE;
    let config = json!({ "panic": format!("{panic} transport") });
    library(kind::TRANSPORT, (&raw const TABLE).cast()).transport(&config, 1)
}

/// What is sent arrives, now or with another instance.
fn carries(lane: &dyn Lane) {
    common::until("a datagram comes through", || {
        let _not_yet = lane.try_send(&[TxPacket::new(b"x", Addr::NONE)]);
        let mut buffer = [0; 8];
        let mut slots = [RxSlot::new(&mut buffer)];
        match lane.try_recv(&mut slots) {
            Ok(count) => count == 1 && slots[0].filled() == b"x",
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "the node would end");
                false
            }
        }
    });
}

#[tokio::test]
async fn a_transport_that_panics_anywhere_carries_on() {
    let places =
        ["try_send", "try_recv", "max_payload", "rebind", "close", "facts", "drop", "nowhere"];
    for place in places {
        let transport = transport(place).unwrap();
        let lane = transport.lanes().remove(0);
        let to = "127.0.0.1:9".parse().unwrap();
        // Each may be the one with the mistake.
        for _ in 0..2 {
            carries(&*lane);
            let _panicked = transport.max_payload(to);
            let _panicked = transport.rebind().await;
            let _panicked = transport.facts();
        }
        transport.close().await;
        carries(&*lane);
        // Whatever it was, it is over.
        let facts = usize::from(place != "facts");
        common::until("facts are told again", || transport.facts().len() == facts);
        // Not worth another instance: "not known" is an answer.
        let most = (place != "max_payload").then_some(1200);
        assert_eq!(transport.max_payload(to), most, "{place}");
        let error = transport.rebind().await.unwrap_err();
        assert_eq!((error.fault, error.key.as_deref()), (Fault::Busy, Some("bind")), "{place}");
    }
}

#[test]
fn a_panic_while_opening_is_told_and_opens_nothing() {
    for place in ["open", "lanes"] {
        let error = transport(place).err().unwrap().to_string();
        let sentence = format!("panicked in `create`: the mistake in {place}");
        assert!(error.contains(&sentence), "{error}");
    }
}

#[test]
fn a_mistake_in_the_configuration_names_its_key() {
    static TABLE: ntm_abi::TransportTable = TransportShims::<OurTransport>::TABLE;
    let library = library(kind::TRANSPORT, (&raw const TABLE).cast());
    let error = library.transport(&json!({ "panik": "x" }), 1).err().unwrap();
    assert_eq!((error.fault, error.key.as_deref()), (Fault::Config, Some("panik")));
    let error = library.check(ntm_host::Kinds::named("transport"), &json!({ "panic": 7 }));
    assert_eq!(error.unwrap_err().key.as_deref(), Some("panic"));
}

// A watcher that tells of a link.

struct Blind(Mine, bool, bool);

#[async_trait]
impl Watcher for Blind {
    async fn next(&mut self) -> Result<Change, PluginError> {
        tokio::time::sleep(Duration::ZERO).await;
        if self.0.armed && !self.2 {
            // Not before it is known: that would be an opening that fails.
            return pending().await;
        }
        self.0.may_panic("next");
        if self.0.armed && self.0.place == "error" {
            return Err(PluginError::new(Fault::System, "the mistake", ""));
        }
        if self.1 {
            return pending().await;
        }
        self.1 = true;
        Ok(Change::Link)
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        self.0.may_panic("snapshot");
        self.2 = true;
        Ok(Snapshot::default())
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        self.0.may_panic("routes");
        if self.0.armed && self.0.place == "count" {
            return Ok(vec![None; to.len() + 1]);
        }
        let route = |&source: &IpAddr| Route { source, ifindex: 7, mtu: 1500 };
        Ok(to.iter().map(|ip| ip.is_ipv4().then(|| route(ip))).collect())
    }
}

exported!(OurWatcher, Blind, |mine| Blind(mine, false, false));

#[tokio::test]
async fn a_watcher_that_panics_is_replaced_and_everything_is_looked_at_anew() {
    static TABLE: ntm_abi::WatcherTable = WatcherShims::<OurWatcher>::TABLE;
    let to: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    for place in ["next", "error", "snapshot", "routes", "count", "nowhere"] {
        let library = library(kind::WATCHER, (&raw const TABLE).cast());
        let config = json!({ "panic": format!("{place} watcher") });
        let mut watcher = library.watcher(&config).unwrap();
        // The one with the mistake fails, once.
        let _panicked = watcher.snapshot().await;
        let _panicked = watcher.routes(&to).await;
        let limit = Duration::from_secs(60);
        // The next instance's link may be told before it is told that there is one.
        let replaced = ["next", "error", "snapshot", "routes"].contains(&place);
        let mut awaited = vec![Change::Link];
        awaited.extend(replaced.then_some(Change::Resync));
        let told = async {
            while !awaited.is_empty() {
                let change = watcher.next().await.unwrap();
                awaited.retain(|it| *it != change);
            }
        };
        tokio::time::timeout(limit, told).await.unwrap();
        assert_eq!(watcher.snapshot().await, Ok(Snapshot::default()), "{place}");
        if place != "count" {
            let routes = watcher.routes(&to).await.unwrap();
            let sources: Vec<_> = routes.iter().map(|it| it.map(|route| route.source)).collect();
            assert_eq!(sources, [Some(to[0]), None], "{place}");
        }
    }
}

// A traversal and a vip.

struct Lost(Mine, Direct);

#[async_trait]
impl Traversal for Lost {
    async fn plan(&self, request: &PlanRequest) -> Result<Plan, PluginError> {
        self.0.may_panic("plan");
        self.1.plan(request).await
    }
}

exported!(OurTraversal, Lost, |mine| Lost(mine, Direct));

/// Until an answer is there.
macro_rules! again {
    ($ask:expr) => {
        loop {
            match $ask.await {
                Ok(answer) => break answer,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
}

#[tokio::test]
async fn a_traversal_that_panics_plans_again() {
    static TABLE: ntm_abi::TraversalTable = TraversalShims::<OurTraversal>::TABLE;
    let library = library(kind::TRAVERSAL, (&raw const TABLE).cast());
    let traversal = library.traversal(&json!({ "panic": "plan traversal" })).unwrap();
    let location = ntm_core::address::Location::default;
    let request = PlanRequest { initiator: location(), responder: location(), relays: Vec::new() };
    let error = traversal.plan(&request).await.unwrap_err().to_string();
    assert!(error.contains("panicked in `plan`: the mistake in plan"), "{error}");
    let plan = again!(traversal.plan(&request));
    assert_eq!(plan, Direct.plan(&request).await.unwrap());
}

struct Forgetful(Mine, Pool);

#[async_trait]
impl Vip for Forgetful {
    fn ranges(&self) -> Vec<Prefix> {
        self.1.ranges()
    }

    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError> {
        self.0.may_panic("restore");
        self.1.restore(leases).await
    }

    async fn allocate(&self, name: &NodeName, key: &PublicKey) -> Result<Vips, PluginError> {
        if name.as_str() == "second.example" {
            self.0.may_panic("allocate");
        }
        self.1.allocate(name, key).await
    }

    async fn release(&self, vips: &Vips) {
        self.0.may_panic("release");
        self.1.release(vips).await;
    }
}

exported!(OurVip, Forgetful, |mine| {
    Forgetful(mine, Pool::new(ntm_vip_pool::Config::default()).unwrap())
});

#[tokio::test]
async fn a_vip_that_panics_hands_out_no_address_twice() {
    static TABLE: ntm_abi::VipTable = VipShims::<OurVip>::TABLE;
    for place in ["restore", "allocate", "release", "nowhere"] {
        let library = library(kind::VIP, (&raw const TABLE).cast());
        let vip = library.vip(&json!({ "panic": format!("{place} vip") })).unwrap();
        assert_eq!(vip.ranges(), ["198.18.0.0/16".parse().unwrap()]);
        let key = PublicKey::from_bytes([7; 32]);
        let name = |text: &str| text.parse::<NodeName>().unwrap();
        let kept = Vips { v4: Some([198, 18, 0, 9].into()), v6: None };
        again!(vip.restore(&[kept]));
        let first = again!(vip.allocate(&name("first.example"), &key));
        let second = again!(vip.allocate(&name("second.example"), &key));
        vip.release(&Vips::default()).await;
        let third = again!(vip.allocate(&name("third.example"), &key));
        let all = [kept, first, second, third];
        for (at, vips) in all.iter().enumerate() {
            assert!(!all[..at].contains(vips), "{place}: {vips} twice");
        }
        // It gives back what it took.
        vip.release(&second).await;
    }
}
