//! What [`Lane`] promises, held against the mailbox from outside.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use ntm_core::plugin::{Addr, Lane, RxSlot, TxPacket};
use ntm_lane::{Far, MailboxLane, Packet, Room, mailbox};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const SMALL: Room = Room { packets: 8, bytes: 1 << 16 };

fn addr(last: u8) -> Addr {
    SocketAddr::from(([203, 0, 113, last], 443)).into()
}

fn wait(lane: &MailboxLane, seconds: i64) -> bool {
    let patience = Timespec { tv_sec: seconds, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(lane.fd(), PollFlags::IN)], Some(&patience)).unwrap() == 1
}

fn is_readable(lane: &MailboxLane) -> bool {
    wait(lane, 0)
}

fn receive(lane: &MailboxLane, most: usize) -> Result<Vec<Vec<u8>>, ErrorKind> {
    let mut buffers = vec![[0; 64]; most];
    let mut slots: Vec<_> = buffers.iter_mut().map(|buffer| RxSlot::new(buffer)).collect();
    let filled = lane.try_recv(&mut slots).map_err(|error| error.kind())?;
    Ok(slots[..filled].iter().map(|slot| slot.filled().to_vec()).collect())
}

fn send(lane: &MailboxLane, payloads: &[&[u8]]) -> Result<usize, ErrorKind> {
    let packets: Vec<_> = payloads.iter().map(|data| TxPacket::new(data, addr(1))).collect();
    lane.try_send(&packets).map_err(|error| error.kind())
}

#[derive(Default)]
struct Counting(AtomicU32);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Telling(mpsc::Sender<()>);

impl Wake for Telling {
    fn wake(self: Arc<Self>) {
        let _over = self.0.send(());
    }
}

fn taking(far: &Far, waker: &Arc<Counting>) -> Poll<Option<Packet>> {
    far.poll_take(&mut Context::from_waker(&Waker::from(waker.clone())))
}

#[test]
fn the_descriptor_is_readable_exactly_while_something_is_to_be_received() {
    let (lane, far) = mailbox(SMALL).unwrap();
    assert!(!is_readable(&lane));
    assert_eq!(receive(&lane, 4), Err(ErrorKind::WouldBlock));
    for payload in [&b"one"[..], b"two", b"three"] {
        assert!(far.deliver(Packet::new(payload, addr(2))));
    }
    assert!(is_readable(&lane));
    assert_eq!(receive(&lane, 2).unwrap(), [&b"one"[..], b"two"], "in order");
    assert!(is_readable(&lane), "one is left");
    assert_eq!(receive(&lane, 1).unwrap(), [b"three"]);
    assert!(!is_readable(&lane), "as many slots as packets");
}

#[test]
fn a_slot_says_what_is_known_of_a_run_and_cuts_off_what_does_not_fit() {
    let (lane, far) = mailbox(SMALL).unwrap();
    let (remote, local) = (addr(2), addr(3));
    let packet = Packet::new(&b"aaaabbbbcc"[..], remote);
    far.deliver(Packet { segment: 4, local, ifindex: 7, ecn: 2, ..packet });
    let mut buffer = [0; 9];
    let mut slot = RxSlot::new(&mut buffer);
    lane.try_recv(std::slice::from_mut(&mut slot)).unwrap();
    assert!(slot.segments().eq([&b"aaaa"[..], b"bbbb", b"c"]));
    assert_eq!((slot.remote, slot.local, slot.ifindex, slot.ecn), (remote, local, 7, 2));
}

#[test]
fn what_finds_no_room_is_refused_and_neither_end_waits() {
    let (lane, far) = mailbox(SMALL).unwrap();
    assert_eq!(send(&lane, &[&b"x"[..]; 11]), Ok(8), "the first eight of them");
    assert_eq!(send(&lane, &[b"x"]), Err(ErrorKind::WouldBlock));
    assert_eq!(send(&lane, &[]), Ok(0));
    assert!(far.try_take().is_some());
    assert_eq!(send(&lane, &[b"y", b"z"]), Ok(1));

    let delivered = (0..11).filter(|_| far.deliver(Packet::new(&b"x"[..], addr(2)))).count();
    assert_eq!((delivered, far.dropped()), (8, 3));
    let run = Packet { segment: 4, ..Packet::new(&b"aaaabbbbcc"[..], addr(2)) };
    assert!(!far.deliver(run));
    assert_eq!(far.dropped(), 6, "each datagram of a run counts");
}

