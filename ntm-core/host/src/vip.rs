use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ntm_abi::{Error, Text, VipTable, status};
use ntm_core::address::{Prefix, Vips};
use ntm_core::id::{NodeName, PublicKey};
use ntm_core::plugin::{PluginError, Vip};
use serde_json::Value;

use crate::instance::{Instance, Recipe};
use crate::keeper::{Hooks, Keeper};
use crate::library::Library;
use crate::sink::Sink;
use crate::watchdog::Call;

/// What an opening waits for an answer.
const OPENING: Duration = Duration::from_secs(10);

struct DynVip(Arc<Keeper<VipTable, Book>>);

/// What another instance has to know.
#[derive(Default)]
struct Book(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    ranges: Option<Vec<Prefix>>,
    leases: BTreeSet<Vips>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Library {
    /// Opens the vip in this library.
    ///
    /// # Errors
    /// There is none, it refuses its configuration, or it could not open.
    pub fn vip(&'static self, config: &Value) -> Result<Arc<dyn Vip>, PluginError> {
        let recipe = Recipe { config: config.to_string(), lanes: 0 };
        Ok(Arc::new(DynVip(Keeper::open(self, recipe, Book::default())?)))
    }
}

impl Hooks<VipTable> for Book {
    fn came(&self, instance: &Arc<Instance<VipTable>>) -> Result<(), PluginError> {
        let ranges = instance.ask_within(OPENING, Call::slow("ranges"), ranges)??;
        let leases: Vec<Vips> = {
            let mut entries = self.lock();
            if entries.ranges.as_ref().is_some_and(|known| *known != ranges) {
                instance.lied("has other ranges than before".into());
                return Err(instance.trouble());
            }
            entries.ranges = Some(ranges);
            entries.leases.iter().copied().collect()
        };
        if leases.is_empty() {
            return Ok(());
        }
        instance.ask_within(OPENING, Call::slow("restore"), move |it, table, handle| {
            restore(it, table, handle, &leases)
        })?
    }

    fn went(&self, _: &Arc<Instance<VipTable>>) {}
}

fn ranges(
    it: &Instance<VipTable>,
    table: &VipTable,
    handle: ntm_abi::Handle,
) -> Result<Vec<Prefix>, PluginError> {
    let range = |range: &ntm_abi::Prefix| {
        let length = u8::try_from(range.length).ok()?;
        let ip = range.base.ip()?;
        Prefix::new(ip, length).filter(|range| range.base() == ip)
    };
    let mut sink = Sink::new(range);
    if let Some(ranges) = table.ranges {
        // SAFETY: the sink is lent for the call.
        unsafe { ranges(handle, Some(Sink::<ntm_abi::Prefix, Prefix>::put), sink.ctx()) };
    }
    let ranges = sink.take().filter(|ranges| {
        let v4 = ranges.iter().filter(|range| range.base().is_ipv4()).count();
        v4 <= 1 && ranges.len() - v4 <= 1
    });
    ranges.ok_or_else(|| {
        it.lied("has ranges that cannot be".into());
        it.trouble()
    })
}

fn restore(
    it: &Instance<VipTable>,
    table: &VipTable,
    handle: ntm_abi::Handle,
    leases: &[Vips],
) -> Result<(), PluginError> {
    let leases: Vec<_> = leases.iter().map(|it| ntm_abi::Vips::new(it.v4, it.v6)).collect();
    let mut error = Error::NONE;
    let answer = table.restore.map_or(status::FAILED, |restore| {
        // SAFETY: the leases are lent for the call.
        unsafe { restore(handle, leases.as_ptr(), leases.len(), &raw mut error) }
    });
    it.judge("restore", answer, &error).map(drop)
}

#[async_trait]
impl Vip for DynVip {
    fn ranges(&self) -> Vec<Prefix> {
        self.0.hooks.lock().ranges.clone().unwrap_or_default()
    }

    async fn restore(&self, leases: &[Vips]) -> Result<(), PluginError> {
        let given = leases.to_vec();
        let instance = self.0.instance()?;
        let ask = move |it: &Instance<VipTable>, table: &VipTable, handle| {
            restore(it, table, handle, &given)
        };
        instance.ask(Call::slow("restore"), ask).await??;
        self.0.hooks.lock().leases.extend(leases);
        Ok(())
    }

    async fn allocate(&self, name: &NodeName, key: &PublicKey) -> Result<Vips, PluginError> {
        let (name, key) = (name.as_str().to_owned(), *key.as_bytes());
        let keeper = self.0.clone();
        let ask = move |it: &Instance<VipTable>, table: &VipTable, handle| {
            let (mut vips, mut error) = (ntm_abi::Vips::default(), Error::NONE);
            let answer = table.allocate.map_or(status::FAILED, |allocate| {
                let name = Text::new(name.as_bytes());
                // SAFETY: everything is lent for the call.
                unsafe { allocate(handle, name, key.as_ptr(), &raw mut vips, &raw mut error) }
            });
            it.judge("allocate", answer, &error)?;
            let vips = Vips { v4: vips.v4(), v6: vips.v6() };
            // Here, since whoever asked may have gone.
            keeper.hooks.lock().leases.insert(vips);
            Ok::<_, PluginError>(vips)
        };
        self.0.instance()?.ask(Call::slow("allocate"), ask).await?
    }

    async fn release(&self, vips: &Vips) {
        self.0.hooks.lock().leases.remove(vips);
        let vips = *vips;
        let Ok(instance) = self.0.instance() else { return };
        let released = instance.ask(Call::slow("release"), move |_, table, handle| {
            let vips = ntm_abi::Vips::new(vips.v4, vips.v6);
            if let Some(release) = table.release {
                // SAFETY: the addresses are lent for the call.
                unsafe { release(handle, &raw const vips) };
            }
        });
        // An instance that is broken has forgotten them anyway.
        let _broken = released.await;
    }
}
