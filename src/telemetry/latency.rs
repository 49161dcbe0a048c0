//! Events that took longer than `latency-monitor-threshold`, by kind.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

/// Samples that are kept of each kind.
const SAMPLES: usize = 160;

/// One sample: the worst of its second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Seconds of Unix time.
    pub at: u64,
    /// Milliseconds.
    pub ms: u64,
}

/// What is known of one kind of event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spikes {
    /// The samples, the oldest first.
    pub samples: VecDeque<Sample>,
    /// The worst ever, in milliseconds.
    pub worst: u64,
}

/// All kinds.
#[derive(Debug, Default)]
pub struct Latencies(Mutex<BTreeMap<&'static str, Spikes>>);

impl Latencies {
    /// Notes an event.
    pub fn note(&self, kind: &'static str, at: u64, ms: u64) {
        let mut kinds = self.0.lock();
        let spikes = kinds.entry(kind).or_default();
        spikes.worst = spikes.worst.max(ms);
        match spikes.samples.back_mut() {
            Some(last) if last.at == at => last.ms = last.ms.max(ms),
            _ => {
                if spikes.samples.len() == SAMPLES {
                    spikes.samples.pop_front();
                }
                spikes.samples.push_back(Sample { at, ms });
            }
        }
    }

    /// All kinds that were noted, in the order of their names.
    pub fn all(&self) -> Vec<(&'static str, Spikes)> {
        self.0.lock().iter().map(|(kind, spikes)| (*kind, spikes.clone())).collect()
    }

    /// What is known of one kind.
    pub fn of(&self, kind: &[u8]) -> Option<(&'static str, Spikes)> {
        self.all().into_iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(kind))
    }

    /// Forgets a kind; whether there was anything.
    pub fn forget(&self, kind: &[u8]) -> bool {
        let mut kinds = self.0.lock();
        let before = kinds.len();
        kinds.retain(|known, _| !known.as_bytes().eq_ignore_ascii_case(kind));
        kinds.len() < before
    }
}

impl Spikes {
    /// The least and the most of the samples, in milliseconds.
    pub fn range(&self) -> (u64, u64) {
        let all = || self.samples.iter().map(|sample| sample.ms);
        (all().min().unwrap_or_default(), all().max().unwrap_or_default())
    }

    /// The mean of the samples in milliseconds.
    pub fn mean(&self) -> u64 {
        let sum: u64 = self.samples.iter().map(|sample| sample.ms).sum();
        sum / self.samples.len().max(1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_each_second_is_kept() {
        let latencies = Latencies::default();
        for (at, ms) in [(1, 5), (1, 9), (1, 2), (2, 3)] {
            latencies.note("command", at, ms);
        }
        let (_, spikes) = latencies.of(b"COMMAND").expect("noted");
        assert_eq!(Vec::from(spikes.samples.clone()), [Sample { at: 1, ms: 9 }, Sample { at: 2, ms: 3 }]);
        assert_eq!((spikes.worst, spikes.range(), spikes.mean()), (9, (3, 9), 6));
        (10..500).for_each(|at| latencies.note("command", at, 1));
        let (_, spikes) = latencies.of(b"command").expect("noted");
        assert_eq!((spikes.samples.len(), spikes.worst, spikes.samples[0].at), (SAMPLES, 9, 340));
        latencies.note("a", 1, 1);
        assert_eq!(latencies.all().iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["a", "command"]);
        assert!(latencies.forget(b"Command") && !latencies.forget(b"command"));
        assert!(latencies.of(b"command").is_none());
    }
}
