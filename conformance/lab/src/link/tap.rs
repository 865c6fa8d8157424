use std::io;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::error::{Doing, Error, Result};
use crate::netns::Netns;

/// Makes a TAP device in a namespace. It is removed when it is closed.
pub(super) fn open(netns: &Netns, name: &str) -> Result<SyncDevice> {
    let open = || {
        let device = DeviceBuilder::new()
            .name(name)
            .layer(Layer::L2)
            .packet_information(false)
            .inherit_enable_state()
            .build_sync()?;
        device.set_nonblocking(true)?;
        io::Result::Ok(device)
    };
    // Otherwise the device of that name would be opened a second time.
    if netns.netlink().interface(name).is_ok() {
        return Err(Error::wrong(format!("{} has an interface {name} already", netns.name())));
    }
    let device = netns.run(open).doing(|| format!("make a TAP device {name}"))?;
    // Bursts must not be dropped before the link has had a look at them.
    netns.netlink().set_queue(name, QUEUE)?;
    Ok(device)
}

/// Frames that wait for the link's thread; about 15 MB.
const QUEUE: u32 = 10_000;
