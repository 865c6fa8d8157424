use std::collections::BTreeSet;
use std::net::IpAddr;

use ntm_core::address::{Prefix, Vips};
use ntm_core::id::PublicKey;
use ntm_core::plugin::{PluginError, Vip};

use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Verdict};

pub(super) async fn inside(case: &Case) -> Verdict {
    let vip = case.vip()?;
    let ranges = vip.ranges();
    ensure!(!ranges.is_empty(), "there is no range");
    for nth in 0..200 {
        let Ok(vips) = allocate(&*vip, nth).await else {
            ensure!(nth > 0, "not one address is handed out");
            return Ok(format!("{nth} addresses, then no more").into());
        };
        ensure!(vips.iter().next().is_some(), "a lease without an address");
        for ip in vips.iter() {
            let range = ranges.iter().find(|range| range.contains(ip));
            ensure!(
                range.is_some_and(|range| is_host(range, ip)),
                "{ip} is no host's address in {ranges:?}"
            );
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn apart(case: &Case) -> Verdict {
    const AT_ONCE: u32 = 8;
    let vip = case.vip()?;
    let mut seen = BTreeSet::new();
    for round in 0..25 {
        let calls: Vec<_> = (0..AT_ONCE)
            .map(|nth| {
                let vip = vip.clone();
                tokio::spawn(async move { allocate(&*vip, round * AT_ONCE + nth).await })
            })
            .collect();
        for call in calls {
            // The ranges may be used up.
            let Ok(Ok(vips)) = call.await else { continue };
            for ip in vips.iter() {
                ensure!(seen.insert(ip), "{ip} was handed out twice");
            }
        }
    }
    ensure!(!seen.is_empty(), "not one address is handed out");
    Ok(Note::NONE)
}

/// For a node of this number.
async fn allocate(vip: &dyn Vip, nth: u32) -> Result<Vips, PluginError> {
    let name = format!("node-{nth}.example").parse().expect("a name of two labels");
    let mut key = [7; 32];
    key[..4].copy_from_slice(&nth.to_be_bytes());
    vip.allocate(&name, &PublicKey::from_bytes(key)).await
}

/// Whether neither the range's first nor its last address.
fn is_host(range: &Prefix, ip: IpAddr) -> bool {
    let (number, bits) = match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)), 32),
        IpAddr::V6(ip) => (ip.into(), 128),
    };
    let bits = bits - u32::from(range.length());
    let ones = 1_u128.checked_shl(bits).map_or(u128::MAX, |next| next - 1);
    number & ones != 0 && number & ones != ones
}
