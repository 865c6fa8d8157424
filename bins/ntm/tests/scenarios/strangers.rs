//! H8 to H11: somebody in the network who hears what is sent, and sends it again.

use std::collections::BTreeSet;
use std::iter;
use std::net::UdpSocket;

use ntm_core::wire::Kind;
use ntm_lab::scenario::domain::Node;
use ntm_lab::scenario::until;
use ntm_lab::{Host, Result};

use crate::scene::{
    NAMES, PORT, Scene, counted, goes_on, keep_out, known, let_in, moves, outer, remote, v4,
};
use crate::stage::{PATIENCE, Stage};
use crate::tap::{Seen, Tap, is_one_of, send_again};

/// A socket of the stranger's, in a network of his own.
fn stranger(host: &Host) -> UdpSocket {
    host.netns().run(|| UdpSocket::bind(("0.0.0.0", PORT))).unwrap()
}

/// Bytes that have come to him.
fn heard(socket: &UdpSocket) -> usize {
    let mut buffer = [0; 65_536];
    socket.set_nonblocking(true).unwrap();
    let bytes = iter::from_fn(|| socket.recv(&mut buffer).ok()).sum();
    socket.set_nonblocking(false).unwrap();
    bytes
}

/// How many messages of this name a node has accepted.
fn read(node: &Node, message: &str) -> usize {
    let lines = node.process.lines_matching(&format!("\"message\":\"{message}\""));
    lines.iter().filter(|line| line.text.contains("\"sent\":\"in\"")).count()
}

pub(crate) fn h08_a_late_direction() -> Result<()> {
    let mut stage = Stage::build("h08", &NAMES)?;
    let (one, two, cn) = (stage.open("one")?, stage.open("two")?, stage.open("cn-isp")?);
    let core = stage.core.clone();
    let scene = Scene::start(stage, [&core, &one, &cn])?;
    let pair = scene.pair("direct")?;
    let tap = Tap::on(scene.stage.lab.core());
    let (dc, cn_at) = (v4(&scene.dc_host)?, v4(&scene.cn_host)?);
    // The direction of a first move does not reach CN, nor does that of a second one.
    keep_out(scene.cn_host.netns(), &format!("ip saddr {}", dc.ip()))?;
    moves(&pair, &scene.mn_host, &two, "direct")?;
    let withheld = until("a direction for CN", PATIENCE, || {
        let seen = tap.seen().into_iter();
        let to_cn: Vec<_> = seen.filter(|seen| (seen.from, seen.to) == (dc, cn_at)).collect();
        // Nothing else that the coordinator says to it is as long.
        Ok(to_cn.iter().any(|seen| seen.datagram.len() > 200).then_some(to_cn))
    })?;
    moves(&pair, &scene.mn_host, &one, "direct")?;
    // Later ones do,
    let_in(scene.cn_host.netns())?;
    moves(&pair, &scene.mn_host, &two, "direct")?;
    moves(&pair, &scene.mn_host, &one, "direct")?;
    let at = v4(&scene.mn_host)?;
    assert_eq!(remote(&scene.cn, None)?, at);
    // and then the first arrives, and once more.
    let read = || read(&scene.cn, "Route Direction");
    let before = read();
    for seen in withheld.iter().chain(&withheld) {
        send_again(scene.stage.lab.core(), seen);
    }
    until("the late one", PATIENCE, || Ok((read() > before).then_some(())))?;
    goes_on(&pair, "direct")?;
    assert_eq!(remote(&scene.cn, None)?, at);
    pair.finish()
}

pub(crate) fn h09_replayed() -> Result<()> {
    let mut stage = Stage::build("h09", &NAMES)?;
    let (mn, cn) = (stage.open("mn-isp")?, stage.open("cn-isp")?);
    let core = stage.core.clone();
    let eve = stage.host("eve", &core)?;
    let scene = Scene::start(stage, [&core, &mn, &cn])?;
    let pair = scene.pair("direct")?;
    let tap = Tap::on(scene.stage.lab.core());
    let (mn_at, cn_at) = (v4(&scene.mn_host)?, v4(&scene.cn_host)?);
    pair.more(1 << 20)?;
    let capsules: Vec<_> = tap
        .seen()
        .into_iter()
        .filter(|seen| (seen.from, seen.to) == (mn_at, cn_at) && seen.is(Kind::Capsule))
        .collect();
    let capsules = &capsules[capsules.len().saturating_sub(50)..];
    assert!(!capsules.is_empty());
    let before = scene.cn.status()?["dropped"]["replayed"].as_u64().unwrap();
    let socket = stranger(&eve);
    for seen in capsules {
        socket.send_to(&seen.datagram, cn_at).unwrap();
    }
    counted("replayed packets to be dropped", before + capsules.len() as u64, || {
        Ok(scene.cn.status()?["dropped"]["replayed"].as_u64().unwrap())
    })?;
    goes_on(&pair, "direct")?;
    assert_eq!(remote(&scene.cn, None)?, mn_at);
    assert_eq!(heard(&socket), 0, "nobody answers him");
    pair.finish()
}

