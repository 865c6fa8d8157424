//! Address changes by asking again and again.
