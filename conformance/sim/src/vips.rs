use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ntm_core::address::{Prefix, Vips};
use ntm_core::plugin::{Fault, PluginError};

/// Hands out `198.18.0.1` and `fd00::1`, then the next, up to 65,534.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    taken: BTreeSet<u16>,
    next: u16,
}

impl Pool {
    pub(crate) fn ranges() -> Vec<Prefix> {
        let v4 = Prefix::new(Ipv4Addr::new(198, 18, 0, 0).into(), 16);
        let v6 = Prefix::new(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0).into(), 112);
        v4.into_iter().chain(v6).collect()
    }

    pub(crate) fn take(&mut self) -> Result<Vips, PluginError> {
        let full = || PluginError::new(Fault::Busy, "all addresses are taken", "use fewer hosts");
        if self.taken.len() >= usize::from(u16::MAX) - 1 {
            return Err(full());
        }
        loop {
            self.next = self.next.wrapping_add(1);
            if self.next != 0 && self.next != u16::MAX && self.taken.insert(self.next) {
                break;
            }
        }
        let [high, low] = self.next.to_be_bytes();
        Ok(Vips {
            v4: Some(Ipv4Addr::new(198, 18, high, low)),
            v6: Some(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, self.next)),
        })
    }

    pub(crate) fn keep(&mut self, vips: &Vips) {
        self.taken.extend(number(vips));
    }

    pub(crate) fn release(&mut self, vips: &Vips) {
        if let Some(number) = number(vips) {
            self.taken.remove(&number);
        }
    }
}

fn number(vips: &Vips) -> Option<u16> {
    let [.., high, low] = vips.v4?.octets();
    Some(u16::from_be_bytes([high, low]))
}
