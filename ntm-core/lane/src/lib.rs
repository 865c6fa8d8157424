//! The mailbox lane: how packets get to and from a plugin that has no
//! descriptor of its own to poll, such as a connection that lives in a runtime.
//!
//! Two bounded rings and a pipe. The worker's end is a [`Lane`] like any other;
//! the plugin's end, [`Far`], is polled by a runtime thread of the plugin's own
//! and never waits either:
//!
//! ```text
//! worker   try_recv ◄── ring ◄── deliver    plugin
//!          fd       ◄── pipe ◄──
//!          try_send ──► ring ──► poll_take
//! ```
//!
//! A ring that is full drops what comes and counts it, as a network card does.
//! Each ring is bounded twice, by entries and by bytes.
//!
//! ```
//! use ntm_core::plugin::{Addr, Lane as _, RxSlot, TxPacket};
//! use ntm_lane::{Packet, Room, mailbox};
//!
//! let (lane, far) = mailbox(Room::default())?;
//! let peer = Addr::from(std::net::SocketAddr::from(([203, 0, 113, 1], 443)));
//! lane.try_send(&[TxPacket::new(b"out", peer)])?;
//! assert_eq!(&far.try_take().unwrap().data[..], b"out");
//!
//! far.deliver(Packet::new(&b"in"[..], peer));
//! let mut buffer = [0; 2048];
//! let mut slots = [RxSlot::new(&mut buffer)];
//! assert_eq!(lane.try_recv(&mut slots)?, 1);
//! assert_eq!((slots[0].filled(), slots[0].remote), (&b"in"[..], peer));
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! To read on: `mailbox` (both ends), `ring`, `bell` (the pipe).
//!
//! [`Lane`]: ntm_core::plugin::Lane

#![forbid(unsafe_code)]

mod bell;
mod mailbox;
mod packet;
mod ring;

pub use mailbox::{Far, MailboxLane, mailbox};
pub use packet::Packet;
pub use ring::Room;
