use std::collections::BTreeSet;

#[cfg(target_os = "linux")]
use super::machine::Watch;
use super::machine::{LTE, LTE_IP, PEER, PEER6, WIFI, WIFI_IP, ip, open, two_links};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::within;

pub(super) async fn snapshot(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let snapshot = watch.snapshot().await?;
    let indices: BTreeSet<_> = snapshot.interfaces.iter().map(|one| one.index).collect();
    ensure!(indices.len() == snapshot.interfaces.len(), "an interface twice: {snapshot:?}");
    ensure!(!indices.contains(&0), "an interface with index 0: {snapshot:?}");
    let loopback = snapshot.interfaces.iter().find(|one| one.loopback);
    let Some(loopback) = loopback else { return Err(Stop::broken("there is no loopback")) };
    let own = |address: &str| loopback.addresses.iter().any(|it| it.ip == ip(address) && it.usable);
    ensure!(loopback.running && own("127.0.0.1"), "the loopback is {loopback:?}");
    for (name, v4, v6) in [(WIFI, WIFI_IP, "2001:db8:1::2"), (LTE, LTE_IP, "2001:db8:2::2")] {
        let Some(link) = snapshot.interfaces.iter().find(|one| one.name == name) else {
            return Err(Stop::broken(format!("{name} is missing: {snapshot:?}")));
        };
        let index = world.interface(name).map(|(index, _)| index);
        ensure!(Some(link.index) == index, "{name} has index {index:?}, not {}", link.index);
        ensure!(link.running && !link.loopback, "{name} is up and has a carrier: {link:?}");
        for (address, prefix) in [(v4, 24), (v6, 64)] {
            let found = link.addresses.iter().find(|it| it.ip == ip(address));
            let fits = found.is_some_and(|it| it.prefix == prefix && it.usable && it.preferred);
            ensure!(fits, "{name} has {address}/{prefix}, and is told to have {link:?}");
        }
    }
    for _ in 0..5 {
        ensure!(watch.snapshot().await? == snapshot, "the second snapshot is another one");
    }
    Ok(Note::NONE)
}

pub(super) async fn routes(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let to = ["127.0.0.1", PEER, "10.0.2.9", "10.0.1.9", "::1"];
    let sources = ["127.0.0.1", WIFI_IP, LTE_IP, WIFI_IP, "::1"];
    let routes = watch.routes(&to).await?;
    for ((to, source), route) in to.iter().zip(sources).zip(&routes) {
        let found = route.map(|route| route.source);
        ensure!(found == Some(ip(source)), "to {to} the system sends from {source}, not {found:?}");
    }
    let by = |at: usize| routes[at].map(|route| (route.ifindex, route.mtu));
    let (wifi, lte) = (world.interface(WIFI), world.interface(LTE));
    ensure!(
        by(1) == wifi && by(2) == lte,
        "by {:?} and {:?}, not {wifi:?} and {lte:?}",
        by(1),
        by(2)
    );
    ensure!(watch.routes(&[]).await?.is_empty(), "an answer without a question");
    // In the order of the questions, whatever that is.
    let turned: Vec<_> = to.iter().rev().copied().collect();
    let mut answers = watch.routes(&turned).await?;
    answers.reverse();
    ensure!(answers == routes, "other answers to the same questions in another order");
    // Without a way there is none.
    world.flush_routes(WIFI)?;
    world.flush_routes(LTE)?;
    for peer in [PEER, PEER6] {
        let source = watch.source(peer).await?;
        ensure!(source.is_none(), "nothing leads to {peer}, and {source:?} is told");
    }
    Ok(Note::NONE)
}

#[cfg(target_os = "linux")]
pub(super) async fn tunnels(case: &Case) -> Verdict {
    use ntm_core::plugin::{Interface as _, InterfaceSettings};
    use ntm_interface_tun::{Config, Tun};

    case.world()?;
    let config = Config { name: Some("tunnel0".into()), ..Config::default() };
    let tun = Tun::open(config, 1).map_err(|error| Stop::not_tried(error.to_string()))?;
    let settings = InterfaceSettings {
        vips: ntm_core::address::Vips { v4: Some([198, 18, 0, 7].into()), v6: None },
        ranges: "198.18.0.0/16".parse().into_iter().collect(),
        mtu: 1400,
    };
    let configured = tun.configure(&settings).await;
    configured.map_err(|error| Stop::not_tried(error.to_string()))?;
    let mut watch = Watch(case.watcher()?);
    let found = watch.interface("tunnel0").await?;
    let Some(found) = found else { return Err(Stop::broken("the tunnel is missing")) };
    ensure!(found.index == tun.ifindex(), "the tunnel has another index: {found:?}");
    let own = found.addresses.iter().any(|it| it.ip == ip("198.18.0.7"));
    ensure!(own, "the tunnel's address is missing: {found:?}");
    tun.close().await;
    Ok(Note::NONE)
}

#[cfg(not(target_os = "linux"))]
pub(super) async fn tunnels(_: &Case) -> Verdict {
    Err(Stop::not_tried("it takes a network namespace"))
}

pub(super) async fn by_interface(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let to = [ip(PEER), ip("10.0.2.9"), ip("10.0.1.9")];
    let index = |name| world.interface(name).map_or(0, |(index, _)| index);
    for (name, own, neighbour) in [(WIFI, WIFI_IP, 2), (LTE, LTE_IP, 1)] {
        let answers = within("`routes_by`", watch.0.routes_by(index(name), &to)).await??;
        ensure!(answers.len() == to.len(), "{} answers to {} questions", answers.len(), to.len());
        for at in [0, neighbour] {
            let found = answers[at].map(|route| (route.source, route.ifindex));
            let expected = Some((ip(own), index(name)));
            ensure!(found == expected, "to {} by {name}: {found:?}, not {expected:?}", to[at]);
        }
    }
    // Without a gateway it leads nowhere.
    world.flush_routes(LTE)?;
    let answers = within("`routes_by`", watch.0.routes_by(index(LTE), &to[..1])).await??;
    ensure!(answers == [None], "nothing leads there by {LTE}, and {answers:?} is told");
    Ok(Note::NONE)
}
