//! Notices calls that do not come back. A call costs an exchange and two stores; one
//! thread looks after all of them, four times a second, while there is any instance.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// Time from one look to the next.
const TICK: Duration = Duration::from_millis(250);

/// Looks so far.
static TICKS: AtomicU64 = AtomicU64::new(1);

static WATCHED: Mutex<Watched> = Mutex::new(Watched { list: Vec::new(), running: false });

struct Watched {
    list: Vec<Weak<dyn Watch>>,
    running: bool,
}

/// What is looked after.
pub(crate) trait Watch: Send + Sync {
    fn calls(&self) -> &Calls;

    /// This call has not come back.
    fn hung(&self, call: &'static str);
}

/// What an instance is asked, and how long that may take, in looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) ticks: u16,
}

impl Call {
    /// One that must not block: 2 s, since a busy machine may take the CPU away.
    pub(crate) const fn quick(name: &'static str) -> Self {
        Self { name, ticks: 8 }
    }

    /// One that may block: 10 s.
    pub(crate) const fn slow(name: &'static str) -> Self {
        Self { name, ticks: 40 }
    }

    /// One that may take as long as a disk does: 2 minutes.
    pub(crate) const fn disk(name: &'static str) -> Self {
        Self { name, ticks: 480 }
    }
}

/// Threads that may be in calls of one instance at once; a call of one more that hangs
/// goes unnoticed.
const PLACES: usize = 32;

/// The calls of an instance that are under way.
pub(crate) struct Calls {
    places: [Place; PLACES],
}

/// 0: nobody's; or since which look; and the call. Written by the thread that took it.
#[derive(Default)]
struct Place {
    since: AtomicU64,
    call: Mutex<Option<Call>>,
}

/// A call under way; over when dropped.
pub(crate) struct UnderWay<'a>(Option<&'a Place>);

thread_local! {
    static PLACE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Where this thread looks first: where nobody else does, as long as there are few.
fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    PLACE.with(|place| {
        if place.get() == usize::MAX {
            place.set(NEXT.fetch_add(1, Ordering::Relaxed) % PLACES);
        }
        place.get()
    })
}

impl Calls {
    pub(crate) fn new() -> Self {
        Self { places: std::array::from_fn(|_| Place::default()) }
    }

    /// This thread goes into the plugin.
    pub(crate) fn enter(&self, call: Call) -> UnderWay<'_> {
        let (now, first) = (TICKS.load(Ordering::Relaxed), place());
        let (before, from_first) = self.places.split_at(first);
        // Another thread's, or this one's in a call within a call.
        let free = |place: &&Place| {
            place.since.compare_exchange(0, now, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let place = from_first.iter().chain(before).find(free);
        if let Some(place) = place {
            // Uncontended: only the watchdog looks, four times a second.
            *place.call.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
        }
        UnderWay(place)
    }

    fn overdue(&self, now: u64) -> Option<&'static str> {
        self.places.iter().find_map(|place| {
            let since = place.since.load(Ordering::Relaxed);
            let call = (*place.call.lock().unwrap_or_else(PoisonError::into_inner))?;
            (since != 0 && now.saturating_sub(since) > call.ticks.into()).then_some(call.name)
        })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.since.store(0, Ordering::Release);
        }
    }
}

/// Looks after it for as long as it lives.
pub(crate) fn watch(watched: &Arc<impl Watch + 'static>) {
    let weak: Weak<dyn Watch> = Arc::downgrade(watched) as Weak<dyn Watch>;
    let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
    all.list.push(weak);
    if !all.running {
        let thread = thread::Builder::new().name("ntm-watchdog".into());
        // Without one, calls that hang go unnoticed, and nothing else changes.
        all.running = thread.spawn(look).is_ok();
    }
}

fn look() {
    loop {
        thread::sleep(TICK);
        let now = TICKS.fetch_add(1, Ordering::Relaxed) + 1;
        let alive: Vec<_> = {
            let mut all = WATCHED.lock().unwrap_or_else(PoisonError::into_inner);
            all.list.retain(|weak| weak.strong_count() > 0);
            if all.list.is_empty() {
                all.running = false;
                return;
            }
            all.list.iter().filter_map(Weak::upgrade).collect()
        };
        for watched in alive {
            if let Some(call) = watched.calls().overdue(now) {
                watched.hung(call);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_hangs_is_noticed_whoever_else_comes_and_goes() {
        let calls = Calls::new();
        let hung = calls.enter(Call::quick("hangs"));
        // As many threads as there are places, and more: one of them looks where the
        // first one is.
        thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| drop(calls.enter(Call::quick("comes back"))));
            }
        });
        let late = TICKS.load(Ordering::Relaxed) + 1000;
        assert_eq!(calls.overdue(late), Some("hangs"));
        drop(hung);
        assert_eq!(calls.overdue(late), None);
    }
}
