use std::io;

use crate::error::StartError;

/// 32 random bytes from the operating system.
///
/// # Errors
/// The system has none to give.
pub fn random_seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    fill(&mut seed).map_err(|error| StartError::io("read random numbers", &error))?;
    Ok(seed)
}

#[cfg(target_os = "linux")]
fn fill(seed: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < seed.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut seed[filled..], flags)?;
    }
    Ok(())
}

/// Everywhere else the device is as good, and never blocks once the system runs.
#[cfg(not(target_os = "linux"))]
fn fill(seed: &mut [u8]) -> io::Result<()> {
    use std::io::Read as _;

    std::fs::File::open("/dev/urandom")?.read_exact(seed)
}
