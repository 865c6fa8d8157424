//! What plugins log comes here, at a bounded rate.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ntm_abi::{ABI_MINOR, Host, Text, level};
use tracing::level_filters::LevelFilter;

/// Lines that a plugin may log at once,
const BURST: u32 = 400;
/// and in each second after.
const RATE: u32 = 200;
/// The longest line, in characters.
const LONGEST: usize = 4096;

/// The host's table for a plugin of this name. Both stay for the life of the
/// process, as the library does.
pub(crate) fn host(name: &str) -> &'static Host {
    let log: &'static Log = Box::leak(Box::new(Log::new(name)));
    Box::leak(Box::new(Host {
        size: size_of::<Host>() as u32,
        abi_minor: ABI_MINOR,
        reserved: 0,
        features: 0,
        ctx: std::ptr::from_ref(log).cast_mut().cast(),
        log: Some(take),
        log_level: Some(most),
    }))
}

/// Crates in plugins that warn of every send that fails while a node moves, as the
/// program's own filter has it for those that are linked.
const QUIET: [&str; 1] = ["quinn_udp"];

struct Log {
    plugin: String,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    left: u32,
    filled: Instant,
    suppressed: u64,
}

impl Log {
    fn new(plugin: &str) -> Self {
        let bucket = Bucket { left: BURST, filled: Instant::now(), suppressed: 0 };
        Self { plugin: plugin.to_owned(), bucket: Mutex::new(bucket) }
    }

    fn line(&self, level: u32, target: &str, message: &str) {
        if level > level::ERROR && QUIET.iter().any(|quiet| target.starts_with(quiet)) {
            return;
        }
        let lock = self.bucket.lock();
        let passage = lock.unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        let plugin = self.plugin.as_str();
        match passage {
            Passage::Free => {}
            Passage::Behind(lost) => {
                tracing::warn!(target: TARGET, plugin, "{lost} lines of its log were too many");
            }
            Passage::Ends => {
                return tracing::warn!(
                    target: TARGET, plugin, "it logs too much: only {RATE} lines a second are kept"
                );
            }
            Passage::None => return,
        }
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let message: String = message.chars().take(LONGEST).map(printable).collect();
        let from: String = target.chars().take(128).map(printable).collect();
        match level {
            level::ERROR => tracing::error!(target: TARGET, plugin, from, "{message}"),
            level::WARN => tracing::warn!(target: TARGET, plugin, from, "{message}"),
            level::INFO => tracing::info!(target: TARGET, plugin, from, "{message}"),
            level::DEBUG => tracing::debug!(target: TARGET, plugin, from, "{message}"),
            _ => tracing::trace!(target: TARGET, plugin, from, "{message}"),
        }
    }
}

/// What a filter names to hear plugins.
const TARGET: &str = "ntm::plugin";

/// Whether a line may pass.
#[derive(Debug, PartialEq, Eq)]
enum Passage {
    Free,
    /// Yes, behind so many that did not.
    Behind(u64),
    /// No, and it is the first.
    Ends,
    None,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> Passage {
        let seconds = now.saturating_duration_since(self.filled).as_secs();
        if let Ok(seconds) = u32::try_from(seconds)
            && seconds > 0
        {
            self.left = self.left.saturating_add(seconds.saturating_mul(RATE)).min(BURST);
            self.filled += Duration::from_secs(seconds.into());
        }
        if self.left == 0 {
            self.suppressed += 1;
            return if self.suppressed == 1 { Passage::Ends } else { Passage::None };
        }
        self.left -= 1;
        match std::mem::take(&mut self.suppressed) {
            0 => Passage::Free,
            lost => Passage::Behind(lost),
        }
    }
}

unsafe extern "C" fn take(ctx: *mut c_void, level: u32, target: Text<'_>, message: Text<'_>) {
    // A panic of a subscriber of ours must not run into the plugin.
    let _panicked = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `ctx` is the one that we gave, and the texts are lent for the call.
        let (log, target, message) =
            unsafe { (&*ctx.cast::<Log>(), target.text(), message.bytes()) };
        log.line(level, target, &String::from_utf8_lossy(message));
    }));
}

unsafe extern "C" fn most(_: *mut c_void) -> u32 {
    match LevelFilter::current() {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => level::ERROR,
        LevelFilter::WARN => level::WARN,
        LevelFilter::INFO => level::INFO,
        LevelFilter::DEBUG => level::DEBUG,
        _ => level::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_and_counted() {
        let start = Instant::now();
        let mut bucket = Bucket { left: BURST, filled: start, suppressed: 0 };
        let passed = (0..10_000).map(|_| bucket.take(start));
        let [mut free, mut ends] = [0, 0];
        for passage in passed {
            free += u32::from(passage == Passage::Free);
            ends += u32::from(passage == Passage::Ends);
        }
        assert_eq!((free, ends), (BURST, 1), "the end is told once");
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.take(later), Passage::Behind(10_000 - u64::from(BURST)));
        assert_eq!(bucket.take(later), Passage::Free);
    }
}
