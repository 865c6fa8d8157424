use std::net::IpAddr;

use super::machine::{LTE, LTE_IP, PEER, WIFI, WIFI_IP, Watch, ip, open, two_links};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

pub(super) async fn addresses(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    for address in ["10.9.0.77", "2001:db8:1::77"] {
        let net = format!("{address}/{}", if address.contains(':') { 64 } else { 24 });
        let what = format!("{address} has come");
        let add = || world.add_address(WIFI, &net);
        watch.sees(&what, add, async |watch| watch.has(address).await).await?;
    }
    let what = "all addresses have gone";
    let flush = || world.flush_addresses(WIFI);
    let gone = async |watch: &mut Watch| {
        Ok(!watch.has("10.9.0.77").await? && !watch.has("2001:db8:1::77").await?)
    };
    watch.sees(what, flush, gone).await?;
    Ok(Note::NONE)
}

async fn runs(watch: &mut Watch, name: &str) -> Result<bool, Stop> {
    Ok(watch.interface(name).await?.is_some_and(|link| link.running))
}

pub(super) async fn links(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let down = async |watch: &mut Watch| Ok(!runs(watch, WIFI).await?);
    let up = async |watch: &mut Watch| runs(watch, WIFI).await;
    watch.sees("a link is down", || world.set_up(WIFI, false), down).await?;
    watch.sees("a link is up again", || world.set_up(WIFI, true), up).await?;
    watch.sees("a carrier is lost", || world.set_carrier(WIFI, false), down).await?;
    watch.sees("a carrier is found", || world.set_carrier(WIFI, true), up).await?;
    Ok(Note::NONE)
}

pub(super) async fn plugged(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let there = async |watch: &mut Watch| Ok(watch.interface("dock0").await?.is_some());
    let gone = async |watch: &mut Watch| Ok(watch.interface("dock0").await?.is_none());
    watch.sees("a link has come", || world.add_link("dock0"), there).await?;
    watch.sees("a link has gone", || world.remove_link("dock0"), gone).await?;
    Ok(Note::NONE)
}

pub(super) async fn routes(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let from = |source: &'static str| {
        async move |watch: &mut Watch| Ok(watch.source(PEER).await? == Some(ip(source)))
    };
    let better = || world.default_route(LTE, ip("10.0.2.1"), 50);
    watch.sees("another link is preferred", better, from(LTE_IP)).await?;
    let gone = || world.flush_routes(LTE);
    watch.sees("its routes are gone", gone, from(WIFI_IP)).await?;
    let gone = || world.flush_routes(WIFI);
    let none = async |watch: &mut Watch| Ok(watch.source(PEER).await?.is_none());
    watch.sees("there is no route any more", gone, none).await?;
    let back = || world.default_route(WIFI, ip("10.0.1.1"), 100);
    watch.sees("there is a route again", back, from(WIFI_IP)).await?;
    Ok(Note::NONE)
}

/// Addresses that nobody else has.
fn many(count: u32) -> Vec<String> {
    (0..count).map(|nth| format!("10.77.{}.{}", nth / 250, nth % 250 + 1)).collect()
}

/// Which of 10.77.0.0/16 are there.
async fn seen(watch: &mut Watch) -> Result<Vec<IpAddr>, Stop> {
    let all = watch.snapshot().await?.interfaces;
    let ours = |ip: &IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[..2] == [10, 77]);
    let mut all: Vec<_> =
        all.iter().flat_map(|it| &it.addresses).map(|it| it.ip).filter(ours).collect();
    all.sort();
    Ok(all)
}

fn sorted(addresses: &[String]) -> Vec<IpAddr> {
    let mut all: Vec<_> = addresses.iter().map(|it| ip(it)).collect();
    all.sort();
    all
}

pub(super) async fn burst(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let addresses = many(100);
    let add = || addresses.iter().try_for_each(|it| world.add_address(WIFI, &format!("{it}/32")));
    let expected = sorted(&addresses);
    let all = async |watch: &mut Watch| Ok(seen(watch).await? == expected);
    watch.sees("a hundred addresses have come", add, all).await?;
    let gone = async |watch: &mut Watch| Ok(seen(watch).await?.is_empty());
    watch.sees("all of them have gone", || world.flush_addresses(WIFI), gone).await?;
    Ok(Note::NONE)
}

pub(super) async fn storm(case: &Case) -> Verdict {
    const ROUNDS: usize = 6;
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let addresses = many(150);
    for round in 0..ROUNDS {
        for address in &addresses {
            world.add_address(LTE, &format!("{address}/32"))?;
        }
        if round + 1 < ROUNDS {
            world.flush_addresses(LTE)?;
        }
    }
    let first = watch.next("a storm that nobody listened to").await?;
    let told = 1 + watch.calm_down().await?;
    let (found, expected) = (seen(&mut watch).await?, sorted(&addresses));
    ensure!(found == expected, "{} addresses are there, {} are seen", expected.len(), found.len());
    // It goes on as before.
    let add = || world.add_address(WIFI, "10.0.1.78/24");
    watch.sees("an address after the storm", add, async |it| it.has("10.0.1.78").await).await?;
    Ok(format!("told as {first:?}, {told} events").into())
}

pub(super) async fn generation(case: &Case) -> Verdict {
    let world = two_links(case)?;
    let mut watch = open(case).await?;
    let mut last = generation_of(&mut watch).await?;
    for _ in 0..3 {
        let down = async |watch: &mut Watch| Ok(!runs(watch, WIFI).await?);
        let up = async |watch: &mut Watch| runs(watch, WIFI).await;
        watch.sees("a carrier is lost", || world.set_carrier(WIFI, false), down).await?;
        watch.sees("a carrier is found", || world.set_carrier(WIFI, true), up).await?;
        let now = generation_of(&mut watch).await?;
        ensure!(now > last, "generation {last}, and {now} after the carrier was lost and found");
        last = now;
    }
    Ok(Note::NONE)
}

async fn generation_of(watch: &mut Watch) -> Result<u64, Stop> {
    let link = watch.interface(WIFI).await?;
    link.map(|link| link.generation).ok_or_else(|| Stop::broken(format!("{WIFI} is missing")))
}
