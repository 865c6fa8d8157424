use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use ntm_abi::{Common, Create, Error, Handle, Text, fault, status};
use ntm_core::plugin::{Fault, PluginError};
use tokio::sync::{oneshot, watch};

use crate::crew::{Crew, thread_name};
use crate::inspect::text;
use crate::library::Library;
use crate::sink::Texts;
use crate::table::Table;
use crate::watchdog::{self, Call, Calls, Watch};

/// How long an instance may take to open.
const CREATE: Duration = Duration::from_secs(10);
/// How long the end of an instance is waited for; it goes on without.
const DESTROY: Duration = Duration::from_secs(1);
/// Threads in an instance at once.
const THREADS: usize = 4;

/// An instance of a plugin. Once it is broken it is never called again but to be
/// closed and destroyed; one that hangs is not destroyed either.
pub(crate) struct Instance<T: Table> {
    pub(crate) table: T,
    handle: Owned,
    who: String,
    calls: Calls,
    trouble: OnceLock<Trouble>,
    broken: watch::Sender<bool>,
    on_broken: OnBroken<T>,
    abandoned: Abandoned,
    /// It keeps a thread, and has been counted for that.
    is_abandoned: AtomicBool,
    /// Somebody has begun to close it.
    is_closed: AtomicBool,
    crew: Crew,
    /// One thread, for what has to keep its order: packets of those that do not own
    /// a lane, commits.
    pub(crate) post: Crew,
}

/// Told of an instance that broke, by whoever noticed; must not block.
pub(crate) type OnBroken<T> = Box<dyn Fn(&Instance<T>, &Trouble) + Send + Sync>;

/// How many instances of a keeper keep threads that do not come back.
#[derive(Clone, Default)]
pub(crate) struct Abandoned(Arc<AtomicU32>);

impl Abandoned {
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why an instance is not called any more.
pub(crate) struct Trouble {
    /// What it did, as messages say it behind its name.
    pub(crate) what: String,
    /// It keeps a thread.
    pub(crate) hung: bool,
}

/// The plugin's own pointer.
#[derive(Clone, Copy)]
struct Owned(Handle);

// SAFETY: entries may be called by any thread, by the rules of the boundary.
unsafe impl Send for Owned {}
// SAFETY: as above.
unsafe impl Sync for Owned {}

/// What an instance is made of.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) config: String,
    pub(crate) lanes: u32,
}

impl Recipe {
    /// Calls an entry that takes it.
    fn lend<R>(&self, entry: impl FnOnce(*const Create<'_>) -> R) -> R {
        let config = Text::new(self.config.as_bytes());
        let create = Create { size: size_of::<Create<'_>>() as u32, lanes: self.lanes, config };
        entry(&raw const create)
    }
}

impl<T: Table> Instance<T> {
    /// Opens an instance, on a thread of its own.
    pub(crate) fn create(
        library: &'static Library,
        table: T,
        recipe: &Recipe,
        abandoned: Abandoned,
        on_broken: OnBroken<T>,
    ) -> Result<Arc<Self>, PluginError> {
        let who = library.who();
        let recipe = recipe.clone();
        let Common { create: Some(create), destroy: Some(destroy), .. } = *table.common() else {
            return Err(broken(&who, "lacks an entry"));
        };
        let opened = on_a_thread(library, "create", move |said| {
            let mut handle = ptr::null_mut();
            let mut error = Error::NONE;
            // SAFETY: everything is lent for the call.
            let answer =
                recipe.lend(|recipe| unsafe { create(recipe, &raw mut handle, &raw mut error) });
            let handle = Owned(handle);
            if !said((answer, error, handle)) && answer == status::OK && !handle.0.is_null() {
                // Nobody waits for it any more.
                // SAFETY: the only call for this instance.
                unsafe { destroy(handle.0) };
            }
        });
        let (answer, error, handle) = opened.inspect_err(|_| abandoned.add())?;
        match answer {
            status::OK if !handle.0.is_null() => {}
            status::OK => return Err(broken(&who, "gave a null handle in `create`")),
            status::FAILED => return Err(failure(&error)),
            status::PANIC => {
                let what = format!("panicked in `create`: {}", text(&error.message));
                return Err(broken(&who, &what));
            }
            other => {
                let what = format!("answered `create` with status {other}, which there is not");
                return Err(broken(&who, &what));
            }
        }
        let name = &library.summary().name;
        let instance = Arc::new(Self {
            table,
            handle,
            who,
            calls: Calls::new(),
            trouble: OnceLock::new(),
            broken: watch::Sender::new(false),
            on_broken,
            abandoned,
            is_abandoned: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            crew: Crew::new(name, THREADS),
            post: Crew::new(name, 1),
        });
        watchdog::watch(&instance);
        Ok(instance)
    }

    /// Goes into the plugin, on this thread.
    pub(crate) fn enter<R>(&self, call: Call, entry: impl FnOnce(&T, Handle) -> R) -> R {
        let _under_way = self.calls.enter(call);
        entry(&self.table, self.handle.0)
    }

    /// Goes into the plugin on a thread of the instance, and waits for it.
    pub(crate) async fn ask<R: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        entry: impl FnOnce(&Self, &T, Handle) -> R + Send + 'static,
    ) -> Result<R, PluginError> {
        self.ask_by(&self.crew, call, entry).await
    }

    /// As [`ask`](Self::ask), one after the other in the order of the calls.
    pub(crate) async fn ask_in_order<R: Send + 'static>(
        self: &Arc<Self>,
        call: Call,
        entry: impl FnOnce(&Self, &T, Handle) -> R + Send + 'static,
    ) -> Result<R, PluginError> {
        self.ask_by(&self.post, call, entry).await
    }

