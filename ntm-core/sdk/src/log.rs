//! `tracing` of the plugin goes to the host, which has the subscriber.

use std::fmt::{self, Write as _};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use ntm_abi::{Host, Text, level};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::guard::said;

static HOST: OnceLock<Ours> = OnceLock::new();

/// The host's table, as far as both sides know it.
struct Ours(Host);

// SAFETY: the host lets any thread call with its `ctx`.
unsafe impl Send for Ours {}
// SAFETY: as above.
unsafe impl Sync for Ours {}

/// Takes over the host's table, and sends log lines and panics there.
///
/// # Safety
/// `host` points to a [`Host`] of the size that it says.
pub(crate) unsafe fn start(host: *const Host) {
    if host.is_null() {
        return;
    }
    let mut copy = MaybeUninit::<Host>::zeroed();
    // SAFETY: what the caller promises; of a shorter table the rest stays zero,
    // which means "absent".
    let copy = unsafe {
        let size = (host.cast::<u32>().read() as usize).min(size_of::<Host>());
        std::ptr::copy_nonoverlapping(host.cast::<u8>(), copy.as_mut_ptr().cast(), size);
        copy.assume_init()
    };
    if HOST.set(Ours(copy)).is_err() {
        return;
    }
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log(level::ERROR, "", &format!("panicked at {place}: {}", said(info.payload())));
    }));
    // Fails where the plugin has a subscriber of its own, which then gets the lines.
    let _own = tracing::subscriber::set_global_default(Forward { most: most() });
}

fn most() -> LevelFilter {
    let Some(Ours(host)) = HOST.get() else { return LevelFilter::OFF };
    // SAFETY: the host's own function and context.
    match host.log_level.map(|log_level| unsafe { log_level(host.ctx) }) {
        Some(0) => LevelFilter::OFF,
        Some(level::ERROR) => LevelFilter::ERROR,
        Some(level::WARN) => LevelFilter::WARN,
        Some(level::INFO) | None => LevelFilter::INFO,
        Some(level::DEBUG) => LevelFilter::DEBUG,
        Some(_) => LevelFilter::TRACE,
    }
}

fn log(level: u32, target: &str, message: &str) {
    let Some(Ours(host)) = HOST.get() else { return };
    if let Some(log) = host.log {
        let (target, message) = (Text::new(target.as_bytes()), Text::new(message.as_bytes()));
        // SAFETY: the host's own function and context; the texts live longer.
        unsafe { log(host.ctx, level, target, message) };
    }
}

struct Forward {
    most: LevelFilter,
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => level::ERROR,
            Level::WARN => level::WARN,
            Level::INFO => level::INFO,
            Level::DEBUG => level::DEBUG,
            Level::TRACE => level::TRACE,
        };
        let mut line = Line::default();
        event.record(&mut line);
        let Line { mut message, fields } = line;
        message.push_str(&fields);
        log(level, metadata.target(), &message);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _written = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}
