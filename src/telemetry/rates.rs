//! Rates a second, averaged over the last moments, from counters that only grow.

use parking_lot::Mutex;

/// Milliseconds between two samples, at least.
const PERIOD: u64 = 100;
/// Samples that an average is made of.
const SAMPLES: usize = 16;

/// Counters whose rates are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Commands executed.
    pub commands: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// Rates a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerSecond {
    /// Commands executed.
    pub commands: f64,
    /// Bytes received.
    pub received: f64,
    /// Bytes sent.
    pub sent: f64,
}

/// The samples.
#[derive(Debug, Default)]
pub struct Rates(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<(u64, Totals)>,
    samples: [PerSecond; SAMPLES],
    /// Samples taken; the next one goes to this place modulo their number.
    taken: usize,
}

impl Rates {
    /// Takes a sample at `now_ms`, unless the last one is too fresh, and tells whether it did. `read` gives the counters.
    pub fn sample(&self, now_ms: u64, read: impl FnOnce() -> Totals) -> bool {
        let mut state = self.0.lock();
        let Some((last_ms, last)) = state.last else {
            state.last = Some((now_ms, read()));
            return true;
        };
        // A clock that was set back starts anew.
        let passed = now_ms.saturating_sub(last_ms);
        if passed < PERIOD && now_ms >= last_ms {
            return false;
        }
        let totals = read();
        state.last = Some((now_ms, totals));
        if passed == 0 {
            return true;
        }
        // After a long pause the old samples say nothing any more, but the pause itself does.
        if passed > PERIOD * SAMPLES as u64 {
            state.taken = 0;
        }
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 * 1000.0 / passed as f64;
        let place = state.taken % SAMPLES;
        state.samples[place] = PerSecond {
            commands: rate(totals.commands, last.commands),
            received: rate(totals.received, last.received),
            sent: rate(totals.sent, last.sent),
        };
        state.taken += 1;
        true
    }

    /// The average over the samples of the last moments.
    pub fn average(&self) -> PerSecond {
        let state = self.0.lock();
        let samples = &state.samples[..state.taken.min(SAMPLES)];
        let count = samples.len().max(1) as f64;
        let mean = |of: fn(&PerSecond) -> f64| samples.iter().map(of).sum::<f64>() / count;
        PerSecond { commands: mean(|s| s.commands), received: mean(|s| s.received), sent: mean(|s| s.sent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(commands: u64) -> Totals {
        Totals { commands, received: commands * 10, sent: 0 }
    }

    #[test]
    fn rates_are_averages_of_the_last_samples() {
        let rates = Rates::default();
        assert_eq!(rates.average(), PerSecond::default());
        rates.sample(1000, || totals(5));
        assert_eq!(rates.average(), PerSecond::default());
        assert!(!rates.sample(1050, || unreachable!("too soon")));
        rates.sample(1100, || totals(105));
        assert_eq!(rates.average(), PerSecond { commands: 1000.0, received: 10_000.0, sent: 0.0 });
        rates.sample(1200, || totals(105));
        assert_eq!(rates.average().commands, 500.0);
        for step in 0..SAMPLES as u64 {
            rates.sample(1300 + step * 100, || totals(105));
        }
        assert_eq!(rates.average().commands, 0.0);
    }

    #[test]
    fn a_pause_is_one_sample_and_a_reset_or_a_clock_set_back_none() {
        let rates = Rates::default();
        rates.sample(0, || totals(0));
        rates.sample(100, || totals(1000));
        rates.sample(10_100, || totals(2000));
        assert_eq!(rates.average().commands, 100.0);
        rates.sample(10_200, || totals(0));
        assert_eq!(rates.average().commands, 50.0);
        rates.sample(5_000, || totals(10));
        rates.sample(5_100, || totals(20));
        assert_eq!(rates.average().commands, (100.0 + 0.0 + 100.0) / 3.0);
    }
}
