use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::outcome::Stop;

/// For how long a check waits for what has to come: machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future` for at most [`PATIENCE`].
///
/// # Errors
/// `what` did not come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Stop> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .map_err(|_| Stop::broken(format!("{what} did not come in {} s", PATIENCE.as_secs())))
}

/// Asks again and again, a thousand times a second, until there is an answer, and
/// lets the runtime work meanwhile; for at most [`PATIENCE`].
///
/// # Errors
/// `what` did not come, or an error of `ask`.
pub async fn until<T>(
    what: &str,
    mut ask: impl FnMut() -> Result<Option<T>, Stop>,
) -> Result<T, Stop> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            return Err(Stop::broken(format!("{what} did not come in {} s", PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Begins a call, and gives it up after one look at it.
pub fn begin_and_drop<T>(call: impl Future<Output = T>) {
    let _pending_or_done = pin!(call).poll(&mut Context::from_waker(Waker::noop()));
}
