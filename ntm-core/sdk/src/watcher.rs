//! A watcher has a task of its own on the plugin's runtime: it waits for news and
//! answers questions. News is a set, and a pipe is readable while there is any.

use std::future::pending;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ntm_abi::{
    Addr, Error, Handle, LocalAddress, LocalInterface, PutInterface, Route, WatcherTable, change,
    flag, status as answer,
};
use ntm_core::plugin::{self, Change, Fault, PluginError, Snapshot, Watcher};
use tokio::sync::{mpsc, oneshot};

use crate::Exported;
use crate::guard::{self, guard, said, status};
use crate::instance::{Instance, State};

/// The table of a watcher.
pub struct WatcherShims<E>(PhantomData<E>);

struct Opened<W> {
    questions: mpsc::UnboundedSender<Question>,
    news: Arc<News>,
    watcher: PhantomData<fn() -> W>,
}

enum Question {
    Snapshot(Answer<Snapshot>),
    /// By an interface, or by whichever the system would take.
    Routes(Option<u32>, Vec<IpAddr>, Answer<Vec<Option<plugin::Route>>>),
}

type Answer<T> = oneshot::Sender<Result<T, PluginError>>;

/// What the host has not heard yet.
struct News {
    told: Mutex<Told>,
    reader: PipeReader,
    writer: PipeWriter,
}

#[derive(Default)]
struct Told {
    /// Bits, by the number of the change.
    changes: u32,
    /// Why there will be no more.
    end: Option<End>,
    /// Something is in the pipe.
    signalled: bool,
}

#[derive(Clone)]
enum End {
    Blind(PluginError),
    Panicked(String),
}

impl News {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        let mut told = self.told();
        tell(&mut told);
        if !told.signalled {
            // One byte always fits into an empty pipe.
            told.signalled = (&self.writer).write(&[0]).is_ok();
        }
    }

    /// The first that has not been heard.
    fn take(&self) -> Result<Option<u32>, End> {
        let mut told = self.told();
        let first = told.changes.trailing_zeros();
        told.changes &= told.changes.wrapping_sub(1);
        if told.changes == 0 && told.end.is_none() && told.signalled {
            told.signalled = (&self.reader).read(&mut [0]).is_err();
        }
        match (first, &told.end) {
            (u32::BITS, Some(end)) => Err(end.clone()),
            (u32::BITS, None) => Ok(None),
            (first, _) => Ok(Some(first)),
        }
    }
}

impl<W: Watcher + 'static> State for Opened<W> {
    type Plugin = W;

    fn new(watcher: W) -> Result<Self, PluginError> {
        let (reader, writer) = io::pipe()
            .map_err(|error| PluginError::io("open a pipe", &error, "close something"))?;
        let news = Arc::new(News { told: Mutex::default(), reader, writer });
        let (questions, asked) = mpsc::unbounded_channel();
        let task = tokio::spawn(watch(watcher, asked, news.clone()));
        let watched = news.clone();
        tokio::spawn(async move {
            if let Err(error) = task.await
                && let Ok(payload) = error.try_into_panic()
            {
                let end = End::Panicked(said(&*payload));
                std::mem::forget(payload);
                watched.tell(|told| told.end = Some(end));
            }
        });
        Ok(Self { questions, news, watcher: PhantomData })
    }
}

async fn watch<W: Watcher>(
    mut watcher: W,
    mut asked: mpsc::UnboundedReceiver<Question>,
    news: Arc<News>,
) {
    let mut blind = false;
    loop {
        let next = async { if blind { pending().await } else { watcher.next().await } };
        tokio::select! {
            biased;
            question = asked.recv() => match question {
                // Who asked may have gone.
                Some(Question::Snapshot(to)) => {
                    let _gone = to.send(watcher.snapshot().await);
                }
                Some(Question::Routes(by, ips, to)) => {
                    let _gone = to.send(match by {
                        None => watcher.routes(&ips).await,
                        Some(ifindex) => watcher.routes_by(ifindex, &ips).await,
                    });
                }
                None => return,
            },
            change = next => match change {
                Ok(change) => {
                    let number = match change {
                        Change::Address => change::ADDRESS,
                        Change::Link => change::LINK,
                        Change::Route => change::ROUTE,
                        Change::Resync => change::RESYNC,
                    };
                    news.tell(|told| told.changes |= 1 << number);
                }
                Err(error) => {
                    blind = true;
                    news.tell(|told| told.end = Some(End::Blind(error)));
                }
            },
        }
    }
}

impl<E: Exported<Plugin: Watcher>> WatcherShims<E> {
    /// The table.
    pub const TABLE: WatcherTable = WatcherTable {
        common: Instance::<Opened<E::Plugin>>::common::<E>(size_of::<WatcherTable>()),
        event_fd: Some(event_fd::<E::Plugin>),
        next: Some(next::<E::Plugin>),
        snapshot: Some(snapshot::<E::Plugin>),
        routes: Some(routes::<E::Plugin>),
        routes_by: Some(routes_by::<E::Plugin>),
    };
}

/// # Safety
/// `handle` is an instance of a watcher of this type.
unsafe fn of<'a, W: Watcher + 'static>(handle: Handle) -> &'a Instance<Opened<W>> {
    // SAFETY: what the caller promises.
    unsafe { Instance::of(handle) }
}

