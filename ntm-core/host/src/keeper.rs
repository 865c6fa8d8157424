use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use ntm_core::plugin::{Fault, PluginError};

use crate::crew::thread_name;
use crate::instance::{Abandoned, Instance, Recipe, Trouble};
use crate::library::Library;
use crate::table::Table;

/// The first wait before another instance is opened, doubled each time,
const AGAIN: Duration = Duration::from_millis(100);
/// up to this;
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);
/// and the first again after an instance that was well for this long.
const WELL: Duration = Duration::from_secs(1);
/// Instances that do not come back, from whichever entry, before no other is opened:
/// each keeps its threads and memory, and a thread of the node perhaps.
const HUNG_AT_MOST: u32 = 8;

/// Keeps an instance, and puts another in its place when it is broken.
pub(crate) struct Keeper<T: Table, H: Hooks<T>> {
    library: &'static Library,
    table: T,
    recipe: Recipe,
    current: ArcSwapOption<Instance<T>>,
    course: Mutex<Course>,
    abandoned: Abandoned,
    pub(crate) hooks: H,
}

/// How it went so far.
#[derive(Default)]
struct Course {
    /// When the instance of the moment was opened.
    opened: Option<Instant>,
    /// What was waited last.
    wait: Duration,
}

impl Course {
    /// How long to wait for another instance; `None` when there will be no other.
    fn wait(&mut self, now: Instant, hung: u32) -> Option<Duration> {
        let lived = self.opened.take().map(|opened| now.saturating_duration_since(opened));
        self.wait = match lived {
            Some(lived) if lived >= WELL => AGAIN,
            Some(_) | None => (2 * self.wait).clamp(AGAIN, AGAIN_AT_MOST),
        };
        (hung < HUNG_AT_MOST).then_some(self.wait)
    }
}

/// What a kind does when instances come and go.
pub(crate) trait Hooks<T: Table>: Send + Sync + 'static {
    /// An instance is there, and nobody else uses it yet.
    fn came(&self, instance: &Arc<Instance<T>>) -> Result<(), PluginError>;

    /// The instance is the one of the moment from now on.
    fn took_over(&self) {}

    /// The instance is broken. Called by whoever noticed: must not block.
    fn went(&self, instance: &Arc<Instance<T>>);

    /// Whether another instance could take its place.
    fn again(&self) -> bool {
        true
    }
}

impl<T: Table, H: Hooks<T>> Keeper<T, H> {
    pub(crate) fn open(
        library: &'static Library,
        recipe: Recipe,
        hooks: H,
    ) -> Result<Arc<Self>, PluginError> {
        let table = library.table::<T>()?;
        let (current, course) = (ArcSwapOption::empty(), Mutex::default());
        let abandoned = Abandoned::default();
        let keeper = Arc::new(Self { library, table, recipe, current, course, abandoned, hooks });
        keeper.bring_up()?;
        Ok(keeper)
    }

    /// The instance of the moment.
    pub(crate) fn current(&self) -> Guard<Option<Arc<Instance<T>>>> {
        self.current.load()
    }

    /// The instance of the moment.
    ///
    /// # Errors
    /// It is broken, and another is not there yet.
    pub(crate) fn instance(&self) -> Result<Arc<Instance<T>>, PluginError> {
        self.current.load_full().ok_or_else(|| {
            let message = format!("{} is broken", self.library.who());
            PluginError::new(Fault::System, message, "another instance is being opened")
        })
    }

    fn bring_up(self: &Arc<Self>) -> Result<(), PluginError> {
        let keeper: Weak<Self> = Arc::downgrade(self);
        let on_broken = Box::new(move |instance: &Instance<T>, trouble: &Trouble| {
            if let Some(keeper) = keeper.upgrade() {
                keeper.lost(instance, trouble);
            }
        });
        let abandoned = self.abandoned.clone();
        let instance =
            Instance::create(self.library, self.table, &self.recipe, abandoned, on_broken)?;
        self.hooks.came(&instance)?;
        self.course().opened = Some(Instant::now());
        self.library.health.opened();
        self.current.store(Some(instance.clone()));
        self.hooks.took_over();
        // One that broke before it was known is still here.
        if let Err(error) = instance.well()
            && self.take_away(&instance).is_some()
        {
            self.library.health.lost();
            self.hooks.went(&instance);
            return Err(error);
        }
        Ok(())
    }

    fn course(&self) -> std::sync::MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The instance of the moment is none any more, if it is this one.
    fn take_away(&self, instance: &Instance<T>) -> Option<Arc<Instance<T>>> {
        let current = self.current.load_full().filter(|it| ptr::eq(Arc::as_ptr(it), instance))?;
        let before = self.current.compare_and_swap(&current, None);
        before.as_ref().is_some_and(|it| Arc::ptr_eq(it, &current)).then_some(current)
    }

    /// An instance is broken.
    fn lost(self: &Arc<Self>, instance: &Instance<T>, trouble: &Trouble) {
        self.library.health.note(&trouble.what);
        // One that broke before it was known is seen to by who brought it up.
        let Some(gone) = self.take_away(instance) else { return };
        self.library.health.lost();
        self.hooks.went(&gone);
        if !self.hooks.again() {
            return;
        }
        let keeper = Arc::downgrade(self);
        let name = thread_name(&self.library.summary().name);
        let started = thread::Builder::new().name(name).spawn(move || again(&keeper));
        if let Err(error) = started {
            tracing::error!(%error, "{} stays broken", self.library.who());
        }
    }
}

impl<T: Table, H: Hooks<T>> Drop for Keeper<T, H> {
    fn drop(&mut self) {
        if self.current.load().is_some() {
            self.library.health.lost();
        }
    }
}

/// Opens instances until one is well, or nobody wants one any more.
fn again<T: Table, H: Hooks<T>>(keeper: &Weak<Keeper<T, H>>) {
    loop {
        let Some(kept) = keeper.upgrade() else { return };
        let who = kept.library.who();
        let Some(wait) = kept.course().wait(Instant::now(), kept.abandoned.count()) else {
            return tracing::error!(
                "{who} did not come back {HUNG_AT_MOST} times; no other instance is opened, mend it \
                 and restart the node"
            );
        };
        drop(kept);
        thread::sleep(wait);
        let Some(kept) = keeper.upgrade() else { return };
        match kept.bring_up() {
            Ok(()) => return tracing::info!("{who} works again: another instance was opened"),
            Err(error) => tracing::warn!(%error, "{who} could not be opened again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_breaks_at_once_waits_longer_and_longer_and_who_hangs_too_often_for_ever() {
        let mut course = Course::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..12).filter_map(|_| course.wait(now, 0)).collect();
        assert_eq!(waits[..3], [AGAIN, 2 * AGAIN, 4 * AGAIN]);
        assert_eq!(waits[11], AGAIN_AT_MOST);
        course.opened = Some(now);
        assert_eq!(course.wait(now + WELL, HUNG_AT_MOST - 1), Some(AGAIN));
        assert_eq!(course.wait(now, HUNG_AT_MOST), None);
    }
}
