//! The network that everything is measured in.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::{IpNet, Ipv4Net};
use ntm_lab::scenario::until;
use ntm_lab::{Error, Netns, Process, Result, Tools};

/// How the two ends are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// By one cable.
    Direct,
    /// Each to a third machine, which forwards nothing but what a relay on it does.
    Relayed,
}

/// What the cables can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cable {
    /// All that a veth pair can: it hands super-packets on unsplit.
    Offload,
    /// Each packet by itself, as with a plain network card: no TSO, no GSO, no UDP
    /// segmentation, no GRO.
    Plain,
}

/// Two ends and a hub. Tunnels are between the ends; on the hub is what they need
/// besides.
///
/// Direct: left 203.0.113.1 — right 203.0.113.2, and the hub 198.51.100.2 behind
/// left, so that what is said to it never takes another way between the ends.
/// Relayed: left 203.0.113.1 — hub — right 198.51.100.1; the hub is `.254` in both.
pub(crate) struct Bed {
    pub(crate) left: Netns,
    pub(crate) right: Netns,
    pub(crate) hub: Netns,
    pub(crate) way: Way,
    pub(crate) cable: Cable,
    /// Left's address on the cable.
    pub(crate) left_address: Ipv4Addr,
    /// Right's address on the cable.
    pub(crate) right_address: Ipv4Addr,
    /// Where both ends reach the hub.
    pub(crate) hub_address: Ipv4Addr,
}

/// Of every cable, in bytes.
pub(crate) const CABLE_MTU: u32 = 1500;
/// Of every tunnel that lets us choose: what `ntm` has.
pub(crate) const INNER_MTU: u32 = 1400;

const NEAR: [u8; 3] = [203, 0, 113];
const OTHER: [u8; 3] = [192, 0, 2];
const FAR: [u8; 3] = [198, 51, 100];

impl Bed {
    pub(crate) fn new(way: Way, cable: Cable) -> Result<Self> {
        let (left, right, hub) = (Netns::new("left")?, Netns::new("right")?, Netns::new("hub")?);
        let (right_address, hub_address) = match way {
            Way::Direct => (at(NEAR, 2), at(FAR, 2)),
            Way::Relayed => (at(FAR, 1), at(NEAR, 254)),
        };
        let left_address = at(NEAR, 1);
        let this = Self { left, right, hub, way, cable, left_address, right_address, hub_address };
        match way {
            Way::Direct => {
                this.join((&this.left, "wire", at(NEAR, 1)), (&this.right, "wire", at(NEAR, 2)))?;
                this.join((&this.left, "side", at(FAR, 1)), (&this.hub, "side", at(FAR, 2)))?;
                this.left.set_sysctl("net.ipv4.ip_forward", 1)?;
                this.right.netlink().add_default_route(at(NEAR, 1).into(), "wire", 0)?;
                this.hub.netlink().add_default_route(at(FAR, 1).into(), "side", 0)?;
            }
            Way::Relayed => {
                this.join((&this.left, "wire", at(NEAR, 1)), (&this.hub, "near", at(NEAR, 254)))?;
                this.join((&this.right, "wire", at(FAR, 1)), (&this.hub, "far", at(FAR, 254)))?;
                this.left.netlink().add_default_route(at(NEAR, 254).into(), "wire", 0)?;
                this.right.netlink().add_default_route(at(FAR, 254).into(), "wire", 0)?;
            }
        }
        for end in [&this.left, &this.right] {
            // For echoes without rights that only raw sockets need.
            end.set_sysctl("net.ipv4.ping_group_range", "0 0")?;
        }
        Ok(this)
    }

    fn join(&self, one: (&Netns, &str, Ipv4Addr), other: (&Netns, &str, Ipv4Addr)) -> Result<()> {
        one.0.netlink().add_veth(one.1, other.1, other.0)?;
        for (machine, interface, address) in [one, other] {
            machine.netlink().set_mtu(interface, CABLE_MTU)?;
            machine.netlink().set_up(interface)?;
            machine.netlink().add_address(interface, net(address, 24))?;
        }
        if self.cable == Cable::Plain {
            for (machine, interface, _) in [one, other] {
                split_every_packet(machine, interface)?;
            }
        }
        Ok(())
    }

