//! Where plugins put the items of a list.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ntm_abi::Text;

/// More than any list has, so that one without an end is noticed.
const MOST: usize = 100_000;

/// What was put so far, each turned into `T` at once, since it is lent for the
/// call alone.
pub(crate) struct Sink<I, T> {
    items: Vec<T>,
    turn: fn(&I) -> Option<T>,
    /// An item could not be turned, or there are too many.
    lie: bool,
}

impl<I, T> Sink<I, T> {
    pub(crate) fn new(turn: fn(&I) -> Option<T>) -> Self {
        Self { items: Vec::new(), turn, lie: false }
    }

    pub(crate) fn ctx(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    /// What goes to the plugin as its `put`.
    ///
    /// # Safety
    /// `sink` is the [`ctx`](Self::ctx) of such a sink, and `item` is lent.
    pub(crate) unsafe extern "C" fn put(sink: *mut c_void, item: *const I) {
        // A panic of ours must not run into the plugin.
        let _panicked = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: what the caller promises.
            let (sink, item) = unsafe { (&mut *sink.cast::<Self>(), item.as_ref()) };
            sink.push(item.and_then(sink.turn));
        }));
    }

    fn push(&mut self, item: Option<T>) {
        match item {
            Some(item) if self.items.len() < MOST => self.items.push(item),
            Some(_) | None => self.lie = true,
        }
    }

    /// Everything, or `None` where something was put that cannot be.
    pub(crate) fn take(self) -> Option<Vec<T>> {
        (!self.lie).then_some(self.items)
    }
}

/// Texts that were put, made printable: what cannot be read is passed over.
#[derive(Default)]
pub(crate) struct Texts(Vec<(String, String)>);

impl Texts {
    pub(crate) fn ctx(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    /// What goes to the plugin as its `put`.
    ///
    /// # Safety
    /// `sink` is the [`ctx`](Self::ctx) of such a sink, and the texts are lent.
    pub(crate) unsafe extern "C" fn put(sink: *mut c_void, key: Text<'_>, value: Text<'_>) {
        let _panicked = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: what the caller promises.
            let (texts, key, value) =
                unsafe { (&mut *sink.cast::<Self>(), key.text(), value.text()) };
            if texts.0.len() < MOST {
                texts.0.push((key.to_owned(), value.to_owned()));
            }
        }));
    }

    pub(crate) fn take(self) -> Vec<(String, String)> {
        self.0
    }
}
