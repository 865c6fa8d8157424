use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use ntm_core::plugin::InterfaceSettings;

use super::device::{V4, V6, configure, open, ready, settings};
use crate::case::Case;
use crate::ensure;
use crate::outcome::{Note, Stop, Verdict};
use crate::wait::{at_once, within};

pub(super) async fn constant(case: &Case) -> Verdict {
    for count in [1, 2] {
        let interface = open(case, count)?;
        let lanes = interface.lanes();
        ensure!(lanes.len() == count, "opened for {count} workers, it has {} lanes", lanes.len());
        let fds: Vec<_> = lanes.iter().map(|lane| lane.fd().as_raw_fd()).collect();
        let before = (interface.name(), interface.ifindex(), interface.offload());
        configure(&*interface, &settings(V4, "")).await??;
        let after = (interface.name(), interface.ifindex(), interface.offload());
        ensure!(before == after, "it was {before:?}, and is {after:?}");
        let again = interface.lanes();
        let same = again.len() == count && again.iter().zip(&lanes).all(|(a, b)| Arc::ptr_eq(a, b));
        ensure!(same, "`lanes` gives others the second time");
        let fds_again: Vec<_> = lanes.iter().map(|lane| lane.fd().as_raw_fd()).collect();
        ensure!(fds == fds_again, "a lane has another descriptor than before");
        at_once("asking what it has to tell", || interface.facts())?;
        within("`close`", interface.close()).await?;
    }
    Ok(Note::NONE)
}

pub(super) async fn index(case: &Case) -> Verdict {
    let interface = ready(case).await?;
    let (name, index) = (interface.name(), interface.ifindex());
    ensure!(index != 0, "it has no index, and claims to be one of the system's");
    let known = case.world()?.interface(&name).map(|(index, _)| index);
    ensure!(known == Some(index), "it says that {name} is {index}, the system {known:?}");
    Ok(Note::NONE)
}

/// What the system says of it.
fn is_as(case: &Case, name: &str, settings: &InterfaceSettings) -> Result<bool, Stop> {
    let world = case.world()?;
    let mtu = world.interface(name).map(|(_, mtu)| mtu);
    let mut found = world.addresses(name).unwrap_or_default();
    let mut expected: Vec<String> = settings
        .vips
        .iter()
        .filter_map(|ip| {
            let range = settings.ranges.iter().find(|range| range.contains(ip))?;
            Some(format!("{ip}/{}", range.length()))
        })
        .collect();
    found.sort();
    expected.sort();
    // The length of the prefix is the interface's own choice, if the range leads into it.
    let bare = |all: &[String]| -> Vec<String> {
        all.iter().filter_map(|it| Some(it.split_once('/')?.0.to_owned())).collect()
    };
    Ok(mtu == Some(settings.mtu.into()) && bare(&found) == bare(&expected))
}

pub(super) async fn configured(case: &Case) -> Verdict {
    let interface = open(case, 1)?;
    let name = interface.name();
    let other = InterfaceSettings { mtu: 1300, ..settings("198.18.0.6", "") };
    for wanted in [settings(V4, V6), other, settings("198.18.0.6", "fd18::7"), settings(V4, V6)] {
        configure(&*interface, &wanted).await??;
        let found = case.world()?.addresses(&name);
        ensure!(is_as(case, &name, &wanted)?, "{wanted:?} was asked for, and {found:?} is there");
        let ways = [
            (wanted.vips.v4.is_some(), "0.0.0.0:0", "198.18.200.9:9"),
            (wanted.vips.v6.is_some(), "[::]:0", "[fd18::99:9]:9"),
        ];
        for (_, any, far) in ways.into_iter().filter(|(has, _, _)| *has) {
            let led = UdpSocket::bind(any)?.connect(far);
            ensure!(led.is_ok(), "{far} is in a range, and nothing leads there: {led:?}");
        }
    }
    Ok(Note::NONE)
}

pub(super) async fn refused(case: &Case) -> Verdict {
    let interface = ready(case).await?;
    let (name, old) = (interface.name(), settings(V4, V6));
    // No interface carries IP with 20 bytes (RFC 791 asks for 68, RFC 8200 for 1,280).
    let broken = InterfaceSettings { mtu: 20, ..settings("198.18.0.9", "fd18::9") };
    let Err(error) = configure(&*interface, &broken).await? else {
        return Err(Stop::not_tried("packets of 20 bytes are no mistake here"));
    };
    ensure!(!error.message.is_empty(), "it does not say why");
    let none = case.world()?.addresses(&name).unwrap_or_default().is_empty();
    let found = case.world()?.addresses(&name);
    ensure!(none || is_as(case, &name, &old)?, "after settings that failed {found:?} is there");
    configure(&*interface, &old).await??;
    ensure!(is_as(case, &name, &old)?, "it does not recover from settings that failed");
    Ok(format!("refused: {error}").into())
}
