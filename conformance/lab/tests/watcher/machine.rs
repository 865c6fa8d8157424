use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use ntm_lab::{Netlink, Netns};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, CacheInfo};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::rule::RuleAction;
use rtnetlink::{Handle, RouteMessageBuilder};
use tokio::runtime::{Builder, Runtime};

/// A laptop with two ways out, each with addresses and a default route of both
/// IP versions; the Wi-Fi's routes are preferred.
pub(crate) struct Machine {
    pub(crate) netns: Netns,
    /// The other ends of both ways: `wifi` and `lte`.
    pub(crate) far: Netns,
    pub(crate) handle: Handle,
    pub(crate) runtime: Runtime,
}

pub(crate) const WIFI: &str = "wifi0";
pub(crate) const LTE: &str = "lte0";
pub(crate) const WIFI_IP: &str = "10.0.1.2";
pub(crate) const LTE_IP: &str = "10.0.2.2";
pub(crate) const WIFI_IP6: &str = "2001:db8:1::2";
pub(crate) const LTE_IP6: &str = "2001:db8:2::2";
/// Somebody out there.
pub(crate) const DC: &str = "203.0.113.1";
pub(crate) const DC6: &str = "2001:db8:ffff::1";

/// Runs a test on a thread inside a new machine.
pub(crate) fn on_a_machine(test: impl FnOnce(&Machine) + Send) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let netns = Netns::new(&format!("mn{number}")).unwrap();
    let far = Netns::new(&format!("far{number}")).unwrap();
    netns.run(|| test(&Machine::new(netns.clone(), far)));
}

/// An address with all that it may have.
pub(crate) struct Spec {
    net: IpNet,
    peer: Option<IpAddr>,
    flags: AddressFlags,
    lifetimes: Option<(u32, u32)>,
}

impl Spec {
    /// Just the address, without a look for duplicates.
    pub(crate) fn new(net: &str) -> Self {
        let flags = AddressFlags::Nodad;
        Self { net: net.parse().unwrap(), peer: None, flags, lifetimes: None }
    }

    pub(crate) fn peer(self, peer: &str) -> Self {
        Self { peer: Some(peer.parse().unwrap()), ..self }
    }

    pub(crate) fn flags(self, flags: AddressFlags) -> Self {
        Self { flags, ..self }
    }

    /// Seconds for which it is preferred, then valid.
    pub(crate) fn lifetimes(self, preferred: u32, valid: u32) -> Self {
        Self { lifetimes: Some((preferred, valid)), ..self }
    }
}

impl Machine {
    fn new(netns: Netns, far: Netns) -> Self {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let inside = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        drop(inside);
        runtime.spawn(connection);
        let this = Self { netns, far, handle, runtime };
        for (name, far) in [(WIFI, "wifi"), (LTE, "lte")] {
            this.netlink().add_veth(name, far, &this.far).unwrap();
            this.far.netlink().set_up(far).unwrap();
            this.netlink().set_up(name).unwrap();
        }
        for (name, ip, ip6) in [(WIFI, WIFI_IP, WIFI_IP6), (LTE, LTE_IP, LTE_IP6)] {
            this.add(name, Spec::new(&format!("{ip}/24")));
            this.add(name, Spec::new(&format!("{ip6}/64")));
        }
        this.default_routes(WIFI, 100);
        this.default_routes(LTE, 200);
        this
    }

    pub(crate) fn netlink(&self) -> &Netlink {
        self.netns.netlink()
    }

    pub(crate) fn index(&self, name: &str) -> u32 {
        self.netlink().index(name).unwrap()
    }

    /// Adds an address, or changes the one there is.
    pub(crate) fn add(&self, name: &str, spec: Spec) {
        self.try_add(name, &spec).unwrap();
    }

    pub(crate) fn try_add(&self, name: &str, spec: &Spec) -> Result<(), rtnetlink::Error> {
        self.runtime.block_on(self.address_request(self.index(name), spec, true))
    }

    /// Takes the address away.
    pub(crate) fn remove(&self, name: &str, spec: Spec) {
        self.try_remove(name, &spec).unwrap();
    }

    pub(crate) fn try_remove(&self, name: &str, spec: &Spec) -> Result<(), rtnetlink::Error> {
        self.runtime.block_on(self.address_request(self.index(name), spec, false))
    }

    /// What `try_add` or, without `add`, `try_remove` does once it is awaited.
    pub(crate) fn address_request(
        &self,
        index: u32,
        spec: &Spec,
        add: bool,
    ) -> impl Future<Output = Result<(), rtnetlink::Error>> + use<> {
        let addresses = self.handle.address();
        let mut request = addresses.add(index, spec.net.addr(), spec.net.prefix_len()).replace();
        let attributes = &mut request.message_mut().attributes;
        if let Some(peer) = spec.peer {
            use AddressAttribute::{Address, Local};
            attributes.retain(|one| !matches!(one, Address(_) | Local(_)));
            attributes.extend([Local(spec.net.addr()), Address(peer)]);
        }
        attributes.push(AddressAttribute::Flags(spec.flags));
        if let Some((preferred, valid)) = spec.lifetimes {
            let mut lifetimes = CacheInfo::default();
            (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (preferred, valid);
            attributes.push(AddressAttribute::CacheInfo(lifetimes));
        }
        let message = request.message_mut().clone();
        async move { if add { request.execute().await } else { addresses.del(message).execute().await } }
    }

    /// How the kernel itself marks an address.
    pub(crate) fn flags_of(&self, ip: &str) -> AddressFlags {
        let ip = ip.parse().unwrap();
        let get = self.handle.address().get().set_address_filter(ip).execute();
        let found: Vec<_> = self.runtime.block_on(get.try_collect()).unwrap();
        let mut attributes = found.into_iter().flat_map(|message| message.attributes);
        let flags = attributes.find_map(|one| {
            if let AddressAttribute::Flags(flags) = one { Some(flags) } else { None }
        });
        flags.expect("the address is there")
    }

    /// Default routes of both IP versions through the routers on this way.
    pub(crate) fn default_routes(&self, name: &str, metric: u32) {
        self.try_default_routes(name, metric).unwrap();
    }

    pub(crate) fn try_default_routes(&self, name: &str, metric: u32) -> ntm_lab::Result<()> {
        let way: u8 = if name == WIFI { 1 } else { 2 };
        let routers = [[10, 0, way, 1].into(), [0x2001, 0xdb8, way.into(), 0, 0, 0, 0, 1].into()];
        routers.map(|via| self.netlink().add_default_route(via, name, metric)).into_iter().collect()
    }

    /// Adds or replaces a route with what `details` adds to it.
    pub(crate) fn route(
        &self,
        to: &str,
        details: impl FnOnce(RouteMessageBuilder<IpAddr>) -> RouteMessage,
    ) {
        let to: IpNet = to.parse().unwrap();
        let route = RouteMessageBuilder::<IpAddr>::new();
        let route = route.destination_prefix(to.network(), to.prefix_len()).unwrap();
        let add = self.handle.route().add(details(route)).replace().execute();
        self.runtime.block_on(add).unwrap();
    }

    /// From now on this table says where packets to this address go.
    pub(crate) fn rule(&self, to: &str, table: u32) {
        let rule =
            self.handle.rule().add().table_id(table).priority(table).action(RuleAction::ToTable);
        let add = async {
            match to.parse().unwrap() {
                IpAddr::V4(to) => rule.v4().destination_prefix(to, 32).execute().await,
                IpAddr::V6(to) => rule.v6().destination_prefix(to, 128).execute().await,
            }
        };
        self.runtime.block_on(add).unwrap();
    }
}
