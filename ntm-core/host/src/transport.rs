use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ntm_abi::{Addr, Error, TransportTable};
use ntm_core::address::TransportKind;
use ntm_core::plugin::{Lane, PluginError, Transport};
use serde_json::Value;

use crate::instance::{Instance, Recipe};
use crate::keeper::{Hooks, Keeper};
use crate::lane::{self, GLANCE, HasPorts, OPENING};
use crate::library::Library;
use crate::port::Port;
use crate::sink::Sink;
use crate::watchdog::Call;

struct DynTransport {
    keeper: Arc<Keeper<TransportTable, Face>>,
    lanes: Vec<Arc<dyn Lane>>,
}

/// What is known of the transport without asking it.
struct Face {
    ports: Vec<Port>,
    kind: AtomicU8,
    addrs: Mutex<Vec<SocketAddr>>,
    facts: Mutex<Vec<(String, String)>>,
    /// The node has closed it: nobody takes its place.
    closed: AtomicBool,
}

impl HasPorts for Face {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn is_over(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Library {
    /// Opens the transport in this library, with so many lanes.
    ///
    /// # Errors
    /// There is none, it refuses its configuration, or it could not open.
    pub fn transport(
        &'static self,
        config: &Value,
        lanes: usize,
    ) -> Result<Arc<dyn Transport>, PluginError> {
        let face = Face {
            ports: lane::ports(lanes)?,
            kind: AtomicU8::new(0),
            addrs: Mutex::default(),
            facts: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        let recipe = Recipe { config: config.to_string(), lanes: lanes as u32 };
        let keeper = Keeper::open(self, recipe, face)?;
        let lanes = lane::lanes(&keeper);
        Ok(Arc::new(DynTransport { keeper, lanes }))
    }
}

impl Hooks<TransportTable> for Face {
    fn came(&self, instance: &Arc<Instance<TransportTable>>) -> Result<(), PluginError> {
        let kind = instance.ask_within(OPENING, Call::quick("wire_kind"), |_, table, handle| {
            // SAFETY: the plugin's own handle.
            table.wire_kind.map_or(0, |kind| unsafe { kind(handle) })
        })?;
        match u8::try_from(kind) {
            Ok(kind) if kind != 0 => self.kind.store(kind, Ordering::Relaxed),
            Ok(_) | Err(_) => {
                instance.lied(format!("says that it is kind {kind} on the wire"));
                return Err(instance.trouble());
            }
        }
        let addrs = instance.ask_within(OPENING, Call::quick("local_addrs"), local_addrs)??;
        *lock(&self.addrs) = addrs;
        lane::plug(instance, &self.ports)
    }

    fn went(&self, instance: &Arc<Instance<TransportTable>>) {
        let over = self.is_over();
        self.ports.iter().for_each(|port| if over { port.end() } else { port.unplug() });
        // Or the next one could find its address taken: one that hangs is not destroyed,
        // and not every destruction comes to its end.
        if instance.is_first_to_close() {
            instance.aside(Call::slow("close"), close);
        }
    }

    fn again(&self) -> bool {
        !self.is_over()
    }
}

/// Once an instance.
fn close(table: &TransportTable, handle: ntm_abi::Handle) {
    if let Some(close) = table.close {
        // SAFETY: the plugin's own handle.
        unsafe { close(handle) };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn local_addrs(
    instance: &Instance<TransportTable>,
    table: &TransportTable,
    handle: ntm_abi::Handle,
) -> Result<Vec<SocketAddr>, PluginError> {
    let mut sink = Sink::new(Addr::socket);
    if let Some(local_addrs) = table.local_addrs {
        // SAFETY: the sink is lent for the call.
        unsafe { local_addrs(handle, Some(Sink::<Addr, SocketAddr>::put), sink.ctx()) };
    }
    sink.take().ok_or_else(|| {
        instance.lied("listens where no address is".into());
        instance.trouble()
    })
}

#[async_trait]
impl Transport for DynTransport {
    fn kind(&self) -> TransportKind {
        TransportKind(self.keeper.hooks.kind.load(Ordering::Relaxed))
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.lanes.clone()
    }

    fn local_addrs(&self) -> Vec<SocketAddr> {
        lock(&self.keeper.hooks.addrs).clone()
    }

    fn max_payload(&self, to: SocketAddr) -> Option<usize> {
        let instance = self.keeper.instance().ok()?;
        let most =
            instance.ask_within(GLANCE, Call::quick("max_payload"), move |_, table, handle| {
                let to = Addr::from(to);
                // SAFETY: the address is lent for the call.
                table.max_payload.map_or(0, |most| unsafe { most(handle, &raw const to) })
            });
        usize::try_from(most.ok()?).ok().filter(|&most| most > 0)
    }

    async fn rebind(&self) -> Result<(), PluginError> {
        let instance = self.keeper.instance()?;
        instance
            .ask(Call::slow("rebind"), |it, table, handle| {
                let mut error = Error::NONE;
                // SAFETY: the error is lent for the call.
                let answer =
                    table.rebind.map_or(0, |rebind| unsafe { rebind(handle, &raw mut error) });
                it.judge("rebind", answer, &error).map(drop)
            })
            .await??;
        let addrs = instance.ask(Call::quick("local_addrs"), local_addrs).await??;
        *lock(&self.keeper.hooks.addrs) = addrs;
        Ok(())
    }

    fn moved(&self) {
        let told = self.keeper.instance().and_then(|instance| {
            // What is sent next is to go by what there is after the move.
            instance.ask_within(GLANCE, Call::quick("moved"), |_, table, handle| {
                if let Some(moved) = table.moved {
                    // SAFETY: the plugin's own handle.
                    unsafe { moved(handle) };
                }
            })
        });
        if let Err(error) = told {
            tracing::debug!(%error, "a transport was not told of a move");
        }
    }

    async fn close(&self) {
        self.keeper.hooks.closed.store(true, Ordering::Relaxed);
        let Ok(instance) = self.keeper.instance() else {
            return self.keeper.hooks.ports.iter().for_each(Port::end);
        };
        if !instance.is_first_to_close() {
            return;
        }
        let closed = instance.ask(Call::slow("close"), |_, table, handle| close(table, handle));
        // One that does not come back is told of by the watchdog.
        let _closed = closed.await;
    }

    fn facts(&self) -> Vec<(String, String)> {
        let facts = lane::facts(&self.keeper, || lock(&self.keeper.hooks.facts).clone());
        lock(&self.keeper.hooks.facts).clone_from(&facts);
        facts
    }
}
