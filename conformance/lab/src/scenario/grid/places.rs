use super::case::{Case, Kind, When};
use crate::error::Result;
use crate::nat::Nat;
use crate::scenario::mover::End;
use crate::scenario::pair::Places;
use crate::topology::{Lab, Site};

/// Networks before and after a move, joined by a core.
pub(super) struct Map {
    pub(super) core: Site,
    pub(super) before: Places,
    pub(super) after: Places,
}

impl Map {
    pub(super) fn build(lab: &mut Lab, case: Case) -> Result<Self> {
        let core = lab.global("core")?;
        let mut place = |end, when| site(lab, case, end, when);
        let before =
            Places { mn: place(End::Mn, When::Before)?, cn: place(End::Cn, When::Before)? };
        let mut then = |end| match case.mover.moves(end) {
            true => place(end, When::After),
            false => Ok(before.of(end).clone()),
        };
        let after = Places { mn: then(End::Mn)?, cn: then(End::Cn)? };
        Ok(Self { core, before, after })
    }
}

fn site(lab: &mut Lab, case: Case, end: End, when: When) -> Result<Site> {
    let who = match end {
        End::Mn => "mn",
        End::Cn => "cn",
    };
    let name = |what: &str| format!("{who}-{what}{}", if when == When::Before { 1 } else { 2 });
    let open = lab.global_of(&name("isp"), case.versions(end, when).families())?;
    match case.kind_at(end) {
        Kind::None => Ok(open),
        Kind::Cone => lab.private(&name("nat"), Nat::Cone, &open),
        Kind::Symmetric => lab.private(&name("nat"), Nat::Symmetric, &open),
        Kind::Cgnat => {
            let carrier = lab.carrier(&name("carrier"), &open)?;
            lab.private(&name("home"), Nat::ConeV4, &carrier)
        }
    }
}
