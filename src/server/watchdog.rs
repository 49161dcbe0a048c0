//! The watchdog: the service manager hears from the server only while every worker makes progress, and restarts it
//! otherwise.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::host::notify;

/// A counter for each worker, which its housekeeping raises.
static BEATS: OnceLock<Box<[AtomicU64]>> = OnceLock::new();

/// Looks at the workers within one interval of the service manager: one that fails still leaves time for a second.
const LOOKS: u32 = 3;

/// Makes the counters.
pub(super) fn prepare(workers: usize) {
    BEATS.get_or_init(|| (0..workers).map(|_| AtomicU64::new(0)).collect());
}

/// Notes that a worker makes progress.
#[inline]
pub(super) fn beat(worker: usize) {
    if let Some(beats) = BEATS.get().and_then(|beats| beats.get(worker)) {
        beats.fetch_add(1, Relaxed);
    }
}

/// Reports to the service manager from a thread of its own, if that wants to hear.
pub(super) fn start() {
    let (Some(interval), Some(beats)) = (notify::watchdog(), BEATS.get()) else { return };
    let watch = move || {
        let mut seen = vec![u64::MAX; beats.len()];
        loop {
            match stalled(beats, &mut seen) {
                None => notify::send("WATCHDOG=1"),
                Some(worker) => tracing::error!("worker {worker} makes no progress"),
            }
            std::thread::sleep(interval / LOOKS);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("roster-watchdog".to_owned()).spawn(watch) {
        tracing::error!("the watchdog cannot run: {error}; raise ulimit -u");
    }
}

/// The first worker whose counter is the one that was seen before; remembers what is seen now.
fn stalled(beats: &[AtomicU64], seen: &mut [u64]) -> Option<usize> {
    let mut first = None;
    for (worker, (beat, seen)) in beats.iter().zip(seen).enumerate() {
        let now = beat.load(Relaxed);
        if now == *seen {
            first = first.or(Some(worker));
        }
        *seen = now;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_stands_still_is_found() {
        let beats = [AtomicU64::new(0), AtomicU64::new(0)];
        let mut seen = [u64::MAX; 2];
        assert_eq!(stalled(&beats, &mut seen), None);
        assert_eq!(stalled(&beats, &mut seen), Some(0));
        beats[0].fetch_add(1, Relaxed);
        assert_eq!(stalled(&beats, &mut seen), Some(1));
        beats.iter().for_each(|beat| beat.store(9, Relaxed));
        assert_eq!(stalled(&beats, &mut seen), None);
    }
}
