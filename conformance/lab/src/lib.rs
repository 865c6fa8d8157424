//! Networks of real kernels: namespaces, NAT, DHCP, link emulator, movement.
