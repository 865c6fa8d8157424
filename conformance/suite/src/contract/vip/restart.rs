//! Leases from before a restart.

use std::cmp::Reverse;
use std::net::IpAddr;

use ntm_core::address::{Prefix, Vips};

use super::allocator::{Allocator, all, all_apart, small};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};

pub(super) async fn restored(case: &Case) -> Verdict {
    for before in all(case).await? {
        let half = before.at_most(1000).div_ceil(2);
        let mut leases = before.several(half).await?;
        // A registry has an order of its own.
        leases.sort_by_key(|lease| Reverse(*lease));
        let after = before.again(case, &leases).await?;
        let more = match after.is_small() {
            true => after.until_used_up().await?,
            false => after.several(half).await?,
        };
        leases.extend(more);
        all_apart(&leases, || format!("{}: {half} of them from before", before.config))?;
    }
    Ok(Note::NONE)
}

pub(super) async fn released(case: &Case) -> Verdict {
    for before in small(case).await? {
        let config = &before.config;
        let leases = before.until_used_up().await?;
        let after = before.again(case, &leases).await?;
        let Some(leaver) = leases.get(leases.len() / 2) else { continue };
        after.release(leaver).await?;
        after.ask(2).await?.map_err(|error| {
            Stop::broken(format!("{config}: {leaver} of before was given back, and then: {error}"))
        })?;
    }
    Ok(Note::NONE)
}

pub(super) async fn outside_refused(case: &Case) -> Verdict {
    for first in all(case).await? {
        let Allocator { config, ranges, .. } = &first;
        let inside = first.several(1).await?;
        for outside in outside(ranges) {
            for leases in [vec![outside], [&inside[..], &[outside]].concat()] {
                let allocator = Allocator::unrestored(case, config)?;
                match allocator.restore(&leases).await? {
                    Ok(()) => {
                        return Err(Stop::broken(format!(
                            "{config}: it took {outside} over, which is in none of {ranges:?}"
                        )));
                    }
                    Err(error) => {
                        let says = !error.message.is_empty();
                        ensure!(says, "{config}: it refused {outside} without a word");
                    }
                }
            }
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn all_or_none(case: &Case) -> Verdict {
    for before in small(case).await? {
        let Allocator { config, ranges, .. } = &before;
        let leases = before.until_used_up().await?;
        for outside in outside(ranges) {
            let mut list = leases.clone();
            list.insert(leases.len() / 2, outside);
            let allocator = Allocator::unrestored(case, config)?;
            if allocator.restore(&list).await?.is_ok() {
                // Another promise, and broken there.
                continue;
            }
            let (free, all) = (allocator.until_used_up().await?.len(), leases.len());
            ensure!(
                free == all,
                "{config}: of {all} leases in a list that it refused it took some"
            );
        }
    }
    Ok(Note::NONE)
}

/// Leases that none of the ranges has: just beside each, and of a family that has none.
fn outside(ranges: &[Prefix]) -> Vec<Vips> {
    let mut found = Vec::new();
    for range in ranges.iter().filter(|range| range.length() > 0) {
        let length = u32::from(range.length());
        found.push(match range.base() {
            IpAddr::V4(ip) => {
                let beside = u32::from(ip) ^ 1 << (32 - length);
                Vips { v4: Some((beside | 1).into()), v6: None }
            }
            IpAddr::V6(ip) => {
                let beside = u128::from(ip) ^ 1 << (128 - length);
                Vips { v4: None, v6: Some((beside | 1).into()) }
            }
        });
    }
    if !ranges.iter().any(|range| range.base().is_ipv4()) {
        found.push(Vips { v4: Some([198, 51, 100, 7].into()), v6: None });
    }
    if !ranges.iter().any(|range| range.base().is_ipv6()) {
        found.push(Vips { v4: None, v6: Some((0xfd << 120 | 7).into()) });
    }
    found
}
