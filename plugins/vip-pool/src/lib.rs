//! Virtual addresses from configured ranges.