impl<W: Watcher + 'static> Instance<Opened<W>> {
    /// Asks the task, and waits for its answer.
    fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, PluginError>>) -> Question,
    ) -> Result<T, PluginError> {
        let gone = || match self.state().news.told().end.clone() {
            Some(End::Blind(error)) => error,
            Some(End::Panicked(panic)) => PluginError::new(Fault::System, panic, ""),
            None => PluginError::new(Fault::System, "the watcher's task has gone", ""),
        };
        let (to, answer) = oneshot::channel();
        self.state().questions.send(question(to)).map_err(|_| gone())?;
        self.wait(answer).map_err(|_| gone())?
    }
}

unsafe extern "C" fn event_fd<W: Watcher + 'static>(handle: Handle) -> i32 {
    // SAFETY: the host gives back what `create` gave.
    guard(|| unsafe { of::<W>(handle) }.state().news.reader.as_raw_fd()).unwrap_or(-1)
}

unsafe extern "C" fn next<W: Watcher + 'static>(
    handle: Handle,
    change: *mut u32,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        match unsafe { of::<W>(handle) }.state().news.take() {
            Ok(Some(number)) => {
                // SAFETY: the host lends it for the call.
                unsafe { *change = number };
                Ok(answer::OK)
            }
            Ok(None) => Ok(answer::PENDING),
            Err(End::Blind(error)) => Err(error),
            // The guard tells the host.
            Err(End::Panicked(text)) => std::panic::resume_unwind(Box::new(text)),
        }
    };
    // SAFETY: the host lends it for the call.
    unsafe { guard::answer(error, body) }
}

unsafe extern "C" fn snapshot<W: Watcher + 'static>(
    handle: Handle,
    put: PutInterface,
    sink: *mut std::ffi::c_void,
    error: *mut Error,
) -> i32 {
    let body = || {
        // SAFETY: the host gives back what `create` gave.
        let snapshot = unsafe { of::<W>(handle) }.ask(Question::Snapshot)?;
        for interface in snapshot.interfaces {
            let addresses: Vec<_> = interface
                .addresses
                .iter()
                .map(|address| LocalAddress {
                    ip: address.ip.into(),
                    prefix: address.prefix.into(),
                    flags: bit(address.usable, flag::USABLE)
                        | bit(address.preferred, flag::PREFERRED),
                })
                .collect();
            let flags =
                bit(interface.running, flag::RUNNING) | bit(interface.loopback, flag::LOOPBACK);
            let (index, generation) = (interface.index, interface.generation);
            let interface =
                LocalInterface::new(index, flags, generation, &interface.name, &addresses);
            if let Some(put) = put {
                // SAFETY: the host's own function and sink.
                unsafe { put(sink, &raw const interface) };
            }
        }
        Ok(())
    };
    // SAFETY: the host lends it for the call.
    unsafe { status(error, body) }
}

fn bit(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}

unsafe extern "C" fn routes<W: Watcher + 'static>(
    handle: Handle,
    to: *const Addr,
    count: usize,
    out: *mut Route,
    error: *mut Error,
) -> i32 {
    // SAFETY: the host gives back what `create` gave, and lends the rest for the call.
    unsafe { write_routes::<W>(handle, None, (to, out, count), error) }
}

unsafe extern "C" fn routes_by<W: Watcher + 'static>(
    handle: Handle,
    ifindex: u32,
    to: *const Addr,
    count: usize,
    out: *mut Route,
    error: *mut Error,
) -> i32 {
    // SAFETY: the host gives back what `create` gave, and lends the rest for the call.
    unsafe { write_routes::<W>(handle, Some(ifindex), (to, out, count), error) }
}

/// Writes down the routes to so many addresses.
///
/// # Safety
/// `handle` is an instance of a watcher of this type, `count` addresses can be read and
/// routes be written, and `error` is null, or may be written.
unsafe fn write_routes<W: Watcher + 'static>(
    handle: Handle,
    by: Option<u32>,
    (to, out, count): (*const Addr, *mut Route, usize),
    error: *mut Error,
) -> i32 {
    let body = || {
        if count == 0 {
            return Ok(());
        }
        // SAFETY: what the caller promises.
        let (instance, to, out) = unsafe {
            let to = slice::from_raw_parts(to, count);
            (of::<W>(handle), to, slice::from_raw_parts_mut(out, count))
        };
        find(instance, by, to, out)
    };
    // SAFETY: what the caller promises.
    unsafe { status(error, body) }
}

/// Asks for routes, and writes them down.
fn find<W: Watcher + 'static>(
    instance: &Instance<Opened<W>>,
    by: Option<u32>,
    to: &[Addr],
    out: &mut [Route],
) -> Result<(), PluginError> {
    let ips: Option<Vec<_>> = to.iter().map(Addr::ip).collect();
    let ips = ips.ok_or_else(|| {
        PluginError::new(Fault::System, "the host asks for the route to nowhere", "")
    })?;
    let routes = instance.ask(|answer| Question::Routes(by, ips, answer))?;
    if routes.len() != to.len() {
        let message = format!("the watcher tells {} routes of {}", routes.len(), to.len());
        return Err(PluginError::new(Fault::System, message, ""));
    }
    for (slot, route) in out.iter_mut().zip(routes) {
        *slot = route.map_or_else(Route::default, |route| Route {
            source: route.source.into(),
            ifindex: route.ifindex,
            mtu: route.mtu,
        });
    }
    Ok(())
}
