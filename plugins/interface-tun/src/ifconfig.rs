//! Addresses and routes in the words of macOS' own programs: their requests to the
//! kernel are not the same from one version to the next, the words are.

use ntm_core::address::Prefix;

use crate::settings::{Change, Item};

const IFCONFIG: &str = "/sbin/ifconfig";
const ROUTE: &str = "/sbin/route";

/// A program with what it is to be told.
pub(crate) type Command = Vec<String>;

/// What makes this change to the interface `name`, in order.
pub(crate) fn commands(name: &str, change: &Change) -> Vec<Command> {
    match *change {
        Change::Link { to: Some(mtu), .. } => {
            vec![words(&[IFCONFIG, name, "mtu", &mtu.to_string(), "up"])]
        }
        Change::Link { to: None, .. } => vec![words(&[IFCONFIG, name, "down"])],
        Change::Give(Item::Route(range)) => vec![route(name, "add", range)],
        Change::Take(Item::Route(range)) => vec![route(name, "delete", range)],
        Change::Give(Item::Address(ip, length)) => {
            let text = ip.to_string();
            let address = if ip.is_ipv4() {
                // A point-to-point link needs another end.
                words(&[
                    IFCONFIG,
                    name,
                    "inet",
                    &text,
                    &text,
                    "netmask",
                    "255.255.255.255",
                    "alias",
                ])
            } else {
                words(&[IFCONFIG, name, "inet6", &text, "prefixlen", "128", "alias"])
            };
            let range = Prefix::new(ip, length).filter(is_more_than_an_address);
            std::iter::once(address).chain(range.map(|it| route(name, "add", it))).collect()
        }
        Change::Take(Item::Address(ip, length)) => {
            let family = if ip.is_ipv4() { "inet" } else { "inet6" };
            let address = words(&[IFCONFIG, name, family, &ip.to_string(), "-alias"]);
            let range = Prefix::new(ip, length).filter(is_more_than_an_address);
            range.map(|it| route(name, "delete", it)).into_iter().chain([address]).collect()
        }
    }
}

fn is_more_than_an_address(range: &Prefix) -> bool {
    range.length() < if range.base().is_ipv4() { 32 } else { 128 }
}

fn route(name: &str, what: &str, range: Prefix) -> Command {
    let family = if range.base().is_ipv4() { "-inet" } else { "-inet6" };
    words(&[ROUTE, "-q", "-n", what, family, &range.to_string(), "-interface", name])
}

fn words(words: &[&str]) -> Command {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(change: Change) -> Vec<String> {
        commands("utun9", &change).iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn addresses_come_with_the_route_to_their_range_and_go_with_it() {
        let item = |ip: &str, length| Item::Address(ip.parse().unwrap(), length);
        let give = |ip, length| said(Change::Give(item(ip, length)));
        let take = |ip, length| said(Change::Take(item(ip, length)));
        let v4 = "/sbin/ifconfig utun9 inet 198.18.0.5 198.18.0.5 netmask 255.255.255.255 alias";
        let v6 = "/sbin/ifconfig utun9 inet6 fd00:1::5 prefixlen 128 alias";
        let route = "/sbin/route -q -n add -inet 198.18.0.0/16 -interface utun9";
        assert_eq!(give("198.18.0.5", 16), [v4, route]);
        assert_eq!(give("198.18.0.5", 32), [v4]);
        let route = "/sbin/route -q -n add -inet6 fd00:1::/48 -interface utun9";
        assert_eq!(give("fd00:1::5", 48), [v6, route]);
        assert_eq!(give("fd00:1::5", 128), [v6]);
        let route = "/sbin/route -q -n delete -inet6 fd00:1::/48 -interface utun9";
        assert_eq!(take("fd00:1::5", 48), [route, "/sbin/ifconfig utun9 inet6 fd00:1::5 -alias"]);
        assert_eq!(take("198.18.0.5", 32), ["/sbin/ifconfig utun9 inet 198.18.0.5 -alias"]);
    }

    #[test]
    fn the_link_and_ranges_without_an_address_take_one_command() {
        let range = "198.18.0.0/16".parse().unwrap();
        let link = |from, to| said(Change::Link { from, to });
        assert_eq!(link(None, Some(1400)), ["/sbin/ifconfig utun9 mtu 1400 up"]);
        assert_eq!(link(Some(1400), None), ["/sbin/ifconfig utun9 down"]);
        let route = "/sbin/route -q -n add -inet 198.18.0.0/16 -interface utun9";
        assert_eq!(said(Change::Give(Item::Route(range))), [route]);
    }
}
