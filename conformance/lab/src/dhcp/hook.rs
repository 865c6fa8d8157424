//! The script that busybox's client calls, which is the running program itself:
//! no shell and no `ip` are needed.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::process::exit;

use ipnet::{IpNet, Ipv4Net};

use crate::error::{Error, Result};
use crate::family::Family;
use crate::netlink::Netlink;

/// Set for the client, inherited by its script: the metric of the default route.
pub(super) const METRIC: &str = "NTM_LAB_DHCP_METRIC";

/// If we are called as the client's script, does what it asks for and ends.
pub(crate) fn run_if_called() {
    let Ok(metric) = env::var(METRIC) else { return };
    let event = env::args().nth(1).unwrap_or_default();
    exit(match run(&event, metric.parse().unwrap_or(0)) {
        Ok(()) => 0,
        Err(error) => {
            crate::sandbox::complain(&format!("DHCP {event}: {error}"));
            1
        }
    })
}

/// The events and variables of busybox's `udhcpc`.
fn run(event: &str, metric: u32) -> Result<()> {
    let interface = variable("interface")?;
    let netlink = Netlink::here()?;
    match event {
        "deconfig" => netlink.flush_family(&interface, Family::V4),
        "bound" | "renew" => {
            let (address, router) = lease()?;
            let held = netlink.addresses(&interface)?;
            // A renewed lease leaves what is there alone.
            if !held.iter().any(|held| held.net == address) {
                netlink.flush_family(&interface, Family::V4)?;
                netlink.add_address(&interface, address)?;
            }
            match router {
                Some(router) => netlink.add_default_route(router, &interface, metric),
                None => Ok(()),
            }
        }
        // Nothing to be done about a refusal: the client goes on asking.
        _ => Ok(()),
    }
}

fn lease() -> Result<(IpNet, Option<IpAddr>)> {
    let bad = |what: &str| Error::wrong(format!("the lease has no usable {what}"));
    let ip: Ipv4Addr = variable("ip")?.parse().map_err(|_| bad("address"))?;
    let mask: Ipv4Addr = variable("subnet")?.parse().map_err(|_| bad("subnet mask"))?;
    let net = Ipv4Net::with_netmask(ip, mask).map_err(|_| bad("subnet mask"))?;
    let routers = env::var("router").unwrap_or_default();
    let router = routers.split_whitespace().next().and_then(|router| router.parse().ok());
    Ok((net.into(), router))
}

fn variable(name: &str) -> Result<String> {
    env::var(name).map_err(|_| Error::wrong(format!("the client did not say {name:?}")))
}