#[test]
fn the_plugin_is_woken_for_the_first_packet_after_it_found_none() {
    let (lane, far) = mailbox(SMALL).unwrap();
    let waker = Arc::<Counting>::default();
    assert!(taking(&far, &waker).is_pending());
    send(&lane, &[b"one", b"two"]).unwrap();
    send(&lane, &[b"three"]).unwrap();
    assert_eq!(waker.0.load(Ordering::Relaxed), 1);
    let mut taken = Vec::new();
    while let Poll::Ready(packet) = taking(&far, &waker) {
        taken.push(packet.unwrap().data);
    }
    assert_eq!(taken, [&b"one"[..], b"two", b"three"]);
    let mut take = pin!(far.take());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(take.as_mut().poll(&mut cx).is_pending(), "nothing is left");
}

#[test]
fn a_closed_mailbox_gives_what_is_left_then_errors_and_wakes_both_ends() {
    let (lane, far) = mailbox(SMALL).unwrap();
    let waker = Arc::<Counting>::default();
    assert!(taking(&far, &waker).is_pending());
    far.deliver(Packet::new(&b"last"[..], addr(2)));
    assert_eq!(receive(&lane, 1).unwrap(), [b"last"]);
    far.close();
    assert_eq!(waker.0.load(Ordering::Relaxed), 1);
    assert!(matches!(taking(&far, &waker), Poll::Ready(None)));
    for _ in 0..3 {
        assert!(is_readable(&lane));
        assert_eq!(receive(&lane, 1), Err(ErrorKind::NotConnected));
    }
    assert_eq!(send(&lane, &[b"x"]), Err(ErrorKind::NotConnected));

    let (lane, far) = mailbox(SMALL).unwrap();
    far.deliver(Packet::new(&b"last"[..], addr(2)));
    drop(far);
    assert_eq!(receive(&lane, 1).unwrap(), [b"last"]);
    assert!(is_readable(&lane));
    assert_eq!(receive(&lane, 1), Err(ErrorKind::NotConnected));
}

/// A bell that is missed leaves packets lying: the receiver would wait for ever.
#[test]
fn no_packet_is_left_lying_however_the_threads_meet() {
    const EACH: u32 = 30_000;
    const SENDERS: u8 = 3;
    let (lane, far) = mailbox(SMALL).unwrap();
    let (lane, far) = (&lane, &far);
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            scope.spawn(move || {
                for number in 0..EACH {
                    let data = number.to_be_bytes().to_vec();
                    // Full: the receiver is at it.
                    while !far.deliver(Packet::new(data.clone(), addr(sender))) {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut next = BTreeMap::new();
        let mut received = 0;
        while received < EACH * u32::from(SENDERS) {
            assert!(wait(lane, 10), "{received} packets, then none was told of");
            let mut buffers = [[0; 4]; 3];
            let mut slots = buffers.each_mut().map(|buffer| RxSlot::new(buffer));
            let filled = match lane.try_recv(&mut slots) {
                Ok(filled) => filled,
                // It rang for what had been fetched.
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => panic!("{error}"),
            };
            for slot in &slots[..filled] {
                let expected = next.entry(slot.remote.socket().unwrap()).or_insert(0_u32);
                assert_eq!(slot.filled(), expected.to_be_bytes(), "in the order of its sender");
                *expected += 1;
            }
            received += filled as u32;
        }
    });
    let _late_ring = receive(lane, 1);
    assert!(!is_readable(lane));
}

/// The same the other way: a waker that is missed.
#[test]
fn the_plugin_gets_everything_that_was_taken_in() {
    const EACH: u32 = 30_000;
    const SENDERS: u32 = 3;
    let (lane, far) = mailbox(SMALL).unwrap();
    let lane = &lane;
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(move || {
                for number in 0..EACH {
                    while send(lane, &[&number.to_be_bytes()]).is_err() {
                        thread::yield_now();
                    }
                }
            });
        }
        let (woken, wakes) = mpsc::channel();
        let waker = Waker::from(Arc::new(Telling(woken)));
        let mut received = 0;
        while received < EACH * SENDERS {
            match far.poll_take(&mut Context::from_waker(&waker)) {
                Poll::Ready(packet) => received += u32::from(packet.is_some()),
                Poll::Pending => {
                    let told = wakes.recv_timeout(Duration::from_secs(10));
                    assert!(told.is_ok(), "{received} packets, then no waker");
                }
            }
        }
    });
}
