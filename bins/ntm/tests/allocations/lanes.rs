//! Lanes that allocate nothing while packets flow, and have their thread watched.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};

use super::count::watch;
use super::ends::{self, SEGMENT, SMALL, Turns};

/// Entries that a wire holds.
const ROOM: usize = 64;

/// From one worker to the next. Each datagram says that it came from where it was
/// to go, which makes every place the neighbour of every other.
pub(crate) struct Wire {
    held: Mutex<Held>,
    reader: PipeReader,
    writer: PipeWriter,
}

struct Held {
    waiting: VecDeque<Entry>,
    free: Vec<Box<[u8]>>,
}

struct Entry {
    buffer: Box<[u8]>,
    len: usize,
    segment: u16,
    remote: Addr,
}

impl Wire {
    pub(crate) fn new() -> Arc<Self> {
        let (reader, writer) = io::pipe().unwrap();
        let free = (0..ROOM).map(|_| vec![0; 65_536].into_boxed_slice()).collect();
        let waiting = VecDeque::with_capacity(ROOM);
        Arc::new(Self { held: Mutex::new(Held { waiting, free }), reader, writer })
    }

    /// Takes what there is room for.
    fn push(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        let mut held = self.held.lock().unwrap();
        let was_empty = held.waiting.is_empty();
        let mut taken = 0;
        for packet in packets {
            let Some(mut buffer) = held.free.pop() else { break };
            let data = packet.data();
            buffer[..data.len()].copy_from_slice(data);
            let (len, segment, remote) = (data.len(), packet.segment, packet.remote);
            held.waiting.push_back(Entry { buffer, len, segment, remote });
            taken += 1;
        }
        if was_empty && taken > 0 {
            (&self.writer).write_all(&[0])?;
        }
        if taken > 0 { Ok(taken) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn pop(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        let mut held = self.held.lock().unwrap();
        let mut filled = 0;
        for slot in slots {
            let Some(entry) = held.waiting.pop_front() else { break };
            slot.buffer()[..entry.len].copy_from_slice(&entry.buffer[..entry.len]);
            slot.fill(entry.len, entry.segment);
            slot.remote = entry.remote;
            held.free.push(entry.buffer);
            filled += 1;
        }
        if filled == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if held.waiting.is_empty() {
            (&self.reader).read_exact(&mut [0])?;
        }
        Ok(filled)
    }
}

/// A transport's lane: in by one wire, out by another.
pub(crate) struct Between {
    pub(crate) from: Arc<Wire>,
    pub(crate) to: Arc<Wire>,
}

impl Lane for Between {
    fn fd(&self) -> BorrowedFd<'_> {
        self.from.reader.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        watch(true);
        self.to.push(packets)
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        watch(true);
        self.from.pop(slots)
    }
}

/// Applications that always have something to say, to every peer, in bursts of
/// every length: super-packets, large packets and small ones.
pub(crate) struct Talking {
    packets: [(Vec<u8>, u16); 3],
    said: Mutex<(Turns, usize)>,
    /// Always readable.
    reader: PipeReader,
    _writer: PipeWriter,
}

impl Talking {
    pub(crate) fn to(peers: usize) -> Self {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(&[0]).unwrap();
        let packets = [
            (ends::super_packet(1), SEGMENT),
            (ends::packet(SMALL, 1), 0),
            (ends::packet(ends::LARGE, 1), 0),
        ];
        Self { packets, said: Mutex::new((Turns::new(peers), 0)), reader, _writer: writer }
    }
}

impl Lane for Talking {
    fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        Ok(packets.len())
    }

    fn try_recv(&self, slots: &mut [RxSlot<'_>]) -> io::Result<usize> {
        watch(true);
        let mut said = self.said.lock().unwrap();
        let (turns, calls) = &mut *said;
        *calls += 1;
        let burst = slots.len().min(1 + *calls % 17);
        for (nth, slot) in slots[..burst].iter_mut().enumerate() {
            let (packet, segment) = &self.packets[(*calls + nth) % self.packets.len()];
            slot.buffer()[..packet.len()].copy_from_slice(packet);
            ends::aim(slot.buffer(), turns.next());
            slot.fill(packet.len(), *segment);
        }
        Ok(burst)
    }
}

/// Applications that listen.
pub(crate) struct Listening {
    heard: Mutex<Heard>,
    more: Condvar,
    reader: PipeReader,
    _writer: PipeWriter,
}

/// What has been heard.
#[derive(Clone, Copy, Default)]
pub(crate) struct Heard {
    pub(crate) packets: u64,
    pub(crate) super_packets: u64,
}

impl Listening {
    pub(crate) fn new() -> Self {
        let (reader, writer) = io::pipe().unwrap();
        Self { heard: Mutex::default(), more: Condvar::new(), reader, _writer: writer }
    }

    /// Waits for so many more packets.
    pub(crate) fn wait_for(&self, packets: u64) -> Heard {
        let heard = self.heard.lock().unwrap();
        let enough = heard.packets + packets;
        let most = Duration::from_secs(60);
        let waiting = |heard: &mut Heard| heard.packets < enough;
        let (heard, timeout) = self.more.wait_timeout_while(heard, most, waiting).unwrap();
        assert!(!timeout.timed_out(), "{} packets in a minute", heard.packets);
        *heard
    }
}

impl Lane for Listening {
    fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    fn try_send(&self, packets: &[TxPacket<'_>]) -> io::Result<usize> {
        let mut heard = self.heard.lock().unwrap();
        for packet in packets {
            heard.super_packets += u64::from(packet.segment > 0);
            heard.packets += (packet.data().len() as u64).div_ceil(ends::LARGE as u64);
        }
        self.more.notify_all();
        Ok(packets.len())
    }

    fn try_recv(&self, _: &mut [RxSlot<'_>]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
