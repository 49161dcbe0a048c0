//! Values that consist of parts: CPU lists, save rules, output limits, percentiles.

use std::fmt::Write as _;

use super::kind::{Kind, bytes, integer};
use super::value::{Refusal, Value};

/// The greatest number of a CPU in a list, a bound on what a typing error can cost.
const GREATEST_CPU: i128 = 1023;

/// How many workers there are, and on which CPUs they run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Workers {
    /// One for each CPU that the process may use.
    #[default]
    Auto,
    /// So many, on the first CPUs that the process may use.
    Count(u16),
    /// One on each of these CPUs: ascending, without repetition, not empty.
    Cpus(Vec<u16>),
}

impl Value for Workers {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        *self = if text.eq_ignore_ascii_case("auto") {
            Self::Auto
        } else if text.contains(['-', ',']) && !text.starts_with('-') {
            Self::Cpus(cpu_list(text)?)
        } else {
            match integer(text) {
                Some(count @ 1..=1024) => Self::Count(count as u16),
                Some(_) => return Err("argument must be between 1 and 1024 inclusive".into()),
                None => return Err("argument must be auto, a number of workers, or a CPU list such as 0-3,8".into()),
            }
        };
        Ok(())
    }

    fn text(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Count(count) => count.to_string(),
            Self::Cpus(cpus) => cpu_ranges(cpus),
        }
    }
}

/// Reads a CPU list as the kernel writes it: numbers and ranges, separated by commas.
fn cpu_list(text: &str) -> Result<Vec<u16>, Refusal> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (integer(first), integer(last)) {
            (Some(first), Some(last)) if (0..=GREATEST_CPU).contains(&last) && (0..=last).contains(&first) => {
                cpus.extend(first as u16..=last as u16);
            }
            _ => {
                return Err(format!("'{part}' is no CPU and no range of CPUs from 0 to {GREATEST_CPU}").into());
            }
        }
        // Sorted at each step, so that repetition in the text cannot grow the list beyond the number of CPUs.
        cpus.sort_unstable();
        cpus.dedup();
    }
    Ok(cpus)
}

/// Writes ascending CPUs in a form that is always read as a list, never as a number of workers.
fn cpu_ranges(cpus: &[u16]) -> String {
    let mut text = String::new();
    for run in cpus.chunk_by(|one, next| one + 1 == *next) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let comma = if text.is_empty() { "" } else { "," };
        let alone = run.len() == 1 && cpus.len() > 1;
        // Writing to a String cannot fail.
        let _ = if alone { write!(text, "{comma}{first}") } else { write!(text, "{comma}{first}-{last}") };
    }
    text
}

/// A rule of when to save: after so many seconds if there were at least so many changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveRule {
    /// Seconds since the last snapshot, at least 1.
    pub seconds: u32,
    /// Changes since the last snapshot.
    pub changes: u32,
}

/// When to save snapshots; without rules, never by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaveRules(
    /// In the order given.
    pub Vec<SaveRule>,
);

impl Value for SaveRules {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        let number = |word: &str, least: i128| {
            integer(word)
                .filter(|&number| number >= least)
                .and_then(|number| i32::try_from(number).ok())
                .map(i32::unsigned_abs)
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let rules = words.chunks(2).map(|pair| match *pair {
            [seconds, changes] => Some(SaveRule { seconds: number(seconds, 1)?, changes: number(changes, 0)? }),
            _ => None,
        });
        self.0 = rules.collect::<Option<_>>().ok_or("Invalid save parameters")?;
        Ok(())
    }

    fn text(&self) -> String {
        let rules = self.0.iter().map(|rule| format!("{} {}", rule.seconds, rule.changes));
        rules.collect::<Vec<_>>().join(" ")
    }
}

/// The limit of the output buffer of one class of clients. A client over it is disconnected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which a client is disconnected at once; 0 is no limit.
    pub hard: u64,
    /// Bytes above which a client may stay for `soft_seconds` only; 0 is no limit.
    pub soft: u64,
    /// Seconds.
    pub soft_seconds: u32,
}

/// The limits of all classes of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Clients that only send commands.
    pub normal: OutputLimit,
    /// Replicas of this server.
    pub replica: OutputLimit,
    /// Clients with subscriptions.
    pub pubsub: OutputLimit,
}

