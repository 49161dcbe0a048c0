//! How long commands take, by one look at a clock for each.
//!
//! The end of a command is the beginning of the next one of its batch. The clock is the processor's cycle counter where that
//! runs at one speed on all cores, calibrated at the start, and else the kernel's monotonic clock.

use std::cell::Cell;

use crate::config::Settings;

/// Nanoseconds for which the time of day, which commands take in milliseconds, is not looked at again.
const DAY_NANOS: u64 = 250_000;

/// A worker's clock, and the mark from which the next command counts.
pub struct Stopwatch {
    clock: quanta::Clock,
    mark: Cell<u64>,
    /// When somebody last looked at the time of day.
    looked: Cell<u64>,
    /// Nanoseconds from which on somebody wants to hear of a command.
    slow: u64,
    /// Bytes of a request from which on it is logged.
    large_request: usize,
    /// Bytes of a reply from which on it is logged.
    large_reply: usize,
}

impl Stopwatch {
    /// A clock that starts now.
    pub(super) fn new(settings: &Settings) -> Self {
        let clock = quanta::Clock::new();
        let (mark, looked) = (Cell::new(clock.raw()), Cell::new(0));
        let mut stopwatch =
            Stopwatch { clock, mark, looked, slow: u64::MAX, large_request: usize::MAX, large_reply: usize::MAX };
        stopwatch.adopt(settings);
        stopwatch
    }

    /// Learns from the settings what is slow, the lower of both thresholds, and what is large.
    pub(super) fn adopt(&mut self, settings: &Settings) {
        let log = u64::try_from(settings.slowlog_log_slower_than).ok().map(|micros| micros.saturating_mul(1000));
        let threshold = settings.latency_monitor_threshold;
        let monitor = (threshold > 0).then(|| threshold.saturating_mul(1_000_000));
        self.slow = [log, monitor].into_iter().flatten().min().unwrap_or(u64::MAX);
        // What is negative does not fit, and stands for no limit.
        let large = |limit: i64| usize::try_from(limit).unwrap_or(usize::MAX);
        self.large_request = large(settings.commandlog_request_larger_than);
        self.large_reply = large(settings.commandlog_reply_larger_than);
    }

    /// Starts anew: what passed since the last command belongs to none.
    #[inline]
    pub(super) fn start(&self) {
        self.mark.set(self.clock.raw());
    }

    /// Whether it is time to look at the time of day again, which then counts as done: a quarter of a millisecond had passed since
    /// when it was last started.
    #[inline]
    pub(super) fn is_day_late(&self) -> bool {
        let mark = self.mark.get();
        let is_late = self.clock.delta_as_nanos(self.looked.get(), mark) >= DAY_NANOS;
        if is_late {
            self.looked.set(mark);
        }
        is_late
    }

    /// Where the next command counts from.
    #[inline]
    pub(super) fn mark(&self) -> u64 {
        self.mark.get()
    }

    /// Nanoseconds since `mark`. The next command counts from here.
    #[inline]
    pub(super) fn lap(&self, mark: u64) -> u64 {
        let now = self.clock.raw();
        self.mark.set(now);
        self.clock.delta_as_nanos(mark, now)
    }

    /// Whether a request of no more than so many bytes, or a reply of so many, may be one to log.
    #[inline]
    pub(super) fn is_large(&self, most_request: usize, reply: usize) -> bool {
        most_request >= self.large_request || reply >= self.large_reply
    }

    /// Whether somebody wants to hear of a command that took so long.
    #[inline]
    pub(super) fn is_slow(&self, nanos: u64) -> bool {
        nanos >= self.slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_follow_one_another_without_a_gap() {
        let watch = Stopwatch::new(&Settings::default());
        let (began, reference) = (watch.mark(), std::time::Instant::now());
        let mut sum = 0;
        for _ in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            sum += watch.lap(watch.mark());
        }
        let real = reference.elapsed().as_nanos() as u64;
        let whole = watch.lap(began);
        assert!((10_000_000..=whole + 1000).contains(&sum), "{sum} {whole}");
        assert!(sum.abs_diff(real) < real / 20 + 200_000, "{sum} of the cycle counter, {real} of the system's clock");
    }

    #[test]
    fn the_time_of_day_is_looked_at_now_and_then() {
        let watch = Stopwatch::new(&Settings::default());
        let mut looks = 0;
        let began = std::time::Instant::now();
        let mut rounds = 0;
        while began.elapsed() < std::time::Duration::from_millis(20) {
            watch.start();
            looks += u32::from(watch.is_day_late());
            rounds += 1;
        }
        assert!(watch.mark() > 0 && (1..=90).contains(&looks) && looks < rounds, "{looks} of {rounds}");
        std::thread::sleep(std::time::Duration::from_millis(1));
        watch.start();
        assert!(watch.is_day_late() && !watch.is_day_late());
    }

    #[test]
    fn slow_is_what_either_threshold_says() {
        let slow = |log, monitor| {
            let settings =
                Settings { slowlog_log_slower_than: log, latency_monitor_threshold: monitor, ..Settings::default() };
            Stopwatch::new(&settings).slow
        };
        assert_eq!(slow(10_000, 0), 10_000_000);
        assert_eq!(slow(10_000, 1), 1_000_000);
        assert_eq!(slow(0, 1), 0);
        assert_eq!(slow(-1, 0), u64::MAX);
        assert_eq!(slow(i64::MAX, 0), u64::MAX);
    }
}
