use futures_util::TryStreamExt;
use rtnetlink::packet_route::neighbour::NeighbourState;

use super::Netlink;
use crate::error::Result;

impl Netlink {
    /// Forgets which Ethernet addresses the neighbours on an interface have, and
    /// which of them did not answer. The kernel asks an unanswered question
    /// again only after a second, also where the interface has meanwhile been
    /// plugged in elsewhere.
    ///
    /// # Errors
    /// There is no such interface, or the kernel refuses.
    pub fn flush_neighbours(&self, name: &str) -> Result<()> {
        let index = self.index(name)?;
        let neighbours = self.ask(
            || "list the neighbours".to_owned(),
            |handle| handle.neighbours().get().execute().try_collect::<Vec<_>>(),
        )?;
        for neighbour in neighbours {
            let known = neighbour.header.state != NeighbourState::Noarp;
            if neighbour.header.ifindex == index && known {
                let what = || format!("forget a neighbour on {name}");
                // It may have gone by itself.
                let _ = self.ask(what, |handle| handle.neighbours().del(neighbour).execute());
            }
        }
        Ok(())
    }
}
