//! Application packets through a TUN device.
