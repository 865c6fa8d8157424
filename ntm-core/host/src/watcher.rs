use std::io::{self, PipeReader, PipeWriter};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use ntm_abi::{Addr, Error, LocalInterface, WatcherTable, change, flag, status};
use ntm_core::plugin::{self, Change, LocalAddress, PluginError, Route, Snapshot, Watcher};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;
use tokio::sync::Notify;

use crate::crew::thread_name;
use crate::instance::{Instance, Recipe};
use crate::keeper::{Hooks, Keeper};
use crate::lane::borrowed;
use crate::library::Library;
use crate::sink::Sink;
use crate::watchdog::Call;

const NEXT: Call = Call::quick("next");

struct DynWatcher(Arc<Keeper<WatcherTable, News>>);

/// What has changed and was not told yet.
#[derive(Default)]
struct News {
    told: Arc<Told>,
    /// Dropped, it ends the thread that waits for the instance of the moment.
    stop: Mutex<Option<PipeWriter>>,
    opened: AtomicU32,
}

/// A bit each, by the number of the change.
#[derive(Default)]
struct Told {
    changes: AtomicU32,
    ring: Notify,
}

impl Told {
    fn tell(&self, change: u32) {
        self.changes.fetch_or(1 << change, Ordering::Release);
        self.ring.notify_one();
    }

    fn take(&self) -> Option<Change> {
        let known = [
            (change::RESYNC, Change::Resync),
            (change::LINK, Change::Link),
            (change::ADDRESS, Change::Address),
            (change::ROUTE, Change::Route),
        ];
        known.into_iter().find_map(|(number, change)| {
            let bit = 1 << number;
            (self.changes.fetch_and(!bit, Ordering::AcqRel) & bit != 0).then_some(change)
        })
    }
}

impl Library {
    /// Opens the watcher in this library.
    ///
    /// # Errors
    /// There is none, it refuses its configuration, or it could not open.
    pub fn watcher(&'static self, config: &Value) -> Result<Box<dyn Watcher>, PluginError> {
        let recipe = Recipe { config: config.to_string(), lanes: 0 };
        Ok(Box::new(DynWatcher(Keeper::open(self, recipe, News::default())?)))
    }
}