    async fn ask_by<R: Send + 'static>(
        self: &Arc<Self>,
        crew: &Crew,
        call: Call,
        entry: impl FnOnce(&Self, &T, Handle) -> R + Send + 'static,
    ) -> Result<R, PluginError> {
        let mut broken = self.broken.subscribe();
        let (to, answer) = oneshot::channel();
        self.push(crew, call, entry, move |said| {
            // Who asked may have gone.
            let _gone = to.send(said);
        })?;
        tokio::select! {
            biased;
            said = answer => said.map_err(|_| self.trouble()),
            _ = broken.wait_for(|broken| *broken) => Err(self.trouble()),
        }
    }

    /// As [`ask`](Self::ask), for callers that cannot await: waits so long at most.
    pub(crate) fn ask_within<R: Send + 'static>(
        self: &Arc<Self>,
        most: Duration,
        call: Call,
        entry: impl FnOnce(&Self, &T, Handle) -> R + Send + 'static,
    ) -> Result<R, PluginError> {
        let (to, answer) = mpsc::sync_channel(1);
        self.push(&self.crew, call, entry, move |said| {
            let _gone = to.send(said);
        })?;
        answer.recv_timeout(most).map_err(|_| match self.trouble.get() {
            Some(_) => self.trouble(),
            None => broken(&self.who, &format!("does not come back from `{}`", call.name)),
        })
    }

    /// Goes into the plugin on a thread for this alone, which is left alone where it
    /// does not come back, however broken the instance is.
    pub(crate) fn aside(
        self: &Arc<Self>,
        call: Call,
        entry: impl FnOnce(&T, Handle) + Send + 'static,
    ) {
        let it = self.clone();
        let thread = thread::Builder::new().name(thread_name(&self.who));
        let started = thread.spawn(move || it.enter(call, entry));
        if let Err(error) = started {
            tracing::warn!(%error, "{} cannot be told to {}", self.who, call.name);
        }
    }

    fn push<R: Send + 'static>(
        self: &Arc<Self>,
        crew: &Crew,
        call: Call,
        entry: impl FnOnce(&Self, &T, Handle) -> R + Send + 'static,
        then: impl FnOnce(R) + Send + 'static,
    ) -> Result<(), PluginError> {
        self.well()?;
        let it = self.clone();
        let pushed = crew.push(Box::new(move || {
            let said = it.enter(call, |table, handle| entry(&it, table, handle));
            drop(it);
            then(said);
        }));
        if pushed { Ok(()) } else { Err(broken(&self.who, "has too much to do")) }
    }

    /// What a status means; what cannot be breaks the instance.
    pub(crate) fn judge(
        &self,
        entry: &str,
        answer: i32,
        error: &Error,
    ) -> Result<i32, PluginError> {
        match answer {
            status::OK | status::PENDING => return Ok(answer),
            status::FAILED => return Err(failure(error)),
            status::PANIC => {
                self.break_with(format!("panicked in `{entry}`: {}", text(&error.message)), false);
            }
            other => {
                self.lied(format!("answered `{entry}` with status {other}, which there is not"))
            }
        }
        Err(self.trouble())
    }

    /// The instance answered what cannot be.
    pub(crate) fn lied(&self, how: String) {
        self.break_with(how, false);
    }

    pub(crate) fn break_with(&self, what: String, hung: bool) {
        if self.trouble.set(Trouble { what, hung }).is_ok()
            && let Some(trouble) = self.trouble.get()
        {
            tracing::error!("{} {}; it will not be called again", self.who, trouble.what);
            self.broken.send_replace(true);
            (self.on_broken)(self, trouble);
        }
    }

    /// Whether nobody has begun to close it: it is closed once, whoever wants it to be.
    pub(crate) fn is_first_to_close(&self) -> bool {
        !self.is_closed.swap(true, Ordering::Relaxed)
    }

    fn keeps_a_thread(&self) {
        if !self.is_abandoned.swap(true, Ordering::Relaxed) {
            self.abandoned.add();
        }
    }

    /// Whether it may be called.
    pub(crate) fn well(&self) -> Result<(), PluginError> {
        if self.trouble.get().is_none() { Ok(()) } else { Err(self.trouble()) }
    }

    /// Whether it keeps a thread that does not come back.
    pub(crate) fn is_hung(&self) -> bool {
        self.trouble.get().is_some_and(|trouble| trouble.hung)
    }

    pub(crate) fn trouble(&self) -> PluginError {
        let what = self.trouble.get().map_or("does not answer", |it| &it.what);
        broken(&self.who, what)
    }
}

