//! The same signatures as in `linux.rs`; no value of the type exists here.
#![allow(missing_docs, reason = "they stand in `linux.rs`")]

use std::net::IpAddr;

use crate::outcome::Stop;

/// A network namespace of the check's own: only Linux has them.
#[derive(Debug)]
pub enum World {}

pub(crate) fn is_inside() -> bool {
    false
}

impl World {
    pub(crate) fn new() -> Result<Self, String> {
        Err("it takes a network namespace, which only Linux has".into())
    }

    pub(crate) fn run<T: Send>(&self, _: impl FnOnce() -> T + Send) -> T {
        match *self {}
    }

    pub fn add_link(&self, _: &str) -> Result<(), Stop> {
        match *self {}
    }

    pub fn remove_link(&self, _: &str) -> Result<(), Stop> {
        match *self {}
    }

    pub fn set_up(&self, _: &str, _: bool) -> Result<(), Stop> {
        match *self {}
    }

    pub fn set_carrier(&self, _: &str, _: bool) -> Result<(), Stop> {
        match *self {}
    }

    pub fn add_address(&self, _: &str, _: &str) -> Result<(), Stop> {
        match *self {}
    }

    pub fn flush_addresses(&self, _: &str) -> Result<(), Stop> {
        match *self {}
    }

    pub fn addresses(&self, _: &str) -> Option<Vec<String>> {
        match *self {}
    }

    pub fn interface(&self, _: &str) -> Option<(u32, u32)> {
        match *self {}
    }

    pub fn default_route(&self, _: &str, _: IpAddr, _: u32) -> Result<(), Stop> {
        match *self {}
    }

    pub fn flush_routes(&self, _: &str) -> Result<(), Stop> {
        match *self {}
    }
}
