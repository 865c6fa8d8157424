use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::outcome::Stop;

/// For how long a check waits for what has to come: machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever keeps a thread for so long blocks it, on any machine.
const BLOCKED: Duration = Duration::from_secs(5);

/// Waits for `future` for at most [`PATIENCE`].
///
/// # Errors
/// `what` did not come, or kept the thread meanwhile: a node's control task could
/// have done nothing else.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, Stop> {
    let mut future = pin!(future);
    let mut longest = Duration::ZERO;
    let measured = std::future::poll_fn(|cx| {
        let begin = Instant::now();
        let polled = future.as_mut().poll(cx);
        longest = longest.max(begin.elapsed());
        polled
    });
    let come = tokio::time::timeout(PATIENCE, measured).await;
    if longest > BLOCKED {
        let how = format!("{what} blocked the thread for {:.1} s", longest.as_secs_f64());
        return Err(Stop::broken(how));
    }
    come.map_err(|_| Stop::broken(format!("{what} did not come in {} s", PATIENCE.as_secs())))
}

/// Calls what must return at once.
///
/// # Errors
/// It blocked.
pub fn at_once<T>(what: &str, call: impl FnOnce() -> T) -> Result<T, Stop> {
    let begin = Instant::now();
    let result = call();
    let took = begin.elapsed();
    if took > BLOCKED {
        let how = format!("{what} blocked the thread for {:.1} s", took.as_secs_f64());
        return Err(Stop::broken(how));
    }
    Ok(result)
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
