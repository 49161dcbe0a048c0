//! The machine: where threads run, and what it is called in a report.

use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::Outcome;

/// Runs `action` with this thread bound to `cores`. A process started by it inherits the binding, which is how servers
/// and the generator are pinned without any code of theirs.
pub(crate) fn on_cores<T>(cores: &[usize], action: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).map_err(|error| format!("cannot read the cores of this thread: {error}"))?;
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core).map_err(|error| format!("core {core}: {error}"))?;
    }
    sched_setaffinity(this, &set).map_err(|error| {
        format!("cannot run on cores {cores:?}: {error}; choose others by --server-core and --generator-core")
    })?;
    let result = action();
    sched_setaffinity(this, &before).map_err(|error| format!("cannot undo the pinning: {error}"))?;
    result
}

/// One line: processor, cores, kernel.
pub(crate) fn describe() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, Linux {}", processor.unwrap_or_else(|| "unknown processor".into()), kernel.trim())
}

/// Ticks a second in which /proc counts CPU time.
pub(crate) fn ticks_per_second() -> f64 {
    match nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK) {
        Ok(Some(ticks)) if ticks > 0 => ticks as f64,
        _ => 100.0,
    }
}
