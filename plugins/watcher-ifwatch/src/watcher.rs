use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use async_trait::async_trait;
use if_watch::IfEvent;
use ntm_core::plugin::{Change, Fault, PluginError, Route, Snapshot, Watcher};
use tokio::runtime::Handle;

use crate::{Config, route, system};

/// Wakes when if-watch does, and asks the system.
pub struct IfwatchWatcher {
    events: Stream<if_watch::tokio::IfWatcher>,
    #[cfg(target_os = "macos")]
    system: crate::macos::RouteSocket,
}

impl IfwatchWatcher {
    /// Watches from now on; the first changes are the addresses that there are.
    /// Must be called inside a tokio runtime with I/O enabled, which drives it.
    ///
    /// # Errors
    /// The system refuses if-watch what it needs.
    pub fn open(_: Config) -> Result<Self, PluginError> {
        if Handle::try_current().is_err() {
            let message = "the watcher was opened outside a tokio runtime";
            return Err(PluginError::new(Fault::System, message, "open it from an async task"));
        }
        let events = if_watch::tokio::IfWatcher::new().map_err(|error| {
            let remedy = "allow the process netlink sockets, or choose the watcher `poll`";
            PluginError::io("start if-watch", &error, remedy)
        })?;
        #[cfg(target_os = "macos")]
        let system = crate::macos::RouteSocket::open().map_err(|error| {
            let remedy = "raise the limit of open files, or choose the watcher `poll`";
            PluginError::io("open a routing socket", &error, remedy)
        })?;
        Ok(Self {
            events: Stream::Live(events),
            #[cfg(target_os = "macos")]
            system,
        })
    }
}

#[async_trait]
impl Watcher for IfwatchWatcher {
    async fn next(&mut self) -> Result<Change, PluginError> {
        poll_fn(|context| {
            #[cfg(target_os = "macos")]
            if let Poll::Ready(change) = self.system.poll_change(context) {
                let remedy = "open the watcher anew";
                let told = |error| PluginError::io("hear of changes of routes", &error, remedy);
                return Poll::Ready(change.map_err(told));
            }
            self.events.poll_change(context)
        })
        .await
    }

    async fn snapshot(&mut self) -> Result<Snapshot, PluginError> {
        system::interfaces()
    }

    async fn routes(&mut self, to: &[IpAddr]) -> Result<Vec<Option<Route>>, PluginError> {
        let now = system::interfaces()?;
        to.iter().map(|&to| route::route(to, &now.interfaces)).collect()
    }
}

/// The events of if-watch until the first error.
enum Stream<E> {
    Live(E),
    /// Its own end it does not keep: it goes on with the same error, at once,
    /// for as long as it is asked.
    Dead(PluginError),
}

/// What a [`Stream`] reads.
trait Events {
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<io::Result<IfEvent>>;
}

impl Events for if_watch::tokio::IfWatcher {
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<io::Result<IfEvent>> {
        self.poll_if_event(context)
    }
}

impl<E: Events> Stream<E> {
    /// The next change; what is there already is taken together.
    fn poll_change(&mut self, context: &mut Context<'_>) -> Poll<Result<Change, PluginError>> {
        let events = match self {
            Self::Live(events) => events,
            Self::Dead(error) => return Poll::Ready(Err(error.clone())),
        };
        let mut change = Poll::Pending;
        for _ in 0..BURST {
            match events.poll_event(context) {
                Poll::Pending => break,
                Poll::Ready(Ok(_)) => change = Poll::Ready(Ok(Change::Address)),
                Poll::Ready(Err(error)) => {
                    let remedy = "open the watcher anew";
                    let error = PluginError::io("hear of changes from if-watch", &error, remedy);
                    // A change before it is told first.
                    if change.is_pending() {
                        change = Poll::Ready(Err(error.clone()));
                    }
                    *self = Self::Dead(error);
                    break;
                }
            }
        }
        change
    }
}

/// Events that one change stands for at most.
pub(crate) const BURST: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// Tells what it was given, then what if-watch does when its socket is gone.
    #[derive(Default)]
    struct Script {
        events: VecDeque<Poll<io::Result<IfEvent>>>,
        asked_after_end: usize,
    }

    impl Events for &mut Script {
        fn poll_event(&mut self, _: &mut Context<'_>) -> Poll<io::Result<IfEvent>> {
            self.events.pop_front().unwrap_or_else(|| {
                self.asked_after_end += 1;
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            })
        }
    }

    fn up() -> Poll<io::Result<IfEvent>> {
        Poll::Ready(Ok(IfEvent::Up("192.0.2.1/24".parse().unwrap())))
    }

    #[test]
    fn a_burst_is_one_change() {
        let mut script = Script {
            events: [up(), up(), Poll::Pending, Poll::Pending].into(),
            ..Default::default()
        };
        let mut stream = Stream::Live(&mut script);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(stream.poll_change(&mut context), Poll::Ready(Ok(Change::Address)));
        assert!(stream.poll_change(&mut context).is_pending());
    }

    #[test]
    fn after_the_first_error_if_watch_is_asked_no_more() {
        let mut script = Script { events: [up()].into(), ..Default::default() };
        let mut stream = Stream::Live(&mut script);
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(stream.poll_change(&mut context), Poll::Ready(Ok(Change::Address)));
        for _ in 0..3 {
            let Poll::Ready(Err(error)) = stream.poll_change(&mut context) else {
                panic!("the error is not told")
            };
            assert!(error.message.contains("if-watch") && error.remedy.contains("anew"), "{error}");
        }
        drop(stream);
        assert_eq!(script.asked_after_end, 1);
    }

    #[test]
    fn it_refuses_to_open_outside_a_runtime_instead_of_panicking() {
        let error = IfwatchWatcher::open(Config::default()).err().unwrap();
        assert!(error.message.contains("runtime"), "{error}");
    }
}
