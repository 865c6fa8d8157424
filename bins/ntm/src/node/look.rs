//! Asking the watcher how the network is.

use std::net::IpAddr;
use std::time::Duration;

use ntm_core::Time;
use ntm_core::machine::{EffectId, Outcome};
use ntm_core::plugin::{Change, PluginError};
use ntm_core::terminal::Terminal;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Node;
use super::machines::Asker;
use crate::clock;
use crate::error::{Exit, StartError};

/// DHCP clients add an address and its route in two steps: after an event, look
/// again this much later.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Routes that the watcher could not tell are asked for again this much later.
const ROUTES_AGAIN: Duration = Duration::from_millis(500);
/// A watcher that takes longer is not waited for.
const WATCHER_PATIENCE: Duration = Duration::from_millis(500);

impl Node {
    /// The watcher has something to say: look at once, and again in a moment.
    pub(super) async fn changed(&mut self, change: Result<Change, PluginError>) {
        let now = clock::now();
        match change {
            Ok(change) => {
                debug!(?change, "addresses, links or routes changed");
                self.handovers.note_event(now);
                self.look(now).await;
                self.waiting.look = Some(clock::now() + LOOK_AGAIN);
            }
            Err(error) => {
                self.waiting.fatal = Some(StartError {
                    exit: Exit::Failed,
                    message: format!("the watcher is blind: {error}"),
                });
            }
        }
    }

    /// Asks the system what the addresses and routes are now.
    pub(super) async fn look(&mut self, now: Time) {
        let destinations = self.machines.destinations();
        let (watcher, machines) = (&mut self.watcher, &self.machines);
        let looked = timeout(WATCHER_PATIENCE, async {
            let snapshot = watcher.snapshot().await?;
            let mut routes = watcher.routes(&destinations).await?;
            if routes.iter().any(Option::is_some) && routes.iter().any(Option::is_none) {
                // A route may have come between two answers, and the rest would
                // look like a second move.
                routes = watcher.routes(&destinations).await?;
            }
            let routes: Vec<_> = destinations.into_iter().zip(routes).collect();
            let mut links = Vec::new();
            for (link, to) in machines.links_in_question(&snapshot, &routes) {
                let by_it = watcher.routes_by(link, &to).await?;
                links.extend(to.into_iter().zip(by_it).filter_map(|(ip, way)| Some((ip, way?))));
            }
            Ok::<_, PluginError>((snapshot, routes, links))
        });
        match looked.await {
            Ok(Ok((snapshot, routes, links))) => {
                let source = routes.iter().find_map(|(_, route)| Some(route.as_ref()?.source));
                self.handovers.note_source(source);
                self.waiting.snapshot.clone_from(&snapshot);
                self.machines.handle_addresses(now, &snapshot, &routes, links);
                self.tell_of_overlap();
                let ipv6_only = self.machines.terminal.as_ref().is_some_and(Terminal::is_ipv6_only);
                self.waiting.nat64.look(ipv6_only, &self.waiting.snapshot);
                for (asker, id, ips) in std::mem::take(&mut self.waiting.unanswered) {
                    self.answer_routes(now, asker, id, ips).await;
                }
                return;
            }
            Ok(Err(error)) => warn!(%error, "the watcher cannot tell the addresses"),
            Err(_) => warn!("the watcher does not answer"),
        }
        if !self.waiting.unanswered.is_empty() {
            // Machines do not ask twice.
            self.waiting.look.get_or_insert(clock::now() + ROUTES_AGAIN);
        }
    }

    /// Answers a question about routes. A watcher that does not know is asked
    /// again shortly: "no route" would be believed until the next move.
    pub(super) async fn answer_routes(
        &mut self,
        now: Time,
        asker: Asker,
        id: EffectId,
        ips: Vec<IpAddr>,
    ) {
        // One that did not answer just now would only take up more time.
        if self.waiting.unanswered.is_empty() {
            match timeout(WATCHER_PATIENCE, self.watcher.routes(&ips)).await {
                Ok(Ok(routes)) => {
                    let outcome = Outcome::Routed(ips.into_iter().zip(routes).collect());
                    return self.machines.handle_outcome(now, asker, id, outcome);
                }
                Ok(Err(error)) => debug!(%error, "the watcher cannot tell the routes"),
                Err(_) => debug!("the watcher does not tell the routes"),
            }
        }
        self.waiting.unanswered.push((asker, id, ips));
        let again = clock::now() + ROUTES_AGAIN;
        self.waiting.look = Some(self.waiting.look.map_or(again, |look| look.min(again)));
    }
}
