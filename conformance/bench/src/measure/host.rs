//! What the kernel counts: time of processors, and memory.

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use ntm_lab::{Error, Result};

use crate::bed::doing;

/// How long the machine's processors have been busy since it started, together.
/// What a hypervisor took does not count.
///
/// # Errors
/// The kernel does not tell.
pub(crate) fn busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").map_err(doing("read /proc/stat"))?;
    let ticks: Vec<u64> =
        text.lines().next().unwrap_or_default().split(' ').filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, …: proc_stat(5).
    match ticks[..] {
        [user, nice, system, _, _, irq, softirq, ..] => {
            Ok(ticks_long(user + nice + system + irq + softirq))
        }
        _ => Err(Error::Wrong("/proc/stat has another form".into())),
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
    let peaks: Result<Vec<_>> =
        processes.iter().map(|process| status(*process, "VmHWM")).collect();
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
        let (before, machine) = (spent(&own).unwrap(), busy().unwrap());
        while spent(&own).unwrap() < before + Duration::from_millis(50) {
            std::hint::black_box(status(own[0], "VmRSS").unwrap());
        }
        assert!(busy().unwrap() >= machine + Duration::from_millis(40));
        let peak = peak_memory(&own).unwrap().unwrap();
        assert!(peak >= status(own[0], "VmRSS").unwrap());
        assert_eq!(peak_memory(&[]).unwrap(), None);
    }
}
