//! A network namespace for a check.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod os;

#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod os;

pub use os::World;
pub(crate) use os::is_inside;
