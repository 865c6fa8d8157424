//! What every entry does: keeps panics on this side, and says what went wrong.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ntm_abi::{Error, fault, status};
use ntm_core::plugin::{Fault, PluginError};

/// Runs the body of an entry; the text of a panic is the error.
pub(crate) fn guard<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    // What a panic leaves behind is never used again: the host gives up the
    // instance.
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = said(&*payload);
        // Dropping it may panic once more.
        std::mem::forget(payload);
        text
    })
}

/// Runs the body of an entry whose answer cannot tell of a panic: the host's log does.
pub(crate) fn or_nothing<R: Default>(entry: &str, body: impl FnOnce() -> R) -> R {
    guard(body).unwrap_or_else(|panic| {
        // A subscriber of the plugin's own may panic, too.
        let _unheard = guard(|| tracing::error!("panicked in `{entry}`: {panic}"));
        R::default()
    })
}

/// What a panic said.
pub(crate) fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("something that is no text").to_owned()
}

/// Runs the body of an entry that answers with a status.
///
/// # Safety
/// `error` is null, or may be written.
pub(crate) unsafe fn status(
    error: *mut Error,
    body: impl FnOnce() -> Result<(), PluginError>,
) -> i32 {
    // SAFETY: what the caller promises.
    unsafe { answer(error, || body().map(|()| status::OK)) }
}

/// As [`status`](self::status()), with a status of its own.
///
/// # Safety
/// `error` is null, or may be written.
pub(crate) unsafe fn answer(
    error: *mut Error,
    body: impl FnOnce() -> Result<i32, PluginError>,
) -> i32 {
    let tell = |said: &PluginError| {
        // SAFETY: what the caller promises.
        if let Some(error) = unsafe { error.as_mut() } {
            error.set(
                code(said.fault),
                &said.message,
                &said.remedy,
                said.key.as_deref().unwrap_or(""),
            );
        }
    };
    match guard(body) {
        Ok(Ok(status)) => status,
        Ok(Err(failed)) => {
            tell(&failed);
            status::FAILED
        }
        Err(panic) => {
            tell(&PluginError::new(Fault::System, panic, ""));
            status::PANIC
        }
    }
}

fn code(fault: Fault) -> u32 {
    match fault {
        Fault::Config => fault::CONFIG,
        Fault::Permission => fault::PERMISSION,
        Fault::Missing => fault::MISSING,
        Fault::Busy => fault::BUSY,
        Fault::Unsupported => fault::UNSUPPORTED,
        Fault::System => fault::SYSTEM,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use tracing::field::Field;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// What is logged.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Heard {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let level = *event.metadata().level();
            event.record(&mut |_: &Field, value: &dyn Debug| {
                self.0.lock().unwrap().push(format!("{level}: {value:?}"));
            });
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_panic_where_nothing_is_answered_is_logged_with_its_entry() {
        let heard = Heard::default();
        let answer = tracing::subscriber::with_default(heard.clone(), || {
            or_nothing("facts", || ());
            or_nothing("close", || -> u32 { panic!("the {}", "text") })
        });
        assert_eq!(answer, 0);
        assert_eq!(*heard.0.lock().unwrap(), ["ERROR: panicked in `close`: the text"]);
    }

    #[test]
    fn a_panic_becomes_a_status_and_its_text_is_told() {
        let mut error = Error::NONE;
        // SAFETY: it may be written.
        let answer = unsafe { status(&raw mut error, || panic!("the {}", "text")) };
        assert_eq!(answer, status::PANIC);
        assert_eq!(&error.message[..9], b"the text\0");
    }

    #[test]
    fn a_failure_keeps_its_parts() {
        let mut error = Error::NONE;
        let body = || Err(PluginError::new(Fault::Busy, "taken", "wait").at("a.b"));
        // SAFETY: it may be written.
        let answer = unsafe { status(&raw mut error, body) };
        assert_eq!((answer, error.fault), (status::FAILED, fault::BUSY));
        assert_eq!((&error.remedy[..5], &error.key[..4]), (&b"wait\0"[..], &b"a.b\0"[..]));
    }
}
