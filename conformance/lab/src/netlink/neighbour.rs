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
        let get = self.handle.neighbours().get().execute().try_collect::<Vec<_>>();
        for neighbour in self.ask(|| "list the neighbours".to_owned(), get)? {
            let known = neighbour.header.state != NeighbourState::Noarp;
            if neighbour.header.ifindex == index && known {
                let del = self.handle.neighbours().del(neighbour).execute();
                // It may have gone by itself.
                let _ = self.ask(|| format!("forget a neighbour on {name}"), del);
            }
        }
        Ok(())
    }
}