impl Value for OutputLimits {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut changed = *self;
        for group in words.chunks(4) {
            let [class, hard, soft, seconds] = *group else {
                return Err("Wrong number of arguments in buffer limit configuration.".into());
            };
            let limit = match class.to_ascii_lowercase().as_str() {
                "normal" => &mut changed.normal,
                "replica" | "slave" => &mut changed.replica,
                "pubsub" => &mut changed.pubsub,
                _ => {
                    return Err("Invalid client class specified in buffer limit configuration.".into());
                }
            };
            let seconds = integer(seconds).and_then(|seconds| u32::try_from(seconds).ok());
            let (Some(hard), Some(soft), Some(soft_seconds)) = (bytes(hard), bytes(soft), seconds) else {
                return Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into());
            };
            *limit = OutputLimit { hard, soft, soft_seconds };
        }
        *self = changed;
        Ok(())
    }

    /// Redis still writes the old name of the class of replicas.
    fn text(&self) -> String {
        let classes = [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)];
        classes.map(|(class, limit)| format!("{class} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)).join(" ")
    }
}

/// Percentiles, each from 0 to 100.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Percentiles(
    /// In the order given.
    pub Vec<f64>,
);

impl Value for Percentiles {
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        let mut percentiles = Vec::new();
        for word in text.split_whitespace() {
            match word.parse::<f64>() {
                Ok(percentile) if (0.0..=100.0).contains(&percentile) => percentiles.push(percentile),
                Ok(_) => {
                    return Err("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]".into());
                }
                Err(_) => return Err("Invalid latency-tracking-info-percentiles parameters".into()),
            }
        }
        self.0 = percentiles;
        Ok(())
    }

    fn text(&self) -> String {
        let words = self.0.iter().map(f64::to_string);
        words.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::value::trial::{read, rewritten};

    #[test]
    fn workers() {
        assert_eq!(read("AUTO"), Ok(Workers::Auto));
        assert_eq!(read("4"), Ok(Workers::Count(4)));
        assert_eq!(read("0-2,8,1"), Ok(Workers::Cpus(vec![0, 1, 2, 8])));
        assert_eq!(rewritten::<Workers>("8,0-2").unwrap(), "0-2,8");
        assert_eq!(rewritten::<Workers>("5-5").unwrap(), "5-5");
        for wrong in ["0", "1025", "-1", "3-1", "1,,2", "0-4096", "many", "", "1-", "0-1-2"] {
            assert!(read::<Workers>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn save_rules() {
        assert_eq!(rewritten::<SaveRules>("900 1  300 10").unwrap(), "900 1 300 10");
        assert_eq!(rewritten::<SaveRules>("").unwrap(), "");
        for wrong in ["900", "900 x", "900 1 300", "0 1", "1 -1", "1 3000000000"] {
            assert_eq!(rewritten::<SaveRules>(wrong).unwrap_err(), "Invalid save parameters", "{wrong}");
        }
    }

    #[test]
    fn output_limits_keep_the_classes_that_are_not_named() {
        let mut limits = read::<OutputLimits>("replica 256mb 64mb 60").unwrap();
        limits.update("normal 1mb 2mb 60 pubsub 1 2 3", &Kind::OutputLimits).unwrap();
        assert_eq!(limits.text(), "normal 1048576 2097152 60 slave 268435456 67108864 60 pubsub 1 2 3");
        assert_eq!(read::<OutputLimits>(&limits.text()), Ok(limits));
        for (wrong, words) in [
            ("normal 0 0", "Wrong number of arguments"),
            ("wrong 0 0 0", "Invalid client class"),
            ("normal a 0 0", "Error in hard"),
            ("normal 0 0 -3", "Error in hard"),
        ] {
            assert!(read::<OutputLimits>(wrong).unwrap_err().starts_with(words), "{wrong}");
        }
    }

    #[test]
    fn percentiles() {
        assert_eq!(rewritten::<Percentiles>("50.0 99.95 100 0.001").unwrap(), "50 99.95 100 0.001");
        assert!(read::<Percentiles>("50 101").unwrap_err().contains("between"));
        assert!(read::<Percentiles>("nan").unwrap_err().contains("between"));
        assert!(read::<Percentiles>("a").unwrap_err().contains("Invalid"));
    }
}
