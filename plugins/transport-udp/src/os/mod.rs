//! What differs between systems, one file a system behind the same names.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::{
    BUFFER_ACCOUNTING, BUFFER_LIMIT, Calls, ReadySet, drop_timestamps, force_receive_buffer,
    force_send_buffer, stop_gro,
};

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{
    BUFFER_ACCOUNTING, BUFFER_LIMIT, Calls, ReadySet, drop_timestamps, force_receive_buffer,
    force_send_buffer, stop_gro,
};
