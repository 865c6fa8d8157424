use std::ffi::{CStr, c_int, c_uint};
use std::os::fd::{AsFd, FromRawFd as _, IntoRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags, open as open_file};
use rustix::io::{Errno, Result};
use rustix::ioctl::{IntegerSetter, Opcode, Setter, Updater, ioctl, opcode};
use tun::AbstractDevice as _;

use super::header::Header;

const IFF_TUN: u16 = 0x0001;
const IFF_MULTI_QUEUE: u16 = 0x0100;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
/// Only make a new device, never join one.
const IFF_TUN_EXCL: u16 = 0x8000;

/// A device as it was made.
pub(super) struct Opened {
    pub(super) name: String,
    /// One for each queue.
    pub(super) fds: Vec<OwnedFd>,
    /// Before each packet stands a [`Header`].
    pub(super) headers: bool,
}

/// Makes a device with `lanes` queues.
pub(super) fn open(name: Option<&str>, lanes: usize, headers: bool) -> Result<Opened> {
    // The crate `tun` knows one queue only.
    let (name, fds) = match lanes {
        1 => open_one(name, headers)?,
        _ => open_many(name, lanes, headers)?,
    };
    if headers {
        fds.first().map_or(Ok(()), set_header_len)?;
    }
    Ok(Opened { name, fds, headers })
}

fn open_one(name: Option<&str>, headers: bool) -> Result<(String, Vec<OwnedFd>)> {
    let mut config = tun::configure();
    config.platform_config(|it| {
        it.vnet_hdr(headers);
    });
    if let Some(name) = name {
        config.tun_name(name);
    }
    let device = tun::create(&config).map_err(errno)?;
    device.set_nonblock().map_err(|error| errno(error.into()))?;
    let name = device.tun_name().map_err(errno)?;
    Ok((name, vec![into_fd(device)]))
}

fn open_many(name: Option<&str>, lanes: usize, headers: bool) -> Result<(String, Vec<OwnedFd>)> {
    let flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE | if headers { IFF_VNET_HDR } else { 0 };
    let mut request = Request::new(name.unwrap_or("tun%d"), flags | IFF_TUN_EXCL)?;
    let mut fds = Vec::with_capacity(lanes);
    for _ in 0..lanes {
        let queue = open_file(
            c"/dev/net/tun",
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK,
            Mode::empty(),
        )?;
        attach(&queue, &mut request)?;
        fds.push(queue);
        request.flags = flags;
    }
    Ok((request.name()?, fds))
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
    const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which `Request` is.
    unsafe { ioctl(queue, Updater::<TUNSETIFF, Request>::new(request)) }
}

/// Says what the program may be given; the device keeps it when the last
/// descriptor is closed and it is not.
#[allow(unsafe_code)]
pub(super) fn set_offload(queue: impl AsFd, flags: u32) -> Result<()> {
    const TUNSETOFFLOAD: Opcode = opcode::write::<c_uint>(b'T', 208);
    // SAFETY: TUNSETOFFLOAD takes a number instead of a pointer.
    unsafe { ioctl(queue, IntegerSetter::<TUNSETOFFLOAD>::new_usize(flags as usize)) }
}

#[allow(unsafe_code)]
fn set_header_len(queue: impl AsFd) -> Result<()> {
    const TUNSETVNETHDRSZ: Opcode = opcode::write::<c_int>(b'T', 216);
    // SAFETY: TUNSETVNETHDRSZ reads one `int`.
    unsafe { ioctl(queue, Setter::<TUNSETVNETHDRSZ, c_int>::new(Header::LEN as c_int)) }
}

#[allow(unsafe_code)]
fn into_fd(device: tun::Device) -> OwnedFd {
    // SAFETY: the device gives its descriptor away open and owned by nobody.
    unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) }
}

fn errno(error: tun::Error) -> Errno {
    // What is not the system's is turned into an error of the system.
    Errno::from_io_error(&error.into()).unwrap_or(Errno::INVAL)
}