impl News {
    /// Ends the thread that waits for the instance of the moment.
    fn end(&self) {
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Hooks<WatcherTable> for News {
    fn came(&self, instance: &Arc<Instance<WatcherTable>>) -> Result<(), PluginError> {
        let limit = Duration::from_secs(2);
        let fd = instance.ask_within(limit, Call::quick("event_fd"), |_, table, handle| {
            // SAFETY: the plugin's own handle.
            table.event_fd.map_or(-1, |fd| unsafe { fd(handle) })
        })?;
        let fd = if fd < 0 { Err(io::ErrorKind::InvalidInput.into()) } else { borrowed(fd) };
        let fd = fd.map_err(|error| {
            instance.lied(format!("has no descriptor for its events: {error}"));
            instance.trouble()
        })?;
        let failed = |error: io::Error| PluginError::io("wait for a watcher", &error, "");
        let (stopped, stop) = io::pipe().map_err(failed)?;
        let (it, told) = (instance.clone(), self.told.clone());
        let thread = thread::Builder::new().name(thread_name("news"));
        thread.spawn(move || listen(&it, &told, &fd, &stopped)).map_err(failed)?;
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
        Ok(())
    }

    fn took_over(&self) {
        // Whoever hears of it asks at once.
        if self.opened.fetch_add(1, Ordering::Relaxed) > 0 {
            self.told.tell(change::RESYNC);
        }
    }

    fn went(&self, _: &Arc<Instance<WatcherTable>>) {
        self.end();
    }
}

/// Waits for news of an instance until it is broken or nobody wants to know.
fn listen(instance: &Instance<WatcherTable>, told: &Told, fd: &OwnedFd, stopped: &PipeReader) {
    loop {
        let mut fds = [PollFd::new(fd, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) if fds[1].revents().is_empty() => {}
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => return,
            Err(error) => {
                return instance.break_with(format!("cannot be waited for: {error}"), false);
            }
        }
        while instance.well().is_ok() {
            let (mut change, mut error) = (0, Error::NONE);
            let answer = instance.enter(NEXT, |table, handle| {
                // SAFETY: both are lent for the call.
                table.next.map(|next| unsafe { next(handle, &raw mut change, &raw mut error) })
            });
            match instance.judge(NEXT.name, answer.unwrap_or(status::FAILED), &error) {
                Ok(status::OK) if (change::ADDRESS..=change::RESYNC).contains(&change) => {
                    told.tell(change);
                }
                Ok(status::OK) => {
                    instance.lied(format!("tells of change {change}, which there is not"))
                }
                Ok(_) => break,
                Err(error) => instance.break_with(format!("is blind: {error}"), false),
            }
        }
        if instance.well().is_err() {
            return;
        }
    }
}

fn interface(it: &LocalInterface<'_>) -> Option<plugin::LocalInterface> {
    // SAFETY: the plugin lends both for the call.
    let (name, addresses) = unsafe { (it.name.text(), it.addresses()) };
    let address = |address: &ntm_abi::LocalAddress| {
        let ip = address.ip.ip()?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        Some(LocalAddress {
            ip,
            prefix: u8::try_from(address.prefix).ok().filter(|&prefix| prefix <= most)?,
            usable: address.flags & flag::USABLE != 0,
            preferred: address.flags & flag::PREFERRED != 0,
        })
    };
    Some(plugin::LocalInterface {
        index: Some(it.index).filter(|&index| index != 0)?,
        name: name.to_owned(),
        running: it.flags & flag::RUNNING != 0,
        generation: it.generation,
        loopback: it.flags & flag::LOOPBACK != 0,
        addresses: addresses.iter().map(address).collect::<Option<_>>()?,
    })
}

unsafe extern "C" fn put(sink: *mut std::ffi::c_void, item: *const LocalInterface<'_>) {
    // SAFETY: the sink is the one that is lent with it, and so is the item.
    unsafe { Sink::<LocalInterface<'_>, plugin::LocalInterface>::put(sink, item.cast()) };
}

#[async_trait]
impl Watcher for DynWatcher {
    async fn next(&mut self) -> Result<Change, PluginError> {
        let told = &self.0.hooks.told;
        loop {
            if let Some(change) = told.take() {
                return Ok(change);
            }
            told.ring.notified().await;
        }
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        let ask = |it: &Instance<WatcherTable>, table: &WatcherTable, handle| {
            let mut sink = Sink::<LocalInterface<'_>, _>::new(interface);
            let mut error = Error::NONE;
            let answer = table.snapshot.map_or(status::FAILED, |snapshot| {
                // SAFETY: both are lent for the call.
                unsafe { snapshot(handle, Some(put), sink.ctx(), &raw mut error) }
            });
            it.judge("snapshot", answer, &error)?;
            sink.take().ok_or_else(|| {
                it.lied("tells of an interface that cannot be".into());
                it.trouble()
            })
        };
        let instance = self.0.instance()?;
        let interfaces = instance.ask(Call::slow("snapshot"), ask).await??;
        Ok(Snapshot { interfaces })
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        self.find(None, to).await
    }

    async fn routes_by(
        &mut self,
        ifindex: u32,
        to: &[IpAddr],
    ) -> Result<Vec<Option<Route>>, PluginError> {
        self.find(Some(ifindex), to).await
    }
}

impl DynWatcher {
    /// Routes by an interface, or by whichever the system would take.
    async fn find(
        &self,
        by: Option<u32>,
        to: &[IpAddr],
    ) -> Result<Vec<Option<Route>>, PluginError> {
        let to: Vec<Addr> = to.iter().map(|&ip| ip.into()).collect();
        let ask = move |it: &Instance<WatcherTable>, table: &WatcherTable, handle| {
            let mut found = vec![ntm_abi::Route::default(); to.len()];
            let mut error = Error::NONE;
            let (out, to, count) = (found.as_mut_ptr(), to.as_ptr(), to.len());
            // SAFETY: as many of each are lent for the call.
            let answer =
                unsafe {
                    match by {
                        None => table.routes.map(|ask| ask(handle, to, count, out, &raw mut error)),
                        // A watcher without it cannot tell.
                        Some(by) => Some(table.routes_by.map_or(status::OK, |ask| {
                            ask(handle, by, to, count, out, &raw mut error)
                        })),
                    }
                };
            it.judge("routes", answer.unwrap_or(status::FAILED), &error)?;
            let route = |route: &ntm_abi::Route| {
                let source = route.source.ip()?;
                Some(Route { source, ifindex: route.ifindex, mtu: route.mtu })
            };
            Ok::<_, PluginError>(found.iter().map(route).collect())
        };
        let instance = self.0.instance()?;
        instance.ask(Call::slow("routes"), ask).await?
    }
}

impl Drop for DynWatcher {
    fn drop(&mut self) {
        // The thread that waits for news holds the instance.
        self.0.hooks.end();
    }
}
