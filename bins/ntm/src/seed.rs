use crate::error::StartError;

/// 32 random bytes from the operating system.
///
/// # Errors
/// The system has none to give.
pub fn random_seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    let mut filled = 0;
    while filled < seed.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut seed[filled..], flags)
            .map_err(|error| StartError::io("read random numbers", &error.into()))?;
    }
    Ok(seed)
}