    /// Two ends and a hub that others have joined, at these addresses.
    pub(crate) fn joined(
        [left, right, hub]: [Netns; 3],
        [left_address, right_address, hub_address]: [Ipv4Addr; 3],
    ) -> Self {
        let (way, cable) = (Way::Direct, Cable::Offload);
        Self { left, right, hub, way, cable, left_address, right_address, hub_address }
    }

    /// The hub routes between the ends, and left has a second cable to it, which is
    /// not in use.
    pub(crate) fn routed() -> Result<Self> {
        let mut this = Self::new(Way::Relayed, Cable::Offload)?;
        this.way = Way::Direct;
        let other = (&this.hub, "other", at(OTHER, 254));
        this.join((&this.left, UPLINKS[1], at(OTHER, 1)), other)?;
        this.leave(UPLINKS[1])?;
        this.hub.set_sysctl("net.ipv4.ip_forward", 1)?;
        Ok(this)
    }

    /// Left moves to its other cable, of [`UPLINKS`]: first it has no network, then
    /// another address.
    pub(crate) fn move_left(&self, from: usize, to: usize) -> Result<()> {
        self.leave(UPLINKS[from])?;
        let (interface, network) = (UPLINKS[to], [NEAR, OTHER][to]);
        let netlink = self.left.netlink();
        netlink.add_address(interface, net(at(network, 1), 24))?;
        netlink.add_default_route(at(network, 254).into(), interface, 0)
    }

    /// The cable itself stays in: news of carriers are up to a second late.
    fn leave(&self, interface: &str) -> Result<()> {
        self.left.netlink().flush_routes(interface)?;
        self.left.netlink().flush_addresses(interface)
    }
}

/// Left's cables.
pub(crate) const UPLINKS: [&str; 2] = ["wire", "spare"];

/// Gives a tunnel's device, once it is there, its size and address, and sets it up.
pub(crate) fn dress(machine: &Netns, device: &str, address: Ipv4Addr) -> Result<()> {
    let netlink = machine.netlink();
    until(&format!("the device {device}"), Duration::from_secs(10), || {
        Ok(netlink.interface(device).ok())
    })?;
    netlink.set_mtu(device, INNER_MTU)?;
    netlink.set_up(device)?;
    netlink.add_address(device, net(address, 24))
}

fn split_every_packet(machine: &Netns, interface: &str) -> Result<()> {
    let mut command = Command::new(program("ethtool")?);
    command.args(["-K", interface, "tso", "off", "gso", "off", "gro", "off"]);
    command.args(["tx-udp-segmentation", "off"]);
    finish(Process::start(machine, command)?, Duration::from_secs(5)).map(drop)
}

/// Waits for a program that must succeed, and returns what it wrote to standard
/// output.
pub(crate) fn finish(mut process: Process, limit: Duration) -> Result<String> {
    let status = process.wait(limit)?;
    let said = |from_stderr: bool| {
        let lines = process.lines().into_iter().filter(|line| line.from_stderr == from_stderr);
        lines.map(|line| line.text + "\n").collect::<String>()
    };
    if status.success() {
        return Ok(said(false));
    }
    let (error, output) = (said(true), said(false));
    let words = if error.trim().is_empty() { output } else { error };
    // The rest is for somebody who tries it by hand.
    let first = words.trim().lines().next().unwrap_or_default();
    Err(Error::Wrong(format!("it ended with {status}: {first}")))
}

/// A program of somebody else's.
pub(crate) fn program(name: &str) -> Result<std::path::PathBuf> {
    Tools::find(name).ok_or_else(|| Error::Missing {
        what: name.to_owned(),
        remedy: "install it to have it measured".to_owned(),
    })
}

/// Says which step it was that the system refused.
pub(crate) fn doing(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    move |source| Error::System { what, source }
}

pub(crate) fn at([a, b, c]: [u8; 3], last: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, last)
}

pub(crate) fn net(address: Ipv4Addr, length: u8) -> IpNet {
    Ipv4Net::new_assert(address, length).into()
}
