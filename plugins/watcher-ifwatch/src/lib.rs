//! Address changes from the crate if-watch.
