use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use ntm_core::plugin::{Fault, InterfaceSettings, Offload, PluginError, RxSlot, TxPacket};
use rustix::io::{Errno, Result, readv, writev};
use rustix::net::AddressFamily;
use tun::AbstractDevice as _;

use crate::SuperPackets;
use crate::ifconfig::commands;
use crate::settings::{Change, State};

/// Before each packet stands its address family, 4 bytes in network order.
const HEADER: usize = 4;

/// A utun device.
pub(crate) struct Device {
    name: String,
    index: u32,
    given: Mutex<State>,
}

impl Device {
    pub(crate) fn open(
        name: Option<&str>,
        lanes: usize,
        _there_are_none: SuperPackets,
    ) -> std::result::Result<(Self, Vec<Queue>), PluginError> {
        if lanes > 1 {
            let message = "a utun device has one queue only";
            return Err(PluginError::new(Fault::Unsupported, message, "use one worker"));
        }
        let mut config = tun::configure();
        config.platform_config(|it| {
            it.enable_routing(false);
        });
        if let Some(name) = name {
            config.tun_name(name);
        }
        let device = tun::create(&config).map_err(|error| cannot_open(&error))?;
        let name = device.tun_name().map_err(|error| cannot_open(&error))?;
        let index = device.tun_index().map_err(|error| cannot_open(&error))?;
        device.set_nonblock().map_err(|error| cannot_open(&error.into()))?;
        let index = index.try_into().unwrap_or(0);
        Ok((Self { name, index, given: Mutex::default() }, vec![Queue(into_fd(device))]))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn offload(&self) -> Offload {
        Offload::NONE
    }

    /// Waits for programs of the system, some milliseconds for each change.
    pub(crate) fn configure(
        &self,
        settings: &InterfaceSettings,
    ) -> std::result::Result<(), PluginError> {
        let mut said = String::new();
        let kernel = |change: &Change| {
            self.change(change).map_err(|error| {
                said = error;
                Errno::IO
            })
        };
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.reach(State::of(settings), kernel).map_err(|failed| {
            let message = format!("cannot {} {}: {said}", failed.what, self.name);
            PluginError::new(Fault::System, message, "run it as root")
        })
    }

    /// Makes one change, or says what is wrong with it.
    fn change(&self, change: &Change) -> std::result::Result<(), String> {
        for words in commands(&self.name, change) {
            let Some((program, arguments)) = words.split_first() else { continue };
            let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
            let output = output.map_err(|error| format!("{program}: {error}"))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("`{}`: {}: {}", words.join(" "), output.status, said.trim()));
            }
        }
        Ok(())
    }

    pub(crate) fn is_settled(&self) -> bool {
        true
    }

    /// The device goes with its last descriptor.
    pub(crate) fn close(&self) {}

    pub(crate) fn facts(&self) -> Vec<(String, String)> {
        vec![("offload".to_owned(), "none".to_owned())]
    }
}

/// The descriptor of the device.
pub(crate) struct Queue(OwnedFd);

impl Queue {
    /// Reads one IP packet, which always makes sense.
    pub(crate) fn read(&self, slot: &mut RxSlot<'_>) -> Result<bool> {
        let mut header = [0; HEADER];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(slot.buffer())];
        let len = readv(&self.0, &mut parts)?.saturating_sub(HEADER);
        slot.fill(len, 0);
        Ok(true)
    }

    /// Writes one IP packet.
    pub(crate) fn write(&self, packet: &TxPacket<'_>) -> Result<()> {
        if packet.segment != 0 {
            return Err(Errno::INVAL);
        }
        let packet = packet.data();
        let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
        let family = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let header = u32::from(family.as_raw()).to_be_bytes();
        writev(&self.0, &[IoSlice::new(&header), IoSlice::new(packet)]).map(drop)
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn cannot_open(error: &tun::Error) -> PluginError {
    if let tun::Error::Io(error) = error {
        return PluginError::io("make a utun device", error, "run it as root");
    }
    if matches!(error, tun::Error::InvalidName | tun::Error::ParseNum(_)) {
        let message = "this system's names for tunnel interfaces are `utun` and a number";
        return PluginError::new(Fault::Config, message, "choose one such as `utun9`").at("name");
    }
    PluginError::new(Fault::System, format!("cannot make a utun device: {error}"), "")
}

#[allow(unsafe_code)]
fn into_fd(device: tun::Device) -> OwnedFd {
    // SAFETY: the device gives its descriptor away open and owned by nobody.
    unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) }
}
