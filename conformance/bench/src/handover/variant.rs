use std::time::Duration;

use clap::ValueEnum;

use super::ground::{Ground, Moment, Old};
use ntm_lab::Result;

/// What happens, and what goes through the tunnel meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Variant {
    /// One end moves; both send.
    Plain,
    /// One end moves and sends nothing: it only listens.
    Listening,
    /// One end moves while it downloads.
    Download,
    /// One end moves, and of the first packets one is lost.
    Lossy,
    /// The new address is there a while before the old one goes.
    Overlap,
    /// Both ends move in the same instant.
    Both,
}

impl Variant {
    /// What the command line calls it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "one end moves, both send",
            Self::Listening => "one end moves, only the other sends",
            Self::Download => "one end moves and downloads meanwhile",
            Self::Lossy => "one end moves, one packet is lost in the first 10 ms",
            Self::Overlap => "the new address is there before the old one goes",
            Self::Both => "both ends move at once",
        }
    }

    /// Whether the end that moves sends anything.
    pub(crate) fn mover_sends(self) -> bool {
        self != Self::Listening
    }

    /// Bytes a second of the download.
    pub(crate) fn download(self) -> Option<u64> {
        (self == Self::Download).then_some(DOWNLOAD)
    }

    /// Moves for the `nth` time, counted from 0.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn step(self, ground: &mut Ground, nth: u32) -> Result<Moment> {
        match self {
            Self::Plain | Self::Listening | Self::Download => ground.move_left(Old::Goes),
            Self::Lossy => {
                // Each of these in turn: the first four that it sends, the first two
                // that it hears.
                let (outward, before) = match nth % 6 {
                    before @ 0..4 => (true, before),
                    before => (false, before - 4),
                };
                ground.lose.order(outward, before);
                ground.move_left(Old::Goes)
            }
            Self::Overlap => ground.move_left(Old::Stays(OVERLAP)),
            Self::Both => ground.move_both(),
        }
    }
}

/// 100 Mbit/s: far more than three times what an end that moves says of itself.
const DOWNLOAD: u64 = 12_500_000;
/// How long there are two addresses.
const OVERLAP: Duration = Duration::from_millis(500);