impl<T: Table> Watch for Instance<T> {
    fn calls(&self) -> &Calls {
        &self.calls
    }

    fn hung(&self, call: &'static str) {
        self.keeps_a_thread();
        self.break_with(format!("does not come back from `{call}`"), true);
    }
}

impl<T: Table> Drop for Instance<T> {
    fn drop(&mut self) {
        // Nobody is in a call, since every one holds the instance.
        if self.is_hung() {
            return;
        }
        let Some(destroy) = self.table.common().destroy else { return };
        let handle = self.handle;
        let (done, wait) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(thread_name(&self.who)).spawn(move || {
            let handle = handle;
            // SAFETY: the last call.
            unsafe { destroy(handle.0) };
            let _gone = done.send(());
        });
        let ended =
            thread.is_ok() && !matches!(wait.recv_timeout(DESTROY), Err(RecvTimeoutError::Timeout));
        if !ended {
            self.keeps_a_thread();
            tracing::error!("{} does not come back from `destroy`; it is left alone", self.who);
        }
    }
}

/// Looks whether the plugin could use a configuration.
pub(crate) fn check(
    library: &'static Library,
    table: &Common,
    recipe: Recipe,
) -> Result<(), PluginError> {
    let Some(check) = table.check else { return Ok(()) };
    let said = on_a_thread(library, "check", move |said| {
        let mut error = Error::NONE;
        // SAFETY: both are lent for the call.
        let answer = recipe.lend(|recipe| unsafe { check(recipe, &raw mut error) });
        said((answer, error));
    });
    match said? {
        (status::OK, _) => Ok(()),
        (status::FAILED, error) => Err(failure(&error)),
        (other, error) => {
            let what = format!("broke in `check`: status {other}, {}", text(&error.message));
            Err(broken(&library.who(), &what))
        }
    }
}

/// What the plugin says of its configuration; `None` where it says nothing.
pub(crate) fn describe(
    library: &'static Library,
    table: &Common,
) -> Result<Option<String>, PluginError> {
    let Some(describe) = table.describe else { return Ok(None) };
    let texts = on_a_thread(library, "describe", move |said| {
        let mut texts = Texts::default();
        // SAFETY: our own function and sink, which outlives the call.
        unsafe { describe(Some(Texts::put), texts.ctx()) };
        said(texts.take());
    })?;
    Ok(texts.into_iter().find(|(key, _)| key == "schema").map(|(_, schema)| schema))
}

/// Runs an entry on a thread that is given up where it does not come back. What
/// it is given says whether anybody still waits.
fn on_a_thread<R: Send + 'static>(
    library: &Library,
    entry: &str,
    run: impl FnOnce(&dyn Fn(R) -> bool) + Send + 'static,
) -> Result<R, PluginError> {
    let (to, said) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(thread_name(&library.summary().name));
    thread
        .spawn(move || run(&|answer| to.send(answer).is_ok()))
        .map_err(|error| PluginError::io("start a thread", &error, ""))?;
    said.recv_timeout(CREATE).map_err(|_| {
        let what = format!("does not come back from `{entry}`, after {} s", CREATE.as_secs());
        broken(&library.who(), &what)
    })
}

fn broken(who: &str, what: &str) -> PluginError {
    PluginError::new(Fault::System, format!("{who} {what}"), "")
}

/// What the plugin said.
fn failure(error: &Error) -> PluginError {
    let fault = match error.fault {
        fault::CONFIG => Fault::Config,
        fault::PERMISSION => Fault::Permission,
        fault::MISSING => Fault::Missing,
        fault::BUSY => Fault::Busy,
        fault::UNSUPPORTED => Fault::Unsupported,
        _ => Fault::System,
    };
    let message = match text(&error.message) {
        said if said.is_empty() => "the plugin failed and did not say why".into(),
        said => said,
    };
    let said = PluginError::new(fault, message, text(&error.remedy));
    match text(&error.key) {
        key if key.is_empty() => said,
        key => said.at(key),
    }
}
