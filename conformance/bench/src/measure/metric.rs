//! What is measured of every tunnel: names, units, and which way is better.

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    Tcp1There,
    Tcp1Back,
    Tcp4There,
    Tcp4Back,
    Tcp1ThereRetransmits,
    Tcp1BackRetransmits,
    Tcp4ThereRetransmits,
    Tcp4BackRetransmits,
    LossFree,
    Overload,
    Flood,
    IdleMedian,
    IdleTail,
    LoadedMedian,
    LoadedTail,
    LoadedTcp,
    LoadedRetransmits,
    CpuMachine,
    CpuTunnel,
    Memory,
}

/// What a metric is.
pub(crate) struct About {
    /// In JSON.
    pub(crate) key: &'static str,
    /// Over a column.
    pub(crate) title: &'static str,
    /// In JSON and on axes.
    pub(crate) unit: &'static str,
    /// In tables values are divided by this, and have so many decimals.
    pub(crate) shown: (f64, usize),
    pub(crate) more_is_better: bool,
}

impl Metric {
    pub(crate) const ALL: [Self; 20] = [
        Self::Tcp1There,
        Self::Tcp1Back,
        Self::Tcp4There,
        Self::Tcp4Back,
        Self::Tcp1ThereRetransmits,
        Self::Tcp1BackRetransmits,
        Self::Tcp4ThereRetransmits,
        Self::Tcp4BackRetransmits,
        Self::LossFree,
        Self::Overload,
        Self::Flood,
        Self::IdleMedian,
        Self::IdleTail,
        Self::LoadedMedian,
        Self::LoadedTail,
        Self::LoadedTcp,
        Self::LoadedRetransmits,
        Self::CpuMachine,
        Self::CpuTunnel,
        Self::Memory,
    ];

    pub(crate) fn about(self) -> About {
        let about = |key, title, unit, shown, more_is_better| About {
            key,
            title,
            unit,
            shown,
            more_is_better,
        };
        let mbit = (1e6, 0);
        match self {
            Self::Tcp1There => about("tcp1_there", "1 stream →", "bit/s", mbit, true),
            Self::Tcp1Back => about("tcp1_back", "1 stream ←", "bit/s", mbit, true),
            Self::Tcp4There => about("tcp4_there", "4 streams →", "bit/s", mbit, true),
            Self::Tcp4Back => about("tcp4_back", "4 streams ←", "bit/s", mbit, true),
            Self::Tcp1ThereRetransmits => again("tcp1_there_retransmits"),
            Self::Tcp1BackRetransmits => again("tcp1_back_retransmits"),
            Self::Tcp4ThereRetransmits => again("tcp4_there_retransmits"),
            Self::Tcp4BackRetransmits => again("tcp4_back_retransmits"),
            Self::LossFree => about("udp_loss_free", "without loss", "packets/s", (1e3, 1), true),
            Self::Overload => about("udp_overload", "at 1.75 × that", "packets/s", (1e3, 1), true),
            Self::Flood => about("udp_flood", "unpaced", "packets/s", (1e3, 1), true),
            Self::IdleMedian => about("rtt_idle_p50", "idle p50", "µs", (1.0, 0), false),
            Self::IdleTail => about("rtt_idle_p99", "idle p99", "µs", (1.0, 0), false),
            Self::LoadedMedian => about("rtt_loaded_p50", "loaded p50", "µs", (1.0, 0), false),
            Self::LoadedTail => about("rtt_loaded_p99", "loaded p99", "µs", (1.0, 0), false),
            Self::LoadedTcp => about("rtt_loaded_tcp", "Mbit/s meanwhile", "bit/s", mbit, true),
            Self::LoadedRetransmits => again("rtt_loaded_retransmits"),
            Self::CpuMachine => about("cpu_machine", "CPU s/GB, all", "s/GB", (1.0, 2), false),
            Self::CpuTunnel => about("cpu_tunnel", "CPU s/GB, tunnel", "s/GB", (1.0, 2), false),
            Self::Memory => about("memory_peak", "memory MiB", "KiB", (1024.0, 1), false),
        }
    }
}

fn again(key: &'static str) -> About {
    About { key, title: "retransmits", unit: "segments", shown: (1.0, 0), more_is_better: false }
}
