//! As much of a TURN client as it takes to send through a TURN server (RFC 8656).

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use ntm_lab::{Error, Result};

use crate::bed::doing;

/// The port of TURN over UDP.
const PORT: u16 = 3478;
const MAGIC: u32 = 0x2112_a442;
const ALLOCATE: u16 = 0x0003;
const CHANNEL_BIND: u16 = 0x0009;
/// What a request's type becomes in the answer that grants it.
const GRANTED: u16 = 0x0100;
const REQUESTED_TRANSPORT: u16 = 0x0019;
const UDP: [u8; 4] = [17, 0, 0, 0];
const CHANNEL_NUMBER: u16 = 0x000c;
const XOR_PEER_ADDRESS: u16 = 0x0012;
/// The lowest channel there is.
const CHANNEL: u16 = 0x4000;

/// Connects the socket to a TURN server that asks for no password, which from then on
/// hands what is sent in the [`envelope`] to `peer`.
///
/// # Errors
/// The server does not answer, or refuses.
pub(crate) fn connect(socket: &UdpSocket, server: Ipv4Addr, peer: SocketAddrV4) -> Result<()> {
    socket.connect((server, PORT)).map_err(doing("connect to a TURN server"))?;
    ask(socket, ALLOCATE, &[attribute(REQUESTED_TRANSPORT, UDP)].concat())?;
    let [high, low] = CHANNEL.to_be_bytes();
    let [a, b] = (peer.port() ^ (MAGIC >> 16) as u16).to_be_bytes();
    let [c, d, e, f] = (u32::from(*peer.ip()) ^ MAGIC).to_be_bytes();
    let attributes = [
        attribute(CHANNEL_NUMBER, [high, low, 0, 0]).to_vec(),
        attribute(XOR_PEER_ADDRESS, [0, 1, a, b, c, d, e, f]),
    ];
    ask(socket, CHANNEL_BIND, &attributes.concat())
}

/// What stands before a message of `size` bytes to the peer.
pub(crate) fn envelope(size: usize) -> Vec<u8> {
    [CHANNEL.to_be_bytes(), (size as u16).to_be_bytes()].concat()
}

fn attribute<const N: usize>(kind: u16, value: [u8; N]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(N as u16).to_be_bytes(), &value].concat()
}

fn ask(socket: &UdpSocket, kind: u16, attributes: &[u8]) -> Result<()> {
    let header = [kind.to_be_bytes(), (attributes.len() as u16).to_be_bytes()].concat();
    let request = [&header[..], &MAGIC.to_be_bytes(), &[kind as u8; 12], attributes].concat();
    let mut answer = [0; 1500];
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .map_err(doing("ask a TURN server"))?;
    // Until it listens.
    for _ in 0..25 {
        let _refused_as_long_as_nobody_listens = socket.send(&request);
        if let Ok(length) = socket.recv(&mut answer)
            && length >= 20
            && answer[8..20] == request[8..20]
        {
            let said = u16::from_be_bytes([answer[0], answer[1]]);
            let refusal =
                || Error::Wrong(format!("a TURN server answers {kind:#06x} with {said:#06x}"));
            return if said == kind | GRANTED { Ok(()) } else { Err(refusal()) };
        }
    }
    Err(Error::Wrong("a TURN server does not answer".into()))
}
