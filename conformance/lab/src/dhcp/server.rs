use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::error::{Doing, Result};
use crate::netns::Netns;
use crate::process::Process;
use crate::tools::Tools;

/// A DHCP server on one interface of a router.
#[derive(Debug)]
pub struct Server(Process);

impl Server {
    /// Starts one that hands out the addresses `first` to `last`, with the
    /// router's own address, given with the subnet's prefix, as the default
    /// route. `None` if none is installed.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        tools: &Tools,
        netns: &Netns,
        interface: &str,
        router: Ipv4Net,
        (first, last): (Ipv4Addr, Ipv4Addr),
    ) -> Result<Option<Self>> {
        let command = if let Some(udhcpd) = &tools.udhcpd {
            Self::udhcpd(udhcpd, netns, interface, router, (first, last))?
        } else if let Some(dnsmasq) = &tools.dnsmasq {
            Self::dnsmasq(dnsmasq, netns, interface, router, (first, last))
        } else {
            return Ok(None);
        };
        let process = Process::start(netns, command)?;
        // Who asks a server that does not listen yet waits a second.
        process.wait_for_line("started", Duration::from_secs(5))?;
        Ok(Some(Self(process)))
    }

    /// What it has said: whom it gave which address.
    pub fn process(&self) -> &Process {
        &self.0
    }

    fn udhcpd(
        program: &Path,
        netns: &Netns,
        interface: &str,
        router: Ipv4Net,
        (first, last): (Ipv4Addr, Ipv4Addr),
    ) -> Result<Command> {
        let file = |kind: &str| format!("/run/udhcpd-{}-{interface}.{kind}", netns.name());
        let configuration = format!(
            "interface {interface}\nstart {first}\nend {last}\npidfile {}\nlease_file {}\n\
             option router {}\noption subnet {}\noption lease {LEASE_SECONDS}\n",
            file("pid"),
            file("leases"),
            router.addr(),
            router.netmask(),
        );
        for (kind, text) in [("conf", configuration.as_str()), ("leases", "")] {
            fs::write(file(kind), text).doing(|| format!("write {}", file(kind)))?;
        }
        let mut command = Command::new(program);
        // By default it asks for two seconds whether an address is in use.
        command.args(["-f", "-a", "1", &file("conf")]);
        Ok(command)
    }

    fn dnsmasq(
        program: &Path,
        netns: &Netns,
        interface: &str,
        router: Ipv4Net,
        (first, last): (Ipv4Addr, Ipv4Addr),
    ) -> Command {
        let file = |kind: &str| format!("/run/dnsmasq-{}-{interface}.{kind}", netns.name());
        let mut command = Command::new(program);
        // In the foreground (-d) it does not change its user, which would be
        // refused; nor does it ask whether an address is in use.
        command.args(["-d", "--no-ping", "--dhcp-authoritative", "--port=0"]);
        command.args(["--conf-file=/dev/null", "--bind-interfaces"]);
        command.arg(format!("--interface={interface}"));
        command.arg(format!("--dhcp-range={first},{last},{},{LEASE_SECONDS}", router.netmask()));
        command.arg(format!("--dhcp-option=option:router,{}", router.addr()));
        command.arg(format!("--dhcp-leasefile={}", file("leases")));
        command.arg(format!("--pid-file={}", file("pid")));
        command
    }
}

/// Longer than any scenario.
const LEASE_SECONDS: u32 = 3600;
