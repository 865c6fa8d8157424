//! Everything that is measured of one tunnel, once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use ntm_lab::{Error, Result};

use super::echo;
use super::flow::Flow;
use super::host;
use super::metric::Metric;
use super::search::loss_free;
use super::stream::{Direction, Streams, Sum};
use crate::bed::Bed;
use crate::stats::quantile;
use crate::tunnel::Running;

/// How long, how often, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// TCP's congestion control.
    pub(crate) congestion: String,
    /// Of each TCP run, in seconds.
    pub(crate) seconds: u32,
    /// Of each attempt at a pace.
    pub(crate) attempt: Duration,
    /// How close the loss-free rate is found, as a ratio.
    pub(crate) precision: f64,
    /// Of the overload and of the flood.
    pub(crate) overload: Duration,
    /// Echoes on the idle tunnel.
    pub(crate) echoes: u16,
}

/// A value each.
pub(crate) type Sample = BTreeMap<Metric, f64>;

/// How much more than what goes through without loss is sent as overload.
pub(crate) const OVERLOAD: f64 = 1.75;
/// Between two echoes.
const ECHO_INTERVAL: Duration = Duration::from_millis(1);
/// Until a TCP stream is at its pace.
const RAMP: Duration = Duration::from_millis(500);

/// Measures a tunnel that is up.
///
/// # Errors
/// A probe fails: with what it says.
pub(crate) fn run(
    bed: &Bed,
    tunnel: &Running,
    plan: &Plan,
    mut say: impl FnMut(&str),
) -> Result<Sample> {
    let mut sample = Sample::new();
    say("round trips");
    let times = echo::times(&bed.left, tunnel.right, plan.echoes, ECHO_INTERVAL)?;
    round_trips(&mut sample, &times, Metric::IdleMedian, Metric::IdleTail)?;
    say("TCP");
    let (left, right) = (&bed.left, &bed.right);
    let streams = Streams { left, right, to: tunnel.right, congestion: &plan.congestion };
    tcp(&mut sample, &streams, tunnel, plan)?;
    say("round trips beside TCP");
    loaded(&mut sample, &streams, bed, tunnel, plan)?;
    say("small packets");
    packets(&mut sample, bed, tunnel, plan)?;
    if let Some(peak) = host::peak_memory(&tunnel.ids())? {
        sample.insert(Metric::Memory, peak as f64);
    }
    tunnel.must_be_whole()?;
    Ok(sample)
}

fn tcp(sample: &mut Sample, streams: &Streams<'_>, tunnel: &Running, plan: &Plan) -> Result<()> {
    use Direction::{Back, There};
    let runs = [
        (1, There, Metric::Tcp1There, Metric::Tcp1ThereRetransmits),
        (1, Back, Metric::Tcp1Back, Metric::Tcp1BackRetransmits),
        (4, There, Metric::Tcp4There, Metric::Tcp4ThereRetransmits),
        (4, Back, Metric::Tcp4Back, Metric::Tcp4BackRetransmits),
    ];
    for (number, direction, rate, retransmits) in runs {
        let (machine, own) = (host::Moment::now()?, host::spent(&tunnel.ids())?);
        let sum = streams.run(number, direction, plan.seconds)?;
        let (machine, own) = (machine.busy_since()?, host::spent(&tunnel.ids())? - own);
        sample.insert(rate, sum.bits_per_second);
        sample.insert(retransmits, sum.retransmits);
        if rate == Metric::Tcp1There {
            cost(sample, tunnel, &sum, machine, own);
        }
    }
    Ok(())
}

fn cost(sample: &mut Sample, tunnel: &Running, sum: &Sum, machine: Duration, own: Duration) {
    let gigabytes = sum.bytes.max(1.0) / 1e9;
    sample.insert(Metric::CpuMachine, machine.as_secs_f64() / gigabytes);
    if !tunnel.path.is_empty() {
        sample.insert(Metric::CpuTunnel, own.as_secs_f64() / gigabytes);
    }
}

fn loaded(
    sample: &mut Sample,
    streams: &Streams<'_>,
    bed: &Bed,
    tunnel: &Running,
    plan: &Plan,
) -> Result<()> {
    let client = streams.start(1, Direction::There, plan.seconds)?;
    thread::sleep(RAMP);
    // They end before the stream does.
    let window = Duration::from_secs(plan.seconds.into()).saturating_sub(RAMP * 3 / 2);
    let count = u16::try_from(window.as_millis()).unwrap_or(u16::MAX);
    let times = echo::times(&bed.left, tunnel.right, count, ECHO_INTERVAL)?;
    let sum = client.finish()?;
    round_trips(sample, &times, Metric::LoadedMedian, Metric::LoadedTail)?;
    sample.insert(Metric::LoadedTcp, sum.bits_per_second);
    sample.insert(Metric::LoadedRetransmits, sum.retransmits);
    Ok(())
}

fn packets(sample: &mut Sample, bed: &Bed, tunnel: &Running, plan: &Plan) -> Result<()> {
    let flow = Flow::new((&bed.left, tunnel.left), (&bed.right, tunnel.right))?;
    let rate = loss_free(plan.precision, |pace| flow.run(Some(pace), plan.attempt))?;
    sample.insert(Metric::LossFree, rate);
    let overload = flow.run(Some(rate * OVERLOAD), plan.overload)?;
    sample.insert(Metric::Overload, overload.delivered());
    let flood = flow.run(None, plan.overload)?;
    sample.insert(Metric::Flood, flood.delivered());
    Ok(())
}

fn round_trips(
    sample: &mut Sample,
    times: &[Duration],
    median: Metric,
    tail: Metric,
) -> Result<()> {
    let micros: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    match (quantile(&micros, 0.5), quantile(&micros, 0.99)) {
        (Some(p50), Some(p99)) => {
            sample.insert(median, p50);
            sample.insert(tail, p99);
            Ok(())
        }
        (_, _) => Err(Error::Wrong("no echo came back".into())),
    }
}