pub(crate) fn h10_copied() -> Result<()> {
    let mut stage = Stage::build("h10", &NAMES)?;
    let (nat, cn) = (stage.natted("nat")?, stage.open("cn-isp")?);
    let core = stage.core.clone();
    let eve = stage.host("eve", &core)?;
    let scene = Scene::start(stage, [&core, &nat, &cn])?;
    let pair = scene.pair("direct")?;
    let cn_at = v4(&scene.cn_host)?;
    let before = remote(&scene.cn, None)?;
    assert_eq!(before.ip(), outer(&nat));
    // What MN sends is withheld from CN, and a copy of it arrives from elsewhere.
    let router = nat.router().unwrap();
    router.drop_matching(&format!("ip daddr {} udp dport {PORT}", cn_at.ip()))?;
    let tap = Tap::on(router.netns());
    let copy = until("a packet to copy", PATIENCE, || {
        let seen = tap.seen();
        Ok(seen.into_iter().find(|seen| seen.to == cn_at && seen.is(Kind::Capsule)))
    })?;
    let socket = stranger(&eve);
    socket.send_to(&copy.datagram, cn_at).unwrap();
    let mut bytes = 0;
    until("him to be asked", PATIENCE, || {
        bytes += heard(&socket);
        Ok((bytes > 0).then_some(()))
    })?;
    router.drop_nothing()?;
    goes_on(&pair, "direct")?;
    assert_eq!(remote(&scene.cn, None)?, before);
    bytes += heard(&socket);
    let sent = copy.datagram.len();
    assert!(bytes <= 3 * sent, "{bytes} bytes for {sent}");
    pair.finish()
}

pub(crate) fn h11_forged() -> Result<()> {
    let mut stage = Stage::build("h11", &NAMES)?;
    let (one, two, cn) = (stage.natted("one")?, stage.natted("two")?, stage.natted("cn-nat")?);
    let (servers, core) = (stage.open("servers")?, stage.core.clone());
    let eve = stage.host("eve", &core)?;
    // He hears everything from the first datagram on.
    let tap = Tap::on(stage.lab.core());
    let scene = Scene::start(stage, [&servers, &one, &cn])?;
    let pair = scene.pair("relay")?;
    let servers = [v4(&scene.dc_host)?, v4(&scene.rs_host)?];
    moves(&pair, &scene.mn_host, &two, "relay")?;
    let to_servers = tap.seen().into_iter().filter(|seen| is_one_of(seen.to.ip(), &servers));
    let (mut capsules, mut seen): (Vec<Seen>, Vec<Seen>) =
        to_servers.partition(|seen| seen.is(Kind::Capsule));
    capsules.truncate(200);
    seen.extend(capsules);
    let state = || -> Result<_> {
        let members = ["mn.example", "cn.example"].map(|name| known(&scene.dc, name));
        let [mn, cn] = members;
        Ok((mn?, cn?, remote(&scene.mn, None)?, remote(&scene.cn, None)?))
    };
    let before = state()?;
    let socket = stranger(&eve);
    let mut kinds = BTreeSet::new();
    for seen in &seen {
        let Ok(kind) = Kind::of(&seen.datagram) else { continue };
        kinds.insert(format!("{kind:?}"));
        // As it was, and with the right Path ID or session but without the key.
        socket.send_to(&seen.datagram, seen.to).unwrap();
        let mut forged = seen.datagram.clone();
        *forged.last_mut().unwrap() ^= 1;
        socket.send_to(&forged, seen.to).unwrap();
    }
    for kind in ["Bind", "Control", "Capsule", "Handshake1", "Signalling"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    // Datagrams are read in their order: what goes through the relay and to the
    // coordinator from now on is read after his.
    goes_on(&pair, "relay")?;
    let keep_alives = read(&scene.dc, "Keep-alive");
    until("a keep-alive", PATIENCE, || {
        Ok((read(&scene.dc, "Keep-alive") > keep_alives).then_some(()))
    })?;
    assert_eq!(state()?, before);
    assert_eq!(scene.rs.status()?["relay"]["pairs"], 1);
    pair.finish()
}
