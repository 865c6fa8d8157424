//! The relay's forwarding table.

use std::collections::BTreeMap;
use std::time::Duration;

use ntm_core::address::{Leg, TransportId};
use ntm_core::id::{PathId, Side};
use ntm_core::relay::{BoundEnd, ForwardEvent, ForwardTable, Limits, Verdict};
use ntm_core::wire::{Envelope, Kind};
use ntm_core::{Rng, Time};

use super::input::{Input, Script};

const MOST_STEPS: usize = 200;

/// What the table must do, in the simplest words.
#[derive(Clone, Debug)]
struct Pair {
    ends: [Option<BoundEnd>; 2],
    limits: Limits,
    used: u64,
    /// What each end may still get while it is unproved.
    budgets: [u64; 2],
    since: Time,
}

/// A script: bind the ends of a path, unbind it, let time pass, let a datagram
/// arrive. Only what comes from a bound end goes anywhere, only to the other
/// end, within budget, rate and quota.
pub fn forwarder(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut table = ForwardTable::new(&mut Rng::from_seed([0; 32]));
    let reader = table.reader();
    let mut pairs = BTreeMap::<PathId, Pair>::new();
    let mut now = Time::ZERO + Duration::from_secs(100);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        let (what, path) = (input.u8(), PathId::from_bytes([input.u8() % 3; 16]));
        match what % 8 {
            0 | 1 => {
                let ends = [end(&mut input), end(&mut input)];
                let limits = limits(&mut input);
                set(&mut table, &mut pairs, now, path, ends, limits);
            }
            2 => {
                table.apply(now, &ForwardEvent::Remove { path });
                pairs.remove(&path);
            }
            3 => now += input.span(),
            _ => {
                let (from, len) = (leg(input.u8()), usize::from(input.u16()));
                let side = if what & 8 == 0 { Side::Lower } else { Side::Higher };
                let envelope = Envelope::new(Kind::Capsule, side, *path.as_bytes());
                let verdict = reader.take().verdict(now, &from, &envelope, len);
                check(pairs.get_mut(&path), now, from, side, len as u64, verdict);
            }
        }
        assert_eq!(reader.take().len(), pairs.len());
        for (path, pair) in &pairs {
            let forwarded = reader.take().forwarded(path).map(|(_, bytes)| bytes);
            assert_eq!(forwarded, Some(pair.used), "what is counted is what went");
        }
    }
}

fn leg(number: u8) -> Leg {
    Leg::to(TransportId(number >> 3 & 1), ([203, 0, 113, number & 7], 4330).into())
}

fn end(input: &mut Input<'_>) -> Option<BoundEnd> {
    let what = input.u8();
    let budget = (what & 0x10 != 0).then(|| u64::from(input.u16()));
    (what & 0x20 == 0).then(|| BoundEnd { leg: leg(what), budget, before: None })
}

fn limits(input: &mut Input<'_>) -> Limits {
    let (serial, what) = (input.u8().into(), input.u8());
    let rate = if what & 1 == 0 { 0 } else { input.u16().into() };
    let quota = if what & 2 == 0 { 0 } else { input.u16().into() };
    Limits { serial, rate, quota }
}

fn set(
    table: &mut ForwardTable,
    pairs: &mut BTreeMap<PathId, Pair>,
    now: Time,
    path: PathId,
    ends: [Option<BoundEnd>; 2],
    limits: Limits,
) {
    let [lower, higher] = ends;
    table.apply(now, &ForwardEvent::Set { path, lower, higher, limits });
    let kept = pairs.get(&path).filter(|pair| pair.limits == limits);
    let (used, since) = kept.map_or((0, now), |pair| (pair.used, pair.since));
    let budgets = ends.map(|end| end.and_then(|end| end.budget).unwrap_or(0));
    pairs.insert(path, Pair { ends, limits, used, budgets, since });
}

fn check(pair: Option<&mut Pair>, now: Time, from: Leg, side: Side, len: u64, verdict: Verdict) {
    let (own, other) = if side == Side::Lower { (0, 1) } else { (1, 0) };
    let known = pair.filter(|pair| pair.ends[own].is_some_and(|own| own.leg == from));
    let Some(pair) = known else {
        assert_eq!(verdict, Verdict::NotRelayed, "a stranger's datagram goes nowhere");
        return;
    };
    pair.budgets[own] += 3 * len;
    match verdict {
        Verdict::NotRelayed => panic!("a bound end is known"),
        Verdict::To(to) => {
            let end = pair.ends[other].expect("there is somebody to forward to");
            assert_eq!(to, end.leg, "only to the other end");
            pair.used += len;
            if end.budget.is_some() {
                assert!(len <= pair.budgets[other], "three times what came from there");
                pair.budgets[other] -= len;
            }
            let Limits { rate, quota, .. } = pair.limits;
            assert!(quota == 0 || pair.used <= quota, "within the quota");
            // A second's worth at once, and then the rate.
            let elapsed = u64::try_from(now.since(pair.since).as_millis()).unwrap_or(u64::MAX);
            let allowed = rate.saturating_mul(elapsed + 1) / 1000 + rate;
            assert!(rate == 0 || pair.used <= allowed, "within the rate");
        }
        Verdict::Drop => {
            let unlimited = pair.limits.rate == 0;
            let has_room =
                pair.ends[other].is_some_and(|o| o.budget.is_none() || len <= pair.budgets[other]);
            assert!(!(unlimited && has_room), "nothing speaks against it");
        }
        Verdict::Exhausted => {
            assert!(pair.limits.quota != 0 && pair.used + len > pair.limits.quota);
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let open = || Script::default().put(&[0, 1, 2, 3, 1, 0]);
    let tight = || Script::default().put(&[0, 1, 0x12, 0x01, 0x00, 3, 1, 3, 0x10, 0, 0x20, 0]);
    let there = [4, 1, 2, 0x00, 0x64];
    let back = [12, 1, 3, 0x00, 0x64];
    vec![
        open().put(&there).put(&back).done(),
        open().put(&[4, 1, 9, 0x00, 0x64]).put(&[2, 1]).put(&there).done(),
        tight().put(&there).put(&back).put(&back).put(&[3, 0, 0xf0]).put(&back).done(),
        tight().put(&[0, 1, 0x22, 3, 2, 2, 0x00, 0x70]).put(&back).done(),
    ]
}
