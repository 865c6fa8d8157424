use crate::error::Result;
use crate::family::Family;
use crate::nat::Nat;
use crate::topology::{Lab, Site};

use super::case::Row;
use crate::scenario::mover::End;
use crate::scenario::pair::Places;

/// Networks before and after a move, joined by a core. No two of them are the same,
/// but for the one network of both ends in row 5.
pub(super) struct Map {
    pub(super) core: Site,
    pub(super) before: Places,
    pub(super) after: Places,
}

impl Map {
    pub(super) fn build(lab: &mut Lab, family: Family, before: Row, after: Row) -> Result<Self> {
        let core = lab.global("core")?;
        let first = build(lab, family, before, "1", None)?;
        // Another network of the same kind: of the same NAT, in row 5.
        let beside = (before.shares_nat() && after.shares_nat()).then_some(&first.mn);
        let second = build(lab, family, after, "2", beside)?;
        Ok(Self { core, before: first, after: second })
    }
}

fn build(
    lab: &mut Lab,
    family: Family,
    row: Row,
    suffix: &str,
    beside: Option<&Site>,
) -> Result<Places> {
    if row.shares_nat() {
        let name = format!("nat{suffix}");
        let site = match beside {
            Some(site) => lab.beside(&name, site)?,
            None => {
                let outside = lab.global_of(&format!("isp{suffix}"), &[family])?;
                lab.private(&name, Nat::Cone, &outside)?
            }
        };
        return Ok(Places { mn: site.clone(), cn: site });
    }
    let mut place = |end: End, who: &str| {
        let open = lab.global_of(&format!("{who}-isp{suffix}"), &[family])?;
        match row.is_natted(end) {
            true => lab.private(&format!("{who}-nat{suffix}"), Nat::Cone, &open),
            false => Ok(open),
        }
    };
    Ok(Places { mn: place(End::Mn, "mn")?, cn: place(End::Cn, "cn")? })
}
