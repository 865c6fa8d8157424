use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use ntm_core::plugin::{Fault, PluginError};

use crate::crew::thread_name;
use crate::instance::{Instance, Recipe};
use crate::library::Library;
use crate::table::Table;

/// The first wait before another instance is opened, doubled each time,
const AGAIN: Duration = Duration::from_millis(100);
/// up to this.
const AGAIN_AT_MOST: Duration = Duration::from_secs(30);

/// Keeps an instance, and puts another in its place when it is broken.
pub(crate) struct Keeper<T: Table, H: Hooks<T>> {
    library: &'static Library,
    table: T,
    recipe: Recipe,
    current: ArcSwapOption<Instance<T>>,
    pub(crate) hooks: H,
}

/// What a kind does when instances come and go.
pub(crate) trait Hooks<T: Table>: Send + Sync + 'static {
    /// An instance is there, and nobody else uses it yet.
    fn came(&self, instance: &Arc<Instance<T>>) -> Result<(), PluginError>;

    /// The instance is broken. Called by whoever noticed: must not block.
    fn went(&self);

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
        let current = ArcSwapOption::empty();
        let keeper = Arc::new(Self { library, table, recipe, current, hooks });
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
        let on_broken = Box::new(move || {
            if let Some(keeper) = keeper.upgrade() {
                keeper.lost();
            }
        });
        let instance = Instance::create(self.library, self.table, &self.recipe, on_broken)?;
        self.hooks.came(&instance)?;
        self.current.store(Some(instance.clone()));
        // One that broke before it was known is still here.
        if let Err(error) = instance.well()
            && self.current.swap(None).is_some()
        {
            self.hooks.went();
            return Err(error);
        }
        Ok(())
    }

    /// The instance of the moment is broken.
    fn lost(self: &Arc<Self>) {
        // One that broke before it was known is seen to by who brought it up.
        if self.current.swap(None).is_none() {
            return;
        }
        self.hooks.went();
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

/// Opens instances until one is well, or nobody wants one any more.
fn again<T: Table, H: Hooks<T>>(keeper: &Weak<Keeper<T, H>>) {
    let mut wait = AGAIN;
    loop {
        thread::sleep(wait);
        let Some(keeper) = keeper.upgrade() else { return };
        let who = keeper.library.who();
        match keeper.bring_up() {
            Ok(()) => return tracing::info!("{who} works again: another instance was opened"),
            Err(error) => tracing::warn!(%error, "{who} could not be opened again"),
        }
        wait = (2 * wait).min(AGAIN_AT_MOST);
    }
}
