use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ntm_abi::{Error, InterfaceTable, Settings, offload as bit, status};
use ntm_core::plugin::{Interface, InterfaceSettings, Lane, Offload, PluginError};
use serde_json::Value;

use crate::instance::{Instance, Recipe};
use crate::keeper::{Hooks, Keeper};
use crate::lane::{self, HasPorts, OPENING};
use crate::library::Library;
use crate::port::Port;
use crate::sink::Texts;
use crate::watchdog::Call;

struct DynInterface {
    keeper: Arc<Keeper<InterfaceTable, Face>>,
    lanes: Vec<Arc<dyn Lane>>,
}

/// What is known of the interface without asking it.
struct Face {
    ports: Vec<Port>,
    known: Mutex<Known>,
    /// The first instance is gone. Another would be another interface, under which
    /// applications' connections would not go on: the node has to end.
    gone: AtomicBool,
}

#[derive(Clone, Default)]
struct Known {
    name: String,
    ifindex: u32,
    offload: u32,
    facts: Vec<(String, String)>,
}

impl HasPorts for Face {
    fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn is_over(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

impl Face {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Library {
    /// Opens the interface in this library, with so many lanes.
    ///
    /// # Errors
    /// There is none, it refuses its configuration, or it could not open.
    pub fn interface(
        &'static self,
        config: &Value,
        lanes: usize,
    ) -> Result<Arc<dyn Interface>, PluginError> {
        let ports = lane::ports(lanes)?;
        let face = Face { ports, known: Mutex::default(), gone: AtomicBool::new(false) };
        let recipe = Recipe { config: config.to_string(), lanes: lanes as u32 };
        let keeper = Keeper::open(self, recipe, face)?;
        let lanes = lane::lanes(&keeper);
        Ok(Arc::new(DynInterface { keeper, lanes }))
    }
}

impl Hooks<InterfaceTable> for Face {
    fn came(&self, instance: &Arc<Instance<InterfaceTable>>) -> Result<(), PluginError> {
        let known = instance.ask_within(OPENING, Call::quick("name"), |_, table, handle| {
            let mut texts = Texts::default();
            // SAFETY: the plugin's own handle, and a sink that is lent for the call.
            let (ifindex, offload) = unsafe {
                if let Some(name) = table.name {
                    name(handle, Some(Texts::put), texts.ctx());
                }
                let ifindex = table.ifindex.map_or(0, |ifindex| ifindex(handle));
                (ifindex, table.offload.map_or(0, |offload| offload(handle)))
            };
            let name = texts.take().into_iter().next().map(|(_, name)| name).unwrap_or_default();
            Known { name, ifindex, offload, facts: Vec::new() }
        })?;
        *self.known() = known;
        lane::plug(instance, &self.ports)
    }

    fn went(&self, _: &Arc<Instance<InterfaceTable>>) {
        self.gone.store(true, Ordering::Relaxed);
        self.ports.iter().for_each(Port::end);
    }

    fn again(&self) -> bool {
        false
    }
}

#[async_trait]
impl Interface for DynInterface {
    fn name(&self) -> String {
        self.keeper.hooks.known().name.clone()
    }

    fn ifindex(&self) -> u32 {
        self.keeper.hooks.known().ifindex
    }

    fn lanes(&self) -> Vec<Arc<dyn Lane>> {
        self.lanes.clone()
    }

    fn offload(&self) -> Offload {
        let bits = self.keeper.hooks.known().offload;
        Offload { tcp: bits & bit::TCP != 0, udp: bits & bit::UDP != 0 }
    }

    async fn configure(&self, settings: &InterfaceSettings) -> Result<(), PluginError> {
        let settings = settings.clone();
        let ask = move |it: &Instance<InterfaceTable>, table: &InterfaceTable, handle| {
            let ranges: Vec<_> = settings
                .ranges
                .iter()
                .map(|range| ntm_abi::Prefix {
                    base: range.base().into(),
                    length: range.length().into(),
                })
                .collect();
            let vips = ntm_abi::Vips::new(settings.vips.v4, settings.vips.v6);
            let settings = Settings::new(settings.mtu.into(), vips, &ranges);
            let mut error = Error::NONE;
            let answer = table.configure.map_or(status::FAILED, |configure| {
                // SAFETY: both are lent for the call.
                unsafe { configure(handle, &raw const settings, &raw mut error) }
            });
            it.judge("configure", answer, &error).map(drop)
        };
        self.keeper.instance()?.ask(Call::slow("configure"), ask).await?
    }

    async fn close(&self) {
        let Ok(instance) = self.keeper.instance() else { return };
        let closed = instance.ask(Call::slow("close"), |_, table, handle| {
            if let Some(close) = table.close {
                // SAFETY: the plugin's own handle.
                unsafe { close(handle) };
            }
        });
        // One that does not come back is told of by the watchdog.
        let _closed = closed.await;
    }

    fn facts(&self) -> Vec<(String, String)> {
        let facts = lane::facts(&self.keeper, || self.keeper.hooks.known().facts.clone());
        self.keeper.hooks.known().facts.clone_from(&facts);
        facts
    }
}
