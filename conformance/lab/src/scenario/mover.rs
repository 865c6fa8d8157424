/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Mn,
    Cn,
}

impl End {
    pub(super) const BOTH: [Self; 2] = [Self::Mn, Self::Cn];
}

/// Who moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mover {
    /// The end that began.
    Mn,
    /// The other one.
    Cn,
    /// Both at once.
    Both,
}

impl Mover {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mn, Self::Cn, Self::Both];

    /// As names of cases have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mn => "mn",
            Self::Cn => "cn",
            Self::Both => "both",
        }
    }

    pub(super) fn moves(self, end: End) -> bool {
        match self {
            Self::Mn => end == End::Mn,
            Self::Cn => end == End::Cn,
            Self::Both => true,
        }
    }
}
