use crate::error::Result;
use crate::family::Family;
use crate::nat::Nat;
use crate::topology::{Lab, Site};

use super::case::{End, Row};

/// Where the two ends are in a row; no two networks of a case are the same,
/// but for the one network of both ends in row 5.
pub(super) struct Places {
    pub(super) mn: Site,
    pub(super) cn: Site,
}

/// Networks before and after a move, joined by a core.
pub(super) struct Map {
    pub(super) core: Site,
    pub(super) before: Places,
    pub(super) after: Places,
}

impl Map {
    pub(super) fn build(lab: &mut Lab, family: Family, before: Row, after: Row) -> Result<Self> {
        let core = lab.global("core")?;
        let first = Places::build(lab, family, before, "1", None)?;
        // Another network of the same kind: of the same NAT, in row 5.
        let beside = (before.shares_nat() && after.shares_nat()).then_some(&first.mn);
        let second = Places::build(lab, family, after, "2", beside)?;
        Ok(Self { core, before: first, after: second })
    }
}

impl Places {
    fn build(
        lab: &mut Lab,
        family: Family,
        row: Row,
        suffix: &str,
        beside: Option<&Site>,
    ) -> Result<Self> {
        if row.shares_nat() {
            let name = format!("nat{suffix}");
            let site = match beside {
                Some(site) => lab.beside(&name, site)?,
                None => {
                    let outside = lab.global_of(&format!("isp{suffix}"), &[family])?;
                    lab.private(&name, Nat::Cone, &outside)?
                }
            };
            return Ok(Self { mn: site.clone(), cn: site });
        }
        let mut place = |end: End, who: &str| {
            let open = lab.global_of(&format!("{who}-isp{suffix}"), &[family])?;
            match row.is_natted(end) {
                true => lab.private(&format!("{who}-nat{suffix}"), Nat::Cone, &open),
                false => Ok(open),
            }
        };
        Ok(Self { mn: place(End::Mn, "mn")?, cn: place(End::Cn, "cn")? })
    }

    pub(super) fn of(&self, end: End) -> &Site {
        match end {
            End::Mn => &self.mn,
            End::Cn => &self.cn,
        }
    }
}
