//! What is handed out: which addresses, to how many, and what comes after the last.

use std::net::IpAddr;

use ntm_core::address::Vips;

use super::allocator::{Allocator, all, all_apart, small};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

pub(super) async fn ranges_stay(case: &Case) -> Verdict {
    for config in case.configs() {
        let ranges = Allocator::unrestored(case, &config)?.ranges;
        let of = |ipv6| ranges.iter().filter(|range| range.base().is_ipv6() == ipv6).count();
        let one_each = !ranges.is_empty() && of(false) <= 1 && of(true) <= 1;
        ensure!(one_each, "{config}: its ranges are {ranges:?}");
        let first = Allocator::start(case, &config, &[]).await?;
        let leases = first.several(1).await?;
        let second = first.again(case, &leases).await?;
        for (now, when) in
            [(first.vip.ranges(), "an allocation"), (second.vip.ranges(), "a restart")]
        {
            ensure!(now == ranges, "{config}: {ranges:?} became {now:?} after {when}");
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn every_family(case: &Case) -> Verdict {
    for allocator in all(case).await? {
        for lease in allocator.several(allocator.at_most(20)).await? {
            for (has, ipv6) in [(lease.v4.is_some(), false), (lease.v6.is_some(), true)] {
                let wanted = allocator.ranges.iter().any(|range| range.base().is_ipv6() == ipv6);
                let Allocator { config, ranges, .. } = &allocator;
                ensure!(has == wanted, "{config}: of the ranges {ranges:?} it gave `{lease}`");
            }
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn one_by_one(case: &Case) -> Verdict {
    for allocator in all(case).await? {
        let config = &allocator.config;
        let leases = allocator.several(allocator.at_most(300)).await?;
        all_apart(&leases, || config.to_string())?;
        // Coming and going, with some that stay.
        let allocator = allocator.again(case, &[]).await?;
        let most = allocator.at_most(40) as usize;
        let mut live: Vec<Vips> = Vec::new();
        for round in 0..300_usize {
            if live.len() < most && round % 3 != 2 {
                let lease = allocator.ask(round as u64).await?;
                live.push(lease.map_err(|error| {
                    Stop::broken(format!("{config}: with {} leases: {error}", live.len()))
                })?);
            } else if !live.is_empty() {
                let leaver = live.swap_remove(round * 7 % live.len());
                allocator.release(&leaver).await?;
            }
            all_apart(&live, || format!("{config}: while others leave"))?;
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn inside(case: &Case) -> Verdict {
    for allocator in all(case).await? {
        let leases = match allocator.is_small() {
            true => allocator.until_used_up().await?,
            false => allocator.several(300).await?,
        };
        for ip in leases.iter().flat_map(Vips::iter) {
            let Allocator { config, ranges, .. } = &allocator;
            let is_host = allocator.is_host(ip);
            ensure!(is_host, "{config}: {ip} is no host's address in {ranges:?}");
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn used_up(case: &Case) -> Verdict {
    for allocator in small(case).await? {
        let config = &allocator.config;
        let given = allocator.until_used_up().await?.len() as u128;
        let room = allocator.capacity();
        ensure!(given == room, "{config}: it gave {given} leases, and there is room for {room}");
        for _ in 0..3 {
            match allocator.ask(9_999).await? {
                Ok(lease) => {
                    return Err(Stop::broken(format!("{config}: with all taken it gave {lease}")));
                }
                Err(error) => {
                    let says = !error.message.is_empty();
                    ensure!(says, "{config}: with all taken it refused without a word");
                }
            }
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn given_back(case: &Case) -> Verdict {
    for allocator in small(case).await? {
        let config = &allocator.config;
        let mut live = allocator.until_used_up().await?;
        ensure!(!live.is_empty(), "{config}: it gives nothing at all");
        for round in 0..4_usize {
            let leaver = live.swap_remove(round * 5 % live.len());
            allocator.release(&leaver).await?;
            live.push(allocator.ask(10_000 + round as u64).await?.map_err(|error| {
                Stop::broken(format!("{config}: {leaver} was given back, and then: {error}"))
            })?);
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn strangers(case: &Case) -> Verdict {
    for allocator in small(case).await? {
        let config = &allocator.config;
        let live = allocator.until_used_up().await?;
        let Some(first) = live.first() else { continue };
        for lease in live.iter().take(4) {
            for stranger in elsewhere(&allocator, lease) {
                allocator.release(&stranger).await?;
                still_full(&allocator, &format!("{stranger}, of none of its ranges,")).await?;
            }
        }
        allocator.release(&Vips::default()).await?;
        still_full(&allocator, "nothing").await?;
        allocator.release(first).await?;
        allocator.release(first).await?;
        allocator.ask(20_001).await?.map_err(|error| {
            Stop::broken(format!("{config}: {first} was given back twice, and then: {error}"))
        })?;
        still_full(&allocator, "one lease (twice, and taken again since)").await?;
    }
    Ok(Note::NONE)
}

async fn still_full(allocator: &Allocator, given_back: &str) -> Result<(), Stop> {
    let config = &allocator.config;
    match allocator.ask(20_000).await? {
        Ok(lease) => Err(Stop::broken(format!(
            "{config}: all was taken; {given_back} was given back, and it gave {lease}"
        ))),
        Err(_used_up) => Ok(()),
    }
}

/// The same low bits outside of the ranges.
fn elsewhere(allocator: &Allocator, lease: &Vips) -> Vec<Vips> {
    let is_outside = |ip: IpAddr| !allocator.ranges.iter().any(|range| range.contains(ip));
    let v4 = lease.v4.map(|ip| (u32::from(ip) ^ 1 << 31).into());
    let v6 = lease.v6.map(|ip| (u128::from(ip) ^ 1 << 127).into());
    [Vips { v4, v6: None }, Vips { v4: None, v6 }, Vips { v4, v6 }]
        .into_iter()
        .filter(|vips| !vips.is_empty() && vips.iter().all(is_outside))
        .collect()
}
