//! A node assembled from its configuration, and the command line over it.
#![forbid(unsafe_code)]

pub mod config;
