use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ntm_core::plugin::Transport;

use crate::ends::End;

/// A NAT between one client and a server.
pub(crate) struct Relay {
    /// Where the client sends to.
    pub(crate) addr: SocketAddr,
    inside: UdpSocket,
    outside: Arc<Mutex<UdpSocket>>,
    server: Arc<Mutex<SocketAddr>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

impl Relay {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let inside = socket();
        let outside = Arc::new(Mutex::new(socket()));
        let server = Arc::new(Mutex::new(server));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (inside, outside) = (inside.try_clone().unwrap(), outside.clone());
            let (server, stop) = (server.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 2048];
                let mut client = None;
                while !stop.load(Ordering::Relaxed) {
                    let mut idle = true;
                    if let Ok((len, from)) = inside.recv_from(&mut buffer) {
                        client = Some(from);
                        let _lost = outside
                            .lock()
                            .unwrap()
                            .send_to(&buffer[..len], *server.lock().unwrap());
                        idle = false;
                    }
                    if let Ok((len, _)) = outside.lock().unwrap().recv_from(&mut buffer)
                        && let Some(client) = client
                    {
                        let _lost = inside.send_to(&buffer[..len], client);
                        idle = false;
                    }
                    if idle {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            })
        };
        let addr = inside.local_addr().unwrap();
        Self { addr, inside, outside, server, stop, thread: Some(thread) }
    }

    /// Where the server sees the client.
    fn mapping(&self) -> SocketAddr {
        self.outside.lock().unwrap().local_addr().unwrap()
    }

    /// The mapping is another one from now on.
    pub(crate) fn forget(&self) {
        *self.outside.lock().unwrap() = socket();
    }

    pub(crate) fn lead_to(&self, server: SocketAddr) {
        *self.server.lock().unwrap() = server;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let _inside = &self.inside;
    }
}

#[test]
fn a_move_is_told_and_the_old_address_leads_nowhere_any_more() {
    let (client, server) = (End::new(), End::new());
    let nat = Relay::to(server.addr);
    client.send(b"from here", nat.addr);
    let before = server.next().from;
    assert_eq!(before, nat.mapping());
    nat.forget();
    let after = client.reach(&server, b"from there", nat.addr).from;
    assert_eq!(after, nat.mapping());
    assert_ne!(after, before);
    assert_eq!(client.fact("connections made"), 1, "it is the same connection");

    server.send(b"to there", after);
    assert_eq!(client.next().data, b"to there");
    server.send(b"to here", before);
    assert!(client.within(Duration::from_millis(500)).is_none(), "QUIC would have followed");
    assert_eq!(server.fact("connections accepted"), 1);
}

#[test]
fn the_end_that_was_called_makes_its_own_connection_after_it_moved() {
    let (a, b) = (End::new(), End::new());
    a.send(b"question", b.addr);
    b.next();
    b.quic.moved();
    b.send(b"from elsewhere", a.addr);
    assert_eq!(a.next().data, b"from elsewhere");
    assert_eq!(b.fact("connections made"), 1);
    a.send(b"answer", b.addr);
    assert_eq!(b.next().data, b"answer");
    assert_eq!((a.fact("connections made"), a.fact("connections accepted")), (1, 1));
}

#[test]
fn the_end_that_called_goes_on_after_it_moved() {
    let (a, b) = (End::new(), End::new());
    a.send(b"question", b.addr);
    b.next();
    a.quic.moved();
    a.reach(&b, b"from elsewhere", b.addr);
    b.reach(&a, b"answer", a.addr);
    assert_eq!((a.fact("connections made"), b.fact("connections made")), (1, 0));
}

#[test]
fn both_may_call_at_once() {
    for _ in 0..5 {
        let (a, b) = (End::new(), End::new());
        a.send(b"from a", b.addr);
        b.send(b"from b", a.addr);
        assert_eq!(b.next().data, b"from a");
        assert_eq!(a.next().data, b"from b");
        for _ in 0..20 {
            a.reach(&b, b"to b", b.addr);
            b.reach(&a, b"to a", a.addr);
        }
    }
}
