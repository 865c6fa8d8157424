use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use ipnet::IpNet;
use rtnetlink::packet_route::RouteNetlinkMessage;

use crate::dhcp::Client;
use crate::error::Result;
use crate::netlink::{Interface, Listener, Stop};
use crate::netns::Netns;
use crate::tools::Tools;

/// What a network manager does for one interface: takes its addresses, routes
/// and neighbours away when the carrier is lost, and gives it those of the plan
/// when there is one.
pub(super) struct Manager {
    shared: Arc<Shared>,
    has_client: bool,
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

/// What an interface gets.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) addresses: Vec<IpNet>,
    pub(super) gateways: Vec<IpAddr>,
    /// IPv4 comes from a DHCP server.
    pub(super) dhcp: bool,
}

#[derive(Default)]
struct Shared {
    plan: Mutex<Plan>,
    complaint: Mutex<Option<String>>,
}

impl Manager {
    pub(super) fn start(
        netns: &Netns,
        interface: &str,
        metric: u32,
        tools: &Tools,
    ) -> Result<Self> {
        let listener = Listener::open(netns)?;
        let stop = listener.stop();
        let shared = Arc::<Shared>::default();
        let has_client = tools.udhcpc.is_some();
        let mut worker = Worker {
            shared: shared.clone(),
            netns: netns.clone(),
            interface: interface.to_owned(),
            metric,
            tools: tools.clone(),
            running: false,
            client: None,
        };
        let index = netns.netlink().index(interface)?;
        let thread = thread::spawn(move || {
            listener.run(|_, message| {
                if let Some(RouteNetlinkMessage::NewLink(link)) = message
                    && link.header.index == index
                {
                    worker.hear(Interface::from(link).running);
                }
            });
        });
        Ok(Self { shared, has_client, stop, thread: Some(thread) })
    }

    /// What the interface gets from its next carrier on.
    pub(super) fn plan(&self, plan: Plan) {
        *lock(&self.shared.plan) = plan;
        *lock(&self.shared.complaint) = None;
    }

    pub(super) fn has_client(&self) -> bool {
        self.has_client
    }

    /// What went wrong since the last plan.
    pub(super) fn complaint(&self) -> Option<String> {
        lock(&self.shared.complaint).clone()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop.now();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    netns: Netns,
    interface: String,
    metric: u32,
    tools: Tools,
    running: bool,
    client: Option<Client>,
}

impl Worker {
    fn hear(&mut self, running: bool) {
        if running == self.running {
            return;
        }
        self.running = running;
        let done = if running { self.configure() } else { self.clear() };
        if let Err(error) = done {
            *lock(&self.shared.complaint) = Some(format!("({error})"));
        }
    }

    fn configure(&mut self) -> Result<()> {
        let plan = lock(&self.shared.plan).clone();
        let netlink = self.netns.netlink();
        if plan.dhcp {
            self.client = Client::start(&self.tools, &self.netns, &self.interface, self.metric)?;
        }
        for address in plan.addresses {
            netlink.add_address(&self.interface, address)?;
        }
        for gateway in plan.gateways {
            netlink.add_default_route(gateway, &self.interface, self.metric)?;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        self.client = None;
        let netlink = self.netns.netlink();
        // Each of them, whatever becomes of the others.
        let routes = netlink.flush_routes(&self.interface);
        let addresses = netlink.flush_addresses(&self.interface);
        netlink.flush_neighbours(&self.interface).and(addresses).and(routes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
