use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use async_trait::async_trait;

use crate::plugin::{Change, PluginError, Route, Snapshot, Watcher};

/// A watcher of a machine that a test moves about.
pub struct MemoryWatcher(Arc<Mutex<State>>);

/// The machine a [`MemoryWatcher`] watches.
#[derive(Clone)]
pub struct MemoryMachine(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    snapshot: Snapshot,
    /// The way to everywhere, IPv4 and IPv6.
    routes: [Option<Route>; 2],
    events: VecDeque<Change>,
    waiting: Option<Waker>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryWatcher {
    /// A watcher and its machine, which has no interface yet.
    pub fn new() -> (Self, MemoryMachine) {
        let state = Arc::<Mutex<State>>::default();
        (Self(state.clone()), MemoryMachine(state))
    }
}

impl MemoryMachine {
    /// The machine is like this from now on, with these ways to everywhere
    /// (IPv4, IPv6), and the watcher hears of `change`.
    pub fn set(&self, snapshot: Snapshot, routes: [Option<Route>; 2], change: Change) {
        let mut state = lock(&self.0);
        state.snapshot = snapshot;
        state.routes = routes;
        state.events.push_back(change);
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }
}

#[async_trait]
impl Watcher for MemoryWatcher {
    async fn next(&mut self) -> Result<Change, PluginError> {
        poll_fn(|context| {
            let mut state = lock(&self.0);
            match state.events.pop_front() {
                Some(change) => Poll::Ready(Ok(change)),
                None => {
                    state.waiting = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        Ok(lock(&self.0).snapshot.clone())
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        let routes = lock(&self.0).routes;
        Ok(to.iter().map(|ip| routes[usize::from(ip.is_ipv6())]).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn an_event_survives_a_dropped_wait() {
        let (mut watcher, machine) = MemoryWatcher::new();
        let mut context = Context::from_waker(Waker::noop());
        assert!(pin!(watcher.next()).poll(&mut context).is_pending());
        machine.set(Snapshot::default(), [None, None], Change::Link);
        assert_eq!(pin!(watcher.next()).poll(&mut context), Poll::Ready(Ok(Change::Link)));
        assert!(pin!(watcher.next()).poll(&mut context).is_pending());
    }
}
