//! Finding out how a network of IPv6 alone reaches IPv4: its resolver is asked for a
//! name that has addresses of IPv4 alone, and shows the translator's prefix in what it
//! makes of them (RFC 7050).

use std::io;
use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs as _};
use std::thread;
use std::time::Duration;

use ntm_core::address::Nat64;
use ntm_core::plugin::Snapshot;
use tokio::sync::mpsc;
use tracing::{debug, info};

/// RFC 7050, section 8.
const NAME: &str = "ipv4only.arpa";

/// A new network's resolver may be known only after its addresses.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_secs(1);

type Resolve = fn() -> io::Result<Vec<Ipv6Addr>>;

/// The question, asked once in each network of IPv6 alone.
pub(super) struct Search {
    resolve: Resolve,
    /// The addresses in the network that is asked about.
    network: Vec<IpAddr>,
    /// Where the question under way was asked. One at a time: it may take long.
    asked: Option<Vec<IpAddr>>,
    answer: mpsc::UnboundedSender<Option<Nat64>>,
    answers: mpsc::UnboundedReceiver<Option<Nat64>>,
}

impl Default for Search {
    fn default() -> Self {
        Self::by(ask_the_system)
    }
}

impl Search {
    fn by(resolve: Resolve) -> Self {
        let (answer, answers) = mpsc::unbounded_channel();
        Self { resolve, network: Vec::new(), asked: None, answer, answers }
    }

    /// The addresses are these now; asks if that is another network of IPv6 alone.
    pub(super) fn look(&mut self, ipv6_only: bool, snapshot: &Snapshot) {
        let network = if ipv6_only { addresses(snapshot) } else { Vec::new() };
        if network != self.network {
            self.network = network;
            self.ask();
        }
    }

    /// The answer, when there is one. Cancel safe.
    pub(super) async fn found(&mut self) -> Option<Nat64> {
        loop {
            let answer = self.answers.recv().await.flatten();
            let asked = self.asked.take();
            if asked.is_some_and(|asked| asked == self.network) {
                match &answer {
                    Some(nat64) => info!(prefix = %nat64, "this network reaches IPv4 by NAT64"),
                    None => debug!("this network reaches no IPv4"),
                }
                return answer;
            }
            // Moved on meanwhile.
            self.ask();
        }
    }

    fn ask(&mut self) {
        if self.network.is_empty() || self.asked.is_some() {
            return;
        }
        let (resolve, answer) = (self.resolve, self.answer.clone());
        let ask = move || {
            let _node_has_gone = answer.send(search(resolve));
        };
        // A thread of its own, which nobody waits for: the system may take its time.
        let started = thread::Builder::new().name("ntm-resolver".into()).spawn(ask);
        self.asked = started.is_ok().then(|| self.network.clone());
    }
}

fn search(resolve: Resolve) -> Option<Nat64> {
    for again in 0..TRIES {
        if again > 0 {
            thread::sleep(BETWEEN);
        }
        if let Ok(addresses) = resolve() {
            return Nat64::shown_by(&addresses);
        }
    }
    None
}

fn ask_the_system() -> io::Result<Vec<Ipv6Addr>> {
    let of_ipv6 = |addr: std::net::SocketAddr| match addr.ip() {
        IpAddr::V6(ipv6) => Some(ipv6),
        IpAddr::V4(_) => None,
    };
    Ok((NAME, 0).to_socket_addrs()?.filter_map(of_ipv6).collect())
}

fn addresses(snapshot: &Snapshot) -> Vec<IpAddr> {
    let interfaces = snapshot.interfaces.iter().filter(|it| it.running && !it.loopback);
    let usable = interfaces.flat_map(|it| &it.addresses).filter(|address| address.usable);
    let mut all: Vec<_> = usable.map(|address| address.ip).collect();
    all.sort_unstable();
    all
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use ntm_core::plugin::{LocalAddress, LocalInterface};

    use super::*;

    fn snapshot(ip: &str) -> Snapshot {
        let ip = ip.parse().unwrap();
        let address = LocalAddress { ip, prefix: 64, usable: true, preferred: true };
        let interface = LocalInterface {
            index: 2,
            name: "eth0".into(),
            running: true,
            generation: 0,
            loopback: false,
            addresses: vec![address],
        };
        Snapshot { interfaces: vec![interface] }
    }

    /// With a resolver that knows nothing at first.
    fn hesitant() -> io::Result<Vec<Ipv6Addr>> {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => Err(io::ErrorKind::NotConnected.into()),
            _ => Ok(vec![Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0xaa)]),
        }
    }

    fn none() -> io::Result<Vec<Ipv6Addr>> {
        Ok(Vec::new())
    }

    #[tokio::test]
    async fn each_network_of_ipv6_alone_is_asked_once() {
        let mut search = Search::by(hesitant);
        search.look(false, &snapshot("192.0.2.1"));
        assert_eq!(search.asked, None);
        search.look(true, &snapshot("2001:db8::1"));
        let found = search.found().await.map(|nat64| nat64.to_string());
        assert_eq!(found.as_deref(), Some("64:ff9b::/96"));
        search.look(true, &snapshot("2001:db8::1"));
        assert_eq!(search.asked, None, "nothing has changed");
        search.look(true, &snapshot("2001:db8:1::1"));
        assert!(search.found().await.is_some());
    }

    #[tokio::test]
    async fn an_answer_of_the_network_before_is_of_no_use() {
        let mut search = Search::by(none);
        search.look(true, &snapshot("2001:db8::1"));
        search.resolve = || Ok(vec![Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0xab)]);
        search.look(true, &snapshot("2001:db8:1::1"));
        assert!(search.found().await.is_some(), "asked again in the new one");
        search.resolve = none;
        search.look(true, &snapshot("2001:db8:2::1"));
        assert_eq!(search.found().await, None);
    }
}
