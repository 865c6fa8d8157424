use std::net::IpAddr;
use std::time::Duration;

use ntm_core::Time;
use serde::Serialize;
use serde_json::Value;

use super::Options;
use super::budget::{self, Budget};
use super::stage::Stage;
use crate::host::Configured;
use crate::nat::Backend;
use crate::scenario::stats::{median, median_of, p99};
use crate::traffic::Transfer;

/// What came out of the measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `fast` or `seed`.
    pub mode: &'static str,
    /// The transports that nodes were given, the best first.
    pub transports: Vec<&'static str>,
    /// Whether their plugins were shared objects.
    pub libraries: bool,
    /// Whether every machine dropped UDP port 4330.
    pub udp_blocked: bool,
    /// The round trip between any two hosts that was asked for, in milliseconds.
    pub rtt_ms: f64,
    /// The same as measured between MN and DC before anything began.
    pub measured_rtt_ms: f64,
    /// Where addresses came from: `dhcp` or `static`.
    pub addresses: &'static str,
    /// Who translated addresses: `nft` or `emulator`.
    pub nat: &'static str,
    /// The Path ID before the first move.
    pub path_id_before: String,
    /// The Path ID after the last one.
    pub path_id_after: String,
    /// The way before the first move: `direct` or `relay`.
    pub path_before: String,
    /// The way after it.
    pub path_after: String,
    /// The download arrived whole, with the same SHA-256 at both ends.
    pub checksum_ok: bool,
    /// Bytes of the download that arrived.
    pub bytes: u64,
    /// Why the download ended early, if it did.
    pub download_error: Option<String>,
    /// The longest time without a byte of the download, in milliseconds.
    pub longest_stall_ms: f64,
    /// From carrier to usable source address and route, which is not ours
    /// (median, µs).
    pub acquisition_us: Option<u64>,
    /// Medians over the moves into the DC's network, in microseconds.
    pub phases_us: Phases,
    /// The 99th percentiles over all moves; none for fewer than 100.
    pub phases_p99_us: Phases,
    /// Without a packet, in milliseconds (median over the moves into the DC's
    /// network).
    pub outage_ms: Ways<f64>,
    /// The same since the first datagram was sent: the part that is ours.
    pub silence_ms: Ways<f64>,
    /// Probe packets lost at a move (median).
    pub lost: Ways<u64>,
    /// What the design allows, and what was measured.
    pub budgets: Vec<Budget>,
    /// Each move.
    pub moves: Vec<Move>,
    /// Lines of nodes' logs that are warnings or errors.
    pub complaints: Vec<String>,
    /// The signalling of the start and of the first move, as it was sent and
    /// received.
    #[serde(skip)]
    pub charts: [Vec<String>; 2],
}

/// The steps of a move: `detected` since the source was usable, the others since
/// the first datagram; in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Phases {
    /// Until the first datagram was sent.
    pub detected: Option<u64>,
    /// Until the RS knew where MN is; in moves that it sees without a NAT.
    pub relayed: Option<u64>,
    /// Until the coordinator had registered the new location.
    pub registered: Option<u64>,
    /// Until its direction arrived.
    pub directed: Option<u64>,
    /// Until the tunnel worked again.
    pub rebuilt: Option<u64>,
    /// Until the first packet from the peer.
    pub first_packet: Option<u64>,
}

/// Something in both directions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Ways<T> {
    /// Towards MN.
    pub down: T,
    /// From MN.
    pub up: T,
}

/// One move.
#[derive(Clone, Debug, Serialize)]
pub struct Move {
    /// Into the network of the DC, or back behind NAT 1.
    pub into_dc_network: bool,
    /// The Path ID after it.
    pub path_id: String,
    /// The way after it: `direct` or `relay`.
    pub path: String,
    /// From carrier to usable source, in microseconds.
    pub acquisition_us: u64,
    /// Its steps.
    pub phases_us: Phases,
    /// Without a packet, in milliseconds.
    pub outage_ms: Ways<f64>,
    /// The same since the first datagram was sent.
    pub silence_ms: Ways<f64>,
    /// Probe packets lost.
    pub lost: Ways<u64>,
    /// The real address of MN after it.
    pub source: IpAddr,
    /// When the plug was pulled.
    #[serde(skip)]
    pub(super) left: Time,
    /// When the first datagram was sent.
    #[serde(skip)]
    pub(super) sent: Time,
}

