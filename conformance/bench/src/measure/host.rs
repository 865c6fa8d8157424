//! What the kernel counts: time of processors, and memory.

use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use ntm_lab::{Error, Result};

use crate::bed::doing;

/// A moment, and how long the processors had been idle until then, together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: Instant,
    /// Idle, or taken by a hypervisor.
    away: Duration,
}

impl Moment {
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").map_err(doing("read /proc/stat"))?;
        let words = text.lines().next().unwrap_or_default().split(' ');
        let ticks: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal, …: proc_stat(5).
        match ticks[..] {
            [_, _, _, idle, iowait, _, _, steal, ..] => {
                Ok(Self { at: Instant::now(), away: ticks_long(idle + iowait + steal) })
            }
            _ => Err(Error::Wrong("/proc/stat has another form".into())),
        }
    }

    /// How long the machine's processors have been busy since, together. Counted
    /// backwards, since the kernel knows when it is idle, but may only look now and
    /// then at who is busy.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn busy_since(&self) -> Result<Duration> {
        let now = Self::now()?;
        let processors = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1);
        let all = (now.at - self.at).mul_f64(processors as f64);
        Ok(all.saturating_sub(now.away.saturating_sub(self.away)))
    }
}

/// How long these processes have been running on processors, together.
///
/// # Errors
/// One has ended, or the kernel does not tell.
pub(crate) fn spent(processes: &[u32]) -> Result<Duration> {
    processes.iter().map(|process| spent_by(*process)).sum()
}

fn spent_by(process: u32) -> Result<Duration> {
    let file = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&file).map_err(doing(&format!("read {file}")))?;
    // The name may contain anything; what follows its bracket is numbers.
    let after = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<_> = after.split_ascii_whitespace().collect();
    // utime and stime are the fields 14 and 15, `after` begins with 3:
    // proc_pid_stat(5).
    let tick = |at: usize| fields.get(at - 3).and_then(|field| field.parse::<u64>().ok());
    match (tick(14), tick(15)) {
        (Some(user), Some(system)) => Ok(ticks_long(user + system)),
        (_, _) => Err(Error::Wrong(format!("{file} has another form"))),
    }
}

/// The most memory that one of these processes has had, in KiB; none without
/// processes.
///
/// # Errors
/// One has ended, or the kernel does not tell.
pub(crate) fn peak_memory(processes: &[u32]) -> Result<Option<u64>> {
    let peaks: Result<Vec<_>> = processes.iter().map(|process| status(*process, "VmHWM")).collect();
    Ok(peaks?.into_iter().max())
}

/// A size out of a process's status, in KiB.
///
/// # Errors
/// It has ended, or the kernel does not tell.
pub(crate) fn status(process: u32, key: &str) -> Result<u64> {
    let file = format!("/proc/{process}/status");
    let text = fs::read_to_string(&file).map_err(doing(&format!("read {file}")))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    number.ok_or_else(|| Error::Wrong(format!("{file} has no {key}")))
}

fn ticks_long(ticks: u64) -> Duration {
    let each = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_secs_f64(ticks as f64 / each as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_do_ourselves_is_counted() {
        let own = [std::process::id()];
        let (before, machine) = (spent(&own).unwrap(), Moment::now().unwrap());
        while spent(&own).unwrap() < before + Duration::from_millis(50) {
            std::hint::black_box(status(own[0], "VmRSS").unwrap());
        }
        // Both are counted in ticks.
        assert!(machine.busy_since().unwrap() >= Duration::from_millis(20));
        // In this order: what is read in between takes memory.
        let resident = status(own[0], "VmRSS").unwrap();
        assert!(peak_memory(&own).unwrap().unwrap() >= resident);
        assert_eq!(peak_memory(&[]).unwrap(), None);
    }
}
