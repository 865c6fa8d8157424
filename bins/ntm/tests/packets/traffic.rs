use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use ntm_lab::traffic::{Download, Flows, Probe};

use crate::stage::{End, PATIENCE, Stage};

const BYTES: u64 = 4 << 20;
/// Of a run of datagrams that an application hands over at once.
const DATAGRAM: usize = 1200;
const RUN: usize = 30;

impl Stage {
    /// A download each way beside a stream of datagrams each way, then a run of
    /// datagrams each way: all that TCP brings is whole, and no datagram comes
    /// twice.
    pub(crate) fn exchange(&self) -> Flows {
        let [mn, cn] = self.ends();
        let probe = Probe { interval: Duration::from_micros(500), size: 700 };
        let probe = probe.start((mn.netns(), mn.vip()), (cn.netns(), cn.vip())).unwrap();
        for (server, client) in [(cn, mn), (mn, cn)] {
            download(server, client, BYTES);
        }
        let flows = probe.stop(Duration::from_millis(300)).unwrap();
        for flow in [&flows.there, &flows.back] {
            assert_eq!(flow.duplicates, 0);
            assert!(flow.lost * 10 <= flow.sent, "{} of {} lost", flow.lost, flow.sent);
        }
        run_of_datagrams(mn, cn);
        run_of_datagrams(cn, mn);
        flows
    }
}

/// A whole download.
pub(crate) fn download(server: &End, client: &End, bytes: u64) {
    let download = Download { patience: PATIENCE, ..Download::of(bytes) };
    let transfer = download.run(server.netns(), server.vip(), client.netns()).unwrap();
    assert!(transfer.intact && transfer.bytes == bytes, "{transfer:?}");
}

/// An application with `UDP_SEGMENT` hands many datagrams over as one.
fn run_of_datagrams(from: &End, to: &End) {
    let (sender, receiver) = sockets(from, to);
    setsockopt(&sender, sockopt::UdpGsoSegment, &(DATAGRAM as i32)).unwrap();
    let data: Vec<u8> = (0..RUN * DATAGRAM - 7).map(|at| (at / 5 % 251) as u8).collect();
    assert_eq!(sender.send(&data).unwrap(), data.len());
    let mut buffer = [0; 2000];
    for datagram in data.chunks(DATAGRAM) {
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], datagram);
    }
}

/// A socket at each end; the first sends to the second.
pub(crate) fn sockets(from: &End, to: &End) -> (UdpSocket, UdpSocket) {
    let [sender, receiver] = [from, to]
        .map(|end| end.netns().run(|| UdpSocket::bind(SocketAddr::new(end.vip(), 0)).unwrap()));
    sender.connect(receiver.local_addr().unwrap()).unwrap();
    setsockopt(&receiver, sockopt::IpRecvTos, &true).unwrap();
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    (sender, receiver)
}
