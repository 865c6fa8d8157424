use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, FromRawFd as _, IntoRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags, open as open_file};
use rustix::io::{Errno, Result};
use rustix::ioctl::{Updater, ioctl, opcode};
use tun::AbstractDevice as _;

const IFF_TUN: u16 = 0x0001;
const IFF_MULTI_QUEUE: u16 = 0x0100;
const IFF_NO_PI: u16 = 0x1000;
/// Only make a new device, never join one.
const IFF_TUN_EXCL: u16 = 0x8000;

/// Makes a device with `lanes` queues; returns its name and the queues.
///
/// A device keeps the offloads that its last user switched on. Ours is new, so
/// it has none and `TUNSETOFFLOAD` need not be called.
pub(super) fn open(name: Option<&str>, lanes: usize) -> Result<(String, Vec<OwnedFd>)> {
    // The crate `tun` knows one queue only.
    if lanes == 1 { open_one(name) } else { open_many(name, lanes) }
}

fn open_one(name: Option<&str>) -> Result<(String, Vec<OwnedFd>)> {
    let mut config = tun::configure();
    if let Some(name) = name {
        config.tun_name(name);
    }
    let device = tun::create(&config).map_err(errno)?;
    device.set_nonblock().map_err(|error| errno(error.into()))?;
    let name = device.tun_name().map_err(errno)?;
    Ok((name, vec![into_queue(device)]))
}

fn open_many(name: Option<&str>, lanes: usize) -> Result<(String, Vec<OwnedFd>)> {
    let flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE;
    let mut request = Request::new(name.unwrap_or("tun%d"), flags | IFF_TUN_EXCL)?;
    let mut queues = Vec::with_capacity(lanes);
    for _ in 0..lanes {
        let queue = open_file(
            c"/dev/net/tun",
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
        )?;
        attach(&queue, &mut request)?;
        queues.push(queue);
        request.flags = flags;
    }
    Ok((request.name()?, queues))
}

/// The system's `struct ifreq`, as `TUNSETIFF` reads and writes it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    padding: [u8; 22],
}

const _: () = assert!(size_of::<Request>() == 40);

impl Request {
    fn new(name: &str, flags: u16) -> Result<Self> {
        let mut request = Self { name: [0; 16], flags, padding: [0; 22] };
        let room = request.name.get_mut(..name.len()).ok_or(Errno::NAMETOOLONG)?;
        room.copy_from_slice(name.as_bytes());
        Ok(request)
    }

    fn name(&self) -> Result<String> {
        let name = CStr::from_bytes_until_nul(&self.name).map_err(|_| Errno::NAMETOOLONG)?;
        Ok(name.to_string_lossy().into_owned())
    }
}

#[allow(unsafe_code)]
fn attach(queue: impl AsFd, request: &mut Request) -> Result<()> {
    const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<c_int>(b'T', 202);
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which `Request` is.
    unsafe { ioctl(queue, Updater::<TUNSETIFF, Request>::new(request)) }
}

#[allow(unsafe_code)]
fn into_queue(device: tun::Device) -> OwnedFd {
    // SAFETY: the device gives its descriptor away open and owned by nobody.
    unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) }
}

fn errno(error: tun::Error) -> Errno {
    // What is not the system's is turned into an error of the system.
    Errno::from_io_error(&error.into()).unwrap_or(Errno::INVAL)
}