impl Move {
    /// When all that belongs to it is over, about.
    pub(super) fn end(&self) -> Time {
        let Phases { registered, directed, rebuilt, first_packet, .. } = self.phases_us;
        let last = registered.max(directed).max(rebuilt).max(first_packet).unwrap_or(0);
        self.sent + Duration::from_micros(last) + Duration::from_millis(20)
    }
}

impl Report {
    pub(super) fn new(
        options: &Options,
        stage: &Stage,
        before: &Value,
        moves: Vec<Move>,
        transfer: &Transfer,
        complaints: Vec<String>,
        charts: [Vec<String>; 2],
    ) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (first, last) = (moves.first(), moves.last());
        let into: Vec<&Move> = moves.iter().filter(|one| one.into_dc_network).collect();
        let all: Vec<&Move> = moves.iter().collect();
        let phases_us = Phases::over(&into, median);
        let phases_p99_us = Phases::over(&all, p99);
        let silence_ms = Ways::middle(&into, |one| one.silence_ms);
        let by_dhcp = stage.mn.eth0().configured(&stage.global) == Configured::ByDhcp;
        let backend = stage.home.router().and_then(crate::nat::Router::backend);
        Self {
            mode: options.mode.name(),
            transports: options.outfit.transports.iter().map(|it| it.name()).collect(),
            libraries: options.outfit.libraries.is_some(),
            udp_blocked: options.outfit.block_udp,
            rtt_ms: options.rtt.as_secs_f64() * 1e3,
            measured_rtt_ms: stage.rtt.as_secs_f64() * 1e3,
            addresses: if by_dhcp { "dhcp" } else { "static" },
            nat: if backend == Some(Backend::Kernel) { "nft" } else { "emulator" },
            path_id_before: text(&before["path_id"]),
            path_id_after: last.map_or(String::new(), |one| one.path_id.clone()),
            path_before: text(&before["path"]["kind"]),
            path_after: first.map_or(String::new(), |one| one.path.clone()),
            checksum_ok: transfer.intact,
            bytes: transfer.bytes,
            download_error: transfer.error.clone(),
            longest_stall_ms: transfer.longest_stall.as_secs_f64() * 1e3,
            acquisition_us: median(&into.iter().map(|one| one.acquisition_us).collect::<Vec<_>>()),
            phases_us,
            phases_p99_us,
            outage_ms: Ways::middle(&into, |one| one.outage_ms),
            silence_ms,
            lost: Ways {
                down: median(&into.iter().map(|one| one.lost.down).collect::<Vec<_>>())
                    .unwrap_or(0),
                up: median(&into.iter().map(|one| one.lost.up).collect::<Vec<_>>()).unwrap_or(0),
            },
            budgets: budget::all(options.mode, stage.rtt, &phases_us, &phases_p99_us, silence_ms),
            moves,
            complaints,
            charts,
        }
    }

    /// Whether communication survived as it must: the download is whole, every
    /// move was followed, and the Path ID stayed the same throughout.
    pub fn passed(&self) -> bool {
        self.checksum_ok
            && !self.moves.is_empty()
            && self.moves.iter().all(|one| one.path_id == self.path_id_before)
    }
}

impl Phases {
    fn over(moves: &[&Move], take: fn(&[u64]) -> Option<u64>) -> Self {
        let of = |get: fn(&Self) -> Option<u64>| -> Option<u64> {
            take(&moves.iter().filter_map(|one| get(&one.phases_us)).collect::<Vec<_>>())
        };
        Self {
            detected: of(|phases| phases.detected),
            relayed: of(|phases| phases.relayed),
            registered: of(|phases| phases.registered),
            directed: of(|phases| phases.directed),
            rebuilt: of(|phases| phases.rebuilt),
            first_packet: of(|phases| phases.first_packet),
        }
    }
}

impl Ways<f64> {
    fn middle(moves: &[&Move], get: fn(&Move) -> Self) -> Self {
        let of = |way: fn(&Self) -> f64| {
            let values: Vec<_> = moves.iter().map(|one| way(&get(one))).collect();
            // Infinite where nothing came back.
            median_of(&values).unwrap_or(f64::NAN)
        };
        Self { down: of(|ways| ways.down), up: of(|ways| ways.up) }
    }
}
